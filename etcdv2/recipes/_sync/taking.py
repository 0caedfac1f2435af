# Derived from etcdv2/recipes/_async/taking.py by scripts/unasync.py: change that file, make generate.
"""The taking of an item from a queue: chosen from a live copy, claimed, and looked at.

Owns the copy, one for each queue of a session, and the claim with its clean-up on every way out.
Which item is chosen, `_queue` says.
"""

from __future__ import annotations

import threading
from math import inf
from typing import Self

from etcdv2 import KeyExists, KeyNotFound, Mirror, MirrorState
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import Pulse, Worker
from etcdv2.recipes._errors import AcquireCancelled
from etcdv2.recipes._lease import LeaseTimes
from etcdv2.recipes._queue import SHOWN_SECONDS, Backlog, claims_of, is_item, items_of
from etcdv2.recipes._sync.ephemeral import PASSING, Creation
from etcdv2.recipes._sync.held_key import HeldKey, within
from etcdv2.recipes._sync.item import Item
from etcdv2.recipes._sync.keeping import Keeping
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.waiting import Wait, WaitOver


class QueueCopy:
    """A mirror of one queue, for all consumers of a session. Begun in the background, so that each can give up."""

    def __init__(self, keeping: Keeping, key: str) -> None:
        self._keeping = keeping
        self._mirror: Mirror | None = None
        self._begun = Pulse()
        self._worker: Worker | None = None
        self._error: Exception | None = None
        self._backlog = Backlog(key, keeping.rng)
        self._lock = threading.Lock()
        self.key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}>"

    @classmethod
    def of(cls, keeping: Keeping, key: str) -> Self:
        """The one of this session."""
        found = keeping.shared.setdefault(key, cls(keeping, key))
        assert isinstance(found, cls)
        return found

    def state(self) -> MirrorState:
        """The newest one. Raises ValueError before the first."""
        if self._mirror is None:
            raise ValueError(f"{self.key}: the length is known after a `get`; `pending` and `claimed` ask the server")
        return self._mirror.state

    def begin(self, seconds: float | None) -> bool:
        """Whether there is a first state within so many seconds. Raises what prevents it."""
        with self._lock:
            if self._mirror is None or self._mirror.closed:
                self._start()
            begun = self._begun
        if not begun.wait(seconds):
            return False
        self._check()
        error, mirror = self._error, self._mirror
        if isinstance(error, ValueError) and mirror is not None and mirror.closed:
            raise AcquireCancelled(self.key, "the queue was closed")
        if error is not None:
            raise error
        return True

    def _start(self) -> None:
        """Begin a mirror, the first or one in place of that which has ended."""
        mirror, begun = self._keeping.client.keys.mirror(self.key), Pulse()

        def run() -> None:
            error: Exception | None = None
            try:
                mirror.open()
            except Exception as problem:
                error = problem
            if self._mirror is mirror:
                self._error = error
            begun.set()

        self._keeping.waits.add(self)
        self._mirror, self._begun, self._error = mirror, begun, None
        self._worker = Worker(run, "etcdv2-queue")

    def choose(self, seconds: float | None) -> str | None:
        """The name of the item to claim, when there is one within so many seconds. Raises what ended the mirror."""
        mirror = self._mirror
        assert mirror is not None
        if self._backlog.waits_for_a_moment:
            seconds = SHOWN_SECONDS if seconds is None else min(seconds, SHOWN_SECONDS)
        try:
            return mirror.wait_for(self._choose, seconds)
        except ValueError:
            self._check()
            if mirror.closed:
                raise AcquireCancelled(self.key, "the queue was closed") from None
            raise

    def _choose(self, state: MirrorState) -> str | None:
        with self._lock:
            return self._backlog.choose(state, clock.now())

    def claimed(self, name: str, index: int) -> None:
        """See `Backlog`."""
        with self._lock:
            self._backlog.claimed(name, index)

    def refused(self, name: str) -> None:
        """See `Backlog`."""
        with self._lock:
            self._backlog.refused(name, clock.now())

    def _check(self) -> None:
        if self._keeping.closed:
            raise AcquireCancelled(self.key, "its session was closed")

    def stop(self, reason: str) -> None:
        """For the session, which ends."""
        del reason
        self.close()

    def close(self) -> None:
        """End the mirror, and all who wait for it."""
        mirror = self._mirror
        if mirror is not None:
            mirror.close()


class Taking(Wait):
    """One consumer's way to an item."""

    def __init__(self, keeping: Keeping, copy: QueueCopy, times: LeaseTimes, until: float) -> None:
        super().__init__(keeping.client, copy.key, until, keeping.rng)
        self._keeping = keeping
        self._copy = copy
        self._times = times

    def run(self) -> Item:
        """Raises WaitOver, AcquireCancelled, and what no other try can mend."""
        while True:
            self.check_open()
            left = None if self._until == inf else max(0.0, self._until - clock.now())
            name = self._copy.choose(left)
            if name is not None:
                item = self._take(name)
                if item is not None:
                    return item
            elif clock.now() >= self._until:
                raise WaitOver

    def _take(self, name: str) -> Item | None:
        """The item, when it could be claimed and is there."""
        owner, times = self._keeping.owner, self._times
        value, key = f"{owner}-{self._rng.getrandbits(64):016x}", f"{claims_of(self._key)}/{name}"
        creation = Creation(self._client, key, value, times, self._rng)
        item: Item | None = None
        until = max(self._until, clock.now() + times.one_try)
        try:
            held = creation.create(until, self.check_open)
            self._keeping.plan(held, held)
            self._copy.claimed(name, held.token)
            item = self._look_at(name, held, until)
        except KeyExists:  # somebody was faster
            pass
        except PASSING as error:
            self.pause(error)
        finally:
            if item is None:
                self._copy.refused(name)
                self._keeping.give_up(creation)
        return item

    def _look_at(self, name: str, held: HeldKey, until: float) -> Item | None:
        """The claimed item, as it is now; None when it has gone, or the claim was lost."""
        while held.state.held(clock.now()):
            self.check_open()
            try:
                limit = within(min(self._times.one_try, until - clock.now()))
                node = (self._client.keys.get(f"{items_of(self._key)}/{name}", quorum=True, timeout=limit)).node
            except KeyNotFound:
                return None
            except PASSING as error:
                if clock.now() >= until:
                    raise
                self.pause(error)
                continue
            if not is_item(node) or not held.state.held(clock.now()):
                return None
            lease = Lease(self._keeping, held)
            self._keeping.acquired(lease, held)
            return Item(
                self._client, node.key, node.value or "", node.created_index, node.modified_index, lease, self._rng
            )
        return None
