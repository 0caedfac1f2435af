"""Queues, counters and double barriers in virtual time, under faults; and what must never happen to them.

Owns these courses and their invariants. Time, store and faults are those of the other models.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from etcdv2 import EtcdError, OutcomeUnknown
from etcdv2.recipes import AsyncItem, AsyncLease, AsyncSession, LeaseLost
from tests.recipes.model.contest import MARGIN, TTL, end_all, virtual
from tests.recipes.model.store import Faults, ModelClient, Store
from tests.recipes.model.virtual_loop import VirtualLoop

Actor = Callable[[AsyncSession], Awaitable[None]]


@dataclass
class Course:
    """One run: its time, its faults, and what was wrong."""

    seed: int
    latest: float = 8.0
    twice: bool = False
    ttl: int = TTL
    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.loop = VirtualLoop()
        self.faults = Faults(
            lose=self.rng.choice([0.0, 0.05, 0.25]),
            late=self.rng.choice([0.0, 0.1, 0.4]),
            latest=self.latest,
            twice=self.rng.choice([0.0, 0.1]) if self.twice else 0.0,
            skew=MARGIN * 0.9,
            slow=self.rng.choice([0.0, 0.0, 0.5]),
            history=self.rng.choice([3, 1000]),
        )
        self.store = Store(self.loop, self.rng, self.faults)
        self.quiet = False
        """Whether the faults are over."""

    def run(self, actors: dict[str, Actor], seconds: float, *, freezes: bool) -> None:
        """Faults for so many seconds, then the end of all actors."""
        try:
            with virtual(self.loop):
                self.loop.run_until_complete(self._run(actors, seconds, freezes))
        finally:
            end_all(self.loop)

    async def _run(self, actors: dict[str, Actor], seconds: float, freezes: bool) -> None:
        sessions = {
            name: AsyncSession(cast(Any, ModelClient(self.store)), ttl=self.ttl, margin=MARGIN, owner=name)
            for name in actors
        }
        for session in sessions.values():
            session._keeping.rng = self.rng
        tasks = [self.loop.begin(name, _as_task(actor(sessions[name]))) for name, actor in actors.items()]
        await self.loop.begin("", self._disturb(list(actors), self.loop.time() + seconds, freezes))
        done, late = await asyncio.wait(tasks, timeout=30 * TTL)
        for task in late:
            self.wrong.append("somebody waits for ever")
            task.cancel()
        for task in done:
            if (error := task.exception()) is not None:
                self.wrong.append(f"it raised {error!r}")
        for session in sessions.values():
            await session.close()
        await asyncio.sleep(4 * self.ttl + self.latest)
        self.store.sweep()

    async def _disturb(self, names: list[str], ends: float, freezes: bool) -> None:
        loop, rng, faults = self.loop, self.rng, self.faults
        usual = (faults.lose, faults.late)
        while loop.time() < ends:
            await asyncio.sleep(rng.uniform(0, 3))
            what = rng.random()
            if what < 0.3 and freezes:
                loop.freeze(rng.choice(names), rng.uniform(0.3, 2 * TTL))
            elif what < 0.4:
                faults.cut.add(rng.choice(names))
            elif what < 0.6:
                faults.cut.clear()
            elif what < 0.7:
                faults.lose, faults.late = 1.0, 0.5
            else:
                faults.lose, faults.late = usual
        faults.cut.clear()
        faults.lose, faults.late = 0.0, 0.0
        self.quiet = True

    def say(self, what: str) -> None:
        self.wrong.append(f"{self.loop.time():.3f}: {what}")


async def _as_task(work: Awaitable[None]) -> None:
    await work


# --- queue -----------------------------------------------------------------------------------------------------------


class QueueCourse(Course):
    """Values are put once each, and done by whoever gets them."""

    def play(self, seconds: float = 60.0) -> list[str]:
        self.put: set[str] = set()
        self.all: set[str] = set()
        self.done: set[str] = set()
        self.given: list[tuple[str, AsyncLease]] = []
        self.kept: Counter[str] = Counter()
        self.putting = 2
        producers = {f"p{number}": self._produce for number in range(2)}
        consumers = {f"c{number}": self._consume for number in range(3)}
        self.run({**producers, **consumers}, seconds, freezes=True)
        if missing := self.put - set(self.kept):
            self.wrong.append(f"never given: {missing}")
        if left := [name for name in self.store.files if "/claims/" in name]:
            self.wrong.append(f"left behind: {left}")
        return self.wrong

    async def _produce(self, session: AsyncSession) -> None:
        queue, numbers = session.queue("/jobs", ttl=TTL), itertools.count()
        while not self.quiet:
            value = f"{session.owner}-{next(numbers)}"
            self.all.add(value)
            try:
                await queue.put(value, timeout=self.rng.choice([1.0, 20.0]))
            except EtcdError as error:
                self.seen["put " + type(error).__name__] += 1
            else:
                self.put.add(value)
            await asyncio.sleep(self.rng.uniform(0, 2))
        self.putting -= 1

    async def _consume(self, session: AsyncSession) -> None:
        queue = session.queue("/jobs", ttl=TTL)
        while True:
            try:
                item = await queue.get(timeout=self.rng.choice([0, 1.0, 10.0]))
            except EtcdError as error:
                self.seen["get " + type(error).__name__] += 1
                continue
            if item is not None:
                await self._work(item)
            elif self.quiet and not self.putting and not await self._something_left(queue):
                return

    async def _something_left(self, queue: Any) -> bool:
        return bool(await queue.pending() + await queue.claimed())

    async def _work(self, item: AsyncItem) -> None:
        value = item.value
        self.seen["given"] += 1
        if value not in self.all:
            self.say(f"{value!r} was given, which nobody has put")
        if value in self.done:
            self.say(f"{value} was given again after it was done")
        if not item.lease.held:
            self.say(f"{value} was given with a claim that was over")
        now = self.loop.time()
        for other, lease in self.given:
            state = lease._held_key.state
            if other == value and not state.ended and now < state.deadline:
                self.say(f"{value} was given to two at once")
        entry = (value, item.lease)
        self.given.append(entry)
        self.kept[value] += 1
        try:
            await asyncio.sleep(self.rng.uniform(0, self.rng.choice([0.2, 0.2, 2 * TTL])))
            if self.rng.random() < 0.8:
                await item.ack()
                self.done.add(value)
                self.seen["done"] += 1
            else:
                await item.give_back()
        except LeaseLost:
            self.seen["lost"] += 1
            await item.give_back()
        finally:
            self.given.remove(entry)


# --- counter ---------------------------------------------------------------------------------------------------------


class CounterCourse(Course):
    """Each addition is one; so no number is returned twice."""

    def play(self, seconds: float = 40.0) -> list[str]:
        self.returned: list[int] = []
        self.unknown = 0
        self.run({f"a{number}": self._add for number in range(4)}, seconds, freezes=False)
        twice = [number for number, count in Counter(self.returned).items() if count > 1]
        if twice:
            self.wrong.append(f"returned twice: {twice}")
        value = self.store.files["/count"].value if "/count" in self.store.files else "0"
        number = int(value.split()[0])
        if not len(self.returned) <= number <= len(self.returned) + self.unknown:
            self.wrong.append(f"{number} after {len(self.returned)} additions and {self.unknown} unknown ones")
        return self.wrong

    async def _add(self, session: AsyncSession) -> None:
        while not self.quiet:
            try:
                self.returned.append(await session.counter("/count").add())
                self.seen["added"] += 1
            except OutcomeUnknown:
                self.unknown += 1
                self.seen["unknown"] += 1
            except EtcdError:
                self.seen["not added"] += 1
            await asyncio.sleep(self.rng.uniform(0, 0.5))


# --- double barrier --------------------------------------------------------------------------------------------------


class BarrierCourse(Course):
    """All take part in each round, so nobody passes into a round that somebody has not begun."""

    def play(self, seconds: float = 40.0, count: int = 3) -> list[str]:
        self.begun = dict.fromkeys((f"a{number}" for number in range(count)), 0)
        self.left = dict.fromkeys(self.begun, 0)
        self.run(dict.fromkeys(self.begun, self._take_part), seconds, freezes=False)
        if left := [name for name in self.store.files if "/in/" in name]:
            self.wrong.append(f"left behind: {left}")
        return self.wrong

    async def _take_part(self, session: AsyncSession) -> None:
        barrier, me = session.double_barrier("/start", len(self.begun)), session.owner
        while not self.quiet or self.begun[me] < max(self.begun.values()):
            self.begun[me] += 1
            lease = await barrier.enter()
            self.seen["rounds"] += 1
            if min(self.begun.values()) < self.begun[me]:
                self.say(f"{me} has passed into round {self.begun[me]}: {self.begun}")
            if not lease.held:
                self.say(f"{me} was over when it passed")
            await asyncio.sleep(self.rng.uniform(0, 0.5))
            self.left[me] += 1
            if not await barrier.leave():
                self.say(f"{me} left without the others")
            if min(self.left.values()) < self.left[me]:
                self.say(f"{me} has left round {self.left[me]}: {self.left}")
            await asyncio.sleep(self.rng.uniform(0, 0.5))


def queue(seed: int) -> QueueCourse:
    """One run. What was wrong is in `wrong`."""
    course = QueueCourse(seed, latest=6.0)
    course.play()
    return course


def counter(seed: int) -> CounterCourse:
    course = CounterCourse(seed, twice=True)
    course.play()
    return course


def barrier(seed: int) -> BarrierCourse:
    course = BarrierCourse(seed, ttl=120)
    course.play()
    return course
