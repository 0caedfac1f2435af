# Derived from etcdv2/_async/watch/index_monitor.py by scripts/unasync.py: change that file, make generate.
"""Follows each watched member's store index with one small read for all watchers of a client, and renews their polls.

A poll's own header index grows as old as the poll, and a poll that breaks can be resumed within 1,000 events only. Also
finds members that have stopped answering while a watch waits silently.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Protocol

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.watch.probe_interval import FASTEST, SURELY_QUIET, ProbeInterval
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.forks import tell_after_fork
from etcdv2._runtime.primitives import Pulse, Worker, call_each
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2_api import operations

COMPARE_EVERY = 2.0
"""Seconds between two looks at another member, to see whether the watched one still follows the cluster."""
COMPARE_WITHIN = 0.5
SOME = 50
"""Polls that are renewed after one look; an eighth of those that are due when that is more."""
LINGER = 1.0
"""Seconds that the looks go on without a poll: mostly the next one follows at once."""


class Monitored(Protocol):
    """A waiting poll, as the index monitor sees it."""

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
        """Up to this index the poll has nothing more to bring; from there a renewed one asks."""
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

    def renew(self, store_index: int) -> None:
        """Go over to a newer poll, in two calls."""
        ...

    def lost(self, why: str) -> None:
        """The member does not answer: go on elsewhere."""
        ...


class IndexMonitor:
    """One per client."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.after_fork()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Also in a forked child: the workers are the parent's, and so may be who holds the lock."""
        self._members: dict[Endpoint, MemberMonitor] = {}
        self._lock = threading.Lock()

    def add(self, poll: Monitored, endpoint: Endpoint) -> None:
        with self._lock:
            member = self._members.get(endpoint)
            if member is None or not member.add(poll):
                self._members[endpoint] = member = MemberMonitor(self._dispatcher, endpoint, self._lock)
                member.add(poll)
                member.start()

    def remove(self, poll: Monitored, endpoint: Endpoint, *, for_good: bool) -> None:
        """`for_good` when its watch has ended; else another poll of it will follow, so the looks go on for a while."""
        with self._lock:
            member = self._members.get(endpoint)
            if member is not None:
                member.remove(poll, for_good=for_good)

    def close(self) -> None:
        with self._lock:
            members = list(self._members.values())
            self._members.clear()
        for member in members:
            member.close()


class MemberMonitor:
    """The looks at one member; ends soon after no poll waits there any more."""

    def __init__(self, dispatcher: Dispatcher, endpoint: Endpoint, lock: threading.Lock) -> None:
        self._lock = lock
        self._idle_since = 0.0
        self._dispatcher = dispatcher
        self._endpoint = endpoint
        self._polls: dict[Monitored, None] = {}
        self._pace = ProbeInterval()
        self._probe: str | None = None
        self._ended = False
        self._pulse = Pulse()
        self._compared_at = time.monotonic()
        self._last = 0
        self._others_had = 0
        self._more_due = False

    def start(self) -> None:
        self._worker = Worker(self._run, "etcdv2-index")

    def add(self, poll: Monitored) -> bool:
        """False when it has ended already."""
        if self._ended:
            return False
        self._polls[poll] = None
        if poll.renewing:  # a stream, to be looked after more often than the interval under way
            self._pulse.set()
        return True

    def remove(self, poll: Monitored, *, for_good: bool) -> None:
        self._polls.pop(poll, None)
        if not self._polls:
            self._idle_since = time.monotonic()
            if for_good:
                self._ended = True
                self._pulse.set()
        if for_good and self._probe in poll.probes:
            self._probe = None

    def close(self) -> None:
        self._ended = True
        self._pulse.set()
        self._worker.cancel()
        self._worker.join(0.2)

    def _run(self) -> None:
        try:
            self._look_on()
        finally:
            self._ended = True

    def _look_on(self) -> None:
        while True:
            self._pulse.wait(self._until_next())
            if self._ended:
                return
            self._pulse.clear()
            if not self._polls:
                with self._lock:
                    if not self._polls and time.monotonic() - self._idle_since > LINGER:
                        self._ended = True
                        return
                continue
            try:
                meta = self._look()
                index = meta.index
                self._pace.saw(index, time.monotonic())
                if index and self._is_left_behind(index):
                    self._dispatcher.pool.failed(self._endpoint, time.monotonic(), "does not follow the cluster")
                    for poll in list(self._polls):
                        poll.lost(f"{self._endpoint} does not follow the cluster")
                    continue
                before, self._last = self._last, index
                due: list[Monitored] = []
                for poll in list(self._polls):
                    # Twice in a row: one look alone may have met another member, behind a balancer.
                    went_back = 0 < before < poll.registered and 0 < index < poll.registered
                    if went_back or (index and meta.cluster_id != poll.cluster_id):
                        poll.lost(f"{self._endpoint} is another cluster, or was put back")
                    elif poll.is_due(index):
                        due.append(poll)
                # The oldest first, and not all at once: their events would wait as long as that takes.
                due.sort(key=lambda poll: poll.settled)
                self._more_due = len(due) > (some := max(SOME, len(due) // 8))
                call_each([poll.renew for poll in due[:some]], index)
            except TransportFailure as failure:
                if not self._ended:
                    self._dispatcher.pool.failed(self._endpoint, time.monotonic(), str(failure))
                    for poll in list(self._polls):
                        poll.lost(f"{self._endpoint} does not answer: {failure}")

    def _until_next(self) -> float:
        if not self._polls:
            return LINGER
        if self._more_due:
            return FASTEST
        soon = any(poll.renewing for poll in list(self._polls))
        return min(self._pace.interval, SURELY_QUIET) if soon else self._pace.interval

    def _look(self) -> Meta:
        """The member's store index; 0 when none of the watchers' users may read beside its key."""
        if self._probe is not None:
            meta = self._read(self._probe)
            if meta.index:
                return meta
        for poll in list(self._polls):
            for probe in poll.probes:
                meta = self._read(probe)
                if meta.index:
                    self._probe = probe
                    return meta
        return Meta(0, 0, 0, "")

    def _read(self, probe: str) -> Meta:
        return self._dispatcher.look(self._endpoint, operations.get_key(probe))

    def _is_left_behind(self, index: int) -> bool:
        """Whether the member has not reached what another one had some time ago: it has lost its leader, and is silent.

        A watch there would wait for ever without an error (seen on 3.5.1, 3.4.23).
        """
        now = time.monotonic()
        if now - self._compared_at < COMPARE_EVERY:
            return False
        if 0 < index < self._others_had:
            self._others_had = 0
            return True
        self._compared_at = now
        self._others_had = 0
        others = [one for one in self._dispatcher.pool.well(now) if one != self._endpoint]
        if others and self._probe is not None:
            other = random.choice(others)
            try:
                # Shortly: meanwhile nobody looks at the watched member.
                found = self._dispatcher.look(other, operations.get_key(self._probe), within=COMPARE_WITHIN)
                self._others_had = found.index
            except TransportFailure as failure:
                self._dispatcher.pool.failed(other, time.monotonic(), str(failure))
        return False
