"""Whether a register's history has an order that explains it (Wing and Gong's search, with Lowe's memory of dead ends).

Knows operations with times, values and modified indexes; nothing of clients. etcd's modified indexes say in which order
the writes took effect, so with them the search hardly ever has to turn back; histories without indexes work too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

NEVER = math.inf
"""`ended` of a write whose outcome is unknown: it may take effect at any time after `begun`, or never."""


@dataclass(frozen=True, slots=True)
class State:
    """What the register holds; `State(None, 0)` before the first write. `index` is None where it is not known."""

    value: str | None
    index: int | None = None


EMPTY = State(None, 0)


@dataclass(frozen=True, slots=True)
class Op:
    """One call. Calls that provably had no effect are left out of a history: nobody wrote their values."""

    kind: Literal["read", "write"]
    value: str | None
    begun: float
    ended: float
    index: int | None = None
    """Modified index of what was written or read; None where it is not known."""
    before: State | None = None
    """What a write replaced, where its answer says so."""
    by: str = ""

    def __str__(self) -> str:
        ended = "never answered" if self.ended == NEVER else f"{self.ended:.3f}"
        return f"{self.by} {self.kind} {self.value!r} at index {self.index} [{self.begun:.3f}, {ended}]"


class Verdict(NamedTuple):
    """`stuck`: an operation that no order can explain, with its neighbours, when `linearizable` is False."""

    linearizable: bool
    stuck: str = ""


class _Entry:
    """A call's beginning or its end, in a doubly linked list by time."""

    __slots__ = ("after", "before", "end", "number", "op")

    def __init__(self, op: Op | None, number: int, end: _Entry | None = None) -> None:
        self.op = op
        self.number = number
        self.end = end
        self.before: _Entry | None = None
        self.after: _Entry | None = None

    def unlink(self) -> None:
        assert self.before is not None
        self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before

    def relink(self) -> None:
        assert self.before is not None
        self.before.after = self
        if self.after is not None:
            self.after.before = self


def check(history: Iterable[Op], start: State = EMPTY) -> Verdict:
    """Whether there is an order of the operations that respects real time and makes every read see the last write."""
    ops = _placed(sorted(history, key=lambda op: op.begun))
    later = _previous_indexes(ops, start)
    head = _linked(ops)
    todo = sum(op.ended != NEVER for op in ops)
    state, done = start, 0
    seen: set[tuple[int, State]] = set()
    trail: list[tuple[_Entry, State]] = []
    furthest, blocked = -1, ""
    entry = head.after
    while todo:
        if entry is not None and entry.end is not entry and entry.op is not None:
            after = _step(state, entry.op, later)
            if after is not None and (key := (done | 1 << entry.number, after)) not in seen:
                seen.add(key)
                trail.append((entry, state))
                state, done = key[1], key[0]
                entry.unlink()
                if entry.end is not None:
                    entry.end.unlink()
                    todo -= 1
                entry = head.after
            else:
                entry = entry.after
            continue
        # The end of a call that cannot be explained so far, or the end of the list: turn back.
        if len(trail) > furthest:
            furthest, blocked = len(trail), _described(entry, state, [made.op for made, _ in trail[-3:]])
        if not trail:
            return Verdict(False, blocked)
        entry, state = trail.pop()
        done &= ~(1 << entry.number)
        if entry.end is not None:
            entry.end.relink()
            todo += 1
        entry.relink()
        entry = entry.after
    return Verdict(True)


def _placed(ops: list[Op]) -> list[Op]:
    """Unknown writes get the index at which their value was seen; unseen ones are left out, where indexes are known.

    That is sound: a write that may never take effect, and that no read and no later write has met, explains nothing.
    """
    met: dict[str, int] = {}
    for op in ops:
        sightings = [State(op.value, op.index)] if op.kind == "read" else []
        for sighting in [*sightings, *([op.before] if op.before else [])]:
            if sighting.value is not None and sighting.index is not None:
                met[sighting.value] = min(sighting.index, met.get(sighting.value, sighting.index))
    indexed = any(op.index is not None for op in ops)
    placed: list[Op] = []
    for op in ops:
        if op.kind == "write" and op.ended == NEVER and op.index is None and indexed:
            if op.value is not None and op.value in met:
                placed.append(replace(op, index=met[op.value]))
        else:
            placed.append(op)
    return placed


def _previous_indexes(ops: Sequence[Op], start: State) -> dict[int, int]:
    """For each known index of a write the one before it: the pruning, as writes take effect in this order only."""
    known = sorted({op.index for op in ops if op.kind == "write" and op.index is not None})
    return dict(zip(known, [start.index or 0, *known], strict=False))


def _linked(ops: Sequence[Op]) -> _Entry:
    events: list[tuple[float, int, _Entry]] = []
    for number, op in enumerate(ops):
        end = None
        if op.ended != NEVER:
            end = _Entry(op, number)
            end.end = end
            events.append((op.ended, 1, end))
        events.append((op.begun, 0, _Entry(op, number, end)))
    head = _Entry(None, -1)
    last = head
    for _, _, entry in sorted(events, key=lambda event: event[:2]):
        last.after, entry.before = entry, last
        last = entry
    return head


def _step(state: State, op: Op, previous: dict[int, int]) -> State | None:
    """The state after `op`, None where it cannot be next."""
    if op.kind == "read":
        fits = op.value == state.value and (op.index is None or state.index is None or op.index == state.index)
        return state if fits else None
    if op.before is not None and (op.before.value != state.value or op.before.index not in (None, state.index)):
        return None
    if op.index is not None and (state.index or 0) != previous[op.index]:
        return None
    return State(op.value, state.index if op.index is None else op.index)


def _described(entry: _Entry | None, state: State, trail: Sequence[Op | None]) -> str:
    what = "an answered call" if entry is None else str(entry.op)
    return f"{what}; the register holds {state}, after: {'; '.join(map(str, trail))}"
