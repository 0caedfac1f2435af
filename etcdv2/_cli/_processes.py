"""Other programs: an editor, and what runs under a lock or for an event.

Owns how they are started and ended. What they are told is the caller's.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from etcdv2._cli._apart import Once, apart
from etcdv2._cli._failures import USAGE, Failed, UsageError

if TYPE_CHECKING:
    from etcdv2._cli._context import Context

NOT_THERE, NOT_EXECUTABLE = 127, 126
"""The exit codes of a shell."""
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""


class Process:
    """One program that runs; it shares the terminal, and so Ctrl-C."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], stdin: str | None = None) -> None:
        """Raises Failed where it cannot be started."""
        try:
            self._process = subprocess.Popen(
                list(words),
                env={**os.environ, **environ},
                stdin=None if stdin is None else subprocess.PIPE,
                text=stdin is not None or None,
                encoding="utf-8" if stdin is not None else None,
            )
        except OSError as error:
            code = NOT_THERE if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise Failed(code, f"{words[0]}: {error.strerror or error}") from None
        self._ended = Once()
        threading.Thread(target=self._reap, daemon=True).start()
        if stdin is not None:
            threading.Thread(target=self._feed, args=(stdin,), daemon=True).start()

    def _reap(self) -> None:
        # Not by the main thread: an exception of a signal's handler can leave its lock taken, which says "it runs".
        self._process.wait()
        self._ended.come()

    def _feed(self, text: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            with pipe:
                pipe.write(text)
        except (BrokenPipeError, ValueError):
            return

    @property
    def running(self) -> bool:
        return not self._ended.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, as a shell has it (128 and the signal's number); None when the time was over."""
        if not self._ended.wait(timeout):
            return None
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def end(self) -> int:
        """SIGTERM, and SIGKILL when that was not enough; its exit code."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        code = self.wait(GRACE_SECONDS)
        if code is None:
            self._process.kill()
            code = self.wait()
        assert code is not None
        return code


def needed_command(context: Context) -> list[str]:
    """What stands behind `--`. Raises UsageError where nothing does."""
    if not context.behind:
        raise UsageError("CMD is missing: it stands behind --")
    return context.behind


def run_editor(path: str, environ: Mapping[str, str]) -> None:
    """Raises Failed where there is none, or where it says that it failed."""
    words = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "vi")
    code = apart(lambda: Process([*words, path], {})).wait()
    if code:
        raise Failed(USAGE, f"{words[0]} ended with exit code {code}; nothing was written")
