"""Owns one child process: its log, its signals, and that it dies with the process that started it.

Knows nothing of etcd's interface. A guard (a shell that waits on a pipe) ends the child and removes
its directory when this process goes away without saying so, by SIGTERM or SIGKILL; atexit does the
same where Python still can.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The guard reads "ok" before its pipe closes when there is nothing left to do.
GUARD = 'read -r word; [ "$word" = ok ] || { kill -KILL "$1" 2>/dev/null; sleep 0.1; rm -rf "$2"; }'
HEAD_LINES, TAIL_LINES = 3, 12
FIRST_PORT, LAST_PORT = 12_000, 32_000
"""Below Linux's range for outgoing connections, which could take a stopped server's port."""

_given: set[int] = set()
_reserved: int | None = None
"""Descriptor of the file whose bytes are locked, one for each port."""
_alive: set[Process] = set()


class StartFailed(RuntimeError):
    """The server ended or did not become ready in time; the text carries the end of its log."""


class PortTaken(StartFailed):
    """Somebody else listens on the port that the server was to use."""


def is_free(port: int) -> bool:
    """Whether one can listen on this TCP port of 127.0.0.1, as etcd does: with SO_REUSEADDR."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens, given only once: to this process, and to no
    other that asks here while this one runs, also while its server is down.
    """
    for port in random.sample(range(FIRST_PORT, LAST_PORT), min(500, LAST_PORT - FIRST_PORT)):
        if port not in _given and is_free(port) and _reserve(port):
            _given.add(port)
            return port
    raise StartFailed(f"no free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1")


def _reserve(port: int) -> bool:
    """Whether no other process has this port: each holds a lock on that byte of one file till its end."""
    global _reserved  # noqa: PLW0603 - opened once: closing any descriptor of the file would end the locks
    if fcntl is None:
        return True
    try:
        if _reserved is None:
            path = Path(tempfile.gettempdir()) / f"etcdv2-testing-ports-{os.getuid()}"
            _reserved = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.lockf(_reserved, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # POSIX permits either
        return False
    return True


class Process:
    """One program with a private directory.

    It may be spawned again after it ended; `close` removes everything.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="etcdv2-testing-"))
        self.log = self.directory / "log"
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._paused = False
        self._log_start = 0
        _alive.add(self)

    def spawn(self, command: Sequence[str | os.PathLike[str]]) -> None:
        """Start the program with its output in the log.

        A session of its own keeps a terminal's ctrl-C away from it.
        """
        self._ended()  # it may have ended by itself

        # 1. The program.
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._paused = False

        # 2. Its guard: in a session of its own too, as what ends this process must not end that.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._child.pid), self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        """The process id, or None when it is not running."""
        if self._child is None or self._child.poll() is not None:
            return None
        return self._child.pid

    @property
    def paused(self) -> bool:
        return self._paused and self.pid is not None

    def pause(self) -> None:
        """SIGSTOP; returns when the program has really stopped."""
        child = self._running()
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._paused = True

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)
        self._paused = False

    def terminate(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds. A paused program is resumed before."""
        if self._child is None or self.pid is None:
            return self._ended()
        if self._paused:
            self.resume()
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout)
        return self.kill()

    def kill(self) -> None:
        """SIGKILL, which ends a paused program too."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._ended()

    def close(self) -> None:
        """End the program and remove its directory.

        Only in the process that made it: a fork's exit changes nothing.
        """
        if os.getpid() == self._owner:
            self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
            _alive.discard(self)

    def failure(self, what: str) -> StartFailed:
        """The error for a failed start: `what`, how the program ended, and both ends of its output."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
            lines = text.splitlines()
            if len(lines) > HEAD_LINES + TAIL_LINES:
                lines[HEAD_LINES:-TAIL_LINES] = ["..."]
            code = None if self._child is None else self._child.poll()
            ended = "" if code is None else f" (exit status {code})"
            kind = PortTaken if code is not None and "address already in use" in text else StartFailed
            return kind("\n".join([f"{what}{ended}; its log:", *lines]))
        return StartFailed(what)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self.pid is None:
            raise RuntimeError("the server is not running")
        return self._child

    def _ended(self) -> None:
        self._paused = False
        guard, self._guard = self._guard, None
        if guard is not None:
            with contextlib.suppress(OSError):
                guard.communicate(b"ok\n")


@atexit.register
def close_all() -> None:
    """What is left when the interpreter ends."""
    for process in list(_alive):
        process.close()
