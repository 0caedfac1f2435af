"""What the workers do, what they know of it, and what must therefore be true in the end.

Each workload hands out workers and has a `check` that reads the final state. Values are unique, so that a value says
whose write it was; every worker notes a write as confirmed, unknown, or refused (which means: nothing was done).
"""

from __future__ import annotations

import random
import time
from collections import Counter as Multiset
from collections.abc import Callable, Iterable
from typing import Any

import etcdv2
from tests.chaos.book import Book, Outcome
from tests.chaos.linearizable import NEVER, Op, State, check
from tests.chaos.workers import SHORT, TOTAL, Ask, Wait, Worker

Turns = Iterable[object]
DEADLINES = (None, *SHORT)
EPOCH = 15.0
"""Seconds after which a new register is used, which keeps a history short."""


class Counter:
    """Increments by `keys.modify`: the final value is the confirmed ones, plus at most the unknown ones."""

    name = "counter"

    def __init__(self, book: Book, key: str = "/chaos/counter", pace: float = 0.1) -> None:
        self._book, self._key, self._pace = book, key, pace
        self._values: list[int] = []
        self._unknown: list[str] = []

    def worker(self, name: str, turns: Turns) -> Worker:
        for _ in turns:
            outcome: Outcome = yield Ask(
                "modify", lambda keys: keys.modify(self._key, lambda text: str(int(text) + 1), default="0")
            )
            if outcome.confirmed:
                self._values.append(int(outcome.response.value))
            elif outcome.unknown:
                self._unknown.append(name)
            elif not outcome.refused:
                self._book.complain(self.name, "strange", f"modify: {outcome.error!r}")
            yield Wait(self._pace)

    def check(self, keys: Any) -> None:
        found = keys.get(self._key, quorum=True, default=None)
        final = 0 if found is None else int(found.value)
        confirmed, unknown = len(self._values), len(self._unknown)
        text = f"{final} after {confirmed} confirmed and {unknown} unknown increments"
        if final < confirmed:
            self._book.complain(self.name, "lost", text, confirmed - final)
        if final > confirmed + unknown:
            self._book.complain(self.name, "doubled", text, final - confirmed - unknown)
        twice = [value for value, times in Multiset(self._values).items() if times > 1]
        if twice:
            self._book.complain(self.name, "lost", f"two increments both got {twice}", len(twice))


class Entries:
    """`create_in_order` and `create` with a name of one's own: a confirmed one is there once, others at most once."""

    name = "entries"

    def __init__(self, book: Book, directory: str = "/chaos/entries", pace: float = 0.15) -> None:
        self._book, self._dir, self._pace = book, directory, pace
        self._confirmed: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._refused: set[str] = set()

    def worker(self, name: str, turns: Turns) -> Worker:
        for number, _ in enumerate(turns):
            value = f"{name}-{number}"
            if number % 2:
                outcome: Outcome = yield Ask("create", _create(f"{self._dir}/named/{value}", value))
            else:
                outcome = yield Ask("create_in_order", _append(f"{self._dir}/queue", value))
            if outcome.confirmed:
                self._confirmed[value] = outcome.response.node.key
            elif outcome.unknown:
                self._unknown.add(value)
            elif outcome.refused:
                self._refused.add(value)
            elif isinstance(outcome.error, etcdv2.KeyExists):
                self._book.complain(self.name, "doubled", f"create of a new name: {outcome.error}")
                self._unknown.add(value)
            else:
                self._book.complain(self.name, "strange", repr(outcome.error))
            yield Wait(self._pace)

    def check(self, keys: Any) -> None:
        found = keys.get(self._dir, recursive=True, quorum=True, default=None)
        there = [] if found is None else [(node.value, node.key) for node in found.leaves()]
        times = Multiset(value for value, _ in there)
        where = dict(there)
        for value, key in self._confirmed.items():
            if where.get(value) != key and times[value] < 2:
                self._book.complain(self.name, "lost", f"{value} was confirmed as {key}, found as {where.get(value)}")
        for value, count in times.items():
            if count > 1:
                self._book.complain(self.name, "doubled", f"{value} is there {count} times")
            elif value in self._refused:
                self._book.complain(self.name, "doubled", f"{value} is there, though the client said: not done")
            elif value not in self._confirmed and value not in self._unknown:
                self._book.complain(self.name, "strange", f"{value} is there, nobody wrote it")


def _create(key: str, value: str) -> Callable[[Any], Any]:
    return lambda keys: keys.create(key, value)


def _append(key: str, value: str) -> Callable[[Any], Any]:
    return lambda keys: keys.create_in_order(key, value)


