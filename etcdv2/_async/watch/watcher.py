"""What the user of a watch holds: items from a buffer that a background reader (`feed`) fills."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from etcdv2._async.watch.feed import AsyncFeed
from etcdv2._core.deadline import Deadline
from etcdv2._runtime.errors import fresh
from etcdv2._runtime.primitives import async_check_loop, async_checkpoint, async_gives_way
from etcdv2._types.settings import check_batch, check_wait

T = TypeVar("T")
"""What the overloads of `watch` say: Event, or with snapshots Event | Snapshot."""


@async_gives_way
class AsyncWatcher(Generic[T]):
    """The changes of a key or tree, in order: iterate, or call `next`. Begun by `with` or the first `next`.

    `with` raises what prevents the watch, and ValueError when it is closed meanwhile. A beginning
    that is interrupted (a cancellation, an exception of a signal handler) leaves it unbegun.

    Loses nothing: when the server no longer has what comes next, HistoryCleared is raised, or with snapshots another
    Snapshot comes. Errors are raised after the events that came before them, and end the watch.
    """

    def __init__(self, key: str, make_feed: Callable[[], AsyncFeed]) -> None:
        self._key = key
        self._make_feed = make_feed
        self._feed = make_feed()
        self._index = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key} after {self.index}>"

    @property
    def key(self) -> str:
        """The watched key, absolute."""
        return self._key

    @property
    def index(self) -> int:
        """Everything up to this index has been taken: a new watch with `after_index=` this one goes on here."""
        return self._index or self._feed.started_at

    @property
    def closed(self) -> bool:
        """Whether `close` was called, also the client's."""
        return self._feed.closed

    @property
    def unreachable_since(self) -> float | None:
        """When the cluster was found to be unreachable, on the clock of `time.monotonic`; None while it answers."""
        return self._feed.unreachable_since

    async def __aenter__(self) -> Self:
        feed = self._feed
        if feed.items.exhausted or feed.registered:
            await async_checkpoint()
        else:
            await self._begin(feed, None)

        feed = self._feed
        if feed.items.exhausted and feed.items.error is not None:
            raise fresh(feed.items.error)
        if feed.closed:
            raise self._is_closed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self._next(None)
        if item is None:
            raise StopAsyncIteration
        return item

    async def next(self, timeout: float | None = None) -> T | None:
        """The next event; None when none came within `timeout` seconds, or when the watch is closed meanwhile.

        `timeout`: None waits for ever; 0 takes what has come already. It bounds the beginning of a watch too,
        which then goes on in the background.

        Raises HistoryCleared, ClusterChanged, ClusterUnavailable (`patience` is over), Unauthorized,
        V2ApiDisabled, which end the watch: then each call raises it. ValueError when it was closed before.
        """
        check_wait(timeout)
        had_ended = self._feed.items.exhausted
        if len(self._feed.items):  # nothing is waited for
            await async_checkpoint()
        item = await self._next(timeout)
        if item is None and had_ended:
            raise self._is_closed()
        return item

    async def open(self) -> Self:
        """Begin the watch without `with`, for an object that owns it, and ends it by `close`. Raises as `with` does."""
        return await self.__aenter__()

    async def batch(self, timeout: float | None = None, *, gather: float = 0.1, limit: int | None = None) -> list[T]:
        """The next events together, in order: the first as `next` gives it, and what comes within `gather` seconds.

        Empty where `next` gives None. `gather`: seconds from when the first is there; 0 for what has come
        already. `limit`: at most so many; None for all that there are, which are `buffer` at the most. A
        batch that is full does not wait. Raises as `next` does, after all events that came before.
        """
        check_batch(timeout, gather, limit)
        await async_checkpoint()
        deadline, had_ended = Deadline.after(timeout, time.monotonic()), self._feed.items.exhausted
        items = (await self._begun(timeout)).items

        # Nothing is taken while this waits: a cancellation loses nothing.
        await items.fill(1, deadline.left(time.monotonic()))
        if len(items):
            await items.fill(limit, gather)

        taken = items.take(limit)
        if taken:
            self._index = taken[-1].index
        elif items.exhausted and items.error is not None:
            raise fresh(items.error)
        elif had_ended:
            raise self._is_closed()
        return cast(list[T], taken)

    async def close(self) -> None:
        """End the watch at once, from any thread or task; a `next` under way returns None."""
        await self._feed.close()

    async def _next(self, timeout: float | None) -> T | None:
        """The next item; None also when it is closed. Raises what ended it."""
        deadline = Deadline.after(timeout, time.monotonic())
        while True:
            feed = await self._begun(timeout)
            item = await feed.items.get(deadline.left(time.monotonic()))
            if item is not None:
                self._index = item.index
            elif feed is not self._feed and timeout is None:
                continue  # its beginning, which another task or thread had begun, was interrupted
            return cast(T | None, item)

    async def _begun(self, timeout: float | None) -> AsyncFeed:
        """Begins it where that was not done, and waits for that no longer than this. Raises what prevents it."""
        feed = self._feed
        if feed.items.exhausted:
            await async_checkpoint()
        elif not feed.begun:
            await self._begin(feed, timeout)
        if self._index:
            feed.reader_is_back()
        return feed

    async def _begin(self, feed: AsyncFeed, timeout: float | None) -> None:
        """Raises what prevents it, which ends the watch."""
        async_check_loop()
        try:
            await feed.begin(timeout)
        except BaseException:
            interrupted = feed.items.error is None and not feed.closed
            feed.abandon()
            if interrupted:
                self._feed = self._make_feed()
            await feed.close()
            raise

    def _is_closed(self) -> ValueError:
        return ValueError(f"the watch of {self._key} is closed")

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()
