"""Looking up a host without waiting longer than wanted.

Owns the thread that asks: the resolver has no time limit, so it gets one of its own, which may
outlive the call.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from etcdv2._transport.failures import Aborted, LimitReached

_LONGEST_WAIT = 86400.0

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def numeric(host: str, port: int) -> Sequence[Address] | None:
    """The address that the host is; None when it is a name, or none at all."""
    try:
        return socket.getaddrinfo(_bytes(host), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None


class Lookup:
    """Of a name, begun with this. Raises OSError where no thread can be started."""

    __slots__ = ("_answers", "_host")

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._answers = answers = SimpleQueue[Sequence[Address] | BaseException]()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(_bytes(host), port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError(str(error)))

        try:
            threading.Thread(target=ask, name="etcdv2-lookup", daemon=True).start()
        except RuntimeError as error:
            raise OSError(f"the name cannot be looked up: {error}") from error

    def abort(self) -> None:
        """From any thread: `result` raises Aborted, unless it has its answer."""
        self._answers.put(Aborted())

    def result(self, ends: float) -> Sequence[Address]:
        """Raises OSError for a name that is not known, LimitReached at that moment."""
        try:
            found = self._answers.get(timeout=min(max(ends - monotonic(), 0), _LONGEST_WAIT))
        except Empty:
            raise LimitReached(f"looking up {self._host}") from None
        if isinstance(found, BaseException):
            raise found
        return found


def _bytes(host: str) -> bytes:
    """For a str Python imports a codec, which a child that is forked meanwhile would wait for
    without end.
    """
    return host.encode("ascii")
