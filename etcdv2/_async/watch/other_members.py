"""The members where no poll of a watched endpoint waits: whether they are ahead of it, and their raft indexes.

Owns how often they are asked. What their raft indexes say of snapshots is `raft_chain`'s affair; it has to
see them step by step, also where no watch is yet: one may have to go on there.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import Protocol

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import TransportFailure
from etcdv2_api import operations

COMPARE_SECONDS = 2.0
"""Seconds between two probes of another member, to see whether the watched one still follows the cluster."""
WITHIN_SECONDS = 0.5
"""What another member may take to answer: meanwhile nobody probes the watched one."""
OBSERVE_EVENTS = 1000
"""Events of the store after which the next one of the others is observed, where its raft index is not known so far."""


class AsyncObserver(Protocol):
    """Who keeps the raft indexes of all members."""

    def is_unobserved(self, endpoint: Endpoint, index: int) -> bool:
        """Whether the raft index was not seen there since the store had come near `index`."""
        ...

    async def observe(self, endpoint: Endpoint, key: str, within: float | None = None) -> object:
        """See it. Raises TransportFailure."""
        ...


class AsyncOtherMembers:
    """Beside the probes of one endpoint."""

    def __init__(self, dispatcher: AsyncDispatcher, observer: AsyncObserver, endpoint: Endpoint) -> None:
        self._dispatcher = dispatcher
        self._observer = observer
        self._endpoint = endpoint
        self._compared_at = time.monotonic()
        self._had = 0
        """The index of another member when it was compared the last time."""
        self._observed_to = 0
        self._next: deque[Endpoint] = deque()
        """Those that are to be observed."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint}: {len(self._healthy())}>"

    def _healthy(self) -> list[Endpoint]:
        return [one for one in self._dispatcher.healthy_endpoints() if one != self._endpoint]

    async def are_ahead(self, index: int, key: str) -> bool:
        """Whether the member, at `index`, has not reached what another one had some time ago.

        It has lost its leader then, and is silent: a watch there would wait for ever without an error
        (seen on 3.5.1, 3.4.23).
        """
        now = time.monotonic()
        if now - self._compared_at < COMPARE_SECONDS:
            return False
        if 0 < index < self._had:
            self._had = 0
            return True

        self._compared_at = now
        self._had = 0
        if others := self._healthy():
            other = random.choice(others)
            try:
                found = await self._dispatcher.probe(other, operations.get_key(key), within=WITHIN_SECONDS)
                self._had = found.index
            except TransportFailure as failure:
                self._dispatcher.endpoint_failed(other, failure)
        return False

    async def observe(self, index: int, key: str) -> None:
        """Observe one of them, where that is due: the store of the watched member is at `index`."""
        if not self._next:
            if self._observed_to and index - self._observed_to < OBSERVE_EVENTS:
                return
            self._observed_to = index
            self._next.extend(one for one in self._healthy() if self._observer.is_unobserved(one, index))
            if not self._next:
                return

        other = self._next.popleft()
        try:
            await self._observer.observe(other, key, WITHIN_SECONDS)
        except TransportFailure as failure:
            self._dispatcher.endpoint_failed(other, failure)
