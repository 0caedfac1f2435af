"""The built-in transport for asyncio: pools per event loop, connections as protocols.

Owns the pools and who waits for them; what one connection does is `loop_connection`'s, HTTP is
`http1`'s. Repeats nothing but a read whose idle connection turns out to have been closed before it.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from math import inf
from time import monotonic
from typing import Any

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request, Sent, TransportFailure
from etcdv2._runtime.event_loop import running_loop
from etcdv2._runtime.forks import register_after_fork
from etcdv2._transport.addresses import async_close, async_connected, async_first_of
from etcdv2._transport.failures import Aborted, LimitReached, before_request, failure
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_HEADER_BYTES, AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS, IDLE_SECONDS_OF_WRITES, CountedConnections
from etcdv2._transport.limits import begin, connected_by
from etcdv2._transport.lookup import async_look_up
from etcdv2._transport.loop_connection import AsyncConnection
from etcdv2._transport.loop_stream import AsyncFastStream
from etcdv2._types.tls import system_context

_Idle = CountedConnections[AsyncConnection, asyncio.Future[None]]
_RECEIVE_BYTES = 1 << 18


class _LoopConnections:
    """What belongs to one event loop."""

    __slots__ = ("connecting", "live", "loop", "pools", "view")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pools: dict[Endpoint, _Idle] = {}
        self.live: set[AsyncConnection] = set()
        self.connecting: set[asyncio.Timeout] = set()
        self.view = memoryview(bytearray(_RECEIVE_BYTES))

    def __repr__(self) -> str:
        return f"<_LoopConnections: {len(self.live)} to {len(self.pools)} endpoints, {len(self.connecting)} connecting>"

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
    """An `AsyncTransport` on asyncio.

    `max_connections` holds per endpoint and for `send`; streams are not counted.

    `server_hostname` replaces the endpoint's host in SNI and in the check of the certificate.

    Guarantees:
    - Any number of tasks may call `send` and `open` at a time, of several event loops, too: each
      loop has its own connections, and those of a loop that was closed are given up. A stream
      belongs to the loop that opened it.
    - A stream is read by one task; any thread may `abort` it. `close` may be called on any loop; it
      frees the callers of all of them. Nothing here is for signal handlers, but for those that
      asyncio calls.
    - A call may be cancelled at any await: its place is free again, no answer goes astray. A read
      of a stream that is cancelled loses nothing.
    - `Limits` hold however an answer drips, as long as the loop runs.
    - Less than `Sent.WHOLE` is claimed only with a proof (`loop_connection`). A request that is
      given up is taken back: nothing of it leaves this machine once the call has ended.
    - After `os.fork` the child has no connection and no loop, and never writes to its parent's.
    - No task and no thread of its own, but for looking up a name (`lookup`) and for trying several
      addresses; the end of the loop waits for neither.
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
        register_after_fork(self)

    def __repr__(self) -> str:
        count = sum(len(loop_connections.live) for loop_connections in self._loops.values())
        return (
            f"<AsyncFastTransport: {'closed' if self._closed else f'{count} connections on {len(self._loops)} loops'}>"
        )

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        """Send and read the whole answer.

        Raises TransportFailure, and ValueError for a request that cannot be sent.
        """
        loop_connections = self._loops.get(running_loop()) or self._new_loop()
        pool = loop_connections.pools.get(endpoint) or self._new_pool(loop_connections, endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        if not pool.enter():
            await self._wait_turn(loop_connections, pool, ends)
        try:
            return await self._exchange(loop_connections, pool, data, request, limits, ends)
        finally:
            _leave(pool)

    async def _exchange(
        self,
        loop_connections: _LoopConnections,
        pool: _Idle,
        data: bytes,
        request: Request,
        limits: Limits,
        ends: float,
    ) -> Reply:
        """In a place of the pool: over an idle connection, or a new one."""
        may_repeat = request.method == "GET"
        trusted = IDLE_SECONDS if may_repeat else IDLE_SECONDS_OF_WRITES
        while True:
            connection = _idle_connection(pool, trusted)
            connection = connection or await self._connect(loop_connections, pool, request, limits, ends)
            try:
                await connection.start(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
                connection.finish()
            except BaseException as error:
                connection.end(Aborted())
                await _until_closed(error)
                if not (_was_stale(pool, connection, error) and may_repeat):
                    raise
                may_repeat = False
                continue

            reply = connection.reader.reply()
            self.give_back(pool, connection)
            return reply

    async def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> AsyncFastStream:
        """Send and return when the answer's headers are there; `limits` end with that."""
        loop_connections = self._loops.get(running_loop()) or self._new_loop()
        pool = loop_connections.pools.get(endpoint) or self._new_pool(loop_connections, endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        connection = _idle_connection(pool) or await self._connect(loop_connections, pool, request, limits, ends)
        try:
            if request.greeting and connection.greeting is None:
                connection = await self._greeted(loop_connections, pool, connection, request, limits, ends)
            await connection.start(data, limits, ends, streaming=True)
            connection.finish()
        except BaseException as error:
            connection.end(Aborted())
            await _until_closed(error)
            _was_stale(pool, connection, error)
            raise
        return AsyncFastStream(connection, loop_connections.loop, partial(self.give_back, pool, connection))

    async def close(self) -> None:
        """Close every connection; calls under way fail with TransportFailure(aborted), and so does
        every later one.
        """
        self._closed = True
        running = asyncio.get_running_loop()
        loops, self._loops = self._loops, {}
        for loop, loop_connections in loops.items():
            if loop is running:
                loop_connections.end()
            elif loop.is_closed():
                loop_connections.forget()
            else:
                loop.call_soon_threadsafe(loop_connections.end)
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
        self._loops[loop] = loop_connections = _LoopConnections(loop)
        return loop_connections

    def _new_pool(self, loop_connections: _LoopConnections, endpoint: Endpoint) -> _Idle:
        pool: _Idle = CountedConnections(endpoint, self._max_connections)
        loop_connections.pools[endpoint] = pool
        return pool

    async def _wait_turn(self, loop_connections: _LoopConnections, pool: _Idle, ends: float) -> None:
        waiter = loop_connections.loop.create_future()
        pool.waiting.append(waiter)
        try:
            async with asyncio.timeout_at(None if ends == inf else ends):
                await waiter
        except BaseException as error:
            if waiter in pool.waiting:
                pool.waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                _leave(pool)  # the place was handed over, and is not taken

            if isinstance(error, TimeoutError):
                raise failure(LimitReached("every connection is in use"), "pool", Sent.NOTHING) from error
            raise
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)

    async def _connect(
        self, loop_connections: _LoopConnections, pool: _Idle, request: Request, limits: Limits, ends: float
    ) -> AsyncConnection:
        reader = AnswerReader(self._max_header_bytes, self._max_body_bytes, plain=not pool.endpoint.tls)
        connection = AsyncConnection(loop_connections, pool.endpoint, reader)
        until = connected_by(limits, ends)
        limit = asyncio.timeout_at(None if until == inf else until)
        try:
            async with limit:
                loop_connections.connecting.add(limit)
                loop_connections.live.add(connection)
                try:
                    await self._create(loop_connections.loop, connection, until)
                finally:
                    loop_connections.connecting.discard(limit)
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING)

            if pool.encoder.needs_used_connection(request):
                await self._warm_up(pool, connection, limits, ends)
        except (OSError, ValueError, RuntimeError) as error:  # the last where no thread can look a name up
            connection.end(Aborted())
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING) from None
            reason = LimitReached() if limit.expired() else error
            raise failure(reason, "connect", Sent.NOTHING) from error
        except BaseException:
            connection.end(Aborted())
            raise
        return connection

    async def _create(self, loop: asyncio.AbstractEventLoop, connection: AsyncConnection, until: float) -> None:
        """Connect, up to the end of the TLS handshake."""
        endpoint, options = connection.endpoint, dict[str, Any]()
        if endpoint.tls:
            options["ssl"] = self._ssl_context = self._ssl_context or system_context()
            options["server_hostname"] = self._server_hostname or endpoint.tls_name

        addresses = await async_look_up(endpoint.host, endpoint.port, until)
        sock = await async_first_of(addresses, until, async_connected, async_close)
        await loop.create_connection(lambda: connection, sock=sock, **options)

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
        loop_connections: _LoopConnections,
        pool: _Idle,
        connection: AsyncConnection,
        request: Request,
        limits: Limits,
        ends: float,
    ) -> AsyncConnection:
        """The connection, or another one where it does not outlast the greeting, which is asked
        here.
        """
        greeting = request._replace(target=request.greeting, greeting="")
        try:
            data = pool.encoder.encode(greeting)
            await connection.start(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
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
        connection = await self._connect(loop_connections, pool, request, limits, ends)
        connection.greeting = b""
        return connection


async def _until_closed(error: BaseException) -> None:
    """When a call is cancelled: let the loop close its socket, before the caller goes on and
    perhaps holds the loop up.

    In all other cases it has done so before it woke the call.
    """
    if isinstance(error, asyncio.CancelledError):
        await asyncio.sleep(0)


def _idle_connection(pool: _Idle, trusted: float = IDLE_SECONDS) -> AsyncConnection | None:
    """One that is as it was left, and idle for less than `trusted` seconds."""
    while pool.idle:
        connection = pool.idle.pop()
        if monotonic() - connection.idle_since < trusted and connection.is_quiet():
            return connection
        connection.end(Aborted())
    return None


def _was_stale(pool: _Idle, connection: AsyncConnection, error: BaseException) -> bool:
    """After a failure: whether the connection had ended before it was used, as far as it tells.

    One that was idle and brought nothing takes those of its age along.
    """
    if not isinstance(error, TransportFailure) or error.aborted:
        return False
    if not connection.idle_since or connection.reader.started:
        return False
    for old in pool.no_younger_than(connection):
        old.end(Aborted())
    return not error.timed_out


def _leave(pool: _Idle) -> None:
    """Give a place up, to the first of those waiting who has not been cancelled meanwhile."""
    successor = pool.leave()
    while successor is not None and successor.done():
        successor = pool.leave()
    if successor is not None:
        successor.set_result(None)
