"""A place in the store, the whole of it or below a prefix, and how to watch from there."""

from __future__ import annotations

from typing import Any, Literal, overload

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._async.mirror import AsyncMirror
from etcdv2._async.watch.feed import AsyncFeed
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._async.watch.watcher import AsyncWatcher
from etcdv2._core import keys as _keys
from etcdv2._core.watch.cursor import Cursor
from etcdv2._types.results import Event, Snapshot
from etcdv2._types.settings import check_seconds
from etcdv2_api.call import key_path


class AsyncView:
    """What `AsyncKeysAPI` is built on."""

    def __init__(self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, prefix: str = "") -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._prefix or '/'}>"

    @property
    def prefix(self) -> str:
        """The directory that keys are relative to, "" for the whole store."""
        return self._prefix

    @overload
    def watch(
        self,
        key: str,
        *,
        recursive: bool = ...,
        after_index: int | None = ...,
        snapshots: Literal[False] = ...,
        patience: float | None = ...,
        buffer: int = ...,
    ) -> AsyncWatcher[Event]: ...
    @overload
    def watch(
        self,
        key: str,
        *,
        snapshots: Literal[True],
        recursive: bool = ...,
        patience: float | None = ...,
        buffer: int = ...,
    ) -> AsyncWatcher[Event | Snapshot]: ...
    def watch(
        self,
        key: str,
        *,
        recursive: bool = False,
        after_index: int | None = None,
        snapshots: bool = False,
        patience: float | None = None,
        buffer: int = 1000,
    ) -> AsyncWatcher[Any]:
        """The changes of a key, or of everything below it with `recursive`, one by one and in order.

        `after_index`: None is "from now" (from entering `with`, or the first `next`), n is what came after index n, 0
        the oldest that the server still has (1,000 events of the whole store). A deletion of a directory above comes
        as an event with `ancestor` set. `snapshots`: the first item is a Snapshot of the state, then come the events
        after it; where the server has lost events, or the cluster was replaced, the next item is another Snapshot,
        which without snapshots is a HistoryCleared or ClusterChanged. `patience`: seconds to endure a cluster that does
        not answer before ClusterUnavailable, None for ever. `buffer`: events read ahead while their user is busy.
        """
        check_seconds("patience", patience)
        _keys.check_buffer(buffer)
        if snapshots and after_index is not None:
            raise ValueError("after_index: a watch with snapshots begins with the state as it is; leave it out")
        full = self._absolute(key)
        key_path(full)
        cursor = Cursor(full, recursive=recursive, wait_index=_keys.after(after_index))
        return AsyncWatcher(
            full, AsyncFeed(self._dispatcher, self._monitor, full, cursor, patience, buffer, snapshots=snapshots)
        )

    def mirror(self, key: str, *, patience: float | None = None, buffer: int = 1000) -> AsyncMirror:
        """A live local copy of everything below `key` (or of the file `key`): begun by `with`, then a mapping.

        Its keys are absolute, also in a view. One watch with snapshots keeps it current; `patience` and `buffer` are
        those of `watch`.
        """
        return AsyncMirror(self.watch(key, recursive=True, snapshots=True, patience=patience, buffer=buffer))

    def _absolute(self, key: str) -> str:
        return _keys.absolute(key, self._prefix)
