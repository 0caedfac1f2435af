"""Gathers what a watch receives: the body of one poll, the lines of a stream. Owns their size limit. No I/O."""

from __future__ import annotations

from etcdv2._core.wire import Sent, TransportFailure

LONGEST_EVENT = 1 << 28
"""Bytes. An event holds two values, each at most 10 MiB as a form, up to six bytes a character as JSON."""


class EventBuffer:
    """Bytes of one event that have come so far."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def __bool__(self) -> bool:
        return self._size > 0

    def add(self, part: bytes) -> None:
        """Raises TransportFailure when it is more than any event can have."""
        self._size += len(part)
        if self._size > LONGEST_EVENT:
            self._parts.clear()
            raise TransportFailure(f"sent an event of more than {LONGEST_EVENT} bytes", "read", Sent.WHOLE)
        self._parts.append(part)

    def take(self) -> bytes:
        """All of it; then the buffer is empty."""
        body = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return body

    def lines(self, part: bytes) -> list[bytes]:
        """The lines that `part` completes; its rest is kept. Raises as `add` does."""
        *complete, rest = part.split(b"\n")
        if complete:
            self.add(complete[0])
            complete[0] = self.take()
        if rest:
            self.add(rest)
        return complete
