# Derived from etcdv2/_async/httpx_socket.py by scripts/unasync.py: change that file, make generate.
"""The socket below an answer over httpx, where its transport shows one.

Owns how it is found, and how it is ended and half-closed without touching any other connection;
reads and writes nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import httpx

from etcdv2._runtime.handlers import suppress_own
from etcdv2._runtime.primitives import SocketThread
from etcdv2._transport.sockets import shut_down


def shown_socket(network_stream: Any) -> Any:
    """The socket of a connection, or what its event loop shows in place of one; None where the
    transport shows none.

    Raises ConnectionResetError where it was reset before anybody looked at it (uvloop 0.23).
    """
    try:
        return None if network_stream is None else network_stream.get_extra_info("socket")
    except (AttributeError, ValueError) as error:
        # uvloop has none to show any more, which anyio 4.16 does not expect: it asks for the address of the peer.
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from error


class HttpxSocket:
    """Of one response, for as long as the connection is that response's. Safe from any thread."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._shown: Any = None
        with suppress_own(ConnectionResetError):
            self._shown = shown_socket(response.extensions.get("network_stream"))
        self._thread = SocketThread()
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._shown!r}>"

    @property
    def connection(self) -> object:
        """One object as long as the connection lives; None where the transport does not show it."""
        return getattr(self._shown, "_sock", self._shown)

    def abort(self) -> None:
        """End the connection, which wakes a blocked read; soon, when its event loop runs in another
        thread.
        """
        self._thread.call(self._abort)

    def half_close(self) -> bool:
        """Close the sending half, of TCP also under TLS. False where that cannot be done."""
        return self._thread.is_here() and self._is_ours() and shut_down(self._shown, socket.SHUT_WR)

    def end_half_closed(self) -> None:
        """Once its answer has ended: httpx keeps the connection for the next request, which could not be sent on it."""
        if self._shown is not None and self._thread.is_here() and os.getpid() == self._process:
            shut_down(self._shown, socket.SHUT_RDWR)

    def _abort(self) -> None:
        if self._is_ours():
            shut_down(self._shown, socket.SHUT_RDWR)

    def _is_ours(self) -> bool:
        """Not once the response is closed, since httpcore gives the connection to other requests then.

        Nor in a forked child, where it is the parent's.
        """
        return self._shown is not None and not self._response.is_closed and os.getpid() == self._process
