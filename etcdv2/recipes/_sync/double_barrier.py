# Derived from etcdv2/recipes/_async/double_barrier.py by scripts/unasync.py: change that file, make generate.
"""A double barrier: all begin together, and all end together.

Owns the entries of those who take part. When they may go on, `_double_barrier` says.
"""

from __future__ import annotations

import threading
from math import inf
from weakref import ref

from etcdv2 import CompareFailed, KeyExists, KeyNotFound, NotDir
from etcdv2._runtime import clock
from etcdv2._runtime.interruption import who
from etcdv2.recipes import _double_barrier as rules
from etcdv2.recipes._arguments import check_timeout, check_wait
from etcdv2.recipes._contest import Entry
from etcdv2.recipes._errors import AcquireTimeout
from etcdv2.recipes._lease import GONE, LeaseTimes
from etcdv2.recipes._sync.contest import Contest, Terms
from etcdv2.recipes._sync.ephemeral import PASSING
from etcdv2.recipes._sync.held_key import HeldKey, within
from etcdv2.recipes._sync.keeping import Keeping
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.waiting import WaitOver


class Gathering(Contest):
    """One participant's way in, or out."""

    def __init__(self, keeping: Keeping, terms: Terms, count: int, until: float) -> None:
        super().__init__(keeping, terms, until)
        self._count = count
        self._barrier = terms.key.rpartition("/")[0]
        self._ready: rules.Ready | None = None
        self.upto = 0
        """After `run`: the highest created index of those who go on together."""

    def list_entries(self, *, quorum: bool = False) -> tuple[Entry, ...]:
        """All entries, and `ready`, in one request."""
        limit = within(self._left_of_a_try())
        try:
            listing = self._client.keys.get(
                self._barrier, recursive=True, consistency="quorum" if quorum else "session", timeout=limit
            )
        except KeyNotFound as error:
            self._index, entries, self._ready = error.index, list[Entry](), None
        else:
            if not listing.node.dir:
                raise NotDir("Not a directory", code=104, cause=self._barrier, index=listing.index)
            self._index = listing.index
            entries, self._ready = rules.seen(listing.node.leaves(), self._barrier)
        self.seen = tuple(entries)
        return self.seen

    def all_left(self, upto: int) -> None:
        """Wait until none of those up to this index is there, and remove `ready`. Raises as `run` does."""
        while True:
            self.check()
            try:
                left = rules.left_of(self.list_entries(quorum=True), upto)
                if not left:
                    if self._ready is not None and self._ready.upto <= upto:
                        self._clear(self._ready.index)
                    return
            except PASSING as error:
                self.pause(error)
                continue

            # Any of them, so that those who wait do not all wake for each one.
            self.change_of(f"{self._key}/{self._rng.choice(left).name}", self._index)

    def _enter(self) -> HeldKey:
        held = super()._enter()
        held.bar = rules.LEFT
        return held

    def _turn(self, held: HeldKey, *, wait: bool) -> bool:
        """True when all are there, False when the entry was lost."""
        del wait
        ready = f"{self._barrier}/{rules.READY}"
        while held.state.held(clock.now()):
            self.check()
            try:
                entries = self.list_entries()
                if self._index < held.token:
                    continue
                decision = rules.arrive(entries, self._ready, held.token, self._count)
                match decision:
                    case None:
                        held.state.lose(GONE)
                    case rules.Pass(upto):
                        self.upto = upto
                        return held.state.held(clock.now())
                    case rules.Open(upto):
                        self._open(ready, upto)
                    case rules.Clear(index):
                        self._clear(index)
                    case rules.AwaitReady():
                        self.change_of(ready, self._index, held=held)
                    case rules.AwaitAny():
                        self.change_of(self._barrier, self._index, recursive=True, held=held)
            except PASSING as error:
                self.pause(error)
        return False

    def _open(self, ready: str, upto: int) -> None:
        limit = within(min(self.terms.times.one_try, self._until - clock.now()))
        try:
            self._client.keys.create(ready, str(upto), repeat_writes=False, timeout=limit)
        except KeyExists:  # another one counted as many, or one of an earlier round is there
            return

    def _clear(self, index: int) -> None:
        """Delete the `ready` of those who have gone: one try, as whoever sees it next does it, too."""
        limit = within(min(self.terms.times.one_try, self._until - clock.now()))
        try:
            self._client.keys.delete(
                f"{self._barrier}/{rules.READY}", prev_index=index, repeat_writes=False, timeout=limit
            )
        except (KeyNotFound, CompareFailed):  # another one did
            return


