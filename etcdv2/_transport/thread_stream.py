"""An answer whose body goes on arriving, over a connection of the thread transport.

Owns reading, ending, and who may do so at the same time; bytes are `thread_connection`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic

from etcdv2._core.wire import TransportFailure
from etcdv2._transport.failures import LimitReached
from etcdv2._transport.thread_connection import Connection


class FastStream:
    """An answer whose body is still arriving. One thread reads; any may `abort()`."""

    __slots__ = ("_connection", "_end", "_ended", "_failure", "_lock", "greeting", "headers", "status")
    keeps_time = True

    def __init__(self, connection: Connection, end: Callable[[Connection, bool], None]) -> None:
        """`end` takes the connection back, with whether it was read without failure."""
        self._connection = connection
        self._end = end
        self._failure: TransportFailure | None = None
        self._ended = False
        self._lock = threading.RLock()  # reentrant for the garbage collector, as in `thread_socket`
        self.status: int = connection.reader.status
        self.headers: Mapping[str, str] = connection.reader.headers
        self.greeting = connection.greeting or b""

    def __repr__(self) -> str:
        state = "closed" if self._ended else "failed" if self._failure is not None else "open"
        return f"<FastStream with status {self.status} from {self._connection.endpoint}: {state}>"

    def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes, `b""` at the proper end, `None` when nothing came within `timeout`
        seconds.
        """
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise ValueError("read of a closed stream")
        try:
            return self._connection.read_some(inf if timeout is None else monotonic() + timeout)
        except LimitReached:
            return None
        except TransportFailure as error:
            self._failure = error
            raise

    def abort(self) -> None:
        """End it now.

        Safe from any thread, any number of times; what had come before is still given by `read`.
        """
        with self._lock:
            if not self._ended:  # else the connection may serve another call already
                self._connection.abort()

    def half_close(self) -> bool:
        """Close the sending half: etcd then ends the body properly, behind all that it has sent."""
        with self._lock:
            return not self._ended and self._connection.half_close()

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._end(self._connection, self._failure is None)
