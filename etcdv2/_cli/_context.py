"""What a command works with: its words and flags, its output, one client, and the time that is left.

Owns the client's life. A client is made when a command first asks for it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Any

from etcdv2._cli._failures import TimeOver, UsageError
from etcdv2._cli._output import Output
from etcdv2._cli._settings import ask_password, client_arguments, settings_from

if TYPE_CHECKING:
    from etcdv2 import AttemptInfo, Client, Timeout


class Context:
    """One run of one command."""

    def __init__(
        self,
        options: argparse.Namespace,
        words: list[str],
        behind: list[str],
        output: Output,
        environ: Mapping[str, str],
        *,
        endless: bool,
    ) -> None:
        self.options: Any = options
        self.words = words
        self.behind = behind
        """What stands behind `--`."""
        self.output = output
        self.environ = environ
        self.stack = ExitStack()
        """What is closed at the end, whatever happens."""
        self.last_endpoint = ""
        """Where the last answer came from."""
        self.settings = settings_from(options, environ)
        self._limit = options.timeout if endless else self.settings.total
        self._ends: float | None = None
        self._rings = False

    @cached_property
    def client(self) -> Client:
        """Made with the settings of flags and environment. Raises UsageError for what it refuses."""
        # 1. A password is asked for only now, when the words are known to be right.
        settings = self.settings
        if settings.user is not None and settings.password is None:
            with self.uncounted():
                settings.password = "***" if self.options.curl else ask_password(f"Password of {settings.user}: ")

        # 2. The client.
        self.begin()
        client = self.stack.enter_context(self._made())
        self._warn_by_name()
        if self.options.sync:
            client.sync(timeout=self.timeout)
        return client

    def _made(self, **more: Any) -> Client:
        """Raises UsageError."""
        from etcdv2 import Client

        arguments: dict[str, Any] = {**client_arguments(self.settings), "after_attempt": self._note_attempt, **more}
        if self.options.curl:
            from etcdv2._cli._curl import ShowRequest

            arguments["transport"] = ShowRequest(self.settings)
        try:
            return Client.from_env(self.settings.environ, **arguments)
        except ImportError as error:
            raise UsageError(str(error)) from None
        except (ValueError, TypeError, OSError) as error:
            raise UsageError(self.settings.explain(str(error))) from None

    def client_of(self, url: str) -> Client:
        """One of the same settings for one endpoint, to be closed by the caller."""
        return self._made(endpoints=url)

    def _warn_by_name(self) -> None:
        """What the library warns of comes in the form of this program's own messages."""
        import logging

        say = self.output.say

        class OnStderr(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                say(record.getMessage())

        handler = OnStderr(logging.WARNING)
        logger = logging.getLogger("etcdv2")
        logger.addHandler(handler)
        self.stack.callback(logger.removeHandler, handler)

    def begin(self) -> None:
        """The time of the command begins when it can do something: what it takes to start is not counted."""
        if self._limit is None or self._ends is not None:
            return
        self._ends = time.monotonic() + self._limit
        if self._rings:
            signal.setitimer(signal.ITIMER_REAL, self._limit)

    @contextmanager
    def uncounted(self) -> Generator[None, None, None]:
        """What somebody types or edits in here takes none of the command's time."""
        begun = time.monotonic()
        yield
        if self._ends is not None:
            self._ends += time.monotonic() - begun

    @contextmanager
    def alarm(self) -> Generator[None, None, None]:
        """Raises TimeOver in here once the command's time is over, whatever is waited for."""

        def ring(number: int, frame: FrameType | None) -> None:
            raise TimeOver(f"the {self._limit:g} s of --timeout are over")

        if self._limit is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        # A timer that runs already is somebody else's, who runs this within a program: it goes on afterwards.
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        due = time.monotonic() + left
        before = signal.signal(signal.SIGALRM, ring)
        self._rings = True
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._rings = False
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(due - time.monotonic(), 0.001), interval)

    @property
    def timeout(self) -> Timeout:
        """For one request: not longer than what is left of the command's time."""
        from dataclasses import replace

        times: Timeout = client_arguments(self.settings)["timeout"]
        if self._ends is None:
            return times
        return replace(times, total=max(0.001, self._ends - time.monotonic()))

    @property
    def left(self) -> float | None:
        """Seconds that the command may take yet; None for no limit."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    @property
    def within(self) -> float | None:
        """The same for what has to have some time."""
        self.begin()
        return None if self._ends is None else max(0.001, self._ends - time.monotonic())

    def verbose(self, text: str) -> None:
        """Said with -v only."""
        if self.options.verbose:
            self.output.say(text)

    def _note_attempt(self, info: AttemptInfo) -> None:
        if info.status is not None:
            self.last_endpoint = info.endpoint
        if self.options.verbose:
            came = info.error if info.status is None else str(info.status)
            self.output.say(f"{info.method} {info.endpoint}{info.path}: {came} in {info.elapsed:.3f} s")

    def value(self, at: int) -> str:
        """The word at this place, or stdin where it is `-` or absent. Raises UsageError."""
        word = self.words[at] if at < len(self.words) else None
        if word is not None and word != "-":
            return word
        if word is None and sys.stdin.isatty():
            raise UsageError("VALUE is missing: give it, or - to type it, or pipe it in")
        return read_value(raw=self.options.raw, needed=word is None)


def read_value(*, raw: bool, needed: bool) -> str:
    """All of stdin, without one newline at its end unless `raw`. Raises UsageError."""
    data = sys.stdin.buffer.read()
    if not data and needed:
        raise UsageError("VALUE is missing, and stdin is empty: give '' for an empty value")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the value is no UTF-8 (byte {error.start}), and etcd's v2 API cannot keep it: encode it, as with base64"
        ) from None
    return text if raw else text.removesuffix("\n")
