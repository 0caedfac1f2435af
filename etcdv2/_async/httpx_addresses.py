"""How httpx finds and names a host: the look-ups are the client's own, and so are the names that TLS asks for.

Owns what stands between httpcore and its network backend; reads and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from etcdv2._transport.addresses import async_first_of, numeric_host
from etcdv2._transport.lookup import Address, async_look_up

if TYPE_CHECKING:
    import httpx

_LEAST_SECONDS = 0.001
"""For an address when the time is over: httpcore refuses 0."""


def async_use_addresses(client: httpx.AsyncClient, *, proxy_tls: bool | None, tls_name: Callable[[str], str]) -> None:
    """Have this client, whose transport is httpx's own, connect as the client's own transports do.

    `proxy_tls`: None where there is no proxy, else whether TLS is spoken to the proxy itself.
    `tls_name`: what TLS asks for, of a host.
    """
    pool: Any = getattr(getattr(client, "_transport", None), "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if backend is not None:
        pool._network_backend = AsyncAddresses(backend, proxy_tls, tls_name)


class AsyncAddresses:
    """httpcore's network backend, which is given addresses where it was given names."""

    def __init__(self, backend: Any, proxy_tls: bool | None, tls_name: Callable[[str], str]) -> None:
        self._backend = backend
        self._proxy_tls = proxy_tls
        self._tls_name = tls_name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._backend!r}>"

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> Any:
        ends = inf if timeout is None else time.monotonic() + timeout

        async def connect(address: Address, until: float) -> Any:
            left = None if until == inf else max(_LEAST_SECONDS, until - time.monotonic())
            return await self._backend.connect_tcp(
                numeric_host(address), port, timeout=left, local_address=local_address, socket_options=socket_options
            )

        async def discard(stream: Any) -> None:
            await stream.aclose()

        addresses = await async_look_up(host, port, ends)
        stream = await async_first_of(addresses, ends, connect, discard, (Exception,))
        return stream if self._proxy_tls is None else AsyncToProxy(stream, self._proxy_tls, self._tls_name)

    async def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        return await self._backend.connect_unix_socket(path, timeout=timeout, socket_options=socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class AsyncToProxy:
    """A connection to a proxy. httpcore (1.0.9) has no other name than the host for the TLS behind it."""

    def __init__(self, stream: Any, proxy_tls: bool, tls_name: Callable[[str], str]) -> None:
        self._stream = stream
        self._proxy_tls = proxy_tls
        self._tls_name = tls_name

    async def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        # 1. To the proxy itself; behind that it is as to a proxy without TLS.
        if self._proxy_tls:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
            return AsyncToProxy(stream, False, self._tls_name)

        # 2. To the endpoint.
        return await self._stream.start_tls(ssl_context, self._tls_name(server_hostname or ""), timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
