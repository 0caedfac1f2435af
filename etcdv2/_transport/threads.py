"""The built-in transport for threads: blocking calls over non-blocking sockets and `poll`.

Owns the sync pool and its locking; connections are `_loops.connection`'s, HTTP is `_loops.parse`'s. Retries nothing.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from math import inf
from time import monotonic

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request, Sent, TransportFailure
from etcdv2._runtime.forks import tell_after_fork
from etcdv2._transport.failures import Aborted, LimitReached, before_request, failure
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_HEADER_BYTES, AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS, IdleConnections
from etcdv2._transport.limits import begin, connected_by
from etcdv2._transport.thread_connection import Connection

_Idle = IdleConnections[Connection, threading.Lock]


class FastTransport:
    """A `Transport` on sockets. `max_connections` holds per endpoint and for `send`; streams are not counted.

    `server_hostname` replaces the endpoint's host in SNI and in the check of the certificate.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        max_connections: int = 100,
        max_header_bytes: int = DEFAULT_MAX_HEADER_BYTES,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        if max_connections < 1:
            raise ValueError("max_connections: must be at least 1")
        self._ssl_context = ssl_context
        self._server_hostname = server_hostname
        self._max_connections = max_connections
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._closed = False
        self._start_afresh()
        tell_after_fork(self)

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        """Send and read the whole answer. Raises TransportFailure, and ValueError for a request that cannot be sent."""
        pool = self._pools.get(endpoint) or self._new_pool(endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        self._enter(pool, ends)
        try:
            connection = self._idle_connection(pool) or self._connect(pool, request, limits, ends)
            try:
                connection.exchange(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
                reply = connection.reader.reply()
            except BaseException:
                self._drop(connection)
                raise
            self._give_back(pool, connection)
        finally:
            with self._lock:
                successor = pool.leave()
            if successor is not None:
                successor.release()
        return reply

    def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> FastStream:
        """Send and return when the answer's headers are there; `limits` end with that."""
        pool = self._pools.get(endpoint) or self._new_pool(endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)
        connection = self._idle_connection(pool) or self._connect(pool, request, limits, ends)
        if request.greeting and connection.greeting is None:
            connection = self._greeted(pool, connection, request, limits, ends)
        try:
            connection.exchange(data, limits, ends, streaming=True)
        except BaseException:
            self._drop(connection)
            raise
        return FastStream(self, pool, connection)

    def close(self) -> None:
        """Close every connection; calls under way fail with TransportFailure(aborted), and so does every later one."""
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
            idle = [connection for pool in pools for connection in pool.idle]
            waiting = [gate for pool in pools for gate in pool.waiting]
            for pool in pools:
                pool.idle.clear()
                pool.waiting.clear()
        for connection in idle:
            self._drop(connection)
        for gate in waiting:
            gate.release()
        for connection in list(self._live):
            connection.abort()

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[Endpoint, _Idle] = {}
        self._live: set[Connection] = set()

    def after_fork(self) -> None:
        """In a forked child: give up the parent's sockets without a byte, and its locks."""
        live = list(self._live)
        self._start_afresh()
        for connection in live:
            connection.forget()

    def _new_pool(self, endpoint: Endpoint) -> _Idle:
        with self._lock:
            return self._pools.setdefault(endpoint, IdleConnections(endpoint, self._max_connections))

    def _enter(self, pool: _Idle, ends: float) -> None:
        with self._lock:
            if self._closed:
                raise failure(Aborted(), "pool", Sent.NOTHING)
            if pool.enter():
                return
            gate = threading.Lock()
            gate.acquire()
            pool.waiting.append(gate)
        reason: BaseException
        try:
            if gate.acquire(timeout=min(max(ends - monotonic(), 0), threading.TIMEOUT_MAX)):
                if not self._closed:
                    return
                reason = Aborted()
            else:
                reason = LimitReached("every connection is in use")
        except BaseException:
            self._stop_waiting(pool, gate)
            raise
        self._stop_waiting(pool, gate)
        raise failure(reason, "pool", Sent.NOTHING) from reason

    def _stop_waiting(self, pool: _Idle, gate: threading.Lock) -> None:
        with self._lock:
            if gate in pool.waiting:
                pool.waiting.remove(gate)
                return
            successor = pool.leave()
        if successor is not None:
            successor.release()

    def _idle_connection(self, pool: _Idle) -> Connection | None:
        idle = pool.idle
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                return None
            if monotonic() - connection.idle_since < IDLE_SECONDS and connection.is_quiet():
                return connection
            self._drop(connection)
        return None

    def _connect(self, pool: _Idle, request: Request, limits: Limits, ends: float) -> Connection:
        connection = Connection(AnswerReader(self._max_header_bytes, self._max_body_bytes))
        with self._lock:
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING)
            self._live.add(connection)
        endpoint = pool.endpoint
        try:
            until = connected_by(limits, ends)
            connection.connect(endpoint.host, endpoint.port, until)
            if endpoint.tls:
                if self._ssl_context is None:
                    self._ssl_context = ssl.create_default_context()
                connection.start_tls(self._ssl_context, self._server_hostname or endpoint.host, until)
            if pool.encoder.needs_used_connection(request):
                self._warm_up(pool, connection, limits, ends)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _warm_up(self, pool: _Idle, connection: Connection, limits: Limits, ends: float) -> None:
        try:
            connection.exchange(pool.encoder.warm_up(), limits, ends, streaming=False)
        except TransportFailure as error:
            raise before_request(error) from error.__cause__
        connection.reader.take()
        if not connection.reader.reusable:
            bad = BadAnswer("the server keeps no connection, and takes a request line this long only on a used one")
            raise failure(bad, "connect", Sent.NOTHING) from bad

    def _greeted(
        self, pool: _Idle, connection: Connection, request: Request, limits: Limits, ends: float
    ) -> Connection:
        """The connection, or another one where it does not outlast the greeting, which is asked here."""
        greeting = request._replace(target=request.greeting, greeting="")
        try:
            connection.exchange(pool.encoder.encode(greeting), limits, ends, streaming=False)
        except BaseException as error:
            self._drop(connection)
            if isinstance(error, TransportFailure):
                raise before_request(error) from error.__cause__
            raise
        reply = connection.reader.reply()
        connection.greeting = reply.body if reply.status == 200 else b""
        if connection.is_reusable():
            return connection
        self._drop(connection)
        connection = self._connect(pool, request, limits, ends)
        connection.greeting = b""
        return connection

    def _give_back(self, pool: _Idle, connection: Connection) -> None:
        if connection.is_reusable():
            connection.idle_since = now = monotonic()
            old = None
            with self._lock:
                kept = not self._closed and pool.keep(connection)
                if kept and now - pool.idle[0].idle_since >= IDLE_SECONDS:
                    old = pool.idle.pop(0)
            if old is not None:
                self._drop(old)
            if kept:
                return
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._live.discard(connection)
        connection.close()


class FastStream:
    """An answer whose body is still arriving. One thread reads; any may `abort()`."""

    __slots__ = ("_connection", "_ended", "_failure", "_lock", "_pool", "_transport", "greeting", "headers", "status")

    def __init__(self, transport: FastTransport, pool: _Idle, connection: Connection) -> None:
        self._transport = transport
        self._pool = pool
        self._connection = connection
        self._failure: TransportFailure | None = None
        self._ended = False
        self._lock = threading.RLock()  # as in connection.py
        self.status: int = connection.reader.status
        self.headers: Mapping[str, str] = connection.reader.headers
        self.greeting = connection.greeting or b""

    def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes, `b""` at the proper end, `None` when nothing came within `timeout` seconds."""
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
        """End it now. Safe from any thread, any number of times; what had come before is still given by `read`."""
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
        if self._failure is None and self._connection.is_reusable():
            self._transport._give_back(self._pool, self._connection)  # pyright: ignore[reportPrivateUsage]
        else:
            self._transport._drop(self._connection)  # pyright: ignore[reportPrivateUsage]
