"""Both built-in transports behind one blocking face, so that one test states a promise for both.

Owns the event loop's thread of the async transport; promises nothing itself.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack

from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import AsyncStream, Limits, Reply, Request, Stream, Transport
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.threads import FastTransport
from tests.tools import waiting

T = TypeVar("T")
TransportName = Literal["threads", "loop"]

HEADERS = (("User-Agent", "tests"), ("Authorization", "Basic c2VjcmV0"))
GET = Request("GET", "/v2/keys/a", HEADERS)
PUT = Request("PUT", "/v2/keys/a", HEADERS, "application/x-www-form-urlencoded", b"value=1")
LATE = waiting.SOON
"""Seconds: what takes so long, hangs."""
SOON = Limits(connect=LATE, answer=LATE, deadline=NEVER)
UNITS = (0.1, 1.0, 10.0)
"""Seconds, for limits that have to be over within a test: where a machine stalls, the least may be
over before what was to come first has come, and the next one is tried.
"""


class Options(TypedDict, total=False):
    ssl_context: ssl.SSLContext | None
    server_hostname: str | None
    max_connections: int
    max_header_bytes: int
    max_body_bytes: int


class Driver(Transport, Protocol):
    def __enter__(self) -> Driver: ...
    def __exit__(self, *_: object) -> None: ...


class _Threads(FastTransport):
    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Loop:
    """`AsyncFastTransport` on a loop in a thread of its own; every call blocks."""

    def __init__(self, **options: Unpack[Options]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._transport = AsyncFastTransport(**options)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        return self.run(self._transport.send(endpoint, request, limits))

    def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> Stream:
        return _LoopStream(self, self.run(self._transport.open(endpoint, request, limits)))

    def close(self) -> None:
        self.run(self._transport.close())

    def __enter__(self) -> _Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _LoopStream:
    def __init__(self, driver: _Loop, stream: AsyncStream) -> None:
        self._driver = driver
        self._stream = stream

    @property
    def status(self) -> int:
        return self._stream.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._stream.headers

    def read(self, timeout: float | None = None) -> bytes | None:
        return self._driver.run(self._stream.read(timeout))

    def abort(self) -> None:
        self._stream.abort()

    def close(self) -> None:
        self._driver.run(self._stream.close())


def start_transport(name: TransportName, **options: Unpack[Options]) -> Driver:
    return _Threads(**options) if name == "threads" else _Loop(**options)
