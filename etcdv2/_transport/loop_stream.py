"""An answer whose body goes on arriving, over a connection of the asyncio transport.

Owns reading, ending, and what an end leaves to be read; bytes are `loop_connection`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from etcdv2._core.wire import Sent
from etcdv2._transport.failures import Aborted, failure
from etcdv2._transport.loop_connection import AsyncConnection


class AsyncFastStream:
    """An answer whose body is still arriving. One task reads; any thread may `abort()`."""

    __slots__ = ("_aborted", "_connection", "_ended", "_give_back", "_loop", "greeting", "headers", "status")
    keeps_time = True

    def __init__(
        self, connection: AsyncConnection, loop: asyncio.AbstractEventLoop, give_back: Callable[[], None]
    ) -> None:
        """`give_back` takes the connection, and closes it when it is not fit for use."""
        self._connection = connection
        self._loop = loop
        self._give_back = give_back
        self._aborted = False
        self._ended = False
        self.status: int = connection.reader.status
        self.headers: Mapping[str, str] = connection.reader.headers
        self.greeting = connection.greeting or b""

    def __repr__(self) -> str:
        state = "closed" if self._ended else "aborted" if self._aborted else "open"
        return f"<AsyncFastStream with status {self.status} from {self._connection.endpoint}: {state}>"

    async def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes, `b""` at the proper end, `None` when nothing came within `timeout`
        seconds.

        A cancelled read loses nothing: the stream goes on.
        """
        if self._ended:
            raise ValueError("read of a closed stream")
        connection = self._connection
        reader = connection.reader
        ends = None if timeout is None else self._loop.time() + timeout
        while True:
            # 1. What is there already; what came before an end is still given.
            data = connection.take()
            if data:
                return data
            if self._aborted:
                raise failure(Aborted(), "read", Sent.WHOLE)
            if reader.done:
                return data
            if connection.error is not None:
                raise connection.failure()
            if ends is not None and self._loop.time() >= ends:
                return None

            # 2. Wait for more, or for the end.
            waiter = connection.next_bytes()
            timer = None if ends is None else self._loop.call_at(ends, _set, waiter)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()

    def abort(self) -> None:
        """End it now. Safe from any thread, any number of times."""
        self._aborted = True
        if self._is_here():
            self._abort_here()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._abort_here)

    def _abort_here(self) -> None:
        if not self._ended:  # else the connection may serve another call already
            self._connection.end(Aborted())

    def half_close(self) -> bool:
        """Close the sending half: etcd then ends the body properly, behind all that it has sent.

        Any thread may ask; False in others than the loop's.
        """
        return self._is_here() and not self._ended and self._connection.half_close()

    def _is_here(self) -> bool:
        """Whether this is the loop's thread, where nothing else can close the socket meanwhile."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        if not self._ended:
            self._ended = True
            self._give_back()


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
