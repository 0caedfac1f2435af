"""Watches each member's store index by one small read for all watches of a client, and renews their polls in time.

Owns the pace of these probes, and who is due. Also finds members that have stopped answering, that
do not follow the cluster, or that were caught up by a snapshot, while a watch waits silently. What
a renewal proves is `renewal`'s affair.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Protocol

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._async.watch.other_members import AsyncOtherMembers
from etcdv2._async.watch.paths import AsyncPaths
from etcdv2._async.watch.reconnect import AsyncOutage
from etcdv2._async.watch.snapshot import async_cluster_index
from etcdv2._core.deadline import Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.watch.probe_interval import FASTEST_PROBE_SECONDS, ProbeInterval
from etcdv2._core.watch.raft_chain import RaftChain
from etcdv2._core.watch.renewal import Registered
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.forks import register_after_fork
from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker, async_call_each
from etcdv2._types.call_errors import ClusterUnavailable
from etcdv2_api import operations

RENEWALS_PER_PROBE = 50
"""Polls that are renewed after one probe; an eighth of those that are due when that is more."""
RENEWING_PROBE_SECONDS = 0.25
"""Seconds between two probes while a poll is on its way out, or a stream is read."""
IDLE_GRACE_SECONDS = 1.0
"""Seconds that the probes go on without a poll: mostly the next one follows at once."""


class AsyncMonitored(Protocol):
    """The polls of one watch, as the index monitor sees them."""

    @property
    def probes(self) -> tuple[str, ...]:
        """Keys whose reading its user is allowed, cheapest first."""
        ...

    @property
    def registered(self) -> int:
        """X-Etcd-Index of the poll's headers."""
        ...

    @property
    def settled(self) -> int:
        """Up to this index nothing is missing; from there a second poll asks."""
        ...

    @property
    def first(self) -> Registered | None:
        """The poll that is read now."""
        ...

    @property
    def renewing(self) -> bool:
        """Whether `renew` has begun and wants to be called again."""
        ...

    @property
    def cluster_id(self) -> str: ...

    def is_due(self, store_index: int) -> bool:
        """Whether `renew` has something to do now; the store is at `store_index` (0: unknown)."""
        ...

    async def renew(self, store_index: int) -> None:
        """One step towards a younger poll."""
        ...

    def looked(self, first: Registered | None) -> None:
        """A probe was answered that was sent while `first` was the first poll."""
        ...

    def lost(self, why: str) -> None:
        """The member does not answer: go on elsewhere."""
        ...

    def leapt(self, member: str, leaps: int) -> None:
        """The member's raft index has leapt, as often as `leaps` by now."""
        ...


