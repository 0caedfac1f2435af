"""Stores of the watch machine: one history of raft entries, and members that apply it late, or skip it by a snapshot.

Owns what `spec/protocol.md` section 11 says of registrations, the history and snapshots.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import count
from random import Random
from typing import Protocol

from tests.tools.watch_machine.ground import KEPT, SNAPSHOT

WATCHED, FOREIGN, NONE = "watched", "foreign", "none"
"""What a raft entry is to the store: an event of the watched key, one of another key, or nothing (reads, v3)."""
FIRST_INDEX = 3
_MARKS = count()


class History:
    """All entries of one cluster, in the order in which raft has agreed on them."""

    def __init__(self, cluster_id: str) -> None:
        self.cluster_id = cluster_id
        self.kinds: list[str] = []
        self.index_after = [FIRST_INDEX]
        """By the number of entries that are applied: the store's index."""
        self.watched: list[int] = []
        """Indexes of the watched key's events."""
        self.marks: dict[int, int] = {}
        """By these indexes: what tells an event from another history's of the same index."""

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def index(self) -> int:
        return self.index_after[-1]

    def copy(self, entries: int) -> History:
        """The same as it was after so many entries."""
        history = History(self.cluster_id)
        history.kinds = self.kinds[:entries]
        history.index_after = self.index_after[: entries + 1]
        history.watched = [index for index in self.watched if index <= history.index]
        history.marks = {index: self.marks[index] for index in history.watched}
        return history

    def agrees(self, other: History, upto: int) -> bool:
        """Whether a watcher sees the same in both, up to this index."""
        return _until(self.marks, upto) == _until(other.marks, upto)

    def commit(self, kind: str) -> None:
        index = self.index + (kind is not NONE)
        self.kinds.append(kind)
        self.index_after.append(index)
        if kind is WATCHED:
            self.watched.append(index)
            self.marks[index] = next(_MARKS)

    def node(self, index: int) -> tuple[int, int] | None:
        """createdIndex and modifiedIndex of the watched key when the store was at `index`; None: it was not there.

        Every third event is a deletion.
        """
        place = bisect_right(self.watched, index)
        created = modified = 0
        while place and self.watched[place - 1] % 3:
            created = self.watched[place - 1]
            modified = modified or created
            place -= 1
        return (created, modified) if modified else None

    def next_watched(self, after: int) -> int | None:
        place = bisect_left(self.watched, after + 1)
        return self.watched[place] if place < len(self.watched) else None


def _until(marks: dict[int, int], upto: int) -> dict[int, int]:
    return {index: mark for index, mark in marks.items() if index <= upto}


class Watcher(Protocol):
    """A poll or stream in a member's hub."""

    since: int
    stream: bool

    def notify(self, index: int) -> None: ...


class Refused(Exception):
    """401: the history has left the index that was asked for."""


class Member:
    """One server as the client can see it; the rest of its cluster is the history."""

    def __init__(self, name: str, history: History) -> None:
        self.name = name
        self.speed = 1.0
        """How often it is its turn to apply something."""
        self.starts = 0
        self.begin(history)

    def __repr__(self) -> str:
        return f"<{self.name}: index {self.index}, applied {self.applied} of {self.committed}>"

    def begin(self, history: History) -> None:
        """With a history of its own from now on, all of it applied; whoever watched before is gone."""
        self.history = history
        self.starts += 1
        self.applied = self.committed = self.log_end = len(history)
        self.cut_off = False
        """Hears of no entry until it is caught up."""
        self.snapshot: int | None = None
        """Received, and not yet in the store."""
        self.hub: list[Watcher] = []
        self.passed_over: set[int] = set()
        """Events that a search of this member's history does not find."""

    @property
    def index(self) -> int:
        return self.history.index_after[self.applied]

    def watch(self, watcher: Watcher) -> tuple[int, int | None]:
        """Register: the store's index, and an event where the history has one; else the watcher is in the hub.

        Raises Refused.
        """
        index = self.index
        if watcher.since <= index:
            if watcher.since < index - KEPT + 1:
                raise Refused
            for event in self.history.watched[bisect_left(self.history.watched, watcher.since) :]:
                if event > index:
                    break
                if event not in self.passed_over:
                    return index, event
        self.hub.append(watcher)
        return index, None

    # --- steps -------------------------------------------------------------------------------------------------------

    def learn(self, rng: Random) -> bool:
        """Hear of more entries that are agreed on."""
        if self.cut_off or self.snapshot is not None or self.committed == len(self.history):
            return False
        self.committed = self.log_end = rng.randint(self.committed + 1, len(self.history))
        return True

    def receive_snapshot(self) -> bool:
        """Raft takes over a snapshot: the raft index runs ahead, the store follows in a step of its own."""
        if self.snapshot is not None or len(self.history) - self.committed < SNAPSHOT:
            return False
        self.cut_off = False
        self.snapshot = self.committed = len(self.history)
        return True

    def apply(self, rng: Random, *, wrong_history: bool) -> bool:
        """The next entry, or the snapshot behind them, of which nobody in the hub is notified."""
        if self.applied < self.log_end:
            kind = self.history.kinds[self.applied]
            self.applied += 1
            if kind is WATCHED:
                self._notify(self.index)
            return True
        if self.snapshot is None:
            return False
        before = self.index
        self.applied = self.log_end = self.snapshot
        self.snapshot = None
        if wrong_history:
            brought = self.history.watched[bisect_left(self.history.watched, before + 1) :]
            self.passed_over |= {event for event in brought if event <= self.index and rng.random() < 0.7}
        return True

    def _notify(self, index: int) -> None:
        concerned = [watcher for watcher in self.hub if watcher.since <= index]
        # A poll leaves the hub with its first event.
        self.hub = [watcher for watcher in self.hub if watcher.stream or watcher.since > index]
        for watcher in concerned:
            watcher.notify(index)
