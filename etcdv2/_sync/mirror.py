# Derived from etcdv2/_async/mirror.py by scripts/unasync.py: change that file, make generate.
"""Mirrors: a local copy of a tree, kept current by one watcher with snapshots.

Owns what users see of it: reads, waiting for a change, iterating over changes. The worker behind it
is in `mirror_copy`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import TracebackType
from typing import Self, TypeVar

from etcdv2._core.deadline import Deadline
from etcdv2._core.keys import check_buffer, check_index
from etcdv2._core.mirror.change_queue import ChangeQueue
from etcdv2._runtime.primitives import check_loop, checkpoint, gives_way
from etcdv2._sync.mirror_copy import MirrorCopy
from etcdv2._sync.watch.mirror_feed import MirrorWatcher
from etcdv2._types.mirror import Change, MirrorState, Subtree, without_slash
from etcdv2._types.settings import check_batch, check_wait
from etcdv2_api import Node

T = TypeVar("T")


@gives_way
class Mirror(Mapping[str, Node]):
    """A live local copy of a tree: its files by absolute key, in a state that the server had.

    Begin it by `with`, which waits for the first state and raises what prevents it; until
    then all reads raise ValueError. Reads cost no request. While the cluster cannot be reached they
    give the last known state (`synced`, `stale_for`). When history was lost, the mirror reads the
    tree again and goes over to that.

    Iterates in key order, directory by directory, as a read with `sorted` does. Directories are not
    among the keys, but `children` and `node` show them. Not in it: hidden keys, a directory that
    only hidden keys are in, and what `refresh` changes, which makes no event: such a node keeps its
    old `expiration` and `modified_index`. A node's `ttl` is as of its write or of the first read;
    `expiration` is the moment itself.

    Two reads can see two states; `state` is one that stays. Safe to read from any thread. It is
    kept current until `close`, or until the client is closed.
    """

    def __init__(self, make_watcher: Callable[[], MirrorWatcher]) -> None:
        self._make_watcher = make_watcher
        self._copy = MirrorCopy(make_watcher())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}>"

    @property
    def key(self) -> str:
        """The mirrored key, absolute."""
        return self._copy.tree.key

    @property
    def state(self) -> MirrorState:
        """The newest state, as a mapping that never changes. Raises ValueError before the first."""
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
        """The files and directories directly in a directory (None: the mirrored one), in key order.

        Empty where there is no directory. `Node.nodes` is empty: ask for the children of a child by
        its key.
        """
        return self.state.children(key)

    @property
    def synced(self) -> bool:
        """Whether there is a state and the watch behind it is connected."""
        return self._copy.begun and self.stale_for is None

    @property
    def stale_for(self) -> float | None:
        """Seconds since the state was last known to be current; None while it is.

        They count from when contact with the cluster was lost, or the mirror ended; None before the
        first state, too. A cut connection is noticed at once, a silent one when the next probe of
        the store's index is not answered (a probe every 5 s when the store is quiet, each waiting
        for `Timeout.attempt`).
        """
        return self._copy.stale_for(time.monotonic())

    @property
    def error(self) -> Exception | None:
        """The error that ended the mirror, raised by `wait_for` and `changes`; None after `close`."""
        return self._copy.error

    @property
    def closed(self) -> bool:
        """Whether it has ended, by an error or by `close`, also the client's. The state is kept."""
        return self._copy.has_ended

    def wait_for(self, predicate: Callable[[MirrorState], T], timeout: float | None = None) -> T:
        """Wait until `predicate` returns something true for the newest state, and return that.

        It is called with the newest state, now and after each change. States that follow each other
        quickly can be skipped: `changes` has them all. When `timeout` seconds are over (0: it looks
        once) or the mirror is closed meanwhile, its last, false value is returned. Raises what ended the mirror,
        and ValueError when it was closed before.
        """
        check_wait(timeout)
        deadline = Deadline.after(timeout, time.monotonic())
        checkpoint()
        if self.closed:
            raise self._copy.why_ended()

        while True:
            # The pulse is taken before the state is read: a change between the two then wakes the wait below.
            changed, ended = self._copy.changed, self.closed
            value = predicate(self.state)
            if value:
                return value

            if ended and self.error is not None:
                raise self._copy.why_ended()
            left = deadline.left(time.monotonic())
            if ended or left == 0:
                return value
            changed.wait(left)

    def wait_for_index(self, index: int, timeout: float | None = None) -> bool:
        """Wait until the mirror has all that happened to its keys up to that index of the store, and return True.

        `index`: that of a Response, Event or error, also of a key that is not in the mirror. So `mirror`
        has what a write did, wherever that was made, and what was written before it. False when `timeout`
        seconds are over (0: whether that is known already) or the mirror is closed meanwhile.

        Where no change of its own shows it, the mirror asks: that takes about ten small requests. Behind a
        balancer of HTTP it takes twice as many, and some seconds; where a proxy holds headers back (README,
        "Behind a proxy or balancer") up to 10 s, as the state is read again. While the store is not that
        far yet, its index is read four times a second. An index of another cluster, or from before a store
        was put back, means nothing.

        Raises what ended the mirror, ValueError when it was closed before, and TypeError or ValueError for no index.
        """
        check_wait(timeout)
        check_index(index)
        deadline = Deadline.after(timeout, time.monotonic())
        checkpoint()
        if self.closed:
            raise self._copy.why_ended()
        if self._copy.known_to() >= index:
            return True

        self._copy.want(index)
        try:
            while True:
                # The pulse first, as in `wait_for`.
                changed, ended = self._copy.changed, self.closed
                if self._copy.known_to() >= index:
                    return True

                if ended and self.error is not None:
                    raise self._copy.why_ended()
                left = deadline.left(time.monotonic())
                if ended or left == 0:
                    return False
                changed.wait(left)
        finally:
            self._copy.unwant(index)

    def changes(self, key: str | None = None, *, existing: bool = False, buffer: int = 1000) -> MirrorChanges:
        """Iterate over what changes from this call on, file by file.

        `existing`: first what is there, as added. `key`: only the file of that absolute key, or
        what is below that directory. Raises ValueError for a key that is not in the mirror.

        Any number can iterate, each for itself, and at no cost to the server: they share the
        mirror's one watch. One that falls more than `buffer` changes behind loses no key, but gets
        what came then as the comparison of two states: at most one change for a key, with the
        newest node and index. So does everyone after a loss of history. Memory: `buffer` changes
        and those of one event more, and one old state.
        """
        check_buffer(buffer)
        if key is not None and Subtree(self.key).segments(without_slash(key)) is None:
            raise ValueError(f"key {key!r}: is not in the mirror of {self.key}")

        reader = ChangeQueue(buffer, key)
        state = self._copy.add(reader)
        return MirrorChanges(self._copy, reader, reader.wanted(state.as_added()) if existing else [])

    def __enter__(self) -> Self:
        check_loop()
        copy = self._copy
        try:
            copy.begin()
        except BaseException:
            if not self.closed:  # interrupted: it can be begun again
                self._copy = MirrorCopy(self._make_watcher())
            copy.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Begin it without `with`, for an object that owns it, and ends it by `close`. Raises as `with` does."""
        return self.__enter__()

    def close(self) -> None:
        """End it, from any thread or task: whatever waits returns. The last state is kept."""
        self._copy.close()


@gives_way
class MirrorChanges:
    """The changes of a mirror, for one thread or task: iterate, or call `next`.

    Ends with the mirror, or by `close`.
    """

    def __init__(self, copy: MirrorCopy, reader: ChangeQueue, existing: list[Change]) -> None:
        self._copy = copy
        self._reader = reader
        self._compared = deque(existing)
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._copy.tree.key}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = self._next(None)
        if change is None:
            raise StopIteration
        return change

    def next(self, timeout: float | None = None) -> Change | None:
        """The next change; None when none came within `timeout` seconds, or when it is closed meanwhile.

        `timeout`: None waits for ever; 0 takes what has come already.

        Raises what ended the mirror, after the changes that came before, and ValueError when this or the mirror was
        closed before.
        """
        check_wait(timeout)
        had_ended = self._closed or self._copy.has_ended
        checkpoint()
        change = self._next(timeout)
        if change is None and had_ended:
            raise self._copy.is_closed()
        return change

    def batch(self, timeout: float | None = None, *, gather: float = 0.1, limit: int | None = None) -> list[Change]:
        """The next changes together, in order: the first as `next` gives it, and what comes within `gather` seconds.

        Empty where `next` gives None. `gather`: seconds from when the first is there; 0 for what has
        come already. `limit`: at most so many, None for all; a batch that is full does not wait.
        Raises as `next` does, after all changes that came before.
        """
        check_batch(timeout, gather, limit)
        had_ended = self._closed or self._copy.has_ended
        checkpoint()
        first = self._next(timeout)
        if first is None:
            if had_ended:
                raise self._copy.is_closed()
            return []

        # Nothing is taken while this waits: a cancellation loses nothing.
        self._compared.appendleft(first)
        self._gather(Deadline.after(gather, time.monotonic()), limit)
        batch: list[Change] = []
        while not self._closed and (limit is None or len(batch) < limit):
            change = self._take()
            if change is None:
                break
            batch.append(change)
        return batch

    def _gather(self, deadline: Deadline, limit: int | None) -> None:
        """Wait until then, or until so many are there, or no more can come."""
        while True:
            changed = self._copy.changed
            enough = limit is not None and len(self._compared) + self._reader.waiting >= limit
            left = deadline.left(time.monotonic())
            if enough or left == 0 or self._closed or self._copy.has_ended:
                return
            changed.wait(left)

    def _next(self, timeout: float | None) -> Change | None:
        """The next change; None also at the end. Raises what ended the mirror."""
        deadline = Deadline.after(timeout, time.monotonic())
        copy = self._copy

        while True:
            # The pulse is taken before the queue is read: a change between the two then wakes the wait below.
            changed, ended = copy.changed, copy.has_ended or self._closed
            change = None if self._closed else self._take()
            if change is not None:
                return change

            if ended:
                break
            left = deadline.left(time.monotonic())
            if left == 0:
                return None
            changed.wait(left)

        checkpoint()
        if copy.error is not None and not self._closed:
            raise copy.why_ended()
        return None

    def close(self) -> None:
        """Drop what was not taken, from any thread; a `next` under way returns None."""
        self._closed = True
        self._copy.forget(self._reader)

    def _take(self) -> Change | None:
        """The next change that is there already."""
        if not self._compared:
            change, behind = self._copy.take(self._reader)
            if behind is None:
                return change

            # Some were left out while this reader was busy: a comparison of two states stands for them.
            self._compared.extend(self._reader.wanted(behind[0].differences(behind[1])))
        return self._compared.popleft() if self._compared else None
