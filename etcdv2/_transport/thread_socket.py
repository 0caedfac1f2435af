"""One socket of the thread transport: connecting, TLS, waiting until a moment, ending.

Owns the descriptor and the choice between waiting in the kernel and by `poll`; knows nothing of
HTTP. One thread uses a socket; any may `abort()` it.
"""

from __future__ import annotations

import _socket
import os
import socket
import ssl
import threading
from time import monotonic

from etcdv2._core.endpoints import Endpoint
from etcdv2._runtime.handlers import of_handler, suppress_own
from etcdv2._runtime.signals import longest_wait
from etcdv2._transport.addresses import first_of
from etcdv2._transport.failures import Aborted, LimitReached
from etcdv2._transport.kernel_wait import LEAST_SECONDS, KernelWait, kernel_wait
from etcdv2._transport.lookup import Address, Lookup, numeric
from etcdv2._transport.polling import READABLE, WRITABLE, new_poll
from etcdv2._transport.sockets import reset_on_close, shut_down_below_tls, tune

RECEIVE_BYTES = 65536
"""More than a TLS record, of which a read takes one: so nothing stays hidden in OpenSSL, where
`poll` does not see it.
"""
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LONGEST_WAIT_SECONDS = 86400.0

_ending = threading.RLock()
"""Held around shutdown and close, so that an abort never hits a descriptor that was given to
another file.

Reentrant: the garbage collector, which can run at any allocation, aborts the streams of forgotten
watches.
"""


