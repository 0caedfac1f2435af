"""The mirror workload: local copies of a watched directory, each state of which must be one that the store had.

Owns what "complete" means for a copy: at its index it shows nothing older than what was confirmed up to there.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.book import Book, Outcome
from tests.chaos.watched import END, POLL, Delivered, Watched
from tests.chaos.workers import TOTAL, Ask, Wait, Worker

OPEN_WITHIN = 2 * TOTAL
"""A read and the registration of a watch."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A copy's state at one moment: the modified index and value of each file."""

    index: int
    files: dict[str, tuple[int, str | None]]


@dataclass
class Copied:
    """What one mirror showed."""

    name: str
    shown: list[Shown] = field(default_factory=list)
    ended: bool = False
    synced: bool = False
    """What it says of itself in the end."""


OpenMirror = Callable[[Any, str], Any]


def standard_mirror(keys: Any, directory: str) -> Any:
    return keys.mirror(directory)


class Mirrored:
    """Mirrors of the directory of a `Watched`, whose writers know what they wrote."""

    name = "mirror"

    def __init__(self, book: Book, watched: Watched) -> None:
        self._book, self._watched = book, watched
        self._copies: list[Copied] = []

    def follower(self, name: str, open_mirror: OpenMirror = standard_mirror) -> Worker:
        """Looks at a mirror now and then until it shows the end."""
        mine = Copied(name)
        self._copies.append(mine)
        mirror: Any = None
        end = f"{self._watched.directory}/{END}"

        def begin(keys: Any) -> Any:
            nonlocal mirror
            mirror = open_mirror(keys, self._watched.directory)
            return mirror.__aenter__() if hasattr(mirror, "__aenter__") else mirror.__enter__()

        def wait_a_little(_: Any) -> Any:
            return mirror.wait_for(lambda state: end in state, timeout=POLL)

        while time.monotonic() < self._watched.give_up:
            outcome: Outcome = yield Ask("open", begin, writes=False, within=OPEN_WITHIN)
            if outcome.confirmed:
                break
            yield Wait(0.2)
        while not mine.ended and time.monotonic() < self._watched.give_up:
            outcome = yield Ask("wait_for", wait_a_little, writes=False, within=POLL)
            if not outcome.confirmed:
                break
            state = mirror.state
            mine.shown.append(
                Shown(state.index, {key: (node.modified_index, node.value) for key, node in state.items()})
            )
            mine.ended = end in state
        while mine.ended and not mine.synced and time.monotonic() < self._watched.give_up:
            mine.synced = mirror.synced
            yield Wait(0.1)
        if mirror is None:
            return
        yield Ask("close", lambda _: mirror.close(), writes=False, within=POLL)

    def check(self, keys: Any) -> None:
        found = keys.get(self._watched.directory, recursive=True, quorum=True)
        final = {node.key: (node.modified_index, node.value) for node in found.leaves()}
        for mine in self._copies:
            last = mine.shown[-1].files if mine.shown else None
            if not mine.ended or last != final:
                self._book.complain(self.name, "lost", f"{mine.name} shows {last} in the end, not {final}")
            elif not mine.synced:
                self._book.complain(self.name, "strange", f"{mine.name} shows the end and says that it is not synced")
            self._check_states(mine)

    def _check_states(self, mine: Copied) -> None:
        written: dict[str, list[int]] = {}
        for index, write in sorted(self._watched.confirmed.items()):
            written.setdefault(write.key, []).append(index)
        before = 0
        for shown in mine.shown:
            if shown.index < before:
                self._book.complain(self.name, "stale", f"{mine.name} went from index {before} back to {shown.index}")
            before = shown.index
            for key, indexes in written.items():
                due = bisect.bisect_right(indexes, shown.index)
                file = shown.files.get(key, (0, None))
                if due and file[0] < indexes[due - 1]:
                    text = f"{mine.name} at index {shown.index} shows {key} as {file}, written at {indexes[due - 1]}"
                    self._book.complain(self.name, "lost", text)
            for key, (modified, value) in shown.files.items():
                objection = self._watched.objection(Delivered(modified, key, value))
                if objection is not None:
                    self._book.complain(self.name, "strange", f"{mine.name} shows what {objection}")
