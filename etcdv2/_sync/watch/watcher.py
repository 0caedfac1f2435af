# Derived from etcdv2/_async/watch/watcher.py by scripts/unasync.py: change that file, make generate.
"""What the user of a watch holds: items from a buffer that a background reader (`feed`) fills."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Self, TypeVar

from etcdv2._sync.watch.feed import Feed
from etcdv2._types.settings import check_seconds

T = TypeVar("T")


class Watcher(Generic[T]):
    """The changes of a key or tree, in order: iterate, or call `next`. Begun by `with` or the first `next`.

    `with` raises what prevents the watch, and ValueError when it is closed meanwhile.

    Loses nothing: when the server no longer has what comes next, HistoryCleared is raised, or with snapshots another
    Snapshot comes. Errors are raised after the events that came before them, and end the watch.
    """

    def __init__(self, key: str, feed: Feed) -> None:
        self._key = key
        self._feed = feed
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
        """Whether `close` was called; also True after the client's."""
        return self._feed.closed

    @property
    def unreachable_since(self) -> float | None:
        """When the cluster was found to be away, on the clock of `time.monotonic`; None while it answers."""
        return self._feed.unreachable_since

    def __enter__(self) -> Self:
        self._begin()
        if self.closed:
            raise ValueError(f"the watch of {self._key} is closed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float | None = None) -> T | None:
        """The next event; None when none came within `timeout` seconds, or when the watcher is closed.

        Raises HistoryCleared, ClusterChanged, ClusterUnavailable (`patience` is over), Unauthorized, V2ApiDisabled.
        """
        check_seconds("timeout", timeout)
        self._begin()
        item = self._feed.items.get(timeout)
        if item is not None:
            self._index = item.index
        # T is what the overloads of `watch` say: Event, or with snapshots Event | Snapshot.
        return item  # type: ignore[return-value] # pyright: ignore[reportReturnType]

    def close(self) -> None:
        """End the watch at once, from any thread or task; a `next` under way returns None."""
        self._feed.close()

    def _begin(self) -> None:
        feed = self._feed
        if feed.begun or feed.closed:
            return
        try:
            feed.begin()
        except BaseException:
            feed.close()
            raise

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()
