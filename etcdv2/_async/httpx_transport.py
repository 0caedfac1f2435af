"""The transport over httpx: any httpx transport, proxies, environment settings.

What httpx cannot promise, all in this one place:
- `Limits.answer` and `Limits.deadline` hold for each socket operation, not for their sum: a server
  that drips a byte now and then stretches a blocking call. The async transport is ended on time by
  asyncio.
- `read(timeout)` does not time out: it waits for bytes, the end, or `abort()`.
- Which member a connection goes to is known of httpx's own transports only, so elsewhere the
  silence of a watch proves less (`Request.greeting`).
- `abort()` wakes a blocked read where the transport shows its socket (httpx's own do); it does not
  wake a thread that still connects or waits for the first byte: `Limits` end that.
- `close()` does not wake calls of other threads; their `Limits` end them.
- Less than `Sent.WHOLE` is claimed only where httpcore's trace proves it, which httpx's own
  transports have. A transport that does not call `trace` may have sent a request before it raises
  an error of connecting, as one that repeats requests does: there all is WHOLE.
- A request that is given up is taken back from the kernel where the trace shows the sockets. It
  does not say over which one a request goes, so each is made to end with a reset, idle ones too.
  Over a transport that does not call `trace`, what the kernel holds may arrive long after the call.
- An endless row of interim answers (100 Continue) to a blocking call is ended by nothing.
- anyio (4.16), which connects for it, drops a connection that is made just as the call is cancelled: it
  stays open until the garbage collector finds it.
- Its pool (httpcore 1.0.9) may close a connection that another thread has just begun to use: a read
  goes on, a write raises OutcomeUnknown.
- So a stream that a watch opened beside its poll, and does not need, stays open until the next
  event.
- A client made before `os.fork` cannot be used in the child: calls raise ValueError there.
- Whether a connection is fresh is not known: a plain http request line over 4,096 bytes is refused
  with ValueError.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from etcdv2._async.httpx_addresses import async_use_addresses
from etcdv2._async.httpx_failure import async_httpx_failure
from etcdv2._async.httpx_idle import async_drop_idle
from etcdv2._async.httpx_socket import AsyncHttpxSocket
from etcdv2._async.httpx_trace import AsyncHttpxTrace
from etcdv2._core.deadline import shorter
from etcdv2._core.endpoints import Endpoint, tls_name
from etcdv2._core.proxies import Proxy
from etcdv2._core.wire import (
    CLUSTER_ID,
    MAX_REQUEST_LINE,
    AsyncStream,
    Limits,
    Reply,
    Request,
    Sent,
    TransportFailure,
)
from etcdv2._runtime.handlers import of_handler
from etcdv2._runtime.httpx_pool import async_leave_pool, async_use_own_lock
from etcdv2._runtime.primitives import async_check_loop, async_checkpoint, async_deadline, async_see_through
from etcdv2._transport.greetings import Greetings
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES

_LONGEST_URL = 65_000
_TRACING = httpx.AsyncHTTPTransport
"""It hands each request to httpcore, which calls `trace`.

