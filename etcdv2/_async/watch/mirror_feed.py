"""The watch behind a mirror: it also says how far nothing is missing, and finds that out when somebody waits for it.

Owns where that is said among the items. What proves it is `renewal`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from etcdv2._async.watch.feed import AsyncFeed
from etcdv2._async.watch.poll_requests import AsyncHeldPoll
from etcdv2._async.watch.watcher import AsyncWatcher
from etcdv2._types.results import Event, Snapshot


@dataclass(frozen=True, slots=True)
class AsyncSettled:
    """An item that says: nothing up to this index is missing in those before it."""

    index: int


class AsyncMirrorFeed(AsyncFeed):
    """Its items are those of a watch with snapshots, and `AsyncSettled`."""

    async def _follow(self, held: AsyncHeldPoll) -> AsyncHeldPoll | None:
        after = await super()._follow(held)
        await self._say_settled()
        return after

    async def _read_stream(self, stream: AsyncHeldPoll) -> None:
        await super()._read_stream(stream)
        await self._say_settled()

    async def _say_settled(self) -> None:
        """Where silence, or an event that is not the mirror's, has brought the watch on."""
        index = self._polls.settled
        if index > self._said:
            await self._put(AsyncSettled(index))

    def want(self, index: int) -> None:
        """Somebody waits until nothing up to this index is missing; from any thread."""
        self._polls.want(index)

    def unwant(self, index: int) -> None:
        """Somebody waits no more; from any thread."""
        self._polls.unwant(index)


class AsyncMirrorWatcher(AsyncWatcher[Event | Snapshot | AsyncSettled]):
    """What the mirror reads."""

    def __init__(self, key: str, make_feed: Callable[[], AsyncMirrorFeed]) -> None:
        self._made: AsyncMirrorFeed

        def make() -> AsyncMirrorFeed:
            self._made = make_feed()
            return self._made

        super().__init__(key, make)

    def want(self, index: int) -> None:
        """See the feed."""
        self._made.want(index)

    def unwant(self, index: int) -> None:
        """See the feed."""
        self._made.unwant(index)
