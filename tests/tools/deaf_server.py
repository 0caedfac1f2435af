"""A server that stops reading, so that what is sent to it stays with its client, and later reads what still comes.

Owns its receive window and the account of what came; answers nothing.
"""

from __future__ import annotations

import socket
import ssl
import threading

from etcdv2._core.endpoints import Endpoint
from tests.tools.listener import Listener

WINDOW = 4096
"""Bytes of its receive buffer, about: more stays with the client."""


class DeafServer(Listener):
    """Reads nothing but a TLS handshake until `hears` is set, then everything."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        self._ssl_context = ssl_context
        self.hears = threading.Event()
        self.ready = threading.Event()
        """Set when it has got a first part of a request."""
        self.received = b""
        """By all connections together."""
        self.resets = 0
        """How many plain connections ended by a reset."""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("https" if self._ssl_context else "http", "127.0.0.1", self.port)

    def _stop(self) -> None:
        self.hears.set()

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self._ssl_context is not None:
            with self._ssl_context.wrap_socket(sock, server_side=True) as secured:
                self._hear(secured)
            return
        try:
            self._hear(sock)
        except ConnectionResetError:
            with self.lock:
                self.resets += 1

    def _hear(self, sock: socket.socket) -> None:
        first = sock.recv(1)
        self.ready.set()
        self.hears.wait()
        self._add(first)
        while data := sock.recv(65536):
            self._add(data)

    def _add(self, data: bytes) -> None:
        with self.lock:
            self.received += data
