"""Servers for faults that no real etcd makes on demand: `FaultServer` (scripted), `TcpProxy` (before a real one).

Own faults; threads and sockets end with their `with` (`listener`). They know HTTP just enough to read a request.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from etcdv2._core.endpoints import Endpoint
from tests.tools.listener import Listener, reset_on_close


class Received(NamedTuple):
    """A request as it came. Header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which of the accepted connections it came on, from 1."""


class Peer:
    """What a behaviour acts on: one accepted connection, and the request that came last on it."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping
        self.received: Received | None = None

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Make the close that follows an RST."""
        reset_on_close(self.sock)

    def say_goodbye(self) -> None:
        """Under TLS, say that no more will come."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0.1)
            with contextlib.suppress(OSError):
                self.sock.unwrap()


class Behaviour(NamedTuple):
    """What to do with one request, or `at_once` with a connection before anything is read from it.

    `act` returns whether the connection goes on.
    """

    act: Callable[[Peer], bool]
    at_once: bool = False


def answer(status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """A proper answer with Content-Length; the connection is kept unless a header says `Connection: close`."""
    return raw(answer_bytes(status, headers, body), close=(headers or {}).get("Connection") == "close")


def echo() -> Behaviour:
    """Answer with the request's target as body."""

    def act(peer: Peer) -> bool:
        assert peer.received is not None
        peer.send(answer_bytes(body=peer.received.target.encode()))
        return True

    return Behaviour(act)


def answer_bytes(status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def raw(data: bytes, *, close: bool = False, cut: bool = False, stall: bool = False) -> Behaviour:
    """Send exactly this, be it an answer or not; then go on, close, close without TLS goodbye, or say nothing more."""

    def act(peer: Peer) -> bool:
        peer.send(data)
        if stall:
            peer.stopping.wait()
        if close:
            peer.say_goodbye()
        return not (close or cut or stall)

    return Behaviour(act)


def stall() -> Behaviour:
    """Never answer; keep the connection."""
    return raw(b"", stall=True)


def close() -> Behaviour:
    """Close without an answer, after the whole request was read."""
    return raw(b"", close=True)


def reset() -> Behaviour:
    """Reset the connection after the whole request was read."""

    def act(peer: Peer) -> bool:
        peer.reset()
        return False

    return Behaviour(act)


class Gate:
    """An answer whose parts go out one by one, each when the test says so."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self._opened = threading.Semaphore(0)
        self.sent = 0
        """So many parts are in the kernel by now."""

    @property
    def answer(self) -> Behaviour:
        def act(peer: Peer) -> bool:
            for part in self._parts:
                while not self._opened.acquire(timeout=0.02):
                    if peer.stopping.is_set():
                        return False
                peer.send(part)
                self.sent += 1
            return True

        return Behaviour(act)

    def open(self, parts: int = 1) -> None:
        """Let so many more parts out."""
        self._opened.release(parts)


def drip(data: bytes | Sequence[bytes], every: float) -> Behaviour:
    """Send byte after byte, or part after part, one every so many seconds, then go on."""
    parts = [data[at : at + 1] for at in range(len(data))] if isinstance(data, bytes) else data

    def act(peer: Peer) -> bool:
        for part in parts:
            peer.send(part)
            if peer.stopping.wait(every):
                return False
        return True

    return Behaviour(act)


def before_reading(behaviour: Behaviour) -> Behaviour:
    """Do it as soon as the connection is there: `before_reading(close())`, `before_reading(stall())`."""
    return Behaviour(behaviour.act, at_once=True)


class _Secured(ssl.SSLSocket):
    """Closes itself: `wrap_socket` leaves it open when the connection is reset just then (Python 3.11)."""

    def __del__(self) -> None:
        self.close()


class FaultServer(Listener):
    """Does what the script says: its next behaviour for each request (or connection), `default` when it has run out.

    `requests` records what came, so that a test can say how often a write was sent.
    """

    def __init__(
        self,
        *script: Behaviour,
        default: Behaviour | None = None,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(host)
        self._host = host
        self.script = deque(script)
        self.default = default or answer()
        self.requests: list[Received] = []
        self._ssl_context = ssl_context
        if ssl_context is not None:
            ssl_context.sslsocket_class = _Secured

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("https" if self._ssl_context else "http", self._host, self.port)

    def _next(self, *, at_once: bool) -> Behaviour | None:
        with self.lock:
            if self.script and self.script[0].at_once == at_once:
                return self.script.popleft()
        return self.default if self.default.at_once == at_once else None

    def _serve(self, sock: socket.socket, number: int) -> None:
        first = self._next(at_once=True)
        if first is not None and not first.act(Peer(sock, self.stopping)):
            return
        if self._ssl_context is None:
            self._serve_requests(sock, number)
            return
        secured = self._ssl_context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self.held(secured):
            secured.do_handshake()
            self._serve_requests(secured, number)

    def _serve_requests(self, sock: socket.socket, number: int) -> None:
        peer = Peer(sock, self.stopping)
        with sock.makefile("rb") as stream:
            while (received := _read_request(stream, number)) is not None:
                self.requests.append(received)
                peer.received = received
                behaviour = self._next(at_once=False)
                if behaviour is None or not behaviour.act(peer):
                    return


def _read_request(stream: BinaryIO, connection: int) -> Received | None:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        return None
    method, target, _ = line.decode("latin-1").split(" ")
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    body = stream.read(length)
    return Received(method, target, headers, body, connection) if len(body) == length else None


@contextlib.contextmanager
def full_server() -> Generator[Endpoint]:
    """Where no connection is ever made, because the queue of those that nobody accepts is full."""
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield Endpoint("http", *full.getsockname())


class TcpProxy(Listener):
    """Forwards to a real server, until it is stopped. `refusing`: accept and close at once."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._target = (host, port)
        self._going = threading.Event()
        self._going.set()
        self._ended = 0
        self._forgotten = 0
        self.refusing = False

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("http", "127.0.0.1", self.port)

    def stall(self) -> None:
        """Forward nothing from now on; connections stay open, new ones are accepted."""
        self._going.clear()

    def go(self) -> None:
        """Forward again, also what came meanwhile."""
        self._going.set()

    def cut(self) -> None:
        """Reset every connection that is open; what was stalled is lost."""
        self._end(reset=True)

    def forget(self) -> None:
        """Drop all that comes on the connections that are open, which stay so; new ones work.

        As where a NAT or a balancer has lost a flow.
        """
        self._forgotten += 1

    def end_cleanly(self) -> None:
        """Close every connection that is open, by FIN; what was stalled is lost."""
        self._end(reset=False)

    def _end(self, *, reset: bool) -> None:
        with self.lock:
            self._ended += 1
            for sock in self.socks:
                with contextlib.suppress(OSError):
                    if reset:
                        reset_on_close(sock)
                    sock.shutdown(socket.SHUT_RD)  # wakes its thread without a FIN
        if not self._going.is_set():
            self._going.set()
            self._going.clear()

    def _stop(self) -> None:
        self._going.set()

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self.refusing:
            return
        with socket.create_connection(self._target) as upstream, self.held(upstream):
            back = threading.Thread(target=self._pump, args=(upstream, sock))
            back.start()
            self._pump(sock, upstream)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        ended, forgotten = self._ended, self._forgotten
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._going.wait()
                if self._ended != ended:
                    break
                if self._forgotten == forgotten:
                    sink.sendall(data)
            else:
                if self._forgotten != forgotten:
                    return
                # One half has ended properly: pass that on, as balancers of TCP do, and leave the other half alone.
                if self._ended == ended:
                    self._going.wait()
                if self._ended == ended and not self.stopping.is_set():
                    sink.shutdown(socket.SHUT_WR)
                    return
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
