# Derived from etcdv2/_async/mirror_copy.py by scripts/unasync.py: change that file, make generate.
"""The background side of a mirror: one worker that turns a watch's items into states and changes.

Owns the worker, its lock and who is woken. What an event does to the tree is the affair of
`_core.mirror.tree`, what one reader has missed that of `_core.mirror.change_queue`.
"""

from __future__ import annotations

import logging
import threading
import time
from weakref import ref

from etcdv2._core.mirror.change_queue import ChangeQueue
from etcdv2._core.mirror.tree import MirrorTree
from etcdv2._runtime.errors import fresh
from etcdv2._runtime.forks import register_after_fork
from etcdv2._runtime.primitives import Pulse, Worker, checkpoint
from etcdv2._sync.watch.mirror_feed import MirrorWatcher, Settled
from etcdv2._types.call_errors import ClusterUnavailable
from etcdv2._types.mirror import Change, MirrorState
from etcdv2._types.results import Event, Snapshot

logger = logging.getLogger("etcdv2")


class MirrorCopy:
    """One mirror: its worker, its tree, and who reads the changes.

    The worker alone changes the tree. States can be read, and readers added, from any thread.
    """

    def __init__(self, watcher: MirrorWatcher) -> None:
        self.tree = MirrorTree(watcher.key)
        self.begun = False
        """Whether there is a state."""
        self.changed = Pulse()
        """Set, and replaced by a new one, whenever there is something new to see."""
        self.ended_at: float | None = None
        self.error: Exception | None = None
        self._known_to = 0
        """All that happened to its keys up to this index is in it."""
        self._watcher = watcher
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        """For the tree and its readers; held for single steps, never while waiting or comparing."""
        self._readers: set[ref[ChangeQueue]] = set()
        """Those that were forgotten leave it by themselves, in C, where a signal handler cannot interrupt."""
        register_after_fork(self)

    def __repr__(self) -> str:
        state = "ended" if self.ended_at is not None else "current" if self.begun else "not begun"
        return f"<{type(self).__name__} {state}: {self.tree!r}>"

    def __reduce__(self) -> str:
        raise TypeError("a mirror of a Client cannot be pickled: make one in each process")

    def after_fork(self) -> None:
        """In a forked child: ended, with the last state. Worker and lock are the parent's."""
        if self._lock.locked():
            self.begun = False  # the parent was changing the tree: half of a change may be in it
        self._lock = threading.Lock()
        self._worker = None
        self.ended_at = self.ended_at or time.monotonic()
        self.changed = Pulse()
        self.changed.set()

    @property
    def has_ended(self) -> bool:
        """Also where the client has closed the watch behind it, and the worker does not know that yet."""
        return self.ended_at is not None or self._watcher.closed

    def begin(self) -> None:
        """Start the worker, once, and wait for the first state. Raises what prevents it."""
        with self._lock:
            if self._worker is None and self.ended_at is None:
                try:
                    self._worker = Worker(self._run, "etcdv2-mirror")
                except RuntimeError as error:
                    raise ClusterUnavailable(f"the mirror of {self.tree.key} cannot begin: {error}") from error

        while True:
            changed, begun = self.changed, self.begun
            if self.ended_at is not None:
                checkpoint()
                raise self.why_ended()
            if begun:
                checkpoint()
                return
            changed.wait(None)

    def is_closed(self) -> ValueError:
        """What a call raises that begins after a `close`."""
        return ValueError(f"the mirror of {self.tree.key} is closed")

    def why_ended(self) -> Exception:
        """What is to be raised for its end: the error, if that was one."""
        return self.is_closed() if self.error is None else fresh(self.error)

    def close(self) -> None:
        """End the worker and the watch behind it."""
        try:
            self._end(None)
        finally:  # also where the handler of a signal raises
            self._watcher.close()
        if self._worker is not None:
            self._worker.cancel()
            self._worker.join(0.2)

    def state(self) -> MirrorState:
        """The newest state. Raises ValueError before there is one."""
        state = self.tree.frozen
        if state is None:
            with self._lock:
                state = self._newest()
        return state

    def _newest(self) -> MirrorState:
        if not self.begun:
            raise self._has_not_begun()
        return self.tree.freeze()

    def known_to(self) -> int:
        """All that happened to its keys up to this index is in it. Raises ValueError before there is a state."""
        if not self.begun:
            raise self._has_not_begun()
        return self._known_to

    def want(self, index: int) -> None:
        """Somebody waits until all up to this index is in it, and the worker is to find that out."""
        self._watcher.want(index)

    def unwant(self, index: int) -> None:
        """Somebody waits no more."""
        self._watcher.unwant(index)

    def _has_not_begun(self) -> ValueError:
        return ValueError(f"the mirror of {self.tree.key} has not begun: enter it by `with` first")

    def stale_for(self, now: float) -> float | None:
        """Seconds since the state was known to be current, None while it is."""
        since = self._watcher.unreachable_since if self.ended_at is None else self.ended_at
        return None if since is None or not self.begun else max(0.0, now - since)

    def add(self, reader: ChangeQueue) -> MirrorState:
        """From the returned state on, the reader gets what changes."""
        with self._lock:
            state = self._newest()
            self._readers.add(ref(reader, self._readers.discard))
        return state

    def take(self, reader: ChangeQueue) -> tuple[Change | None, tuple[MirrorState, MirrorState] | None]:
        """A change, or two states to compare, or neither."""
        with self._lock:
            change = reader.take()
            return change, None if change is not None else reader.catch_up(self.tree)

    def forget(self, reader: ChangeQueue) -> None:
        """The reader gets nothing more; whoever waits for it wakes up."""
        with self._lock:
            self._readers.discard(ref(reader))
            self._notify()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for item in self._watcher:
                self._step(item)
        except Exception as caught:  # whatever it is, it is raised to the mirror's user
            error = caught
            if self.begun:  # reads give the last state, and do not raise it
                logger.warning("the mirror of %s has ended: %s", self.tree.key, error)
        finally:
            self._end(error)
            self._watcher.close()

    def _step(self, item: Event | Snapshot | Settled) -> None:
        # Planning may take long and needs no lock: only this worker changes the tree.
        step = None if isinstance(item, Settled) else self.tree.plan(item)

        with self._lock:
            if step is not None:
                self.tree.carry_out(step)
                self.begun = True
                for known in self._readers.copy():
                    reader = known()
                    if reader is not None:
                        reader.offer(step.changes, self.tree)
            # A snapshot may be of an older store, or of another one.
            self._known_to = item.index if isinstance(item, Snapshot) else max(self._known_to, item.index)
            self._notify()

    def _end(self, error: Exception | None) -> None:
        with self._lock:
            if self.ended_at is None:
                self.error = error
                self.ended_at = time.monotonic()
            self._notify()

    def _notify(self) -> None:
        """Wake everyone who waits. The new pulse is in place before the old one wakes anybody."""
        changed, self.changed = self.changed, Pulse()
        changed.set()
