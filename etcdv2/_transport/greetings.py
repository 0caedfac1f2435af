"""What the idle connections of an httpx client have answered to a greeting.

Owns that memory; knows of a connection nothing but which object its socket is.
"""

from __future__ import annotations

from etcdv2._core.endpoints import Endpoint

_MOST = 32
"""Of one endpoint: httpx reports no connection's end."""


class Greetings:
    """By endpoint and socket."""

    def __init__(self) -> None:
        self._idle: dict[Endpoint, list[tuple[object, bytes]]] = {}

    def __repr__(self) -> str:
        return f"<Greetings of {sum(map(len, self._idle.values()))} idle connections>"

    def has_idle(self, endpoint: Endpoint) -> bool:
        return bool(self._idle.get(endpoint))

    def forget(self, endpoint: Endpoint) -> None:
        """Its idle connections are closed."""
        self._idle.pop(endpoint, None)

    def keep(self, endpoint: Endpoint, sock: object, body: bytes) -> None:
        """The connection is idle again."""
        if sock is not None:
            idle = self._idle.setdefault(endpoint, [])
            idle.append((sock, body))
            del idle[:-_MOST]

    def taken(self, endpoint: Endpoint, sock: object) -> bytes:
        """What this connection answered, empty when it was not asked: httpcore has taken another
        one.
        """
        idle = self._idle.pop(endpoint, [])
        found = next((body for other, body in idle if other is sock), b"")
        rest = [one for one in idle if one[0] is not sock]
        if found and rest:
            self._idle[endpoint] = rest
        return found
