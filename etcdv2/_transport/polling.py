"""Waiting for a socket to be ready: by `poll` where the system has it, else by `select`.

Owns the choice. Windows has no `poll`, and eventlet takes it away, since its own `select` lets other tasks run.
"""

from __future__ import annotations

import select
import time
from typing import Any, Final, Protocol

READABLE: Final = 1
WRITABLE: Final = 4
"""As in `select.POLLIN` and `select.POLLOUT`."""


class Poll(Protocol):
    """What of `select.poll` is used."""

    def register(self, sock: Any, events: int, /) -> None: ...
    def modify(self, sock: Any, events: int, /) -> None: ...
    def unregister(self, sock: Any, /) -> None: ...
    def poll(self, milliseconds: int | None = None, /) -> list[tuple[int, int]]: ...


def new_poll() -> Poll:
    made: Any = getattr(select, "poll", None)
    return SelectPoll() if made is None else made()


def is_readable(descriptor: int) -> bool:
    """Now, without waiting: data, the end, or an error."""
    probe = new_poll()
    probe.register(descriptor, READABLE)
    return bool(probe.poll(0))


class SelectPoll:
    """`select.poll` by `select.select`, for a few descriptors."""

    __slots__ = ("_wanted",)

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<SelectPoll for {self._wanted}>"

    def register(self, sock: Any, events: int) -> None:
        self._wanted[_descriptor(sock)] = events

    modify = register

    def unregister(self, sock: Any) -> None:
        """Raises KeyError for what is not registered."""
        del self._wanted[_descriptor(sock)]

    def poll(self, milliseconds: int | None = None) -> list[tuple[int, int]]:
        """Raises OSError for what `select` cannot wait for (a descriptor of 1,024 and more, on Unix)."""
        seconds = None if milliseconds is None else milliseconds / 1000
        reading = [one for one, events in self._wanted.items() if events & READABLE]
        writing = [one for one, events in self._wanted.items() if events & WRITABLE]
        if not self._wanted and seconds is not None:  # Windows refuses to wait for nothing
            time.sleep(seconds)
            return []
        try:
            # A connection that is refused is an exception on Windows.
            found = select.select(reading, writing, writing, seconds)
        except ValueError as error:
            raise OSError(f"select cannot wait for this socket: {error}") from error
        ready = {one: 0 for ended in found for one in ended}
        for one in found[0]:
            ready[one] |= READABLE
        for one in (*found[1], *found[2]):
            ready[one] |= WRITABLE
        return list(ready.items())


def _descriptor(sock: Any) -> int:
    return sock if isinstance(sock, int) else sock.fileno()
