"""The built-in transport for asyncio: pools per event loop, connections as protocols.

Owns the async pool and who waits for it; connections are `_loops.protocol`'s, HTTP is `_loops.parse`'s. No retries.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from math import inf
from time import monotonic
from typing import Any

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request, Sent, TransportFailure
from etcdv2._runtime.forks import tell_after_fork
from etcdv2._transport.failures import Aborted, LimitReached, before_request, failure
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_HEADER_BYTES, AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS, IdleConnections
from etcdv2._transport.limits import begin, connected_by
from etcdv2._transport.loop_connection import AsyncConnection

_Idle = IdleConnections[AsyncConnection, asyncio.Future[None]]
_RECEIVE_BYTES = 1 << 18
_HAPPY_EYEBALLS_DELAY = 0.25


class _LoopConnections:
    """What belongs to one event loop."""

    __slots__ = ("connecting", "live", "loop", "pools", "view")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pools: dict[Endpoint, _Idle] = {}
        self.live: set[AsyncConnection] = set()
        self.connecting: set[asyncio.Timeout] = set()
        self.view = memoryview(bytearray(_RECEIVE_BYTES))
        """All connections receive into this: what came is parsed before anything else runs on the loop."""

    def discard(self, connection: AsyncConnection) -> None:
        self.live.discard(connection)
        for pool in self.pools.values():
            if connection in pool.idle:
                pool.idle.remove(connection)

    def end(self) -> None:
        for pool in self.pools.values():
            while pool.waiting:
                waiter = pool.waiting.popleft()
                if not waiter.done():
                    waiter.set_result(None)
        for connection in list(self.live):
            connection.end(Aborted())
        for limit in self.connecting:
            limit.reschedule(self.loop.time() - 1)

    def forget(self) -> None:
        for connection in list(self.live):
            connection.forget()


class AsyncFastTransport:
    """An `AsyncTransport` on asyncio. `max_connections` holds per endpoint and for `send`; streams are not counted.

    `server_hostname` replaces the endpoint's host in SNI and in the check of the certificate. May be used from several
    event loops; each has its own connections, and those of a loop that was closed are given up.
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
        self._loops: dict[asyncio.AbstractEventLoop, _LoopConnections] = {}
        tell_after_fork(self)

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        """Send and read the whole answer. Raises TransportFailure, and ValueError for a request that cannot be sent."""
        transport = self._loops.get(asyncio.get_running_loop()) or self._new_loop()
        pool = transport.pools.get(endpoint) or self._new_pool(transport, endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        if not pool.enter():
            await self._wait_turn(transport, pool, ends)
        try:
            connection = _idle_connection(pool) or await self._connect(transport, pool, request, limits, ends)
            try:
                await connection.start(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
                connection.finish()
            except BaseException:
                connection.end(Aborted())
                raise
            reply = connection.reader.reply()
            self.give_back(pool, connection)
        finally:
            _leave(pool)
        return reply

    async def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> AsyncFastStream:
        """Send and return when the answer's headers are there; `limits` end with that."""
        transport = self._loops.get(asyncio.get_running_loop()) or self._new_loop()
        pool = transport.pools.get(endpoint) or self._new_pool(transport, endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        connection = _idle_connection(pool) or await self._connect(transport, pool, request, limits, ends)
        if request.greeting and connection.greeting is None:
            connection = await self._greeted(transport, pool, connection, request, limits, ends)
        try:
            await connection.start(data, limits, ends, streaming=True)
            connection.finish()
        except BaseException:
            connection.end(Aborted())
            raise
        return AsyncFastStream(self, pool, connection, transport.loop)

    async def close(self) -> None:
        """Close every connection; calls under way fail with TransportFailure(aborted), and so does every later one."""
        self._closed = True
        running = asyncio.get_running_loop()
        transports, self._loops = self._loops, {}
        for loop, transport in transports.items():
            if loop is running:
                transport.end()
            elif loop.is_closed():
                transport.forget()
            else:
                loop.call_soon_threadsafe(transport.end)
        for _ in range(3):  # closing takes a turn of the loop, under TLS two
            await asyncio.sleep(0)

    def give_back(self, pool: _Idle, connection: AsyncConnection) -> None:
        """Keep a connection for the next call if nothing is left over on it, else close it."""
        if connection.is_reusable() and not self._closed and pool.keep(connection):
            connection.rest(monotonic())
        else:
            connection.end(Aborted())

    def after_fork(self) -> None:
        """In a forked child: the parent's connections and loops are not ours."""
        self._loops = {}

    def _new_loop(self) -> _LoopConnections:
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            self._loops.pop(loop).forget()
        loop = asyncio.get_running_loop()
        self._loops[loop] = transport = _LoopConnections(loop)
        return transport

    def _new_pool(self, transport: _LoopConnections, endpoint: Endpoint) -> _Idle:
        pool: _Idle = IdleConnections(endpoint, self._max_connections)
        transport.pools[endpoint] = pool
        return pool

    async def _wait_turn(self, transport: _LoopConnections, pool: _Idle, ends: float) -> None:
        waiter = transport.loop.create_future()
        pool.waiting.append(waiter)
        try:
            async with asyncio.timeout_at(None if ends == inf else ends):
                await waiter
        except BaseException as error:
            if waiter in pool.waiting:
                pool.waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                _leave(pool)
            if isinstance(error, TimeoutError):
                raise failure(LimitReached("every connection is in use"), "pool", Sent.NOTHING) from error
            raise
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)

    async def _connect(
        self, transport: _LoopConnections, pool: _Idle, request: Request, limits: Limits, ends: float
    ) -> AsyncConnection:
        endpoint = pool.endpoint
        loop = transport.loop
        reader = AnswerReader(self._max_header_bytes, self._max_body_bytes)
        connection = AsyncConnection(loop, transport.view, reader, transport.discard, tls=endpoint.tls)
        until = connected_by(limits, ends)
        context = None
        if endpoint.tls:
            context = self._ssl_context = self._ssl_context or ssl.create_default_context()
        hostname = (self._server_hostname or endpoint.host) if endpoint.tls else None
        options: dict[str, Any] = {}
        # For names only: a race that is cancelled can leak its socket (Python 3.11). uvloop does not know the option.
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(endpoint.host):
            options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_DELAY
        limit = asyncio.timeout_at(None if until == inf else until)
        try:
            async with limit:
                transport.connecting.add(limit)
                transport.live.add(connection)
                try:
                    await loop.create_connection(
                        lambda: connection,
                        endpoint.host,
                        endpoint.port,
                        ssl=context,
                        server_hostname=hostname,
                        **options,
                    )
                finally:
                    transport.connecting.discard(limit)
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING)
            if pool.encoder.needs_used_connection(request):
                await self._warm_up(pool, connection, limits, ends)
        except (OSError, ValueError) as error:
            connection.end(Aborted())
            reason: BaseException = error
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING) from None
            if limit.expired():
                reason = LimitReached("no time left")
            raise failure(reason, "connect", Sent.NOTHING) from error
        except BaseException:
            connection.end(Aborted())
            raise
        return connection

    async def _warm_up(self, pool: _Idle, connection: AsyncConnection, limits: Limits, ends: float) -> None:
        await connection.start(pool.encoder.warm_up(), limits, ends, streaming=False)
        try:
            connection.finish()
        except TransportFailure as error:
            raise before_request(error) from error.__cause__
        connection.reader.take()
        if not connection.is_reusable():
            bad = BadAnswer("the server keeps no connection, and takes a request line this long only on a used one")
            raise failure(bad, "connect", Sent.NOTHING) from bad

    async def _greeted(
        self,
        transport: _LoopConnections,
        pool: _Idle,
        connection: AsyncConnection,
        request: Request,
        limits: Limits,
        ends: float,
    ) -> AsyncConnection:
        """The connection, or another one where it does not outlast the greeting, which is asked here."""
        greeting = request._replace(target=request.greeting, greeting="")
        try:
            await connection.start(pool.encoder.encode(greeting), limits, ends, streaming=False)
            connection.finish()
        except BaseException as error:
            connection.end(Aborted())
            if isinstance(error, TransportFailure):
                raise before_request(error) from error.__cause__
            raise
        reply = connection.reader.reply()
        connection.greeting = reply.body if reply.status == 200 else b""
        if connection.is_reusable():
            return connection
        connection.end(Aborted())
        connection = await self._connect(transport, pool, request, limits, ends)
        connection.greeting = b""
        return connection


