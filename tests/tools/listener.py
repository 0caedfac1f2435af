"""A TCP server for tests that leaves no thread and no socket behind; what it does with a connection is its heir's.

Owns accepting, threads and ending; knows no HTTP.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self


def reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Listener:
    """Accepts on 127.0.0.1 or another loopback address, a thread per connection; leaves none behind."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family, backlog=256)
        self._threads: list[threading.Thread] = []
        self.socks: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        """How many were accepted so far."""

    @property
    def open_connections(self) -> int:
        with self.lock:
            return len(self.socks)

    def _serve(self, sock: socket.socket, number: int) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._stop()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        while self._threads:
            self._threads.pop().join()
        self._listening.close()

    def hang_up(self) -> None:
        """End every connection that is open, by FIN."""
        with self.lock:
            for sock in self.socks:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def drain(self) -> None:
        """End every connection that was made until now, accepted or not, and wait until all that came on them is read.

        Takes a connection itself, for connections are accepted in their order: behind that one there is none left.
        Not for a server that waits for its end whatever becomes of a connection (`stall`).
        """
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.settimeout(0.01)
            ended = False
            while not ended:
                self.hang_up()
                try:
                    ended = not last.recv(1)
                except TimeoutError:
                    continue
                except ConnectionResetError:
                    ended = True
        while self.open_connections:
            self.hang_up()
            time.sleep(0.001)

    def _stop(self) -> None:
        """For what else must be woken."""

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        # accept() takes the number of its next descriptor before it waits, so it is not what waits here: a test that
        # puts a descriptor in a closed one's place would meet that number.
        pending = select.poll()
        pending.register(self._listening, select.POLLIN)

        while not self.stopping.is_set():
            pending.poll()
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.socks.add(sock)  # not in its thread: `drain` relies on the order
            self._start(self._serve_and_close, sock, self.connections)

    def _serve_and_close(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError), self.held(sock):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(sock, number)

    @contextlib.contextmanager
    def held(self, sock: socket.socket) -> Generator[None]:
        with self.lock:
            self.socks.add(sock)
        try:
            if self.stopping.is_set():  # after `hang_up` has gone round
                sock.shutdown(socket.SHUT_RDWR)
            yield
        finally:
            sock.close()
            with self.lock:
                self.socks.discard(sock)
