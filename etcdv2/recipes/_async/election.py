"""An election: one key with the leader's value, which candidates create and observers watch.

Owns the campaign and its clean-up on every way out. What observers see, `_election` decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self

from etcdv2 import AsyncWatcher, Event, KeyExists, KeyNotFound, Snapshot
from etcdv2._runtime import clock
from etcdv2.recipes._arguments import check_timeout, check_wait
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.waiting import AsyncWait, WaitOver
from etcdv2.recipes._election import Leader, Observed, leader_of
from etcdv2.recipes._errors import AcquireTimeout
from etcdv2.recipes._lease import LeaseTimes


class AsyncLeadership(AsyncLease):
    """A lease of the leader's key, whose value can be changed."""

    async def proclaim(self, value: str, *, timeout: float | None = None) -> bool:
        """Give the key another value; whether it has it by now. Else it gets it with the next renewal.

        Waits at most `timeout` seconds, by default a sixth of the TTL, at most 2 s. Raises LeaseLost.
        """
        check_timeout(timeout)
        self.check()
        held = self._held_key
        held.settled.clear()
        held.wanted = value
        self._keeping.look_at(held)
        await held.settled.wait(held.state.times.one_try if timeout is None else timeout)
        self.check()
        return held.value == value


class AsyncCampaign(AsyncWait):
    """One candidate's way to leadership."""

    def __init__(self, keeping: AsyncKeeping, key: str, value: str, times: LeaseTimes, until: float) -> None:
        super().__init__(keeping.client, key, until, keeping.rng)
        self._keeping = keeping
        self._creation = keeping.creation(key, value, times)

    async def run(self, make: Callable[[AsyncHeldKey], AsyncLeadership]) -> AsyncLeadership:
        """What `make` makes of the leader's key, made by this candidate. Raises as `AsyncContest.run` does."""
        try:
            while True:
                try:
                    held = await self._creation.create(self._until, self.check)
                except KeyExists as error:
                    await self.change_of(self._key, error.index)
                else:
                    self._keeping.plan(held, held)
                    if held.state.held(clock.now()):
                        return make(held)

                    # It stood still for so long that the leadership was over before it was known.
                    self.check()
                    self._keeping.look_at(held)
        except BaseException:
            await self._keeping.give_up(self._creation)
            raise


class AsyncElection:
    """One key, the leader's value in it: made by a session, used by any number of tasks or threads.

    Each candidate tries to create the key when it is gone, so this is for up to some 20 candidates;
    where there are more, let them contend for a lock.

    Guarantees: of all leaderships at most one is `held` at a time, as for a lock; tokens rise from
    leader to leader.
    """

    def __init__(self, keeping: AsyncKeeping, key: str, times: LeaseTimes) -> None:
        self._keeping = keeping
        self._key = key
        self._times = times

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    @property
    def key(self) -> str:
        """The leader's key, absolute."""
        return self._key

    async def campaign(self, value: str | None = None, *, timeout: float | None = None) -> AsyncLeadership:
        """Wait until this is the leader: for at most `timeout` seconds, None for as long as it takes.

        `value` is what observers see: one that no other candidate has, as after a lost answer the
        key is taken for ours by it. By default the session's owner and a random number.

        Raises as `AsyncLock.acquire` does. Its end is that of a lease: release it to resign.
        """
        check_wait(timeout)
        keeping = self._keeping
        keeping.check_open()
        keeping.check_not_held(self._key)
        if value is None:
            value = f"{keeping.owner}-{keeping.rng.getrandbits(64):016x}"

        until = inf if timeout is None else clock.now() + timeout
        campaign = AsyncCampaign(keeping, self._key, value, self._times, until)
        keeping.waits.add(campaign)
        try:
            return await campaign.run(self._leadership)
        except (WaitOver, *PASSING) as error:
            if clock.now() < until or timeout is None:
                raise
            cause = campaign.failure if isinstance(error, WaitOver) else error
            raise AcquireTimeout(self._key, timeout, ()) from cause

    def _leadership(self, held: AsyncHeldKey) -> AsyncLeadership:
        leadership = AsyncLeadership(self._keeping, held)
        self._keeping.acquired(leadership, held, self._key)
        return leadership

    async def leader(self, *, quorum: bool = True) -> Leader | None:
        """Who leads, None when nobody does. Raises what a read raises."""
        try:
            return leader_of((await self._keeping.client.keys.get(self._key, quorum=quorum)).node)
        except KeyNotFound:
            return None

    def observe(self, *, patience: float | None = None) -> AsyncObserver:
        """The leader, and then each change of it, once and in order: iterate, or call `next`.

        `patience`: as for `keys.watch`. Where the server has forgotten changes, leaders between may be missing.
        """
        return AsyncObserver(self._keeping.client.keys.watch(self._key, snapshots=True, patience=patience))


class AsyncObserver:
    """The leaders of an election: the first item is the one of the moment, None where there is none."""

    def __init__(self, watcher: AsyncWatcher[Event | Snapshot]) -> None:
        self._watcher = watcher
        self._observed = Observed()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._watcher.key}: {self.leader}>"

    @property
    def leader(self) -> Leader | None:
        """As last seen."""
        return self._observed.leader

    async def next(self, timeout: float | None = None) -> bool:
        """Whether there was a change within `timeout` seconds, None for as long as it takes: then see `leader`.

        False also when it is closed meanwhile. Raises as `next` of a watch does.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            left = timeout if ends is None else max(0.0, ends - time.monotonic())
            item = await self._watcher.next(left)
            if item is None:
                return False
            if self._observed.step(item):
                return True

    async def close(self) -> None:
        """End it at once, from any thread or task."""
        await self._watcher.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Leader | None:
        if not await self.next():
            raise StopAsyncIteration
        return self.leader

    async def __aenter__(self) -> Self:
        await self._watcher.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