class ThreadSocket:
    """Waits raise Aborted after `abort`, and LimitReached at their end.

    Python takes the socket for a non-blocking one.
    """

    __slots__ = ("_aborted", "_in_kernel", "_kernel", "_lookup", "_poll", "_sock", "_tls", "endpoint", "opened")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.opened: list[socket.socket] = []
        """The socket, as long as it is open, for who has to close it when this object is lost."""
        self._sock: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._poll = new_poll()
        self._kernel: KernelWait | None = None
        self._in_kernel = False
        """Whether system calls on the socket wait, for a slice; else they do not."""
        self._lookup: Lookup | None = None
        self._aborted = False

    # -- connecting ----------------------------------------------------------------------------------------------

    def _connect(self, ends: float) -> None:
        """Try every address of the host, each with its share of the time."""
        host, port = self.endpoint.host, self.endpoint.port
        addresses = numeric(host, port)
        if addresses is None:
            self._lookup = Lookup((host, port))
            self._check_aborted()
            addresses = self._lookup.result(ends)
            self._lookup = None

        first_of(addresses, ends, self._try_one)

    def _try_one(self, address: Address, ends: float) -> None:
        try:
            self._connect_one(address, ends)
        except OSError:
            self._forget_socket()
            raise

    def _connect_one(self, found: Address, ends: float) -> None:
        family, kind, protocol, _, address = found
        self._sock = sock = socket.socket(family, kind, protocol)
        # What gevent and eventlet put in its place closes itself when it is forgotten.
        self.opened[:] = [sock] if isinstance(sock, _socket.socket) else []
        sock.setblocking(False)
        tune(sock)
        try:
            sock.connect(address)
        except BlockingIOError as begun:
            if of_handler(begun) is not None:
                raise
            self._poll.register(sock, WRITABLE)
            self._wait_for(WRITABLE, ends)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error)) from None

        self._poll.register(sock, READABLE)
        self._check_aborted()
        if not self.endpoint.tls:
            self._kernel = kernel_wait(sock)

    def _shake_hands(self, context: ssl.SSLContext, hostname: str, ends: float) -> None:
        if self._sock is None or self._aborted:
            raise Aborted
        self._tls = self._sock = context.wrap_socket(
            self._sock, server_hostname=hostname, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self.opened[:] = [self._tls]
        while True:
            self._check_aborted()
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._wait_for(READABLE, ends)
            except ssl.SSLWantWriteError:
                self._wait_for(WRITABLE, ends)
        self._kernel = kernel_wait(self._tls)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _receive_in_kernel(self, ends: float) -> bytes | memoryview | None:
        """What comes, nothing at the end.

        None when no answer came in a slice: then `_receive` is to be used.
        """
        kernel = self._kernel
        data = None
        if kernel is not None and ends - monotonic() >= LEAST_SECONDS:
            data = kernel.receive()
        if data is None:
            self._switch(in_kernel=False)
        return data

    def _receive(self, sock: socket.socket, ends: float) -> bytes | None:
        """What comes, nothing at the end. None when it was no data: then again."""
        self._wait_readable(ends)
        try:
            data = sock.recv(RECEIVE_BYTES)
        except ssl.SSLWantWriteError:
            self._wait_for(WRITABLE, ends)
            return None
        except NOT_YET as error:
            if of_handler(error) is not None:
                raise
            return None
        return data

    def _switch(self, *, in_kernel: bool) -> None:
        """Let system calls on the socket wait, where that can be had, or not."""
        if self._kernel is not None and in_kernel is not self._in_kernel:
            self._kernel.switch(in_kernel)
            self._in_kernel = in_kernel

    def _wait_for(self, events: int, ends: float) -> None:
        """Until the socket is ready; the poll object is left asking for POLLIN."""
        if self._sock is None or self._aborted:
            raise Aborted
        self._poll.modify(self._sock, events)
        try:
            self._wait_readable(ends)
        finally:
            self._poll.modify(self._sock, READABLE)

    def _wait_readable(self, ends: float) -> None:
        longest = min(longest_wait(), _LONGEST_WAIT_SECONDS)
        while True:
            left = ends - monotonic()
            if left <= 0:
                raise LimitReached
            ready = self._poll.poll(int(min(left, longest) * 1000) + 1)
            self._check_aborted()
            if ready:
                return

    def _is_readable(self) -> bool:
        return bool(self._poll.poll(0))

    def _check_aborted(self) -> None:
        if self._aborted:
            raise Aborted

    # -- ending --------------------------------------------------------------------------------------------------

    def abort(self) -> None:
        """Wake the thread that uses this socket, which will then fail. Never blocks."""
        self._aborted = True
        with _ending:
            if self._lookup is not None:
                self._lookup.abort()
            if self._sock is not None:
                _shut_down(self._sock)

    def _shut_sending_half(self) -> bool:
        """Whether that could be done."""
        with _ending:
            if self._sock is None or self._aborted:
                return False
            try:
                shut_down_below_tls(self._sock, socket.SHUT_WR)  # TLS records can still be read
            except OSError as error:
                if of_handler(error) is not None:
                    raise
                return False
            return True

    def _close(self, *, reset: bool) -> None:
        """`reset`: and take back what the kernel has not sent, also when an `abort` has shut it
        down before.
        """
        self._aborted = True
        with _ending:
            if self._lookup is not None:
                self._lookup.abort()
            if self._sock is not None:
                if reset:
                    reset_on_close(self._sock)
                else:
                    _shut_down(self._sock)  # wakes a reader
                self._forget_socket()

    def forget(self) -> None:
        """In a forked child: close the descriptor only; no lock is taken, its holder may not exist
        here.
        """
        self._aborted = True
        if self._sock is not None:
            self._sock.close()

    def _forget_socket(self) -> None:
        with _ending:
            sock = self._sock
            if sock is not None:
                with suppress_own(KeyError, ValueError):
                    self._poll.unregister(sock)
                sock.close()
            # Known as open until it is closed, in case this is interrupted.
            self.opened.clear()
            self._sock = self._tls = self._kernel = None
            self._in_kernel = False


def _shut_down(sock: socket.socket) -> None:
    with suppress_own(OSError):
        shut_down_below_tls(sock, socket.SHUT_RDWR)  # else the reader would see ciphertext


def _renew_lock() -> None:
    global _ending  # noqa: PLW0603 - the thread that held it may not exist in a forked child
    _ending = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
