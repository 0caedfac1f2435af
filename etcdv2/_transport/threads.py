"""The built-in transport for threads: blocking calls over sockets.

Owns the pool and its locking; what one connection does is `thread_connection`'s, HTTP is `http1`'s.
Repeats nothing but a read whose idle connection turns out to have been closed before it.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from functools import partial
from time import monotonic
from weakref import ref

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request, Sent, TransportFailure
from etcdv2._runtime.forks import register_after_fork
from etcdv2._runtime.handlers import of_handler, suppress_own
from etcdv2._transport.failures import Aborted, LimitReached, before_request, failure
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_HEADER_BYTES, AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS, IDLE_SECONDS_OF_WRITES, UNPROBED_SECONDS
from etcdv2._transport.limits import begin, connected_by
from etcdv2._transport.places import HeldConnections, Place, living
from etcdv2._transport.thread_connection import Connection
from etcdv2._transport.thread_stream import FastStream
from etcdv2._types.tls import system_context

_Idle = HeldConnections[Connection]


class FastTransport:
    """A `Transport` on sockets.

    `max_connections` holds per endpoint and for `send`; streams are not counted.

    `server_hostname` replaces the endpoint's host in SNI and in the check of the certificate.

    Guarantees:
    - Any number of threads may call `send`, `open` and `close` at a time. A stream is read by one
      thread; any thread may `abort` or `close` it meanwhile.
    - `close` and `abort` never block and wake at once whoever waits, also for a name, a connection
      or a free place.
    - `Limits` hold to a few milliseconds, however an answer drips, and however many signals
      interrupt the wait.
    - A signal handler may raise out of any call, at any line: its exception comes out as it is, the
      connection is closed, and its place is free again (`places`). `abort`, and dropping a stream,
      are safe in a handler and in the garbage collector; `send` and `open` are not in a handler that
      interrupts this transport.
    - Less than `Sent.WHOLE` is claimed only with a proof (`sent`). A request that is given up is
      taken back: nothing of it leaves this machine once the call has ended.
    - After `os.fork` the child has no connection, and never writes to its parent's.
    - No thread of its own, but for looking up a name (`lookup`).
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
        register_after_fork(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._live)} connections to {len(self._pools)} endpoints"
        return f"<FastTransport: {state}>"

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        """Send and read the whole answer.

        Raises TransportFailure, and ValueError for a request that cannot be sent.
        """
        pool = self._pools.get(endpoint) or self._new_pool(endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        place = Place()
        self._enter(pool, place, ends)
        try:
            return self._exchange(pool, data, request, limits, ends)
        finally:
            pool.leave(place)

    def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> FastStream:
        """Send and return when the answer's headers are there; `limits` end with that."""
        pool = self._pools.get(endpoint) or self._new_pool(endpoint)
        data = pool.encoder.encode(request)
        ends = begin(limits)
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)

        connection = self._idle_connection(pool) or self._connect(pool, request, limits, ends)
        try:
            if request.greeting and connection.greeting is None:
                connection = self._greeted(pool, connection, request, limits, ends)
            connection.exchange(data, limits, ends, streaming=True)
        except BaseException as error:
            self._drop(connection)
            if isinstance(error, TransportFailure):
                self._was_stale(pool, connection, error)
            raise
        return FastStream(connection, partial(self._end_stream, pool))

    def close(self) -> None:
        """Close every connection; calls under way fail with TransportFailure(aborted), and so does
        every later one.
        """
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())

        for pool in pools:
            self._drop_idle(pool)
            pool.let_go()
        for connection in self._living():
            connection.abort()

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[Endpoint, _Idle] = {}
        self._live: set[ref[Connection]] = set()

    def _living(self) -> list[Connection]:
        return [connection for one in list(self._live) if (connection := one()) is not None]

    def after_fork(self) -> None:
        """In a forked child: give up the parent's sockets without a byte, and its locks."""
        live = self._living()
        self._start_afresh()
        for connection in live:
            connection.forget()

    def _new_pool(self, endpoint: Endpoint) -> _Idle:
        with self._lock:
            return self._pools.setdefault(endpoint, HeldConnections(endpoint, self._max_connections))

    def _exchange(self, pool: _Idle, data: bytes, request: Request, limits: Limits, ends: float) -> Reply:
        """In a place of the pool: over an idle connection, or a new one."""
        # A read may go over a connection that was used a moment ago without asking its socket: if that was closed
        # since, the read can be sent again. A write cannot, so for a write the socket is always asked.
        may_repeat = request.method == "GET"
        unprobed = UNPROBED_SECONDS if may_repeat else 0.0
        trusted = IDLE_SECONDS if may_repeat else IDLE_SECONDS_OF_WRITES
        while True:
            connection = self._idle_connection(pool, unprobed, trusted)
            connection = connection or self._connect(pool, request, limits, ends)
            try:
                connection.exchange(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
                reply = connection.reader.reply()
            except TransportFailure as error:
                self._drop(connection)
                if not (self._was_stale(pool, connection, error) and may_repeat):
                    raise
                may_repeat, unprobed = False, 0.0
                continue
            except BaseException:
                self._drop(connection)
                raise

            self._give_back(pool, connection)
            return reply

    def _enter(self, pool: _Idle, place: Place, ends: float) -> None:
        """Raises TransportFailure when there is no place until then."""
        if self._closed:
            raise failure(Aborted(), "pool", Sent.NOTHING)
        if pool.enter(place):
            return

        reason: BaseException
        try:
            if not pool.wait(place, ends):
                reason = LimitReached("every connection is in use")
            elif self._closed:
                reason = Aborted()
            else:
                return
        except BaseException:
            pool.leave(place)
            raise

        pool.leave(place)
        raise failure(reason, "pool", Sent.NOTHING) from reason

    def _idle_connection(self, pool: _Idle, unprobed: float = 0.0, trusted: float = IDLE_SECONDS) -> Connection | None:
        """One that is as it was left, and idle for less than `trusted` seconds.

        Asks the socket of those that are idle for more than `unprobed` seconds.
        """
        while (connection := _pop(pool.idle)) is not None:
            try:
                idle = monotonic() - connection.idle_since
                if idle < unprobed or (idle < trusted and connection.is_quiet()):
                    return connection
            except BaseException:  # a signal handler's
                self._drop(connection)
                raise
            self._drop(connection)
        return None

    def _was_stale(self, pool: _Idle, connection: Connection, error: TransportFailure) -> bool:
        """After a failure: whether the connection had ended before it was used, as far as it tells.

        One that was idle and brought nothing takes those of its age along.
        """
        if not connection.idle_since or connection.reader.started or error.aborted:
            return False
        for old in pool.no_younger_than(connection):
            with contextlib.suppress(ValueError):  # somebody else has taken it
                pool.idle.remove(old)
                self._drop(old)
        return connection.was_closed_unused(error)

    def _connect(self, pool: _Idle, request: Request, limits: Limits, ends: float) -> Connection:
        endpoint = pool.endpoint
        connection = Connection(
            endpoint, AnswerReader(self._max_header_bytes, self._max_body_bytes, plain=not endpoint.tls)
        )
        with self._lock:
            if self._closed:
                raise failure(Aborted(), "connect", Sent.NOTHING)
            self._live.add(living(connection, self._live.discard))

        try:
            until = connected_by(limits, ends)
            connection.connect(until)
            if endpoint.tls:
                if self._ssl_context is None:
                    self._ssl_context = system_context()
                connection.start_tls(self._ssl_context, self._server_hostname or endpoint.tls_name, until)

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
        """The connection, or another one where it does not outlast the greeting, which is asked
        here.
        """
        greeting = request._replace(target=request.greeting, greeting="")
        try:
            data = pool.encoder.encode(greeting)
            connection.exchange(data, limits, ends, streaming=False, cluster_id=request.cluster_id)
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
        idle = pool.idle
        if len(idle) >= pool.limit or not connection.is_reusable():
            self._drop(connection)
            return

        connection.idle_since = now = monotonic()
        idle.append(connection)
        if self._closed:  # perhaps since `close` has looked
            self._drop_idle(pool)
            return

        # Others may take any of them meanwhile.
        with suppress_own(IndexError, ValueError):
            oldest = idle[0]
            if now - oldest.idle_since >= IDLE_SECONDS:
                idle.remove(oldest)
                self._drop(oldest)

    def _drop_idle(self, pool: _Idle) -> None:
        # One by one: whoever takes a connection off the stack, a caller or this, is the only one to close it.
        while (connection := _pop(pool.idle)) is not None:
            self._drop(connection)

    def _end_stream(self, pool: _Idle, connection: Connection, read_to_end: bool) -> None:
        if read_to_end and connection.is_reusable():
            self._give_back(pool, connection)
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._live.discard(ref(connection))  # until then it is closed, too, when this is interrupted


def _pop(idle: list[Connection]) -> Connection | None:
    """The one used last.

    Taken without a lock: threads take and close idle connections at the same time.
    """
    try:
        return idle.pop()
    except IndexError as error:
        if of_handler(error) is not None:
            raise
        return None
