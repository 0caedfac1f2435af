"""Whose turn it is among the entries of a contest: lock, read/write lock, semaphore.

Owns the rules; no I/O and no clock. Each contender has an entry, a file in the directory of the
contest; they are served in the order of their created indexes. As only entries with a lower index
come before one, and those can only go, a listing that is not older than the own entry is enough:

1. **Lock.** The first entry holds. The second waits for it, and holds when it goes, without a further
   request. Any other waits for the last but one before it, and is the second when that goes, unless
   somebody between has left: so it has listed the entries again while another holds, and a release
   wakes two contenders and not all of them.
2. **Read/write lock.** A writer is as in a lock. A reader holds when no writer is before it, and else
   waits for the writers before it as above. Nobody overtakes, so nobody starves.
3. **Semaphore** with limit n. The first n hold. The next one waits for any deletion. Later ones wait
   for the entry before them: for its deletion, or for the mark by which it says that it has a permit
   now, as then they are next. The mark is written by whoever had to wait, and by whoever saw entries
   behind its own when it got its permit (these could wait for its mark).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from etcdv2 import Event

Kind = Literal["lock", "read", "write", "semaphore"]

NAME = re.compile(r"(?P<owner>.+)-[0-9a-f]{16}")
MARK = " holds"
"""Behind the owner in the value of a semaphore's entry: it has a permit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender's file."""

    name: str
    token: int
    """Its created index."""
    value: str


@dataclass(frozen=True, slots=True)
class Contender:
    """Who holds a lock or waits for it, as a listing shows."""

    owner: str
    """As its program calls itself."""
    token: int
    """The created index of its entry: lower ones come first."""
    held: bool
    """Whether it holds it, and does not wait."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It is this entry's turn."""

    followed: bool = False
    """Whether others are behind it."""


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for a change of an entry, by name, or of any when that is None."""

    name: str | None
    alone: bool = False
    """Whether it is the only one to wait for: its deletion alone makes it this entry's turn."""


def prefix_of(kind: Kind) -> str:
    """What the names of its entries begin with."""
    return {"read": "r-", "write": "w-"}.get(kind, "")


def owner_of(name: str, kind: Kind) -> str:
    """The owner in the name of an entry; the name itself, where something else was put there."""
    if kind in ("read", "write") and name[:2] in ("r-", "w-"):
        name = name[2:]
    found = NAME.fullmatch(name)
    return found["owner"] if found else name


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.token)


def decide(entries: Sequence[Entry], me: str, kind: Kind, limit: int = 1) -> Hold | Await | None:
    """What the entry with the name `me` is to do; None when it is not among them, so was lost."""
    ordered = in_order(entries)
    rank = next((place for place, entry in enumerate(ordered) if entry.name == me), None)
    if rank is None:
        return None
    before, followed = ordered[:rank], rank + 1 < len(ordered)

    # 1. A reader waits for the writers before it. What is no reader's entry counts as a writer's.
    if kind == "read":
        writers = [entry for entry in before if not entry.name.startswith("r-")]
        return _await_last_of(writers) if writers else Hold(followed)

    # 2. One of a semaphore's first.
    if kind == "semaphore":
        if rank < limit:
            return Hold(followed)
        return Await(None) if rank == limit else Await(before[-1].name)

    # 3. The first of all.
    return _await_last_of(before) if before else Hold(followed)


def _await_last_of(before: Sequence[Entry]) -> Await:
    """All of them have to go: the last, when it is alone, else the last but one."""
    return Await(before[-1].name, alone=True) if len(before) == 1 else Await(before[-2].name)


class Entries:
    """The entries at one index, kept up by the changes that a watch of their directory shows."""

    def __init__(self, key: str) -> None:
        self._start = f"{key}/"
        self._by_name: dict[str, Entry] = {}
        self.index = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._start}: {len(self._by_name)} at {self.index}>"

    def listed(self, index: int, entries: Iterable[Entry]) -> None:
        """All of them were read at this index."""
        self.index, self._by_name = index, {entry.name: entry for entry in in_order(entries)}

    def step(self, event: Event) -> tuple[str, ...]:
        """The next change; the names of the entries that have gone by it, or have another value."""
        self.index, node = event.index, event.node
        name = node.key.removeprefix(self._start)

        # 1. The directory itself, or one above it: nobody is left. What is put deeper is no entry.
        if name == node.key:
            gone = tuple(self._by_name) if event.deleted else ()
            self._by_name = {} if event.deleted else self._by_name
            return gone
        if "/" in name:
            return ()

        # 2. One entry. One that was made again comes last, as its created index is the highest.
        known = self._by_name.get(name)
        is_same = known is not None and known.token == node.created_index
        if not is_same:
            self._by_name.pop(name, None)
        if event.deleted or node.value is None:
            self._by_name.pop(name, None)
        else:
            self._by_name[name] = Entry(name, node.created_index, node.value)
        return () if known is None else (name,)

    def all(self) -> tuple[Entry, ...]:
        """In the order of their created indexes."""
        return tuple(self._by_name.values())

    def get(self, name: str) -> Entry | None:
        return self._by_name.get(name)


def contenders(entries: Sequence[Entry], kind: Kind, limit: int = 1) -> tuple[Contender, ...]:
    """All of them, in the order in which they are served."""
    ordered = in_order(entries)
    found: list[Contender] = []
    for place, entry in enumerate(ordered):
        is_reader = kind in ("read", "write") and entry.name.startswith("r-")
        own_kind: Kind = "read" if is_reader else "write" if kind in ("read", "write") else kind
        holds = isinstance(decide(ordered[: place + 1], entry.name, own_kind, limit), Hold)
        found.append(Contender(owner_of(entry.name, kind), entry.token, holds))
    return tuple(found)
