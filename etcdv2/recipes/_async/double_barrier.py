"""A double barrier: all begin together, and all end together.

Owns the entries of those who take part. When they may go on, `_double_barrier` says.
"""

from __future__ import annotations

import threading
from math import inf
from weakref import ref

from etcdv2 import CompareFailed, KeyExists, KeyNotFound, NotDir
from etcdv2._runtime import clock
from etcdv2._runtime.interruption import async_who
from etcdv2.recipes import _double_barrier as rules
from etcdv2.recipes._arguments import check_timeout, check_wait
from etcdv2.recipes._async.contest import AsyncContest, Terms
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import AsyncHeldKey, within
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.waiting import WaitOver
from etcdv2.recipes._contest import Entry
from etcdv2.recipes._errors import AcquireTimeout
from etcdv2.recipes._lease import GONE, LeaseTimes


class AsyncGathering(AsyncContest):
    """One participant's way in, or out."""

    def __init__(self, keeping: AsyncKeeping, terms: Terms, count: int, until: float) -> None:
        super().__init__(keeping, terms, until)
        self._count = count
        self._barrier = terms.key.rpartition("/")[0]
        self._ready: rules.Ready | None = None
        self.upto = 0
        """After `run`: the highest created index of those who go on together."""

    async def list_entries(self, *, quorum: bool = False) -> tuple[Entry, ...]:
        """All entries, and `ready`, in one request."""
        limit = within(self._left_of_a_try())
        try:
            listing = await self._client.keys.get(
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

    async def all_left(self, upto: int) -> None:
        """Wait until none of those up to this index is there, and remove `ready`. Raises as `run` does."""
        while True:
            self.check()
            try:
                left = rules.left_of(await self.list_entries(quorum=True), upto)
                if not left:
                    if self._ready is not None and self._ready.upto <= upto:
                        await self._clear(self._ready.index)
                    return
            except PASSING as error:
                await self.pause(error)
                continue

            # Any of them, so that those who wait do not all wake for each one.
            await self.change_of(f"{self._key}/{self._rng.choice(left).name}", self._index)

    async def _enter(self) -> AsyncHeldKey:
        held = await super()._enter()
        held.bar = rules.LEFT
        return held

    async def _turn(self, held: AsyncHeldKey, *, wait: bool) -> bool:
        """True when all are there, False when the entry was lost."""
        del wait
        ready = f"{self._barrier}/{rules.READY}"
        while held.state.held(clock.now()):
            self.check()
            try:
                entries = await self.list_entries()
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
                        await self._open(ready, upto)
                    case rules.Clear(index):
                        await self._clear(index)
                    case rules.AwaitReady():
                        await self.change_of(ready, self._index, held=held)
                    case rules.AwaitAny():
                        await self.change_of(self._barrier, self._index, recursive=True, held=held)
            except PASSING as error:
                await self.pause(error)
        return False

    async def _open(self, ready: str, upto: int) -> None:
        limit = within(min(self.terms.times.one_try, self._until - clock.now()))
        try:
            await self._client.keys.create(ready, str(upto), repeat_writes=False, timeout=limit)
        except KeyExists:  # another one counted as many, or one of an earlier round is there
            return

    async def _clear(self, index: int) -> None:
        """Delete the `ready` of those who have gone: one try, as whoever sees it next does it, too."""
        limit = within(min(self.terms.times.one_try, self._until - clock.now()))
        try:
            await self._client.keys.delete(
                f"{self._barrier}/{rules.READY}", prev_index=index, repeat_writes=False, timeout=limit
            )
        except (KeyNotFound, CompareFailed):  # another one did
            return


class AsyncDoubleBarrier:
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

    def __init__(self, keeping: AsyncKeeping, key: str, count: int, times: LeaseTimes) -> None:
        self._keeping = keeping
        self._key = key
        self._count = count
        self._terms = Terms(f"{key}/{rules.ENTRIES}", "lock", 1, keeping.owner, times, tidy=False)
        self._entered: list[tuple[ref[object], AsyncLease, int]] = []
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

    async def enter(self, timeout: float | None = None) -> AsyncLease:
        """Wait until all are there: for at most `timeout` seconds, None for as long as it takes.

        The lease is that of the own entry: it is lost as any other, and then the others may end
        without this one. Raises as `AsyncLock.acquire` does; RuntimeError when this task or thread
        has entered and not left.
        """
        check_wait(timeout)
        keeping = self._keeping
        keeping.check_open()
        keeping.check_not_held(self._key)
        until = inf if timeout is None else clock.now() + timeout
        gathering = AsyncGathering(keeping, self._terms, self._count, until)
        keeping.waits.add(gathering)

        def made(held: AsyncHeldKey) -> AsyncLease:
            lease = AsyncLease(keeping, held)
            keeping.acquired(lease, held, self._key)
            return lease

        try:
            lease = await gathering.run(made)
        except (WaitOver, *PASSING) as error:
            if clock.now() < until or timeout is None:
                raise
            cause = gathering.failure if isinstance(error, WaitOver) else error
            raise AcquireTimeout(self._key, timeout, ()) from cause
        assert lease is not None
        with self._entering:
            self._entered.append((ref(async_who()), lease, gathering.upto))
        return lease

    async def leave(self, timeout: float | None = None) -> bool:
        """Delete the own entry, and wait until all have left: True then, False after `timeout` seconds.

        None waits for as long as it takes, 0 not at all. The own entry is deleted in any case, if
        need be in the background. Raises ValueError when nobody has entered by this object,
        AcquireCancelled when the session is closed, and what a read raises.
        """
        check_timeout(timeout)
        lease, upto = self._own()
        until = inf if timeout is None else clock.now() + timeout
        await lease.release()
        gathering = AsyncGathering(self._keeping, self._terms, self._count, until)
        self._keeping.waits.add(gathering)
        try:
            await gathering.all_left(upto)
        except WaitOver:
            return False
        return True

    def _own(self) -> tuple[AsyncLease, int]:
        """That of this task or thread; else the last one, as of one that `asyncio.wait_for` made. Raises ValueError."""
        me = async_who()
        with self._entering:
            if not self._entered:
                raise ValueError(f"{self._key}: nobody has entered by this object who has not left")
            mine = [at for at, (who, _, _) in enumerate(self._entered) if who() is me]
            _, lease, upto = self._entered.pop(mine[-1] if mine else -1)
        return lease, upto