class AsyncIndexMonitor:
    """One per client."""

    def __init__(self, dispatcher: AsyncDispatcher) -> None:
        self._dispatcher = dispatcher
        self.after_fork()
        register_after_fork(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {list(self._members.values())}>"

    def after_fork(self) -> None:
        """Also in a forked child: the workers are the parent's, and so may be who holds the lock."""
        self._members: dict[Endpoint, AsyncMemberMonitor] = {}
        self._chains: dict[tuple[Endpoint, str, str], RaftChain] = {}
        self.paths = AsyncPaths(self._dispatcher)
        self.outage = AsyncOutage()
        self._paces: dict[Endpoint, ProbeInterval] = {}
        self._lock = threading.Lock()

    def chain(self, poll: AsyncPoll) -> RaftChain:
        """What the answers of its member say of snapshots; behind a balancer one endpoint may have many."""
        with self._lock:
            return self._chains.setdefault((poll.endpoint, poll.member, poll.meta.cluster_id), RaftChain())

    def note(self, poll: AsyncPoll, asked_at: float) -> int:
        """The headers of a watch, asked for at `asked_at`.

        Returns how often its member's raft index has leapt by now.
        """
        chain = self.chain(poll)
        with self._lock:
            return chain.note(poll.meta.index, poll.meta.raft_index, asked_at)

    async def follow_leap(self, poll: AsyncPoll, probes: Iterable[str]) -> None:
        """Where the raft index of its member is in a leap: ask the cluster how far the store has to come."""
        chain = self.chain(poll)
        leaping = chain.leaping
        if chain.asks_cluster:
            index = 0
            for probe in probes:
                index = index or await async_cluster_index(self._dispatcher, probe)
            with self._lock:
                chain.reached(index, leaping)
                chain.note(poll.meta.index, poll.meta.raft_index, chain.asked_at)

    async def observe(self, endpoint: Endpoint, key: str, within: float | None = None) -> AsyncPoll | None:
        """A member's store index and raft index, by the headers of a watch, which is closed.

        None where that is refused, or its headers are held back. Raises TransportFailure.
        """
        if self.paths.holds_back(endpoint):
            return None
        asked_at = time.monotonic()
        try:
            poll = await self._dispatcher.watch_at(endpoint, operations.get_key(key, wait=True), within)
        except TransportFailure as failure:
            # Whoever waits so long for a poll waits no longer for the reason why there is none.
            deadline = Deadline.after(within, time.monotonic())
            if not await self.paths.is_held_back(endpoint, failure, (key,), deadline):
                raise
            return None
        if poll is not None:
            await poll.stream.close()
            self.note(poll, asked_at)
        return poll

    def is_unobserved(self, endpoint: Endpoint, index: int) -> bool:
        """Whether the raft index was not seen there since the store had come near `index`."""
        with self._lock:
            return all(chain.lags(index) for (one, _, _), chain in self._chains.items() if one == endpoint)

    def pace(self, endpoint: Endpoint) -> ProbeInterval:
        """How fast the store goes on there, kept so that short watches in a row do not measure it again."""
        return self._paces.setdefault(endpoint, ProbeInterval())

    def add(self, polls: AsyncMonitored, endpoint: Endpoint) -> None:
        """Its first poll waits there from now on. Raises ClusterUnavailable where it cannot be looked after."""
        with self._lock:
            member = self._members.get(endpoint)
            if member is None or not member.add(polls):
                # Entered when it runs: a thread that cannot be started must not leave one behind that never looks.
                member = AsyncMemberMonitor(self._dispatcher, self, endpoint, self._lock)
                member.add(polls)
                try:
                    member.start()
                except RuntimeError as error:
                    raise ClusterUnavailable(f"a watch cannot be looked after: {error}") from error
                self._members[endpoint] = member

    def hurry(self, endpoint: Endpoint) -> None:
        """Look there now; from any thread."""
        with self._lock:
            member = self._members.get(endpoint)
            if member is not None:
                member.hurry()

    def remove(self, polls: AsyncMonitored, endpoint: Endpoint, *, for_good: bool) -> None:
        """`for_good` when its watch has ended; else another poll of it will follow, so the probes go on for a while."""
        with self._lock:
            member = self._members.get(endpoint)
            if member is not None:
                member.remove(polls, for_good=for_good)

    async def close(self) -> None:
        with self._lock:
            members = list(self._members.values())
            self._members.clear()
        for member in members:
            await member.close()


class AsyncMemberMonitor:
    """The probes of one endpoint; ends soon after no poll waits there any more."""

    def __init__(
        self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, endpoint: Endpoint, lock: threading.Lock
    ) -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self._endpoint = endpoint
        self._lock = lock
        self._watched: dict[AsyncMonitored, None] = {}
        self._interval = monitor.pace(endpoint)
        self._chain = RaftChain()
        """Of the member that was observed last."""
        self._probe_key: str | None = None
        self._ended = False
        self._pulse = AsyncPulse()
        self._idle_since = 0.0
        self._others = AsyncOtherMembers(dispatcher, monitor, endpoint)
        self._last_index = 0
        self._more_due = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint}: {len(self._watched)} polls, index {self._last_index}>"

    def start(self) -> None:
        self._worker = AsyncWorker(self._run, "etcdv2-index")

    def add(self, polls: AsyncMonitored) -> bool:
        """False when it has ended already."""
        if self._ended:
            return False
        if not self._watched:
            self._interval.resumed(polls.registered, time.monotonic())
        self._watched[polls] = None
        if polls.renewing:  # a stream, to be looked after more often than the interval under way
            self._pulse.set()
        return True

    def hurry(self) -> None:
        self._pulse.set()

    def remove(self, polls: AsyncMonitored, *, for_good: bool) -> None:
        self._watched.pop(polls, None)
        if not self._watched:
            self._idle_since = time.monotonic()
            if for_good:
                self._ended = True
                self._pulse.set()
        if for_good and self._probe_key in polls.probes:
            self._probe_key = None

    async def close(self) -> None:
        self._ended = True
        self._pulse.set()
        self._worker.cancel()
        await self._worker.join(0.2)

    async def _run(self) -> None:
        try:
            while await self._next_turn():
                try:
                    await self._turn()
                except TransportFailure as failure:
                    if not self._ended:
                        self._give_up(f"does not answer: {failure}", str(failure))
        finally:
            self._ended = True

    async def _next_turn(self) -> bool:
        """Wait for the time of the next probe. False when there is nothing to look after any more."""
        while True:
            await self._pulse.wait(self._until_next())
            if self._ended:
                return False
            self._pulse.clear()
            if self._watched:
                return True
            with self._lock:
                if not self._watched and time.monotonic() - self._idle_since > IDLE_GRACE_SECONDS:
                    self._ended = True
                    return False

    async def _turn(self) -> None:
        """One probe, and what follows from it for each watch. Raises TransportFailure."""
        waiting = [(polls, polls.first) for polls in list(self._watched)]
        meta = await self._look()
        index = meta.index
        self._interval.saw(index, time.monotonic())

        # 1. The member has lost its leader, or was put back, or is another one: its polls are worth nothing.
        if index and self._probe_key is not None and await self._others.are_ahead(index, self._probe_key):
            self._give_up("does not follow the cluster", "does not follow the cluster")
            return
        before, self._last_index = self._last_index, index
        for polls, first in waiting:
            polls.looked(first)
            # Twice in a row: one probe alone may have met another member, behind a balancer.
            went_back = 0 < before < polls.registered and 0 < index < polls.registered
            if went_back or (index and meta.cluster_id != polls.cluster_id):
                polls.lost(f"{self._endpoint} is another cluster, or was put back")

        # 2. The oldest first, and not all at once: their events would wait as long as that takes.
        due = sorted((polls for polls, _ in waiting if polls.is_due(index)), key=lambda polls: polls.settled)
        some = max(RENEWALS_PER_PROBE, len(due) // 8)
        self._more_due = len(due) > some
        await async_call_each([polls.renew for polls in due[:some]], index)

        # 3. The others, where a watch may have to go on.
        if index and self._probe_key is not None:
            await self._others.observe(index, self._probe_key)

    def _give_up(self, reason: str, noted: str) -> None:
        """All polls go on elsewhere, and the endpoint rests."""
        self._dispatcher.endpoint_failed(self._endpoint, noted)
        for polls in list(self._watched):
            polls.lost(f"{self._endpoint} {reason}")

    def _until_next(self) -> float:
        if not self._watched:
            return IDLE_GRACE_SECONDS
        if self._more_due:
            return FASTEST_PROBE_SECONDS
        soon = any(polls.renewing for polls in list(self._watched))
        interval = min(self._interval.interval, self._chain.interval_of_busy)
        return min(interval, RENEWING_PROBE_SECONDS) if soon else interval

    async def _look(self) -> Meta:
        """The member's store index; 0 when none of the watches' users may read beside its key.

        Raises TransportFailure.
        """
        # 1. Where the raft index is due, a watch: a read of what is not there does not show it.
        if self._probe_key is not None and self._chain.due(self._last_index, time.monotonic()):
            meta = await self._observe(self._probe_key)
            if meta is not None:
                return meta

        # 2. The key that served the last time, else the first that one of the users may read.
        if self._probe_key is not None:
            meta = await self._read(self._probe_key)
            if meta.index:
                return meta
        for polls in list(self._watched):
            for key in polls.probes:
                meta = await self._read(key)
                if meta.index:
                    self._probe_key = key
                    return meta
        return Meta(0, 0, 0, "")

    async def _observe(self, key: str) -> Meta | None:
        """Store index and raft index; None where that is refused. Raises TransportFailure."""
        poll = await self._monitor.observe(self._endpoint, key)
        if poll is None:
            return None
        await self._monitor.follow_leap(poll, (key,))
        self._chain = self._monitor.chain(poll)
        for polls in list(self._watched):
            polls.leapt(poll.member, self._chain.leaps)
        return poll.meta

    async def _read(self, key: str) -> Meta:
        return await self._dispatcher.probe(self._endpoint, operations.get_key(key))
