# Derived from etcdv2/_async/watch/mirror_feed.py by scripts/unasync.py: change that file, make generate.
"""The watch behind a mirror: it also says how far nothing is missing, and finds that out when somebody waits for it.

Owns where that is said among the items. What proves it is `renewal`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from etcdv2._sync.watch.feed import Feed
from etcdv2._sync.watch.poll_requests import HeldPoll
from etcdv2._sync.watch.watcher import Watcher
from etcdv2._types.results import Event, Snapshot


@dataclass(frozen=True, slots=True)
class Settled:
    """An item that says: nothing up to this index is missing in those before it."""

    index: int


class MirrorFeed(Feed):
    """Its items are those of a watch with snapshots, and `Settled`."""

    def _follow(self, held: HeldPoll) -> HeldPoll | None:
        after = super()._follow(held)
        self._say_settled()
        return after

    def _read_stream(self, stream: HeldPoll) -> None:
        super()._read_stream(stream)
        self._say_settled()

    def _say_settled(self) -> None:
        """Where silence, or an event that is not the mirror's, has brought the watch on."""
        index = self._polls.settled
        if index > self._said:
            self._put(Settled(index))

    def want(self, index: int) -> None:
        """Somebody waits until nothing up to this index is missing; from any thread."""
        self._polls.want(index)

    def unwant(self, index: int) -> None:
        """Somebody waits no more; from any thread."""
        self._polls.unwant(index)


class MirrorWatcher(Watcher[Event | Snapshot | Settled]):
    """What the mirror reads."""

    def __init__(self, key: str, make_feed: Callable[[], MirrorFeed]) -> None:
        self._made: MirrorFeed

        def make() -> MirrorFeed:
            self._made = make_feed()
            return self._made

        super().__init__(key, make)

    def want(self, index: int) -> None:
        """See the feed."""
        self._made.want(index)

    def unwant(self, index: int) -> None:
        """See the feed."""
        self._made.unwant(index)