Of what is derived from it that is not known.
"""


class AsyncHttpxTransport:
    """`AsyncTransport` over one httpx client for calls and one, without a connection limit, for
    watches.

    Guarantees, with the exceptions that the module's docstring lists:
    - Any number of callers may `send` and `open` at a time. A stream is read by one of them; any
      thread may `abort` it.
    - A call that fails, is cancelled, or out of which a signal handler raises, leaves no connection
      half-read, and no place of the pool taken.
    - Less than `Sent.WHOLE` is claimed only with a proof.
    - In a forked child every call raises ValueError, and nothing is written to the parent's
      connections.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        max_connections: int = 100,
        transport: httpx.AsyncBaseTransport | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """Raises ValueError for a proxy that httpx cannot use."""
        self._server_hostname = server_hostname
        self._proxy = proxy
        self._process = os.getpid()
        self._traced = transport is None or type(transport) is _TRACING
        self._asked_later = transport is not None or (ssl_context is not None and ssl_context.post_handshake_auth)

        def client(limit: int | None) -> httpx.AsyncClient:
            made = httpx.AsyncClient(
                verify=ssl_context if ssl_context is not None else False,
                transport=transport,
                proxy=None if proxy is None else proxy.url,
                trust_env=False,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=limit, max_keepalive_connections=max_connections),
            )
            if transport is None:
                proxy_tls = None if proxy is None else proxy.url.startswith("https:")
                async_use_addresses(made, proxy_tls=proxy_tls, tls_name=self._tls_name)
                async_use_own_lock(made)
            return made

        self._greetings = Greetings()
        try:
            self._calls = client(max_connections)
            self._watches = self._calls if transport is not None else client(None)
        except (httpx.InvalidURL, ValueError, ImportError) as error:
            raise ValueError(f"{'transport=' if proxy is None else proxy.source}: {error}") from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'closed' if self._calls.is_closed else 'open'}>"

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        trace = self._trace(request)
        built = self._build(self._calls, endpoint, request, limits, trace)
        try:
            async with async_deadline(limits.deadline):
                response = await self._calls.send(built, stream=True)
                # httpcore 1.0.9 loses a connection whose answer it was closing when the caller was cancelled.
                give_up = AsyncHttpxSocket(response).abort
                body = await async_see_through(self._body(response, request.cluster_id, limits), give_up)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            async_leave_pool(self._calls, built.extensions)
            raise await self._failed(self._calls, endpoint, trace, error) from error
        except BaseException:
            async_leave_pool(self._calls, built.extensions)
            raise
        _refuse_encoding(response)
        return Reply(response.status_code, _lower(response), body)

    async def _body(self, response: httpx.Response, cluster_id: str, limits: Limits) -> bytes:
        """The whole body, nothing when it is of another cluster than `cluster_id`; then closes the
        response.
        """
        parts: list[bytes] = []
        size = 0
        try:
            if cluster_id and response.headers.get(CLUSTER_ID, cluster_id) != cluster_id:
                return b""
            async for part in _parts(response):
                size += len(part)
                if size > DEFAULT_MAX_BODY_BYTES:
                    reason = f"an answer of more than {DEFAULT_MAX_BODY_BYTES} bytes"
                    raise TransportFailure(reason, "read", Sent.WHOLE)
                if time.monotonic() >= limits.deadline:
                    raise TimeoutError
                parts.append(part)
            return b"".join(parts)
        finally:
            await response.aclose()

    async def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> AsyncStream:
        if request.greeting and self._traced and not self._greetings.has_idle(endpoint):
            await self._greet(endpoint, request, limits)
        trace = self._trace(request)
        built = self._build(self._watches, endpoint, request, limits, trace)
        try:
            async with async_deadline(limits.deadline):
                response = await self._watches.send(built, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            async_leave_pool(self._watches, built.extensions)
            raise await self._failed(self._watches, endpoint, trace, error) from error
        except BaseException:
            async_leave_pool(self._watches, built.extensions)
            raise
        if response.status_code == 200:
            # httpcore reads this when the body is first asked for: a watch is silent for as long as it likes.
            built.extensions["timeout"]["read"] = None
        try:
            _refuse_encoding(response)
        except TransportFailure:
            await response.aclose()
            raise
        return AsyncHttpxStream(response, trace, endpoint, self._greetings)

    async def _greet(self, endpoint: Endpoint, request: Request, limits: Limits) -> None:
        """Ask the greeting; the connection, idle then, is mostly the one that httpcore takes next.

        Raises as `open` does.
        """
        trace = self._trace(request)
        greeting = request._replace(target=request.greeting, greeting="")
        built = self._build(self._watches, endpoint, greeting, limits, trace)
        try:
            async with async_deadline(limits.deadline):
                response = await self._watches.send(built, stream=True)
                body = await async_see_through(self._body(response, request.cluster_id, limits), lambda: None)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            async_leave_pool(self._watches, built.extensions)
            raise await self._failed(self._watches, endpoint, trace, error) from error
        except BaseException:
            async_leave_pool(self._watches, built.extensions)
            raise
        connection = AsyncHttpxSocket(response).connection
        self._greetings.keep(endpoint, connection, body if response.status_code == 200 else b"")

    async def _failed(
        self, client: httpx.AsyncClient, endpoint: Endpoint, trace: AsyncHttpxTrace, error: Exception
    ) -> TransportFailure:
        """What the exception means. A connection that was idle and brought nothing takes the others along."""
        made = async_httpx_failure(trace, error, tls=endpoint.tls)
        if self._proxy is not None and made.phase == "connect":
            made = TransportFailure(
                f"through the proxy {self._proxy}: {made}", made.phase, made.sent, timed_out=made.timed_out
            )
        if self._traced and not trace.fresh and made.phase in ("send", "wait"):
            self._greetings.forget(endpoint)
            await async_drop_idle(client, endpoint)
        return made

    async def close(self) -> None:
        if os.getpid() == self._process:
            await self._calls.aclose()
            await self._watches.aclose()
        await async_checkpoint()

    def _tls_name(self, host: str) -> str:
        return self._server_hostname or tls_name(host)

    def _trace(self, request: Request) -> AsyncHttpxTrace:
        body = request.content_type is not None and bool(request.body)
        return AsyncHttpxTrace(traced=self._traced, asked_later=self._asked_later, body=body)

    def _here(self) -> None:
        """Raises ValueError in a forked child: httpx would use the connections of the parent."""
        async_check_loop()
        if os.getpid() != self._process:
            raise ValueError("this client goes through httpx and was made before a fork: make one in each process")

    def _build(
        self, client: httpx.AsyncClient, endpoint: Endpoint, request: Request, limits: Limits, trace: AsyncHttpxTrace
    ) -> httpx.Request:
        self._here()

        # 1. What neither etcd nor httpx takes.
        line = len(request.method) + len(endpoint.prefix) + len(request.target) + len("  HTTP/1.1\r\n")
        if line > MAX_REQUEST_LINE and not endpoint.tls:
            raise ValueError(
                f"the request line has {line} bytes; over plain http etcd takes {MAX_REQUEST_LINE}:"
                " use a shorter key, or prev_index= instead of a long prev_value="
            )
        if line > _LONGEST_URL:
            raise ValueError(f"the request line has {line} bytes; httpx takes {_LONGEST_URL}")

        # 2. Its time.
        left = limits.deadline.left(time.monotonic())
        left = None if left is None else max(0.001, left)
        connect, answer = shorter(limits.connect, left), shorter(limits.answer, left)

        # 3. The parts.
        headers = [*request.headers, ("Host", endpoint.authority), ("Accept-Encoding", "identity")]
        if request.content_type is not None:
            headers.append(("Content-Type", request.content_type))
        extensions: dict[str, Any] = {
            "trace": trace.trace,
            "timeout": httpx.Timeout(connect=connect, read=answer, write=answer, pool=left).as_dict(),
        }
        if endpoint.tls and self._tls_name(endpoint.host) != endpoint.host:
            extensions["sni_hostname"] = self._tls_name(endpoint.host)

        return httpx.Request(
            request.method,
            endpoint.url + request.target,
            headers=headers,
            content=request.body if request.content_type is not None else None,
            extensions=extensions,
        )


class AsyncHttpxStream:
    """`AsyncStream` over an httpx response."""

    keeps_time = False

    def __init__(
        self, response: httpx.Response, trace: AsyncHttpxTrace, endpoint: Endpoint, greetings: Greetings
    ) -> None:
        self._response = response
        self._trace = trace
        self._parts: AsyncIterator[bytes] = _parts(response)
        self._aborted = False
        self._ended = False
        self._process = os.getpid()
        self.status = response.status_code
        self.headers: Mapping[str, str] = _lower(response)
        self._endpoint = endpoint
        self._greetings = greetings
        self._half_closed = False
        self._socket = AsyncHttpxSocket(response)
        self.greeting = greetings.taken(endpoint, self._socket.connection)

    def __repr__(self) -> str:
        state = "ended" if self._ended else "aborted" if self._aborted else "open"
        return f"<{type(self).__name__} with status {self.status} from {self._response.url.host}: {state}>"

    async def read(self, timeout: float | None = None) -> bytes | None:
        del timeout
        self._trace.phase = "read"
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            self._ended = True
            if self._half_closed:
                self._socket.end_half_closed()
            else:
                self._greetings.keep(self._endpoint, self._socket.connection, self.greeting)
            return b""
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, RuntimeError, OSError, ValueError) as error:
            if self._aborted:
                raise TransportFailure("aborted", "read", Sent.WHOLE, aborted=True) from error
            raise async_httpx_failure(self._trace, error, tls=self._endpoint.tls) from error

    def abort(self) -> None:
        self._aborted = True
        self._socket.abort()

    def half_close(self) -> bool:
        """False where the transport does not show its socket (httpx's own do)."""
        if self._ended or self._aborted or not self._socket.half_close():
            return False
        self._half_closed = True
        return True

    async def close(self) -> None:
        if not self._ended:
            self.abort()
        if os.getpid() != self._process:
            return
        try:
            await self._response.aclose()
        except (httpx.HTTPError, RuntimeError, OSError) as error:
            foreign = of_handler(error)
            if foreign is not None:
                raise foreign from None


def _parts(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes; of a response that was made up (`httpx.MockTransport`, `content=`), as it is."""
    return _content(response) if response.is_stream_consumed else response.aiter_raw()


async def _content(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.content:
        yield response.content


def _lower(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _refuse_encoding(response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise TransportFailure("an answer with a Content-Encoding, which was not asked for", "read", Sent.WHOLE)