class DoubleBarrier:
    """All begin together when `count` have entered, and all end together when these have left. Made by a session.

        lease = barrier.enter()
        ...
        barrier.leave()

    Who enters while others are still leaving is of the next round, and waits for it. One object
    serves any number of tasks or threads, and of rounds.

    Guarantees: `enter` returns when `count` entries were there at one moment; who died while it
    waited is counted for up to the TTL. `leave` returns True when all those who went on together
    have left, or have died. Beside the entries there is one key, `ready`, without TTL: where all die
    it stays until the next round.
    """

    def __init__(self, keeping: Keeping, key: str, count: int, times: LeaseTimes) -> None:
        self._keeping = keeping
        self._key = key
        self._count = count
        self._terms = Terms(f"{key}/{rules.ENTRIES}", "lock", 1, keeping.owner, times, tidy=False)
        self._entered: list[tuple[ref[object], Lease, int]] = []
        self._entering = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} for {self.count}>"

    @property
    def key(self) -> str:
        """The directory, absolute."""
        return self._key

    @property
    def count(self) -> int:
        """How many go on together."""
        return self._count

    def enter(self, timeout: float | None = None) -> Lease:
        """Wait until all are there: for at most `timeout` seconds, None for as long as it takes.

        The lease is that of the own entry: it is lost as any other, and then the others may end
        without this one. Raises as `Lock.acquire` does; RuntimeError when this task or thread
        has entered and not left.
        """
        check_wait(timeout)
        keeping = self._keeping
        keeping.check_open()
        keeping.check_not_held(self._key)
        until = inf if timeout is None else clock.now() + timeout
        gathering = Gathering(keeping, self._terms, self._count, until)
        keeping.waits.add(gathering)

        def made(held: HeldKey) -> Lease:
            lease = Lease(keeping, held)
            keeping.acquired(lease, held, self._key)
            return lease

        try:
            lease = gathering.run(made)
        except (WaitOver, *PASSING) as error:
            if clock.now() < until or timeout is None:
                raise
            cause = gathering.failure if isinstance(error, WaitOver) else error
            raise AcquireTimeout(self._key, timeout, ()) from cause
        assert lease is not None
        with self._entering:
            self._entered.append((ref(who()), lease, gathering.upto))
        return lease

    def leave(self, timeout: float | None = None) -> bool:
        """Delete the own entry, and wait until all have left: True then, False after `timeout` seconds.

        None waits for as long as it takes, 0 not at all. The own entry is deleted in any case, if
        need be in the background. Raises ValueError when nobody has entered by this object,
        AcquireCancelled when the session is closed, and what a read raises.
        """
        check_timeout(timeout)
        lease, upto = self._own()
        until = inf if timeout is None else clock.now() + timeout
        lease.release()
        gathering = Gathering(self._keeping, self._terms, self._count, until)
        self._keeping.waits.add(gathering)
        try:
            gathering.all_left(upto)
        except WaitOver:
            return False
        return True

    def _own(self) -> tuple[Lease, int]:
        """That of this task or thread; else the last one, as of one that `asyncio.wait_for` made. Raises ValueError."""
        me = who()
        with self._entering:
            if not self._entered:
                raise ValueError(f"{self._key}: nobody has entered by this object who has not left")
            mine = [at for at, (who, _, _) in enumerate(self._entered) if who() is me]
            _, lease, upto = self._entered.pop(mine[-1] if mine else -1)
        return lease, upto
