"""When those who gather at a double barrier may go on, and when all of them have left.

Owns the rules; no I/O and no clock. Each participant has an entry in a directory. Whoever sees as
many entries as are awaited creates the key `ready`, with the highest created index that it counted
in it. So `ready` says for whom it is: for all entries up to that index. One that is carried out
late, or was left by programs that have ended, lets nobody pass who came after its time; it is
deleted by the next one who sees that none of those whom it was for is there any more.

Until then each waits for `ready` alone and not for the others: who comes last sees all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from etcdv2 import Node
from etcdv2.recipes._contest import Entry

READY = "ready"
ENTRIES = "in"
LEFT = " has left"
"""The value of an entry that bars its name: a late create would else be counted in another round."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The key that opens the barrier."""

    upto: int
    """For entries with a created index up to this one."""
    index: int
    """Its modified index."""


@dataclass(frozen=True, slots=True)
class Pass:
    """All are there."""

    upto: int
    """The highest created index of those who go on together."""


@dataclass(frozen=True, slots=True)
class Open:
    """Create `ready` for all up to this index."""

    upto: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Delete the `ready` with this modified index: those whom it was for have gone."""

    index: int


@dataclass(frozen=True, slots=True)
class AwaitReady:
    """Wait for a change of `ready`."""


@dataclass(frozen=True, slots=True)
class AwaitAny:
    """Wait for any change: those before are still leaving, or may have died while they did."""


def ready_of(node: Node | None) -> Ready | None:
    """What the key says. One with another value is for nobody."""
    if node is None or node.dir:
        return None
    value = node.value or ""
    return Ready(int(value) if value.isascii() and value.isdigit() else 0, node.modified_index)


def seen(nodes: Iterable[Node], key: str) -> tuple[list[Entry], Ready | None]:
    """The entries and `ready` in a recursive listing of the barrier's files."""
    start, ready = f"{key}/{ENTRIES}/", None
    entries: list[Entry] = []
    for node in nodes:
        if node.key == f"{key}/{READY}":
            ready = ready_of(node)
        elif node.key.startswith(start) and node.value != LEFT:
            entries.append(Entry(node.key.removeprefix(start), node.created_index, node.value or ""))
    return entries, ready


def arrive(
    entries: Sequence[Entry], ready: Ready | None, me: int, count: int
) -> Pass | Open | Clear | AwaitReady | AwaitAny | None:
    """What the entry with the created index `me` is to do; None when it is not among them, so was lost."""
    tokens = [entry.token for entry in entries]
    if me not in tokens:
        return None

    # 1. There is a `ready`: for this entry, for some that are still there, or for nobody.
    if ready is not None:
        if me <= ready.upto:
            return Pass(ready.upto)
        return AwaitAny() if min(tokens) <= ready.upto else Clear(ready.index)

    # 2. None yet.
    return Open(max(tokens)) if len(tokens) >= count else AwaitReady()


def left_of(entries: Iterable[Entry], upto: int) -> list[Entry]:
    """Of those who went on together: who has not left."""
    return [entry for entry in entries if entry.token <= upto]