class AsyncFastStream:
    """An answer whose body is still arriving. One task reads; any thread may `abort()`."""

    __slots__ = ("_aborted", "_connection", "_ended", "_loop", "_pool", "_transport", "greeting", "headers", "status")

    def __init__(
        self, transport: AsyncFastTransport, pool: _Idle, connection: AsyncConnection, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._transport = transport
        self._pool = pool
        self._connection = connection
        self._loop = loop
        self._aborted = False
        self._ended = False
        self.status: int = connection.reader.status
        self.headers: Mapping[str, str] = connection.reader.headers
        self.greeting = connection.greeting or b""

    async def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes, `b""` at the proper end, `None` when nothing came within `timeout` seconds.

        A cancelled read loses nothing: the stream goes on.
        """
        if self._ended:
            raise ValueError("read of a closed stream")
        connection = self._connection
        reader = connection.reader
        ends = None if timeout is None else self._loop.time() + timeout
        while True:
            data = connection.take()
            if data:
                return data
            if self._aborted:
                raise failure(Aborted(), "read", Sent.WHOLE)
            if reader.done:
                return data
            if connection.error is not None:
                raise connection.failure()
            if ends is not None and self._loop.time() >= ends:
                return None
            waiter = connection.next_bytes()
            timer = None if ends is None else self._loop.call_at(ends, _set, waiter)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()

    def abort(self) -> None:
        """End it now. Safe from any thread, any number of times."""
        self._aborted = True
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self._abort_here()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._abort_here)

    def _abort_here(self) -> None:
        if not self._ended:  # else the connection may serve another call already
            self._connection.end(Aborted())

    def half_close(self) -> bool:
        """Close the sending half: etcd then ends the body properly, behind all that it has sent. From any thread."""
        return not self._ended and self._connection.half_close()

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        if not self._ended:
            self._ended = True
            self._transport.give_back(self._pool, self._connection)


def _idle_connection(pool: _Idle) -> AsyncConnection | None:
    while pool.idle:
        connection = pool.idle.pop()
        if monotonic() - connection.idle_since < IDLE_SECONDS and connection.is_quiet():
            return connection
        connection.end(Aborted())
    return None


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _leave(pool: _Idle) -> None:
    """Give a place up, to the first of those waiting who has not been cancelled meanwhile."""
    successor = pool.leave()
    while successor is not None and successor.done():
        successor = pool.leave()
    if successor is not None:
        successor.set_result(None)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
