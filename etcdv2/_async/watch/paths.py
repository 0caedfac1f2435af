"""What is known of the way to each endpoint: whether a connection is one to one member, whether headers come at once.

Owns that memory, for all watches of a client, and the requests that find it out.

Between a client and its members there may be a balancer of HTTP, which sends each request of one connection to
whichever member it likes: then what a connection answers to the greeting names nobody. Such a balancer does not pass
on a half-close (seen: nginx, haproxy). So where etcd's own answer to one was seen, a connection is one to a member (or
to etcd's v2 proxy, which goes to one as well).

A proxy may hold the headers of an answer back until the body begins (nginx with `proxy_buffering on`), which a waiting
poll's does with its event. There reads are answered, and polls are not. A poll that has not been answered in time
shows nothing: the member may be slow, or may have stood still. So it is asked for once more, with reads behind it that
are answered before it. That is no proof either, as a proxy can send them elsewhere; nothing but cost hangs on it, and
it is forgotten when headers come, and after a while.
"""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial
from math import inf

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.first_of import async_first_of
from etcdv2._runtime.primitives import async_later, async_sleep
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")

HINT = (
    "%s has answered reads, and a watch that was asked for before them not: a proxy may hold headers back until there"
    " is an event (nginx does unless it is given proxy_buffering off). Watches go on, and cost more"
)
READS_MEANWHILE = 5
"""Reads that are answered one after the other, while a poll that was asked for before waits for its headers, until
these count as held back. Each has to come, however long it takes: slowness is no ground."""
BETWEEN_READS_SECONDS = 0.05
"""For the poll to be sent first, over a connection of its own. A matter of pace."""
HELD_BACK_MEMORY_SECONDS = 300.0
"""How long an endpoint counts as one that holds headers back, until that is looked at again."""
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
        self._holding_back: dict[Endpoint, float] = {}
        """Since when that is known."""
        self._hinted: set[Endpoint] = set()

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
        if self.holds_back(endpoint) or now - self._deaf_since.get(endpoint, -inf) < ASK_AGAIN_SECONDS:
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
        """Whether headers of polls are held back there, as far as is known."""
        since = self._holding_back.get(endpoint)
        return since is not None and time.monotonic() - since < HELD_BACK_MEMORY_SECONDS

    def passes_on(self, endpoint: Endpoint) -> None:
        """Headers came there, and no event with them."""
        if self._holding_back.pop(endpoint, None) is not None:
            logger.info("%s passes the headers of watches on", endpoint)

    def avoid_holding_back(self) -> None:
        """Make another endpoint the current one, if it holds back and another does not.

        Raises HeadersHeldBack where all do.
        """
        current = self._dispatcher.current
        if current is not None and self.holds_back(current):
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
        """Whether a poll failed for want of its headers, and reads overtake one that is asked for now, too."""
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
                return self.holds_back(endpoint) or await self._waits_longer_than_reads(endpoint, key, within)
        return False

    async def _waits_longer_than_reads(self, endpoint: Endpoint, key: str, within: float | None) -> bool:
        """Whether reads are answered, one after the other, before a poll that was asked for first. Remembers it."""
        # The poll outlasts all the reads: else a slow machine would never see which came first.
        longer = None if within is None else within * (READS_MEANWHILE + 1)
        asks = [partial(self._poll, endpoint, key, longer), partial(self._reads_overtake, endpoint, key, within)]
        if not all(await async_first_of(asks, lambda _: True)):
            return False

        self._holding_back[endpoint] = time.monotonic()
        if endpoint not in self._hinted:
            self._hinted.add(endpoint)
            logger.warning(HINT, endpoint)
        return True

    async def _poll(self, endpoint: Endpoint, key: str, within: float | None) -> bool:
        """False, whether headers come or nothing at all: what was to be seen is over."""
        with contextlib.suppress(TransportFailure):
            poll = await self._dispatcher.watch_at(endpoint, operations.get_key(key, wait=True), within, greeting="")
            if poll is not None:
                await poll.stream.close()
        return False

    async def _reads_overtake(self, endpoint: Endpoint, key: str, within: float | None) -> bool:
        """True when so many reads have been answered."""
        try:
            for _ in range(READS_MEANWHILE):
                await async_sleep(BETWEEN_READS_SECONDS)
                await self._dispatcher.probe(endpoint, operations.get_key(key), within)
        except TransportFailure:
            return False
        return True

    def _others(self) -> list[Endpoint]:
        return [one for one in self._dispatcher.healthy_endpoints() if not self.holds_back(one)]
