"""A way to the server that can be cut: passes bytes on, breaks all connections on `cut`. Parses nothing."""

from __future__ import annotations

import contextlib
import socket
import threading

HOST = "127.0.0.1"


class Relay:
    def __init__(self, target: int) -> None:
        """`target`: a port of this machine."""
        self._target = target
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.cut()
        for thread in self._threads[1:]:
            thread.join()

    def cut(self) -> None:
        """Break what is open now. New connections are taken."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return

            # A server that is not there is no reason to end: the client sees a connection that closes.
            try:
                far = socket.create_connection((HOST, self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open += [near, far]

            # One thread for each direction, and one that closes both sockets when neither is used any more.
            pair = [threading.Thread(target=self._pass, args=ends) for ends in ((near, far), (far, near))]
            self._threads += pair
            waiting = threading.Thread(target=self._bury, args=(near, far, pair))
            self._threads.append(waiting)
            for thread in [*pair, waiting]:
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _bury(self, near: socket.socket, far: socket.socket, pair: list[threading.Thread]) -> None:
        for thread in pair:
            thread.join()
        with self._lock:
            for one in (near, far):
                self._open.remove(one)
                one.close()
