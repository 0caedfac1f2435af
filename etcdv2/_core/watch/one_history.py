"""Whether a watch that comes back after an outage is still in the history that it was in. No I/O, no clock.

Owns what is remembered of that history, what contradicts it, and when that has to be asked.

A store can be put back to an older state under the same cluster id (a data directory, or a whole machine, restored
from a copy) and grow past the old index before a watch comes back. Then the events between the copy and that index are
others than before. No span of time and no index tells; these do:

1. *The last event.* The server finds it in its history, as long as that reaches back so far. Where it is another one,
   or none, the history is another. Where it is the same, a poll from right behind it passes over nothing: what silence
   has proved since (`renewal`) holds for the old history only, so the watch goes back to its last event.
2. *The process.* A store cannot be put back under a running server: where the same process of the same member answers,
   it is the same history.
3. *Raft.* The raft index and the term of an entry never change. A member that has answered a read with quorum has all
   that any member has shown by then: a lower raft index or term after that is another history.
4. *Else it cannot be known.* A watch that can read the state again does so; another one goes on.

A balancer has several processes behind one address. One that is met by a second poll, while the
first still waits, proves its history as after an outage; what the first has proved stays proved. For
that the second poll is asked from right behind the last event, where the server still has it.
"""

from __future__ import annotations

from typing import NamedTuple

from etcdv2._core.etcd_headers import Meta
from etcdv2_api import KeysEvent, Node

_REMOVALS = ("delete", "expire", "compareAndDelete")


class Landmark(NamedTuple):
    """What says whether an event is the same one. Not its TTL, which a restart of the server counts again."""

    modified: int
    created: int
    action: str
    key: str
    value: int | None
    """Its hash. None where a member that was caught up by a snapshot may show a foreign one (section 11.8)."""


def landmark_of(change: KeysEvent) -> Landmark | None:
    """None for a change without a node."""
    node = change.node
    if node is None:
        return None
    value = None if node.value is None or change.action in _REMOVALS or node.dir else hash(node.value)
    return Landmark(node.modified_index, node.created_index, change.action, node.key, value)


def shows(landmark: Landmark, node: Node) -> bool:
    """Whether the node is as that event has left it; a refresh since makes it another one."""
    value = None if node.value is None else hash(node.value)
    of_node = (node.modified_index, node.created_index, node.key, value)
    return landmark.action not in _REMOVALS and of_node == (
        landmark.modified,
        landmark.created,
        landmark.key,
        landmark.value,
    )


class Place(NamedTuple):
    """Who answers."""

    process: str
    """The member and when it was started, "" where that is not known."""
    url: str

    @property
    def name(self) -> str:
        return self.process or self.url


class OneHistory:
    """What one watch knows of the history that it is in. Not locked: its worker alone changes it."""

    __slots__ = ("_begins", "_places", "_raft_index", "_raft_term", "interrupted", "was_put_back")

    def __init__(self) -> None:
        self.interrupted = False
        """Whether contact was lost: the next poll has to prove its history."""
        self.was_put_back = False
        """Whether the loss that was named last is that of another history."""
        self._begins = True
        """Whether the history is whichever the next poll is in, as nothing is known of one before."""
        self._places: frozenset[str] = frozenset()
        """Who is known to be in this history. A process that was in an older one has ended, so it may stay."""
        self._raft_index = self._raft_term = 0

    def __repr__(self) -> str:
        return f"<OneHistory of {sorted(self._places)}{', interrupted' if self.interrupted else ''}>"

    def begin(self, before: Place) -> None:
        """The state was read; `before` that, this process had answered.

        Where it still answers, the state is of its history. Where processes are not known, the
        history is the one that the next poll is in, if contact is not lost before.
        """
        self._begins = not before.process
        self._places |= {before.name}
        self.interrupted = self.was_put_back = False
        self._raft_index = self._raft_term = 0

    def is_new(self, place: Place) -> bool:
        """Whether it is not known to be in this history."""
        return not self._begins and place.name not in self._places

    def is_doubtful(self, place: Place) -> bool:
        """Whether a poll there has to prove its history first."""
        return self.interrupted or self.is_new(place)

    def has_stayed(self, place: Place) -> bool:
        """Whether the same process was in this history before: it is in no other one now."""
        return place.process in self._places

    def proved(self, place: Place) -> None:
        """It is this history."""
        self._begins = self.interrupted = False
        self._places |= {place.name}

    def saw(self, meta: Meta) -> None:
        """The headers of a poll in this history."""
        self._raft_index = max(self._raft_index, meta.raft_index)
        self._raft_term = max(self._raft_term, meta.raft_term)

    def went_back(self, meta: Meta) -> str:
        """How these headers are older than some that were seen before they were asked for; "" where they are not."""
        if 0 < meta.raft_index < self._raft_index:
            return f"raft index {meta.raft_index} after {self._raft_index}"
        if 0 < meta.raft_term < self._raft_term:
            return f"raft term {meta.raft_term} after {self._raft_term}"
        return ""
