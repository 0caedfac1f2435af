"""Transports for httpx that check every answer which passes them against the description of the v2 API.

Owns when an answer is looked at, and what is kept of the complaints. What is one, `_answers` says.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import httpx

from etcdv2.testing._answers import check_answer
from etcdv2.testing._not_as_described import NotAsDescribed


class _Checks:
    """What both transports have: the count of the answers, and what was wrong with them."""

    def __init__(self, prefix: str) -> None:
        self.checked = 0
        """How many answers were looked at."""
        self.wrong: list[NotAsDescribed] = []
        """The complaints, in their order: also those of the background, that were raised to nobody."""
        self._prefix = prefix
        self._lock = threading.Lock()
        check_answer("GET", "/version", 502, {"content-type": "application/json"}, b'{"message":""}')  # can it be done?

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.checked} answers, {len(self.wrong)} of them not as described>"

    def look(self, answer: _Answer, *, whole: bool) -> None:
        """Check it, once. Raises NotAsDescribed."""
        if answer.looked_at:
            return
        answer.looked_at = True
        with self._lock:
            self.checked += 1
        try:
            request, headers = answer.request, answer.headers
            target = request.url.raw_path.decode("ascii")
            body = answer.body(whole=whole)
            check_answer(request.method, target, answer.status, headers, body, prefix=self._prefix, whole=whole)
        except NotAsDescribed as complaint:
            self.wrong.append(complaint)
            raise


class _Answer:
    """One answer, as far as it has come."""

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        self.request = request
        self.status = response.status_code
        self.headers = response.headers
        self.parts: list[bytes] = []
        self.looked_at = False

    def body(self, *, whole: bool) -> bytes:
        """Without its content coding; nothing of one that was coded and cut."""
        raw = b"".join(self.parts)
        if "content-encoding" not in self.headers:
            return raw
        if not whole:
            return b""
        try:
            return httpx.Response(self.status, headers=self.headers, content=raw).content
        except httpx.DecodingError as error:
            what = f"{self.request.method} {self.request.url.raw_path.decode('ascii')}: {self.status}"
            raise NotAsDescribed(f"{what}: the body is not coded as its headers say: {error}") from error


class CheckingTransport(_Checks, httpx.BaseTransport):
    """Passes requests on to `transport`, and checks each answer when its body was read or is closed.

    An answer that is not as described raises `NotAsDescribed` where its body ends; `wrong` has all of
    them. Of one that is closed before its end, what had come is checked: headers, and whole events of
    a stream.

    transport: an `httpx.HTTPTransport()` when None. It is closed with this one.
    prefix: what stands before `/v2/` in the paths, such as a proxy's path.

    Raises `ModuleNotFoundError` without jsonschema and PyYAML (`pip install 'etcdv2[testing]'`).
    """

    def __init__(self, transport: httpx.BaseTransport | None = None, *, prefix: str = "") -> None:
        super().__init__(prefix)
        self._transport = transport if transport is not None else httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on; the answer is checked when its body was read or is closed. Raises what the inner one raises."""
        response = self._transport.handle_request(request)
        stream = _CheckedStream(self, _Answer(request, response), response)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    def close(self) -> None:
        """Close the inner transport, also one that was given."""
        self._transport.close()


class _CheckedStream(httpx.SyncByteStream):
    def __init__(self, checks: _Checks, answer: _Answer, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.SyncByteStream)
        self._checks, self._answer, self._stream = checks, answer, response.stream

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self._answer.parts.append(part)
            yield part
        self._checks.look(self._answer, whole=True)

    def close(self) -> None:
        self._stream.close()
        self._checks.look(self._answer, whole=False)


class AsyncCheckingTransport(_Checks, httpx.AsyncBaseTransport):
    """As `CheckingTransport`, for async clients; `transport` is an `httpx.AsyncHTTPTransport()` when None."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None, *, prefix: str = "") -> None:
        super().__init__(prefix)
        self._transport = transport if transport is not None else httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on; the answer is checked when its body was read or is closed. Raises what the inner one raises."""
        response = await self._transport.handle_async_request(request)
        stream = _AsyncCheckedStream(self, _Answer(request, response), response)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close the inner transport, also one that was given."""
        await self._transport.aclose()


class _AsyncCheckedStream(httpx.AsyncByteStream):
    def __init__(self, checks: _Checks, answer: _Answer, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._checks, self._answer, self._stream = checks, answer, response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._answer.parts.append(part)
            yield part
        self._checks.look(self._answer, whole=True)

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._checks.look(self._answer, whole=False)
