"""The watch workload: writers who know their modified indexes, followers who must get all of them, in order.

Owns what "complete, or the hole named" means. A hole is what a follower had not seen when it got HistoryCleared; the
end may lie in one, so a follower looks for it when it has read the state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import etcdv2
from tests.chaos.book import Book, Outcome
from tests.chaos.workers import TOTAL, Ask, Wait, Worker
from tests.tools.waiting import SOON

END = "the end"
POLL = 0.5
FIRST_WITHIN = TOTAL + POLL


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event as a follower got it."""

    index: int
    key: str
    value: str | None


class Hole(NamedTuple):
    """The follower may have missed, by HistoryCleared, what came after `after`, up to `until`."""

    after: int
    until: int


@dataclass
class Monitored:
    """What was delivered to one follower."""

    name: str
    after: int
    delivered: list[Delivered] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    ended: bool = False


OpenWatch = Callable[[Any, str, int], Any]


def standard_watch(keys: Any, directory: str, after: int) -> Any:
    return keys.watch(directory, recursive=True, after_index=after)


def _close(watcher: Any) -> Ask:
    return Ask("close", lambda _: watcher.close(), writes=False, within=POLL)


class Watched:
    """A directory with writers and followers."""

    def __init__(self, book: Book, name: str = "watch", pace: float = 0.1) -> None:
        self.name = name
        self.directory = f"/chaos/{name}"
        self._book, self._pace = book, pace
        self.confirmed: dict[int, Delivered] = {}
        self._unknown: set[str] = set()
        self._refused: set[str] = set()
        self.followed: list[Monitored] = []
        self.give_up = float("inf")
        """Followers end at this time (monotonic), whatever they have seen."""

    def worker(self, name: str, turns: Iterable[object]) -> Worker:
        for number, _ in enumerate(turns):
            yield from self.write(f"{self.directory}/{name}-{number % 3}", f"{name}-{number}")
            yield Wait(self._pace)

    def write(self, key: str, value: str) -> Worker:
        outcome: Outcome = yield Ask("set", lambda keys: keys.set(key, value))
        if outcome.confirmed:
            index = outcome.response.node.modified_index
            self.confirmed[index] = Delivered(index, key, value)
        elif outcome.unknown:
            self._unknown.add(value)
        elif outcome.refused:
            self._refused.add(value)
        else:
            self._book.complain(self.name, "strange", f"set: {outcome.error!r}")

    def finish(self, keys: Any) -> None:
        """Write what the followers wait for; only one that hangs has not seen it when it is to give up."""
        index = keys.set(f"{self.directory}/{END}", END).index
        self.confirmed[index] = Delivered(index, f"{self.directory}/{END}", END)
        self.give_up = time.monotonic() + 2 * SOON

    def follower(self, name: str, after: int, open_watch: OpenWatch = standard_watch) -> Worker:
        """Watches from `after` on, until the end is seen; after a hole it looks for it, and watches from there."""
        mine = Monitored(name, after)
        self.followed.append(mine)
        last = after
        watcher: Any = None

        def next_event(keys: Any) -> Any:
            nonlocal watcher
            if watcher is None:
                watcher = open_watch(keys, self.directory, last)
            return watcher.next(timeout=POLL)

        while not mine.ended and time.monotonic() < self.give_up:
            within = FIRST_WITHIN if watcher is None else POLL
            outcome: Outcome = yield Ask("next", next_event, writes=False, within=within)
            event = outcome.response
            if event is not None:
                last = max(last, event.index)
                mine.delivered.append(Delivered(event.index, event.key, event.value))
                mine.ended = event.value == END
            if outcome.error is not None:
                yield _close(watcher)
                watcher = None
            if isinstance(outcome.error, etcdv2.HistoryCleared):
                outcome = yield Ask("get", lambda keys: keys.get(f"{self.directory}/{END}", quorum=True), writes=False)
                mine.ended = outcome.confirmed
                if outcome.confirmed or isinstance(outcome.error, etcdv2.KeyNotFound):
                    until = (outcome.response if outcome.confirmed else outcome.error).index
                    mine.holes.append(Hole(last, until))
                    last = until
            elif outcome.error is not None:
                yield Wait(0.2)
        if watcher is not None:
            yield _close(watcher)

    def objection(self, event: Delivered) -> str | None:
        """What is wrong with this value at this index, by what the writers know; None where nothing is."""
        if event.value in self._refused:
            return f"{event} was written, though the client said: not done"
        if event.index in self.confirmed:
            written = self.confirmed[event.index]
            return None if event == written else f"{event} was written as {written}"
        return None if event.value in self._unknown else f"{event} was written by nobody at that index"

    def check(self, keys: Any) -> None:
        for mine in self.followed:
            self._check_one(mine)

    def _check_one(self, mine: Monitored) -> None:
        def complain(kind: Any, text: str) -> None:
            self._book.complain(self.name, kind, f"{mine.name}: {text}")

        if not mine.ended:
            complain("lost", f"did not see the end; last delivered: {mine.delivered[-1:]}, holes: {mine.holes}")
        seen: dict[int, Delivered] = {}
        values: set[str | None] = set()
        last = mine.after
        for event in mine.delivered:
            if event.index in seen or event.value in values:
                complain("doubled", f"delivered twice: {event}")
            elif event.index <= last:
                complain("strange", f"out of order: {event} after {last}")
            elif (text := self.objection(event)) is not None:
                complain("doubled" if event.value in self._refused else "strange", text)
            seen[event.index] = event
            values.add(event.value)
            last = max(last, event.index)
        for index, written in sorted(self.confirmed.items()):
            excused = index <= mine.after or any(hole.after < index <= hole.until for hole in mine.holes)
            if index not in seen and not excused and (mine.ended or index <= last):
                complain("lost", f"did not get {written}, and no hole was named")
