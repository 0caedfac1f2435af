"""The idle connections of an httpx client, which httpcore goes on using one by one when they have died together.

Owns the way to them, which httpx does not show; where there is none nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcdv2._core.endpoints import Endpoint

if TYPE_CHECKING:
    import httpx


class _Origin:
    """What httpcore asks a connection for, compared by its parts."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._parts = endpoint.scheme.encode(), endpoint.host.encode(), endpoint.port
        self.scheme, self.host, self.port = self._parts

    def __eq__(self, other: object) -> bool:
        return self._parts == tuple(getattr(other, name, None) for name in ("scheme", "host", "port"))

    def __hash__(self) -> int:
        return hash(self._parts)


async def async_drop_idle(client: httpx.AsyncClient, endpoint: Endpoint) -> None:
    """Close those to the endpoint. Their pool notices that by itself."""
    origin = _Origin(endpoint)
    transports: list[Any] = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    for transport in transports:
        for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
            if connection.is_idle() and connection.can_handle_request(origin):
                await connection.aclose()
