"""What is known of the way to each endpoint: whether a connection is one to one member, whether headers come at once.

Owns that memory, for all watches of a client, and the requests that find it out.

Between a client and its members there may be a balancer of HTTP, which sends each request of one connection to
whichever member it likes: then what a connection answers to the greeting names nobody. Such a balancer does not pass
on a half-close (seen: nginx, haproxy). So where etcd's own answer to one was seen, a connection is one to a member (or
to etcd's v2 proxy, which goes to one as well).

A proxy may hold the headers of an answer back until the body begins (nginx with `proxy_buffering on`), which a waiting
poll's does with its event. There reads are answered at once, and polls are not.
"""

from __future__ import annotations

import logging
import time
from math import inf

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.primitives import async_later
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")

HINT = (
    "%s answers reads, but no watch: a proxy may hold headers back until there is an event"
    " (nginx does unless it is given proxy_buffering off). Watches go on, and cost more"
)
END_SECONDS = 1.0
"""What the answer to a half-close may take, until it counts as one that does not come: no proof, but safe."""
ASK_AGAIN_SECONDS = 60.0
"""Where half-closes were not answered, until that is tried again."""


class HeadersHeldBack(Exception):
    """A poll was not answered, and a read was. Never leaves the package."""


class AsyncPaths:
    """One per client."""

    def __init__(self, dispatcher: AsyncDispatcher) -> None:
        self._dispatcher = dispatcher
        self._answering: set[Endpoint] = set()
        self._deaf_since: dict[Endpoint, float] = {}
        self._without_ends: set[Endpoint] = set()
        """Over a transport that cannot half-close."""
        self._holding_back: set[Endpoint] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._answering)} answer ends, {len(self._holding_back)} hold back>"

    # --- ends --------------------------------------------------------------------------------------------------------

    def answers_ends(self, endpoint: Endpoint) -> bool:
        """Whether a half-close was seen to be answered there."""
        return endpoint in self._answering

    def end_answered(self, endpoint: Endpoint) -> None:
        """A poll there ended properly when it was asked to."""
        self._answering.add(endpoint)

    def is_sure(self, endpoint: Endpoint) -> bool:
        """Whether it is known which member a poll waits at there, or can never be."""
        return endpoint in self._answering or endpoint in self._without_ends

    async def leads_to_one_member(self, endpoint: Endpoint, keys: tuple[str, ...]) -> bool:
        """Whether a connection there is one to a member, so that its greeting names who answers all of it.

        Asks once, by a watch of one of these keys that is ended. False where that is not known; True where it cannot
        be, over a transport of the user's own that shows no socket.
        """
        if self.is_sure(endpoint):
            return True
        now = time.monotonic()
        if endpoint in self._holding_back or now - self._deaf_since.get(endpoint, -inf) < ASK_AGAIN_SECONDS:
            return False

        self._deaf_since[endpoint] = now
        for key in keys:
            ends = await self._ends(endpoint, key)
            if ends is not None:
                return ends
        return False

    async def _ends(self, endpoint: Endpoint, key: str) -> bool | None:
        """Whether a watch of this key ends when it is asked to; None where it is refused."""
        try:
            poll = await self._dispatcher.watch_at(endpoint, operations.get_key(key, wait=True))
        except TransportFailure:
            return False
        if poll is None:
            return None

        timer = async_later(END_SECONDS, poll.stream.abort)
        try:
            if not poll.stream.half_close():
                self._without_ends.add(endpoint)
                return True
            while await poll.stream.read():
                pass
            self._answering.add(endpoint)
            return True
        except TransportFailure:
            return False
        finally:
            timer.cancel()
            await poll.stream.close()

    # --- headers -----------------------------------------------------------------------------------------------------

    def holds_back(self, endpoint: Endpoint) -> bool:
        """Whether headers of polls are held back there."""
        return endpoint in self._holding_back

    def passes_on(self, endpoint: Endpoint) -> None:
        """Headers came there, and no event with them."""
        self._holding_back.discard(endpoint)

    def avoid_holding_back(self) -> None:
        """Make another endpoint the current one, if it holds back and another does not.

        Raises HeadersHeldBack where all do.
        """
        if self._dispatcher.current in self._holding_back:
            others = self._others()
            if not others:
                raise HeadersHeldBack
            self._dispatcher.prefer(others[0])

    async def unanswered(
        self, keys: tuple[str, ...], deadline: Deadline, endpoint: Endpoint, failure: TransportFailure
    ) -> None:
        """A poll has failed there, whose caller waits no longer than until then.

        Raises HeadersHeldBack where that is because its headers are held back, and no other endpoint is left.
        """
        if not await self.is_held_back(endpoint, failure, keys, deadline):
            return
        if not self._others():
            raise HeadersHeldBack from failure

    async def is_held_back(
        self, endpoint: Endpoint, failure: TransportFailure, keys: tuple[str, ...], deadline: Deadline = NEVER
    ) -> bool:
        """Whether a poll failed for want of its headers where reads are answered."""
        if not (failure.timed_out and failure.phase == "wait"):
            return False
        for key in keys:
            within = deadline.cut(self._dispatcher.timeout.attempt, time.monotonic())
            if within == 0:
                return False
            try:
                meta = await self._dispatcher.probe(endpoint, operations.get_key(key), within)
            except TransportFailure:
                return False
            if meta.index:
                if endpoint not in self._holding_back:
                    logger.warning(HINT, endpoint)
                self._holding_back.add(endpoint)
                return True
        return False

    def _others(self) -> list[Endpoint]:
        return [one for one in self._dispatcher.healthy_endpoints() if one not in self._holding_back]
