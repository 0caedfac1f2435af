"""Receives that wait in the kernel: one system call where `poll` and a receive take two.

Owns the limit that the kernel keeps for each (SO_RCVTIMEO) and the call of libc's `recv`. It waits
for one slice at most and promises no more: limits are kept by whoever calls, on the clock, with
`poll` for what a slice did not bring.

Why libc's, for plain sockets: after a signal `socket.recv` begins again with the whole limit (PEP
475), so signals that come faster than that, as from a profiler, would stretch it without end.
libc's comes back. `ssl` comes back, too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable

from etcdv2._runtime.handlers import of_handler

SLICE_SECONDS = 0.1
"""Most answers come within it.

A wait of a kernel that counts in hundredths of a second may last 0.02 s longer.
"""
LEAST_SECONDS = 2 * SLICE_SECONDS
"""With less time left than this, wait by `poll`, which is exact."""

BUFFER_BYTES = 16384
_TLS_BYTES = 65536
"""More than a record, so that nothing stays behind in OpenSSL: it is not in what `poll` looks at.
"""

_SLICE = struct.pack("@ll", 0, int(SLICE_SECONDS * 1_000_000))
_NOTHING_YET = (errno.EAGAIN, errno.EINTR)
_Receive = Callable[[int, int, int, int], int]


class KernelWait:
    """For one connected socket, which is not closed by another thread while one receives here."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        """Raises OSError where the kernel does not know the limits."""
        self._sock = sock
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _SLICE)

    def switch(self, on: bool) -> None:
        """Whether system calls wait from now on.

        Python goes on taking the socket for one that does not.
        """
        os.set_blocking(self._sock.fileno(), on)

    def receive(self) -> bytes | memoryview | None:
        """What came, to be used before the next receive; nothing at the end; None when nothing came
        within a slice, or when a signal came. Raises OSError.
        """
        raise NotImplementedError


class _Plain(KernelWait):
    __slots__ = ("_address", "_descriptor", "_memory", "_receive", "_view")

    def __init__(self, sock: socket.socket, receive: _Receive) -> None:
        super().__init__(sock)
        memory = bytearray(BUFFER_BYTES)
        self._receive = receive
        self._descriptor = sock.fileno()
        self._memory = (ctypes.c_char * BUFFER_BYTES).from_buffer(memory)
        self._address = ctypes.addressof(self._memory)
        self._view = memoryview(memory)

    def receive(self) -> memoryview | None:
        count = self._receive(self._descriptor, self._address, BUFFER_BYTES, 0)
        if count >= 0:
            return self._view[:count]
        number = ctypes.get_errno()
        if number in _NOTHING_YET:
            return None
        raise OSError(number, os.strerror(number))


class _TLS(KernelWait):
    __slots__ = ()

    def receive(self) -> bytes | None:
        try:
            return self._sock.recv(_TLS_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


def kernel_wait(sock: socket.socket) -> KernelWait | None:
    """None where it is not to be had: not on Linux, or the socket is of a library that has put its
    own in place.

    gevent is one: a call that waits in the kernel would stop all of its tasks.
    """
    try:
        if _receive is None:
            return None
        if type(sock) is ssl.SSLSocket and ssl.SSLSocket.__module__ == "ssl":
            return _TLS(sock)
        if type(sock) is socket.socket and socket.socket.__module__ == "socket":
            return _Plain(sock, _receive)
    except OSError as error:
        if of_handler(error) is not None:
            raise
    return None


def _libc_receive() -> _Receive | None:
    if sys.platform != "linux":
        return None
    try:
        receive = ctypes.CDLL(None, use_errno=True).recv
    except (OSError, AttributeError):
        return None
    receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    receive.restype = ctypes.c_ssize_t
    return receive


_receive = _libc_receive()
