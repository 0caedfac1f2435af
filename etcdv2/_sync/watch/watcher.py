# Derived from etcdv2/_async/watch/watcher.py by scripts/unasync.py: change that file, make generate.
"""What the user of a watch holds: items from a buffer that a background reader (`feed`) fills."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from etcdv2._runtime.errors import fresh
from etcdv2._runtime.primitives import checkpoint
from etcdv2._sync.watch.feed import Feed
from etcdv2._types.settings import check_seconds

T = TypeVar("T")


class Watcher(Generic[T]):
    """The changes of a key or tree, in order: iterate, or call `next`. Begun by `with` or the first `next`.

    `with` raises what prevents the watch, and ValueError when it is closed meanwhile. A beginning
    that is interrupted (a cancellation, an exception of a signal handler) leaves it unbegun.

    Loses nothing: when the server no longer has what comes next, HistoryCleared is raised, or with snapshots another
    Snapshot comes. Errors are raised after the events that came before them, and end the watch.
    """

    def __init__(self, key: str, make_feed: Callable[[], Feed]) -> None:
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

    def __enter__(self) -> Self:
        feed = self._feed
        if feed.items.exhausted:
            checkpoint()
        elif not feed.begun:
            self._begin(feed)

        feed = self._feed
        if feed.items.exhausted and feed.items.error is not None:
            raise fresh(feed.items.error)
        if feed.closed:
            raise self._is_closed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self._next(None)
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float | None = None) -> T | None:
        """The next event; None when none came within `timeout` seconds, or when the watch is closed meanwhile.

        Raises HistoryCleared, ClusterChanged, ClusterUnavailable (`patience` is over), Unauthorized,
        V2ApiDisabled, which end the watch: then each call raises it. ValueError when it was closed before.
        """
        check_seconds("timeout", timeout)
        had_ended = self._feed.items.exhausted
        item = self._next(timeout)
        if item is None and had_ended:
            raise self._is_closed()
        return item

    def close(self) -> None:
        """End the watch at once, from any thread or task; a `next` under way returns None."""
        self._feed.close()

    def _next(self, timeout: float | None) -> T | None:
        """The next item; None also when it is closed. Raises what ended it."""
        while True:
            feed = self._feed
            if feed.items.exhausted:
                checkpoint()
            elif not feed.begun:
                self._begin(feed)

            item = feed.items.get(timeout)
            if item is not None:
                self._index = item.index
            elif feed is not self._feed and timeout is None:
                continue  # its beginning, which another task or thread had begun, was interrupted
            # T is what the overloads of `watch` say: Event, or with snapshots Event | Snapshot.
            return item  # type: ignore[return-value] # pyright: ignore[reportReturnType]

    def _begin(self, feed: Feed) -> None:
        """Raises what prevents it, which ends the watch."""
        try:
            feed.begin()
        except BaseException:
            interrupted = feed.items.error is None and not feed.closed
            feed.abandon()
            if interrupted:
                self._feed = self._make_feed()
            feed.close()
            raise

    def _is_closed(self) -> ValueError:
        return ValueError(f"the watch of {self._key} is closed")

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()