class Register:
    """Plain sets and quorum reads of one key: there must be an order that explains what everybody got."""

    name = "register"

    def __init__(self, book: Book, seed: int, key: str = "/chaos/register", pace: float = 0.1) -> None:
        self._book, self._seed, self._key, self._pace = book, seed, key, pace
        self._began = time.monotonic()
        self.histories: dict[str, list[Op]] = {}

    def worker(self, name: str, turns: Turns) -> Worker:
        rng = random.Random(f"register {self._seed} {name}")
        for number, _ in enumerate(turns):
            key = f"{self._key}-{int((time.monotonic() - self._began) / EPOCH)}"
            if rng.random() < 0.5:
                yield from self.write(name, key, f"{name}-{number}", rng.choice(DEADLINES))
            else:
                yield from self.read(name, key, rng.choice(DEADLINES))
            yield Wait(rng.uniform(0, 2 * self._pace))

    def write(self, name: str, key: str, value: str, within: float | None = None) -> Worker:
        """`within`: seconds; None leaves them to the client's settings."""
        outcome: Outcome = yield Ask("set", lambda keys: keys.set(key, value, **_total(within)), True, within or TOTAL)
        if outcome.confirmed:
            response = outcome.response
            before = response.prev_node
            state = State(None, 0) if before is None else State(before.value, before.modified_index)
            index = response.node.modified_index
            self._note(key, Op("write", value, outcome.begun, outcome.ended, index, state, name))
        elif outcome.unknown:
            self._note(key, Op("write", value, outcome.begun, NEVER, by=name))
        elif not outcome.refused:
            self._book.complain(self.name, "strange", f"set: {outcome.error!r}")

    def read(self, name: str, key: str, within: float | None = None) -> Worker:
        outcome: Outcome = yield Ask(
            "get", lambda keys: keys.get(key, quorum=True, **_total(within)), False, within or TOTAL
        )
        if outcome.confirmed:
            node = outcome.response.node
            self._note(key, Op("read", node.value, outcome.begun, outcome.ended, node.modified_index, by=name))
        elif isinstance(outcome.error, etcdv2.KeyNotFound):
            self._note(key, Op("read", None, outcome.begun, outcome.ended, 0, by=name))
        elif not outcome.refused:
            self._book.complain(self.name, "strange", f"get: {outcome.error!r}")

    def check(self, keys: Any) -> None:
        for key, history in self.histories.items():
            verdict = check(history)
            if not verdict.linearizable:
                self._book.complain(self.name, "stale", f"{key}: no order explains {verdict.stuck}")

    def _note(self, key: str, op: Op) -> None:
        self.histories.setdefault(key, []).append(op)


def _total(within: float | None) -> dict[str, float]:
    return {} if within is None else {"timeout": within}


class Session:
    """Session reads, of a worker's own key and of another's: not older than what the same worker got before.

    A value has its place at the index at which it was first returned, so one that comes back is seen, whatever index it
    comes with. An unknown write may take effect late, over a confirmed one: that is the store's state, not an old one.
    """

    name = "session"

    def __init__(self, book: Book, directory: str = "/chaos/session", pace: float = 0.1) -> None:
        self._book, self._dir, self._pace = book, directory, pace

    def worker(self, name: str, turns: Turns) -> Worker:
        own, shared = f"{self._dir}/{name}", f"{self._dir}/shared"
        known: dict[str, dict[str | None, int]] = {own: {None: 0}, shared: {None: 0}}
        for number, _ in enumerate(turns):
            key = own if number % 2 else shared
            value = f"{name}-{number}"
            outcome: Outcome = yield Ask("set", _set(key, value))
            if outcome.confirmed:
                known[key][value] = outcome.response.node.modified_index
            for key, places in known.items():
                outcome = yield Ask("get", _session_read(key), writes=False)
                if outcome.confirmed:
                    self._place(name, key, places, outcome.response.node.value, outcome.response.node.modified_index)
                elif isinstance(outcome.error, etcdv2.KeyNotFound):
                    self._place(name, key, places, None, 0)
            yield Wait(self._pace)

    def _place(self, name: str, key: str, places: dict[str | None, int], value: str | None, index: int) -> None:
        """`places`: the index of each value that this worker got, before this one."""
        floor, place = max(places.values()), places.setdefault(value, index)
        if index < floor or place < floor:
            text = f"{name} read {value} at index {index} from {key}, got index {floor} before"
            self._book.complain(self.name, "stale", text)
        elif index != place:
            self._book.complain(self.name, "doubled", f"{name} read {value} from {key} at index {place} and at {index}")

    def check(self, keys: Any) -> None:
        """Everything was checked on the way."""


class Addresses:
    """`client.sync` now and then, so that members which moved are found. Its workers get a client in place of keys."""

    name = "sync"

    def __init__(self, book: Book, pace: float = 0.7) -> None:
        self._book, self._pace = book, pace

    def worker(self, name: str, configured: Iterable[str], turns: Turns) -> Worker:
        for _ in turns:
            outcome: Outcome = yield Ask("sync", lambda client: client.sync(), writes=False)
            if outcome.confirmed and (gone := set(configured) - set(outcome.response)):
                self._book.complain(self.name, "lost", f"{name} has no longer the configured endpoints {gone}")
            yield Wait(self._pace)


def _set(key: str, value: str) -> Callable[[Any], Any]:
    return lambda keys: keys.set(key, value)


def _session_read(key: str) -> Callable[[Any], Any]:
    return lambda keys: keys.get(key, consistency="session")
