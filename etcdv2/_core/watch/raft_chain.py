"""Whether a member may have been caught up by a snapshot: the leaps of its raft index. No I/O, no clock of its own.

A leader keeps at least 5,000 entries behind its snapshots (2.3 to 3.5), so a member that is caught up by one goes on by
5,000 or more at once (`spec/protocol.md` section 11). A busy cluster makes as many by itself: so the answers have to be
close together, which this also paces.

The raft index leaps before the store does, and between the two the store can still go on by a little. So a leap is over
only when the member's store has reached what the cluster had after the leap was seen; until then nothing can be said of
a poll that is registered there.
"""

from __future__ import annotations

from math import inf

SNAPSHOT_ENTRIES = 5000
"""The least by which a snapshot moves a member on: etcd's DefaultSnapshotCatchUpEntries."""
OBSERVE_SECONDS = 4.0
"""Between two answers with a raft index, at the most."""
OBSERVE_ENTRIES = 2000
"""Entries between two such answers, at the measured rate."""
FASTEST_OBSERVE_SECONDS = 0.1


class RaftChain:
    """What the answers of one member have shown, in the order in which they came. Not locked."""

    __slots__ = ("_doubts", "_index", "_over_at", "_raft", "_rate", "asked_at", "leaping", "leaps", "leapt_to")

    def __init__(self) -> None:
        self.leaps = 0
        """How often the raft index leapt. A poll that was registered before a leap proves nothing any more."""
        self.leapt_to = 0
        """The store's index in the first answer after the last leap: the history up to there may be wrong."""
        self.leaping = 0
        """Not 0 from when a leap was seen until it is over; each one has a number of its own."""
        self._doubts = 0
        self.asked_at = -inf
        """When the last answer was asked for: it shows a state that is not older."""
        self._index = 0
        self._raft = 0
        self._over_at = 0
        """The store's index that says that the leap is over; 0 when that is not known."""
        self._rate = 0.0

    def __repr__(self) -> str:
        return f"<RaftChain at {self._raft}, {self.leaps} leaps{', one under way' if self.leaping else ''}>"

    def note(self, index: int, raft_index: int, asked_at: float) -> int:
        """An answer with both, that was asked for at `asked_at`.

        Returns the number of leaps that are over.
        """
        elapsed = asked_at - self.asked_at
        self.asked_at = max(asked_at, self.asked_at)
        if not raft_index:  # a server that sends none shows nothing of snapshots
            return self.leaps

        # 1. A leap, perhaps one behind another.
        made = raft_index - self._raft if self._raft else 0
        self._raft = max(raft_index, self._raft)
        if made >= SNAPSHOT_ENTRIES:
            self._doubts += 1
            self.leaping = self._doubts
            self._over_at = 0
        elif made >= 0 and elapsed > 0:
            rate = made / elapsed
            self._rate = rate if rate > self._rate else (self._rate + rate) / 2

        # 2. Its end. Where the store has not gone on nothing can be missed.
        if self.leaping:
            if not self._over_at or index < self._over_at:
                return self.leaps
            self.leaping = 0
            if index > self._index:
                self.leaps += 1
                self.leapt_to = index
        self._index = max(index, self._index)
        return self.leaps

    @property
    def asks_cluster(self) -> bool:
        """Whether it takes a read with quorum to know when the leap is over."""
        return self.leaping > 0 and not self._over_at

    def reached(self, cluster_index: int, leaping: int) -> None:
        """The cluster was at this index, by a read with quorum that was begun when `leaping` was what it is now."""
        if leaping and leaping == self.leaping:
            self._over_at = cluster_index

    @property
    def interval(self) -> float:
        """Seconds between two answers, so that no leap is seen where entries only came quickly."""
        wanted = OBSERVE_ENTRIES / self._rate if self._rate else OBSERVE_SECONDS
        return min(OBSERVE_SECONDS, max(FASTEST_OBSERVE_SECONDS, wanted))

    @property
    def interval_of_busy(self) -> float:
        """The same where entries come so quickly that it must be kept, also while the store is quiet."""
        return self.interval if self.interval < OBSERVE_SECONDS else inf

    def lags(self, index: int) -> bool:
        """Whether the last answer is old where the store is at `index` elsewhere."""
        return index - self._index >= OBSERVE_ENTRIES // 2

    def due(self, index: int, now: float) -> bool:
        """Whether the next look, which finds the store at `index`, had better bring a raft index."""
        return self.leaping > 0 or index - self._index >= OBSERVE_ENTRIES or now - self.asked_at >= self.interval
