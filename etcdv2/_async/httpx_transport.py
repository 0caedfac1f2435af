"""The transport over httpx: any httpx transport, proxies, environment settings.

What httpx cannot promise, all in this one place:
- `Limits.answer` and `Limits.deadline` hold for each socket operation, not for their sum: a server that drips a byte
  now and then stretches a blocking call. The async transport is ended on time by asyncio.
- `read(timeout)` does not time out: it waits for bytes, the end, or `abort()`.
- Which member a connection goes to is known of httpx's own transports only, so elsewhere the silence of a watch proves
  less (`Request.greeting`).
- `abort()` wakes a blocked read where the transport shows its socket (httpx's own do); it does not wake a thread that
  still connects or waits for the first byte: `Limits` end that.
- `close()` does not wake calls of other threads; their `Limits` end them.
- Less than `Sent.WHOLE` is claimed only where httpcore's trace proves it, which httpx's own transports have: its
  `started` comes before a part is handed to the socket, so what has not started was not sent. What has started may be
  out, whatever comes of it: `complete` never comes to a task that is cancelled meanwhile. Elsewhere all is WHOLE.
- An endless row of interim answers (100 Continue) to a blocking call is ended by nothing.
- Its pool (httpcore 1.0.9) may close a connection that another thread has just begun to use: a read goes on, a write
  raises OutcomeUnknown.
- So a stream that a watch opened beside its poll, and does not need, stays open until the next event.
- A client made before `os.fork` cannot be used in the child: calls raise ValueError there.
- Whether a connection is fresh is not known: a plain http request line over 4,096 bytes is refused with ValueError.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from etcdv2._core.deadline import shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.keys import MAX_REQUEST_LINE
from etcdv2._core.wire import CLUSTER_ID, AsyncStream, Limits, Phase, Reply, Request, Sent, TransportFailure
from etcdv2._runtime.primitives import async_deadline, async_see_through
from etcdv2._transport.failures import refusal
from etcdv2._transport.http1 import DEFAULT_MAX_BODY_BYTES

_LONGEST_URL = 65_000


class _Progress:
    """How far httpcore's trace says a request has come."""

    def __init__(self, *, told: bool, asked_later: bool, body: bool) -> None:
        """`told`: by a transport that surely calls `trace`, so that nothing was sent before the first call.

        `asked_later`: the server may ask for a certificate after it has read a request.
        `body`: whether the request has one; the headers alone are then a part of it.
        """
        self._asked_later = asked_later
        self._body = body
        self.sent = Sent.NOTHING if told else Sent.WHOLE
        self.phase: Phase = "pool" if told else "connect"
        self.fresh = False

    async def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Told by httpcore, before and after each of its steps.

        Only `started` counts for what was sent: it is awaited before the bytes are handed over, without a suspension
        between, while `complete` is not told to a task that is cancelled when the bytes are out already.
        """
        request = info.get("request")
        if request is not None and request.method == b"CONNECT":
            self.phase = "connect"  # asks a proxy for a tunnel; the request itself goes later, and is traced then
            return

        self.fresh = self.fresh or name.startswith("connection.connect")
        if self.phase == "pool":
            self.phase = "connect"

        # The headers are the whole of a request without a body: with one, what may be out is a part of it.
        if name.endswith("send_request_headers.started"):
            self._handed_over(Sent.PART if self._body else Sent.WHOLE)
        elif name.endswith("send_request_body.started"):
            self._handed_over(Sent.WHOLE)
        elif name.endswith("send_request_body.complete"):
            self.phase = "wait"
        elif name.endswith("receive_response_body.started"):
            self.phase = "read"

    def _handed_over(self, sent: Sent) -> None:
        self.phase = "send"
        # Never less again. A transport of the user's may have sent it before, another way, so there it stays WHOLE.
        if self.sent is not Sent.WHOLE:
            self.sent = sent

    def failure(self, error: Exception) -> TransportFailure:
        """What an exception of httpx, or the end of the time, means."""
        root = _root(error)
        if self.fresh and self.phase == "wait" and not self._asked_later and (refused := refusal(root)) is not None:
            return refused
        timed_out = isinstance(error, (httpx.TimeoutException, TimeoutError))
        phase, sent = self.phase, self.sent
        if isinstance(error, httpx.PoolTimeout):
            phase, sent = "pool", Sent.NOTHING
        elif isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)):
            # Raised before there is a connection that the request could go over; also by transports that tell nothing.
            phase, sent = "connect", Sent.NOTHING
        reason = "timed out" if timed_out else str(root) or type(root).__name__
        return TransportFailure(reason, phase, sent, timed_out=timed_out)


class _Greetings:
    """What idle connections have answered to a greeting, by the socket; bounded, for httpx tells of
    no connection's end.
    """

    def __init__(self) -> None:
        self._idle: dict[Endpoint, list[tuple[object, bytes]]] = {}

    def has_idle(self, endpoint: Endpoint) -> bool:
        return bool(self._idle.get(endpoint))

    def keep(self, endpoint: Endpoint, sock: object, body: bytes) -> None:
        """The connection is idle again."""
        if sock is not None:
            idle = self._idle.setdefault(endpoint, [])
            idle.append((sock, body))
            del idle[:-32]

    def taken(self, endpoint: Endpoint, sock: object) -> bytes:
        """What this connection answered, empty when it was not asked: then httpcore has taken another one."""
        idle = self._idle.pop(endpoint, [])
        found = next((body for other, body in idle if other is sock), b"")
        rest = [one for one in idle if one[0] is not sock]
        if found and rest:
            self._idle[endpoint] = rest
        return found


class AsyncHttpxTransport:
    """`AsyncTransport` over one httpx client for calls and one, without a connection limit, for watches."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        max_connections: int = 100,
        transport: httpx.AsyncBaseTransport | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
    ) -> None:
        self._server_hostname = server_hostname
        self._process = os.getpid()
        self._told = transport is None
        self._asked_later = transport is not None or (ssl_context is not None and ssl_context.post_handshake_auth)

        def client(limit: int | None) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                verify=ssl_context if ssl_context is not None else False,
                transport=transport,
                proxy=proxy,
                trust_env=trust_env,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=limit, max_keepalive_connections=max_connections),
            )

        self._greetings = _Greetings()
        self._calls = client(max_connections)
        self._watches = self._calls if transport is not None else client(None)

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        progress = self._progress(request)
        built = self._build(self._calls, endpoint, request, limits, progress)
        try:
            async with async_deadline(limits.deadline):
                response = await self._calls.send(built, stream=True)
                # httpcore 1.0.9 loses a connection whose answer it was closing when the caller was cancelled.
                give_up = AsyncHttpxStream(response, progress, endpoint, _Greetings()).abort
                body = await async_see_through(self._body(response, request.cluster_id, limits), give_up)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            raise progress.failure(error) from error
        _refuse_encoding(response)
        return Reply(response.status_code, _lower(response), body)

    async def _body(self, response: httpx.Response, cluster_id: str, limits: Limits) -> bytes:
        """The whole body, nothing when it is of another cluster than `cluster_id`; then closes the response."""
        parts: list[bytes] = []
        size = 0
        try:
            if cluster_id and response.headers.get(CLUSTER_ID, cluster_id) != cluster_id:
                return b""
            async for part in response.aiter_raw():
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
        if request.greeting and self._told and not self._greetings.has_idle(endpoint):
            await self._greet(endpoint, request, limits)
        progress = self._progress(request)
        built = self._build(self._watches, endpoint, request, limits, progress)
        try:
            async with async_deadline(limits.deadline):
                response = await self._watches.send(built, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            raise progress.failure(error) from error
        if response.status_code == 200:
            # httpcore reads this when the body is first asked for: a watch is silent for as long as it likes.
            built.extensions["timeout"]["read"] = None
        try:
            _refuse_encoding(response)
        except TransportFailure:
            await response.aclose()
            raise
        return AsyncHttpxStream(response, progress, endpoint, self._greetings)

    async def _greet(self, endpoint: Endpoint, request: Request, limits: Limits) -> None:
        """Ask the greeting; the connection, idle then, is mostly the one that httpcore takes next.

        Raises as `open` does.
        """
        progress = self._progress(request)
        greeting = request._replace(target=request.greeting, greeting="")
        built = self._build(self._watches, endpoint, greeting, limits, progress)
        try:
            async with async_deadline(limits.deadline):
                response = await self._watches.send(built, stream=True)
                body = await async_see_through(self._body(response, "", limits), lambda: None)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, RuntimeError, OSError) as error:
            raise progress.failure(error) from error
        self._greetings.keep(endpoint, _socket_of(response), body if response.status_code == 200 else b"")

    async def close(self) -> None:
        if os.getpid() == self._process:
            await self._calls.aclose()
            await self._watches.aclose()

    def _progress(self, request: Request) -> _Progress:
        return _Progress(told=self._told, asked_later=self._asked_later, body=bool(request.body))

    def _here(self) -> None:
        """Raises ValueError in a forked child: httpx would use the connections of the parent."""
        if os.getpid() != self._process:
            raise ValueError("this client goes through httpx and was made before a fork: make one in each process")

    def _build(
        self, client: httpx.AsyncClient, endpoint: Endpoint, request: Request, limits: Limits, progress: _Progress
    ) -> httpx.Request:
        self._here()
        line = len(request.method) + len(endpoint.prefix) + len(request.target) + len("  HTTP/1.1\r\n")
        if line > MAX_REQUEST_LINE and not endpoint.tls:
            raise ValueError(
                f"the request line has {line} bytes; over plain http etcd takes {MAX_REQUEST_LINE}:"
                " use a shorter key, or prev_index= instead of a long prev_value="
            )
        if line > _LONGEST_URL:
            raise ValueError(f"the request line has {line} bytes; httpx takes {_LONGEST_URL}")
        left = limits.deadline.left(time.monotonic())
        left = None if left is None else max(0.001, left)
        connect, answer = shorter(limits.connect, left), shorter(limits.answer, left)
        headers = [*request.headers, ("Host", endpoint.authority), ("Accept-Encoding", "identity")]
        if request.content_type is not None:
            headers.append(("Content-Type", request.content_type))
        extensions: dict[str, Any] = {
            "trace": progress.trace,
            "timeout": httpx.Timeout(connect=connect, read=answer, write=answer, pool=left).as_dict(),
        }
        if self._server_hostname is not None and endpoint.tls:
            extensions["sni_hostname"] = self._server_hostname
        return httpx.Request(
            request.method,
            endpoint.url + request.target,
            headers=headers,
            content=request.body if request.content_type is not None else None,
            extensions=extensions,
        )


