"""What the transports do to sockets: options, and shutting them down.

Owns the numbers; opens and closes no connection.
"""

from __future__ import annotations

import _socket
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from etcdv2._runtime.handlers import of_handler, suppress_own

KEEPALIVE_IDLE = 20
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 4
USER_TIMEOUT_MS = 1000 * (KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_COUNT)

_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", KEEPALIVE_IDLE),  # macOS has the latter
    ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
    ("TCP_KEEPCNT", KEEPALIVE_COUNT),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
)
_LINGER = "hh" if sys.platform == "win32" else "ii"


class ShownSocket(Protocol):
    """A socket, or what an event loop shows in place of one."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...

    def dup(self) -> socket.socket: ...


def tune(sock: socket.socket) -> None:
    """No delay for small requests; a silent peer is noticed after about 40 s, where the platform
    can.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        option: int | None = getattr(socket, name, None)
        if option is not None:
            with suppress_own(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def reset_on_close(sock: ShownSocket, on: bool = True) -> None:
    """Have a close discard what the kernel has not sent yet, and reset the connection; or not.

    After an ordinary close the kernel goes on sending for minutes: when a line that dropped packets
    is mended, the server gets a request that has timed out for its caller long ago.
    """
    with suppress_own(OSError, ValueError):  # it may be closed; uvloop says so by the latter
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, on, 0))


def shut_down(sock: ShownSocket, how: int) -> bool:
    """Shut the connection down, one half or both of it, below TLS where there is any; whether that
    could be done.

    A socket that an event loop owns is shut down in that loop's thread only: elsewhere the loop may
    close it meanwhile, and open another one with its descriptor.
    """
    plain = getattr(sock, "_sock", sock)
    try:
        if isinstance(plain, (_socket.socket, socket.socket)):
            shut_down_below_tls(plain, how)
        else:
            # A second descriptor of the same connection: what uvloop shows refuses to be shut down.
            with sock.dup() as second:
                second.shutdown(how)
    except (OSError, ValueError) as error:
        if of_handler(error) is not None:
            raise
        return False  # it is closed, by the peer or here
    return True


def shut_down_below_tls(sock: _socket.socket, how: int) -> None:
    """As shutdown(2). Raises OSError.

    By the plain socket's own method: SSLSocket.shutdown forgets its TLS state while another thread reads. gevent and
    eventlet put classes of their own in place of `socket.socket`, which are no `_socket.socket`; those of
    eventlet have no method of the class, but theirs for TLS are `ssl.SSLSocket`.
    """
    kind = _socket.socket if isinstance(sock, _socket.socket) else socket.socket
    plainly: Callable[[_socket.socket, int], None] | None = getattr(kind, "shutdown", None)
    if plainly is None:
        sock.shutdown(how)
    else:
        plainly(sock, how)
