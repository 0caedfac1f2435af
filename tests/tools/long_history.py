"""What happened in a store, replayed change by change, and what is wrong with what a watch has told of it.

Owns what "exactly, or the hole named exactly" means. Knows no server and no client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from etcdv2 import Event, Snapshot
from tests.tools.authors import REMOVALS, is_told
from tests.tools.written import Done

FORGOTTEN = 1000
"""Events that a server keeps: a hole that is smaller is none."""


class Change(NamedTuple):
    """One change, and what it met."""

    index: int
    action: str
    key: str
    value: str | None
    old: str | None
    """The value before."""
    took: frozenset[str]
    """What was there and went: the key and all below it."""


State = dict[str, str | None]
"""Key to value; None for a directory."""


class History:
    """The changes of a store that was empty at index `first`, replayed."""

    def __init__(self, done: Iterable[Done], first: int) -> None:
        self.first = first
        self._done = sorted(done)
        state: State = {}
        self.changes = [_apply(state, one) for one in self._done]
        self._state: State = {}
        self._applied = 0

    def state(self, index: int, key: str) -> State:
        """The files that a recursive read of `key` shows at `index`."""
        if self._applied and self._done[self._applied - 1].index > index:
            self._state, self._applied = {}, 0
        while self._applied < len(self._done) and self._done[self._applied].index <= index:
            _apply(self._state, self._done[self._applied])
            self._applied += 1
        files = ((one, value) for one, value in self._state.items() if value is not None)
        return {one: value for one, value in files if is_told(key, True, one, "set")}


def _apply(state: State, done: Done) -> Change:
    key, old, took = done.key, state.get(done.key), frozenset[str]()
    if done.action in REMOVALS:
        took = frozenset([key, *(one for one in state if one.startswith(f"{key}/"))] if old is None else [key])
        for one in took:
            state.pop(one, None)
    else:
        above = key.rpartition("/")[0]
        while above and above not in state:
            state[above] = None
            above = above.rpartition("/")[0]
        state[key] = done.value
    return Change(done.index, done.action, key, done.value, old, took)


class Cleared(NamedTuple):
    """The watch raised HistoryCleared of `index` when it stood at `after`, and was begun anew after `index`."""

    after: int
    index: int


Item = Event | Snapshot | Cleared


def objections(history: History, key: str, items: list[Item], *, recursive: bool, start: int) -> Iterator[str]:
    """What is wrong with what a watch has told up to its last item; it stood at `start` before the writers began."""
    due = {c.index: c for c in history.changes if is_told(key, recursive, c.key, c.action)}
    # A watch on what is not there gets nothing of what goes above (spec/protocol.md section 11).
    must = [c.index for c in due.values() if c.key == key or not key.startswith(f"{c.key}/") or key in c.took]

    def silent(after: int, until: int) -> Iterator[str]:
        for index in must[bisect_right(must, after) : bisect_right(must, until)]:
            yield f"{key}: not told {due[index]}"

    if start > history.first:
        yield f"{key}: begins after {start}, the writers after {history.first}"
    last = history.first
    for number, item in enumerate(items):
        index = item.index
        if isinstance(item, Event):
            if index <= last:
                yield f"{key}: {index} after {last}"
                continue
            yield from silent(last, index - 1)
            change = due.get(index)
            above = change is not None and key.startswith(f"{change.key}/")
            if change is None or _seen(item) != (change.action, change.key, change.value, change.old, above):
                yield f"{key}: told {_seen(item)} of {index}, it was {change}"
        else:
            after = item.after if isinstance(item, Cleared) else last
            yield from silent(last, after)
            first = number == 0 and isinstance(item, Snapshot)
            if not first and index <= after + FORGOTTEN:
                yield f"{key}: a hole from {after} to {index}, which the server still had"
            if isinstance(item, Snapshot) and _files(item) != history.state(index, key):
                yield f"{key}: the snapshot of {index} is not the state"
        last = index


def _seen(event: Event) -> tuple[str, str, str | None, str | None, bool]:
    old = None if event.prev_node is None else event.prev_node.value
    return event.action, event.key, event.value, old, event.ancestor


def _files(snapshot: Snapshot) -> State:
    return {node.key: node.value for node in snapshot.leaves()}
