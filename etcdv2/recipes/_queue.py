"""Which item of a queue is to be claimed next: from a state of its directory, as a mirror has it.

Owns the names and the choice. No I/O, no clock.

Theory of operation
-------------------
An item is a file in `items`, a claim one in `claims` with the same name, which expires with its
consumer. The items come in the order of their created indexes, nearly: each consumer takes one of
the first few that nobody has claimed, at random, so that all those who wait do not go for the same.

1. **A claim proves nothing alone**, as the state that it was chosen from may be old: its item may
   have been done since. So the item is read through raft after the claim was made. Whoever does an
   item deletes it before its claim; so a claim whose item is there means that nobody has done it.

2. **A put whose answer was lost may be carried out late**, when its item, sent again, was done long
   ago. So an item is never sent again under the same name. The name is barred first, by a file that
   expires: then the late request finds the name taken. Only where the history shows that it had not
   been carried out before that, the item gets another name. What bars a name is no item: it is told
   by its expiration, which items have not.
"""

from __future__ import annotations

import heapq
from math import inf
from random import Random
from typing import Protocol

from etcdv2 import Node

FIRST = 16
"""Among so many of the first unclaimed items one is chosen."""
KEPT = 256
"""So many of the first items are remembered, so that a long queue is not gone through for each of them."""
SHOWN_SECONDS = 0.25
"""Within this time a state shows what a refusal said; else it is tried again."""
BARRED = "barred: a put of this name may still come"
"""The value of a file that bars a name."""


class State(Protocol):
    """What is needed of a mirror's state."""

    @property
    def index(self) -> int: ...

    def node(self, key: str) -> Node | None: ...

    def children(self, key: str) -> tuple[Node, ...]: ...


def items_of(key: str) -> str:
    """The directory of the items."""
    return f"{key}/items"


def claims_of(key: str) -> str:
    """The directory of the claims."""
    return f"{key}/claims"


def name_of(node: Node) -> str:
    """The last segment of its key."""
    return node.key.rpartition("/")[2]


def is_item(node: Node | None) -> bool:
    """Not a directory, and not what bars a name."""
    return node is not None and not node.dir and node.expiration is None


def count(root: Node, key: str) -> tuple[int, int]:
    """How many items wait in a listing of the whole queue, and how many are claimed."""
    items, claims = f"{items_of(key)}/", f"{claims_of(key)}/"
    files = list(root.leaves())
    claimed = {name_of(node) for node in files if node.key.startswith(claims)}
    names = [name_of(node) for node in files if node.key.startswith(items) and is_item(node)]
    busy = sum(name in claimed for name in names)
    return len(names) - busy, busy


class Backlog:
    """The first items of a queue, for the consumers of one program."""

    def __init__(self, key: str, rng: Random) -> None:
        self._items = items_of(key)
        self._claims = claims_of(key)
        self._rng = rng
        self._first: list[str] = []
        """In order; all that there were at `_index` unless `_cut`."""
        self._cut = False
        self._index = -1
        self._not_before: dict[str, tuple[float, float]] = {}
        """By name: not in a state before this index, unless this moment has come."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._items}: {len(self._first)} known at {self._index}>"

    def choose(self, state: State, now: float) -> str | None:
        """The name of the item to claim, which nobody else here gets meanwhile; None when there is none."""
        self._not_before = {
            name: (index, moment)
            for name, (index, moment) in self._not_before.items()
            if state.index < index and now < moment
        }

        # 1. Of those that are known; later ones come behind them.
        free = self._free(state)
        if len(free) < FIRST and (self._cut or self._index != state.index):
            # 2. Too few: all are looked through.
            self._look_through(state)
            free = self._free(state)
        if not free:
            return None
        chosen = self._rng.choice(free)
        self._not_before[chosen] = (inf, inf)
        return chosen

    def claimed(self, name: str, index: int) -> None:
        """The chosen one is ours: states from that index on show it."""
        self._not_before[name] = (index, inf)

    def refused(self, name: str, now: float) -> None:
        """The chosen one is another's, or has gone: states will show it soon."""
        self._not_before[name] = (inf, now + SHOWN_SECONDS)

    @property
    def waits_for_a_moment(self) -> bool:
        """Whether there is something that can be chosen later though no state changes."""
        return any(moment < inf for _, moment in self._not_before.values())

    def _free(self, state: State) -> list[str]:
        """The first few that can be claimed. What is no item any more is forgotten."""
        found: list[str] = []
        gone: set[str] = set()
        for name in self._first:
            if not is_item(state.node(f"{self._items}/{name}")):
                gone.add(name)
            elif name not in self._not_before and state.node(f"{self._claims}/{name}") is None:
                found.append(name)
                if len(found) == FIRST:
                    break
        if gone:
            self._first = [name for name in self._first if name not in gone]
        return found

    def _look_through(self, state: State) -> None:
        """Of all items the first that are not claimed."""
        unclaimed = [
            (node.created_index, name)
            for node in state.children(self._items)
            if is_item(node) and state.node(f"{self._claims}/{(name := name_of(node))}") is None
        ]
        self._first = [name for _, name in heapq.nsmallest(KEPT, unclaimed)]
        self._cut = len(unclaimed) > KEPT
        self._index = state.index
