"""What a keeper has to do next: which lease is to be renewed, which key is to be deleted, or how long to sleep.

Owns no I/O and no clock. One agenda serves several workers of a keeper: what one has in hand, no
other one gets.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Work = TypeVar("Work")

MOST_DROPPED = 64
"""Besides as many as there is work: what was dropped is cleared away when there is more of it."""


@dataclass(order=True, slots=True)
class _Entry(Generic[Work]):
    due: float
    number: int
    work: Work | None = field(compare=False)
    """None when it was dropped."""


class Agenda(Generic[Work]):
    """Pieces of work, each with the moment when it is due."""

    def __init__(self) -> None:
        self._heap: list[_Entry[Work]] = []
        self._entries: dict[int, _Entry[Work]] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, work: Work, due: float) -> None:
        """Once for each piece; a piece that is planned already gets another moment."""
        self.drop(work)
        entry = _Entry(due, next(self._numbers), work)
        self._entries[id(work)] = entry
        heapq.heappush(self._heap, entry)

    def drop(self, work: Work) -> None:
        """It needs nothing any more."""
        entry = self._entries.pop(id(work), None)
        if entry is None:
            return
        entry.work = None  # nobody is kept alive by what needs nothing
        if len(self._heap) > MOST_DROPPED + 2 * len(self._entries):
            self._heap = sorted(self._entries.values())

    def take(self, now: float) -> Work | None:
        """The piece that is due for the longest time; its taker puts it back when it is to be done again."""
        self._forget_dropped()
        if not self._heap or self._heap[0].due > now:
            return None
        work = heapq.heappop(self._heap).work
        del self._entries[id(work)]
        return work

    def wait(self, now: float) -> float | None:
        """Seconds until something is due, 0 when it is; None when nothing is planned."""
        self._forget_dropped()
        return max(0.0, self._heap[0].due - now) if self._heap else None

    def _forget_dropped(self) -> None:
        while self._heap and self._heap[0].work is None:
            heapq.heappop(self._heap)
