"""Endpoints that are reached in different ways: some through a proxy, others straight.

Owns which transport serves which endpoint; sends nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.proxies import Proxies, Proxy
from etcdv2._core.wire import AsyncStream, AsyncTransport, Limits, Reply, Request, Sent, TransportFailure


class AsyncByProxy:
    """An `AsyncTransport` that has one for each proxy, and one for none."""

    def __init__(
        self, proxies: Proxies, endpoints: Sequence[Endpoint], make: Callable[[Proxy | None], AsyncTransport]
    ) -> None:
        """Raises ValueError for a proxy of one of these endpoints that cannot be used."""
        self._proxies = proxies
        self._make = make
        self._transports: dict[Proxy | None, AsyncTransport] = {}
        self._ways: dict[Endpoint, AsyncTransport] = {}
        for endpoint in endpoints:
            self._way(endpoint)

    def __repr__(self) -> str:
        shown = ", ".join(f"{proxy or 'no proxy'}: {transport!r}" for proxy, transport in self._transports.items())
        return f"<{type(self).__name__}: {shown}>"

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        return await self._known_way(endpoint).send(endpoint, request, limits)

    async def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> AsyncStream:
        return await self._known_way(endpoint).open(endpoint, request, limits)

    async def close(self) -> None:
        for transport in list(self._transports.values()):
            await transport.close()

    def _known_way(self, endpoint: Endpoint) -> AsyncTransport:
        """For an endpoint that came later, too: its proxy may be one that cannot be used."""
        try:
            return self._way(endpoint)
        except ValueError as error:
            raise TransportFailure(str(error), "connect", Sent.NOTHING) from error

    def _way(self, endpoint: Endpoint) -> AsyncTransport:
        way = self._ways.get(endpoint)
        if way is None:
            proxy = self._proxies.proxy_for(endpoint)
            way = self._transports.get(proxy) or self._transports.setdefault(proxy, self._make(proxy))
            self._ways[endpoint] = way
        return way