class AsyncHttpxStream:
    """`AsyncStream` over an httpx response."""

    def __init__(
        self, response: httpx.Response, progress: _Progress, endpoint: Endpoint, greetings: _Greetings
    ) -> None:
        self._response = response
        self._progress = progress
        self._parts: AsyncIterator[bytes] = response.aiter_raw()
        self._aborted = False
        self._ended = False
        self._process = os.getpid()
        self.status = response.status_code
        self.headers: Mapping[str, str] = _lower(response)
        self._endpoint = endpoint
        self._greetings = greetings
        self._half_closed = False
        self.greeting = greetings.taken(endpoint, _socket_of(response))

    async def read(self, timeout: float | None = None) -> bytes | None:
        del timeout
        self._progress.phase = "read"
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            self._ended = True
            if not self._half_closed:
                self._greetings.keep(self._endpoint, _socket_of(self._response), self.greeting)
            return b""
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, RuntimeError, OSError, ValueError) as error:
            if self._aborted:
                raise TransportFailure("aborted", "read", Sent.WHOLE, aborted=True) from error
            raise self._progress.failure(error) from error

    def abort(self) -> None:
        self._aborted = True
        if os.getpid() != self._process:
            return  # in a forked child: the connection is the parent's
        stream = self._response.extensions.get("network_stream")
        raw = None if stream is None else stream.get_extra_info("socket")
        try:
            if isinstance(raw, socket.socket):
                # Not SSLSocket.shutdown, which forgets its TLS state while another thread reads.
                socket.socket.shutdown(raw, socket.SHUT_RDWR)
            elif raw is not None:
                raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def half_close(self) -> bool:
        """False where the transport does not show its socket (httpx's own do)."""
        if self._ended or self._aborted or os.getpid() != self._process:
            return False
        stream = self._response.extensions.get("network_stream")
        raw = None if stream is None else stream.get_extra_info("socket")
        if raw is None:
            return False
        self._half_closed = True
        try:
            if isinstance(raw, socket.socket):
                socket.socket.shutdown(raw, socket.SHUT_WR)
            else:
                raw.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    async def close(self) -> None:
        if not self._ended:
            self.abort()
        if os.getpid() != self._process:
            return
        try:
            await self._response.aclose()
        except (httpx.HTTPError, RuntimeError, OSError):
            return


def _socket_of(response: httpx.Response) -> object:
    """The socket of its connection, one object as long as that lives; None where the transport does not show it."""
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    return getattr(sock, "_sock", sock)


def _root(error: BaseException) -> BaseException:
    """What the operating system or TLS said, below the exceptions that httpx, httpcore and anyio put around it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    inner = parts[0] if parts else error.__cause__ or error.__context__
    found = error if inner is None else _root(inner)
    return found if str(found) else error


def _lower(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _refuse_encoding(response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise TransportFailure("an answer with a Content-Encoding, which was not asked for", "read", Sent.WHOLE)
