"""Which connections to one endpoint are idle, how many are in use, and who waits for one.

Owns counting and order, and how long an idle connection is trusted; knows neither sockets nor time.
`places` is what takes the part of `Places` for threads.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from etcdv2._core.endpoints import Endpoint
from etcdv2._transport.http1 import RequestEncoder


class HasAge(Protocol):
    """A connection."""

    idle_since: float


C = TypeVar("C", bound=HasAge)
W = TypeVar("W")

IDLE_SECONDS = 60.0
"""An idle connection older than this is closed rather than used."""

IDLE_SECONDS_OF_WRITES = 20.0
"""The same before a write, which is `OutcomeUnknown` when the line has forgotten the connection, as
firewalls do without a reset. From then on TCP's keep-alive asks (`sockets.KEEPALIVE_IDLE`), but it
takes 20 s to find out. A read is asked again over a new connection.
"""

UNPROBED_SECONDS = 0.001
"""One that is idle for no longer may serve a read without asking its socket whether it still is as
it was left.

So surplus bytes that a server sent within that time, behind an answer, are taken for the next one,
as those that come a little later are in any case.
"""


class IdleConnections(Generic[C]):
    """`idle` is a stack: the connection used last is used next."""

    __slots__ = ("encoder", "endpoint", "idle", "limit")

    def __init__(self, endpoint: Endpoint, limit: int) -> None:
        self.endpoint = endpoint
        self.encoder = RequestEncoder(endpoint)
        self.limit = limit
        self.idle: list[C] = []

    def no_younger_than(self, connection: C) -> list[C]:
        """The idle ones of that age: where it has died since, so may they have, by the same cause.

        Younger ones have answered after it was last used, so they outlived what it may not have.
        """
        return [one for one in list(self.idle) if one.idle_since <= connection.idle_since]


class CountedConnections(IdleConnections[C], Generic[C, W]):
    """And how many are in use, for tasks, which are interrupted at an `await` only.

    `waiting` is a queue of whatever wakes a caller.
    """

    __slots__ = ("used", "waiting")

    def __init__(self, endpoint: Endpoint, limit: int) -> None:
        super().__init__(endpoint, limit)
        self.used = 0
        self.waiting: deque[W] = deque()

    def __repr__(self) -> str:
        return (
            f"<IdleConnections to {self.endpoint}: {len(self.idle)} idle,"
            f" {self.used} of {self.limit} in use, {len(self.waiting)} waiting>"
        )

    def enter(self) -> bool:
        """Take a place, unless none is free or somebody came before."""
        if self.used < self.limit and not self.waiting:
            self.used += 1
            return True
        return False

    def leave(self) -> W | None:
        """Give a place up: it passes to the one returned, who is to be woken, or becomes free."""
        if self.waiting:
            return self.waiting.popleft()
        self.used -= 1
        return None

    def keep(self, connection: C) -> bool:
        """Put a connection among the idle, unless there are enough."""
        if len(self.idle) >= self.limit:
            return False
        self.idle.append(connection)
        return True
