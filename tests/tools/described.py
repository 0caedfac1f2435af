"""Checks every answer of every real server that any client in the suite receives against the closed description.

Wraps the transports; answers of fault servers and proxies (other ports) are left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request
from etcdv2.testing import Server, check_answer

real_ports: set[tuple[str, int]] = set()
"""Host and port of each server that was started: fake ones have ports of 127.0.0.1 as well, but never the same."""
checked: dict[str, int] = {}
"""How many answers were checked, by method."""


NOT_OF_THE_API = ("/members",)
"""What peer ports have, which the client asks to tell them from others."""


def check(request: Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
    if request.target in NOT_OF_THE_API:
        return
    checked[request.method] = checked.get(request.method, 0) + 1
    check_answer(request.method, request.target, status, headers, body)


class _Stream:
    """A stream that checks its answer when the body has ended."""

    def __init__(self, stream: Any, request: Request) -> None:
        self._stream = stream
        self._request = request
        self._body = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _read(self, part: bytes | None) -> bytes | None:
        self._body += part or b""
        if part == b"":
            check(self._request, self._stream.status, self._stream.headers, self._body)
        return part


class _AsyncStream(_Stream):
    async def read(self, timeout: float | None = None) -> bytes | None:
        return self._read(await self._stream.read(timeout))


class _BlockingStream(_Stream):
    def read(self, timeout: float | None = None) -> bytes | None:
        return self._read(self._stream.read(timeout))


def _is_real(endpoint: Endpoint) -> bool:
    host = "127.0.0.1" if endpoint.host in ("localhost", "::1") else endpoint.host
    return (host, endpoint.port) in real_ports


def _wrap_async(transport: type[Any]) -> None:
    send, open_ = transport.send, transport.open

    async def checked_send(self: Any, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        reply: Reply = await send(self, endpoint, request, limits)
        if _is_real(endpoint):
            check(request, reply.status, reply.headers, reply.body)
        return reply

    async def checked_open(self: Any, endpoint: Endpoint, request: Request, limits: Limits) -> Any:
        stream = await open_(self, endpoint, request, limits)
        return _AsyncStream(stream, request) if _is_real(endpoint) else stream

    transport.send, transport.open = checked_send, checked_open


def _wrap(transport: type[Any]) -> None:
    send, open_ = transport.send, transport.open

    def checked_send(self: Any, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        reply: Reply = send(self, endpoint, request, limits)
        if _is_real(endpoint):
            check(request, reply.status, reply.headers, reply.body)
        return reply

    def checked_open(self: Any, endpoint: Endpoint, request: Request, limits: Limits) -> Any:
        stream = open_(self, endpoint, request, limits)
        return _BlockingStream(stream, request) if _is_real(endpoint) else stream

    transport.send, transport.open = checked_send, checked_open


@contextmanager
def every_answer_checked(async_transports: list[type[Any]], transports: list[type[Any]]) -> Iterator[None]:
    """While open, each answer of an `etcdv2.testing.Server` must be as described."""
    start = Server.start
    saved = [(transport, transport.send, transport.open) for transport in [*async_transports, *transports]]

    @functools.wraps(start)
    def noted_start(self: Server, **options: Any) -> Any:
        result = start(self, **options)
        real_ports.add((urlsplit(self.url).hostname or "", self.port))
        return result

    Server.start = noted_start  # type: ignore[method-assign]
    for transport in async_transports:
        _wrap_async(transport)
    for transport in transports:
        _wrap(transport)
    try:
        yield
    finally:
        Server.start = start  # type: ignore[method-assign]
        for transport, send, open_ in saved:
            transport.send, transport.open = send, open_
