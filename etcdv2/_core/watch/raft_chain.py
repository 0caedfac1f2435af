"""Whether a member may have been caught up by a snapshot: the leaps of its raft index. No I/O, no clock of its own.

A leader keeps at least 5,000 entries behind its snapshots (2.3 to 3.5), so a member that is caught up by one goes on by
5,000 or more at once (`spec/protocol.md` section 11). A busy cluster makes as many by itself: so the answers have to be
close together, which this also paces.
"""

from __future__ import annotations

SNAPSHOT_ENTRIES = 5000
"""The least by which a snapshot moves a member on: etcd's DefaultSnapshotCatchUpEntries."""
OBSERVE_SECONDS = 4.0
"""Between two answers with a raft index, at the most."""
OBSERVE_ENTRIES = 2000
"""Entries between two such answers, at the measured rate."""
FASTEST_OBSERVE_SECONDS = 0.1


class RaftChain:
    """What the answers of one endpoint have shown, in the order in which they came. Not locked."""

    __slots__ = ("_index", "_raft", "_rate", "asked_at", "leaps")

    def __init__(self) -> None:
        self.leaps = 0
        """How often the raft index leapt. A poll that was registered before a leap proves nothing any more."""
        self._index = 0
        self._raft = 0
        self.asked_at = float("-inf")
        """When the last answer was asked for: it shows a state that is not older."""
        self._rate = 0.0

    def __repr__(self) -> str:
        return f"<RaftChain at {self._raft}, {self.leaps} leaps>"

    def note(self, index: int, raft_index: int, asked_at: float) -> int:
        """An answer with both, that was asked for at `asked_at`.

        Returns the number of leaps so far, this one included.
        """
        if not raft_index:  # a server that sends none tells nothing of snapshots
            self.asked_at = max(asked_at, self.asked_at)
            return self.leaps
        made = raft_index - self._raft
        # While the store has not changed nothing can have been missed.
        if self._raft and made >= SNAPSHOT_ENTRIES and index > self._index:
            self.leaps += 1
        if self._raft and made >= 0 and asked_at > self.asked_at:
            rate = made / (asked_at - self.asked_at)
            self._rate = rate if rate > self._rate else (self._rate + rate) / 2
        self._index = max(index, self._index)
        self._raft = max(raft_index, self._raft)
        self.asked_at = max(asked_at, self.asked_at)
        return self.leaps

    def due(self, index: int, now: float) -> bool:
        """Whether the next look, which finds the store at `index`, had better bring a raft index."""
        wanted = OBSERVE_ENTRIES / self._rate if self._rate else OBSERVE_SECONDS
        elapsed = now - self.asked_at
        return index - self._index >= OBSERVE_ENTRIES or elapsed >= min(
            OBSERVE_SECONDS, max(FASTEST_OBSERVE_SECONDS, wanted)
        )
