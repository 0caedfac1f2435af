"""Mirrors: a local copy of a tree, kept current by one watcher with snapshots.

Owns the background worker, who waits for changes, and how stale the copy is. What an event does is the core's affair.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakSet

from etcdv2._async.watch.watcher import AsyncWatcher
from etcdv2._core.deadline import Deadline
from etcdv2._core.keys import check_buffer
from etcdv2._core.mirror.tree import Change, Differences, MirrorState, MirrorTree, Names
from etcdv2._runtime.forks import tell_after_fork
from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker
from etcdv2._types.results import Event, Snapshot
from etcdv2._types.settings import check_seconds
from etcdv2_api import Node

T = TypeVar("T")


class AsyncMirror(Mapping[str, Node]):
    """A live local copy of a tree: its files by absolute key, always a state that the server really had.

    Begin it by `async with`, which waits for the first state and raises what prevents it; until then all reads raise
    ValueError. Reads cost no request. While the cluster is away they give the last known state (`synced`, `stale_for`).
    When history was lost, the tree is read anew and the mirror goes over to that.

    Iterates in key order, directory by directory, as a read with `sorted` does. Directories are not among the keys,
    but `children` and `node` show them. Not in it: hidden keys, a directory that only hidden keys are in, and what
    `refresh` changes, which tells nobody: such a node keeps its old `expiration` and `modified_index`. A node's `ttl`
    is as of its write or of the first read; `expiration` is the moment itself.

    Two reads can see two states; `state` is one that stays. Safe to read from any thread. It is kept up until `close`,
    or the client's.
    """

    def __init__(self, watcher: AsyncWatcher[Event | Snapshot]) -> None:
        self._copy = AsyncCopy(watcher)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}>"

    @property
    def key(self) -> str:
        """The mirrored key, absolute."""
        return self._copy.tree.key

    @property
    def state(self) -> MirrorState:
        """The newest state, as a mapping that does not change any more. Raises ValueError before there is one."""
        return self._copy.state()

    @property
    def index(self) -> int:
        """The store index of the newest state: that of its last change, or of the snapshot."""
        return self.state.index

    def __getitem__(self, key: str) -> Node:
        return self.state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)

    def keys(self) -> KeysView[str]:
        """The keys of one state, which does not change any more."""
        return self.state.keys()

    def items(self) -> ItemsView[str, Node]:
        """Keys and nodes of one state."""
        return self.state.items()

    def values(self) -> ValuesView[Node]:
        """The nodes of one state."""
        return self.state.values()

    def node(self, key: str) -> Node | None:
        """The file or directory of that absolute key, None where there is neither."""
        return self.state.node(key)

    def children(self, key: str | None = None) -> tuple[Node, ...]:
        """What is directly in a directory (None: the mirrored one), files and directories, in key order.

        Empty where there is no directory. `Node.nodes` is empty: ask for the children of a child by its key.
        """
        return self.state.children(key)

    @property
    def synced(self) -> bool:
        """Whether there is a state and the watch behind it is connected."""
        return self._copy.begun and self.stale_for is None

    @property
    def stale_for(self) -> float | None:
        """Seconds since the state was last known to be current: since the cluster went away, or the mirror ended.

        None while it is current, and before the first state. A cut connection is noticed at once, a silent one when the
        next look at the store's index is not answered (5 s when the store is quiet, and `Timeout.attempt`).
        """
        return self._copy.stale_for(time.monotonic())

    @property
    def error(self) -> Exception | None:
        """What ended the mirror, and is raised by `wait_for` and `changes`. None while it goes on and after `close`."""
        return self._copy.error

    @property
    def closed(self) -> bool:
        """Whether it has ended: by `close`, the client's, or an error. The last state is still there."""
        return self._copy.ended_at is not None

    async def wait_for(self, predicate: Callable[[MirrorState], T], timeout: float | None = None) -> T:
        """Wait until `predicate`, called with the newest state after each change, returns something true; return that.

        Returns its last, false value when `timeout` seconds are over or the mirror is closed. States that follow each
        other quickly can be skipped: `changes` has them all. Raises what ended the mirror.
        """
        check_seconds("timeout", timeout)
        deadline = Deadline.after(timeout, time.monotonic())
        while True:
            changed, ended = self._copy.changed, self.closed
            value = predicate(self.state)
            if value:
                return value
            if ended and self.error is not None:
                raise self.error
            left = deadline.left(time.monotonic())
            if ended or left == 0:
                return value
            await changed.wait(left)

    def changes(self, key: str | None = None, *, existing: bool = False, buffer: int = 1000) -> AsyncMirrorChanges:
        """Iterate over what changes from this call on, file by file; `existing`: first what is there, as added.

        `key`: only the file of that absolute key, or what is below that directory. Any number can iterate, each for
        itself, and at no cost to the server: they share the mirror's one watch. One that falls more than `buffer`
        changes behind loses no key, but gets what came then as the comparison of two states: at most one change for a
        key, with the newest node and index. So does everyone after a loss of history. Memory: `buffer` changes and
        those of one event more, and one old state. Raises ValueError for a key that is not in the mirror.
        """
        check_buffer(buffer)
        if key is not None and Names(self.key).of(key.rstrip("/") or "/") is None:
            raise ValueError(f"key {key!r}: is not in the mirror of {self.key}")
        reader = Differences(buffer, key)
        state = self._copy.add(reader)
        return AsyncMirrorChanges(self._copy, reader, reader.wanted(state.as_added()) if existing else [])

    async def __aenter__(self) -> Self:
        try:
            await self._copy.begin()
        except BaseException:
            await self._copy.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it, from any thread or task: whatever waits returns. The last state can still be read."""
        await self._copy.close()


class AsyncMirrorChanges:
    """The changes of a mirror: iterate, or call `next`; for one thread or task. Ends with the mirror, or by `close`."""

    def __init__(self, copy: AsyncCopy, reader: Differences, existing: list[Change]) -> None:
        self._copy = copy
        self._reader = reader
        self._compared = deque(existing)
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._copy.tree.key}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        change = await self.next()
        if change is None:
            raise StopAsyncIteration
        return change

    async def next(self, timeout: float | None = None) -> Change | None:
        """The next change; None when none came within `timeout` seconds, or when this or the mirror is closed.

        Raises what ended the mirror, after the changes that came before.
        """
        check_seconds("timeout", timeout)
        deadline = Deadline.after(timeout, time.monotonic())
        copy = self._copy
        while True:
            changed, ended = copy.changed, copy.ended_at is not None
            if self._closed:
                return None
            change = self._take()
            if change is not None:
                return change
            if ended and copy.error is not None:
                raise copy.error
            left = deadline.left(time.monotonic())
            if ended or left == 0:
                return None
            await changed.wait(left)

    def close(self) -> None:
        """Forget what was not taken, from any thread; a `next` under way returns None. The mirror goes on."""
        self._closed = True
        self._copy.forget(self._reader)

    def _take(self) -> Change | None:
        if not self._compared:
            change, behind = self._copy.take(self._reader)
            if behind is None:
                return change
            self._compared.extend(self._reader.wanted(behind[0].differences(behind[1])))
        return self._compared.popleft() if self._compared else None


class AsyncCopy:
    """The background side of one mirror."""

    def __init__(self, watcher: AsyncWatcher[Event | Snapshot]) -> None:
        self.tree = MirrorTree(watcher.key)
        self.begun = False
        """Whether there is a state."""
        self.changed = AsyncPulse()
        """Set, and replaced by a new one, whenever there is something new to see."""
        self.ended_at: float | None = None
        self.error: Exception | None = None
        self._watcher = watcher
        self._worker: AsyncWorker | None = None
        self._lock = threading.Lock()
        """For the tree and its readers; held for single steps, never while waiting or comparing."""
        self._readers: WeakSet[Differences] = WeakSet()
        tell_after_fork(self)

    def __reduce__(self) -> str:
        raise TypeError("a mirror of a Client cannot be pickled: make one in each process")

    def after_fork(self) -> None:
        """In a forked child: ended, with the last state. The parent's worker and lock are not here."""
        if self._lock.locked():
            self.begun = False  # the tree was just being changed
        self._lock = threading.Lock()
        self._worker = None
        self.ended_at = self.ended_at or time.monotonic()
        self.changed = AsyncPulse()
        self.changed.set()

    async def begin(self) -> None:
        """Start the background work, once, and wait for the first state. Raises what prevents it."""
        with self._lock:
            if self._worker is None and self.ended_at is None:
                self._worker = AsyncWorker(self._run, "etcdv2-mirror")
        while True:
            changed, begun = self.changed, self.begun
            if self.ended_at is not None:
                raise self.error or ValueError(f"the mirror of {self.tree.key} is closed")
            if begun:
                return
            await changed.wait(None)

    async def close(self) -> None:
        self._end(None)
        await self._watcher.close()
        if self._worker is not None:
            self._worker.cancel()
            await self._worker.join(0.2)

    def state(self) -> MirrorState:
        state = self.tree.frozen
        if state is None:
            with self._lock:
                state = self._newest()
        return state

    def _newest(self) -> MirrorState:
        if not self.begun:
            raise ValueError(f"the mirror of {self.tree.key} has not begun: enter it by `with` first")
        return self.tree.freeze()

    def stale_for(self, now: float) -> float | None:
        since = self._watcher.unreachable_since if self.ended_at is None else self.ended_at
        return None if since is None or not self.begun else max(0.0, now - since)

    def add(self, reader: Differences) -> MirrorState:
        """From the returned state on, the reader gets what changes."""
        with self._lock:
            state = self._newest()
            self._readers.add(reader)
        return state

    def take(self, reader: Differences) -> tuple[Change | None, tuple[MirrorState, MirrorState] | None]:
        """A change, or two states to compare, or neither."""
        with self._lock:
            change = reader.take()
            return change, None if change is not None else reader.catch_up(self.tree)

    def forget(self, reader: Differences) -> None:
        with self._lock:
            self._readers.discard(reader)
            self._tell()

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            while (item := await self._watcher.next()) is not None:
                self._step(item)
        except Exception as caught:  # whatever it is, the mirror's user must hear of it
            error = caught
        finally:
            self._end(error)
            await self._watcher.close()

    def _step(self, item: Event | Snapshot) -> None:
        step = self.tree.plan(item)
        if step is None:
            return
        with self._lock:
            self.tree.carry_out(step)
            self.begun = True
            for reader in self._readers:
                reader.offer(step.changes, self.tree)
            self._tell()

    def _end(self, error: Exception | None) -> None:
        with self._lock:
            if self.ended_at is None:
                self.error = error
                self.ended_at = time.monotonic()
            self._tell()

    def _tell(self) -> None:
        told, self.changed = self.changed, AsyncPulse()
        told.set()
