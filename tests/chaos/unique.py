"""Writes of values that nobody else writes (`unique=True`): they settle lost answers, so a counter comes out exact.

Owns that workload and its check. The time that a call has outlasts every fault, so few may end with an unknown outcome:
each of those is one that may or may not be in the final count.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import etcdv2
from tests.chaos.book import Book, Outcome
from tests.chaos.workers import TIMES, Ask, Wait, Worker

LONG = replace(TIMES, total=60.0)
"""For a write that has to be settled while members are paused, killed, or cut off."""


class Unique:
    """In turn an increment by `modify`, one by `get` and `set(prev_index=)`, and a `create` that all race for."""

    name = "unique"

    def __init__(self, book: Book, directory: str = "/chaos/unique", pace: float = 0.2) -> None:
        self._book, self._pace = book, pace
        self._counter, self._slots = f"{directory}/counter", f"{directory}/slots"
        self.values: list[int] = []
        self.unknown = 0
        self.lost_races = 0
        self._winners: dict[int, list[str]] = defaultdict(list)
        self._unknown_in: dict[int, set[str]] = defaultdict(set)

    def worker(self, name: str, turns: Iterable[object]) -> Worker:
        for number, _ in enumerate(turns):
            value = f"{name}-{number}"
            if number % 3 == 0:
                yield from self._modify(value)
            elif number % 3 == 1:
                yield from self._compare_and_set(value)
            else:
                yield from self._create(number // 3, value)
            yield Wait(self._pace)

    def _modify(self, value: str) -> Worker:
        def change(keys: Any) -> Any:
            return keys.modify(
                self._counter,
                lambda text: f"{int(text.split()[0]) + 1} {value}",
                default=f"0 {value}",
                unique=True,
                timeout=LONG,
            )

        self._incremented((yield Ask("modify", change, within=60.0)))

    def _compare_and_set(self, value: str) -> Worker:
        read: Outcome = yield Ask("get", lambda keys: keys.get(self._counter, quorum=True, default=None), writes=False)
        if not read.confirmed or read.response is None:
            return
        before, count = read.response.node.modified_index, read.response.value

        def write(keys: Any) -> Any:
            text = f"{int(count.split()[0]) + 1} {value}"
            return keys.set(self._counter, text, prev_index=before, unique=True, timeout=LONG)

        outcome: Outcome = yield Ask("set", write, within=60.0)
        if isinstance(outcome.error, etcdv2.CompareFailed):
            self.lost_races += 1
        else:
            self._incremented(outcome)

    def _incremented(self, outcome: Outcome) -> None:
        if outcome.confirmed:
            self.values.append(int(outcome.response.value.split()[0]))
        elif outcome.unknown:
            self.unknown += 1
        elif not outcome.refused:
            self._book.complain(self.name, "strange", repr(outcome.error))

    def _create(self, slot: int, value: str) -> Worker:
        outcome: Outcome = yield Ask(
            "create",
            lambda keys: keys.create(f"{self._slots}/{slot}", value, unique=True, timeout=LONG),
            within=60.0,
        )
        if outcome.confirmed:
            self._winners[slot].append(value)
        elif outcome.unknown:
            self._unknown_in[slot].add(value)
        elif not (outcome.refused or isinstance(outcome.error, etcdv2.KeyExists)):
            self._book.complain(self.name, "strange", repr(outcome.error))

    def check(self, keys: Any) -> None:
        self._check_counter(keys)
        found = keys.get(self._slots, recursive=True, quorum=True, default=None)
        there = {} if found is None else {int(node.name): node.value for node in found.leaves()}
        for slot in sorted(there.keys() | self._winners.keys()):
            winners, value = self._winners[slot], there.get(slot)
            if len(winners) > 1:
                self._book.complain(self.name, "doubled", f"slot {slot} was given to {winners}")
            elif winners and winners != [value]:
                self._book.complain(self.name, "lost", f"slot {slot} was given to {winners}, and has {value}")
            elif not winners and value not in self._unknown_in[slot]:
                self._book.complain(self.name, "doubled", f"slot {slot} has {value}, whose create was refused")

    def _check_counter(self, keys: Any) -> None:
        found = keys.get(self._counter, quorum=True, default=None)
        final = 0 if found is None else int(found.value.split()[0])
        confirmed = len(self.values)
        text = f"{final} increments are there, {confirmed} are confirmed, {self.unknown} unknown"
        if final < confirmed:
            self._book.complain(self.name, "lost", text, confirmed - final)
        if final > confirmed + self.unknown:
            self._book.complain(self.name, "doubled", text, final - confirmed - self.unknown)
        twice = [value for value, times in Multiset(self.values).items() if times > 1]
        if twice:
            self._book.complain(self.name, "lost", f"two increments both got {twice}", len(twice))

    def __str__(self) -> str:
        won = sum(map(len, self._winners.values()))
        lost = sum(map(len, self._unknown_in.values()))
        return (
            f"unique: {len(self.values)} increments confirmed, {self.unknown} unknown, {self.lost_races} lost races;"
            f" {won} of the slots given, {lost} unknown creates"
        )
