"""Contenders in virtual time, under faults, and a book of what must never happen.

Owns the invariants: exclusion, tokens that rise, a fenced file that refuses nobody who believed to
hold, no entry left behind, nobody who waits for ever, and time-outs that are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast
from unittest.mock import patch

from etcdv2 import EtcdError
from etcdv2._runtime import clock
from etcdv2.recipes import AcquireTimeout, AsyncLease, AsyncLock, AsyncSession, LeaseLost
from etcdv2.recipes._async import common_watch
from tests.recipes.model.store import Faults, ModelClient, Store
from tests.recipes.model.virtual_loop import ACTOR, VirtualLoop

TTL = 5
MARGIN = 0.5
KEY = "/locks/db"


@dataclass
class Book:
    """What happened, and what was wrong with it."""

    limit: int = 1
    kind: str = "lock"
    living: list[tuple[AsyncLease, str]] = field(default_factory=list)
    highest: int = 0
    stored: int = 0
    held: int = 0
    lost: int = 0
    timeouts: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    def acquired(self, lease: AsyncLease, mode: str, now: float) -> None:
        self.held += 1
        self.living.append((lease, mode))
        if self.kind in ("lock", "election") and lease.token <= self.highest:
            self.wrong.append(f"{now:.3f}: token {lease.token} after {self.highest}")
        if not lease.held:
            self.wrong.append(f"{now:.3f}: {lease.token} was not held any more when it was given out")
        self.highest = max(self.highest, lease.token)
        self.look(now)

    def released(self, lease: AsyncLease) -> None:
        self.living = [(one, mode) for one, mode in self.living if one is not lease]

    def look(self, now: float) -> None:
        """At any moment; without `held`, which would note a loss that its program has not seen yet."""
        states = [(lease._held_key.state, mode) for lease, mode in self.living]
        modes = [mode for state, mode in states if not state.ended and now < state.deadline]
        alone = len(modes) <= self.limit if self.kind != "rwlock" else modes.count("write") == 0 or len(modes) == 1
        if not alone:
            self.wrong.append(f"{now:.3f}: held at once: {modes}")

    def write(self, token: int, believed: bool, now: float) -> None:
        """A file that refuses older tokens."""
        if token < self.stored:
            self.refused += 1
            if believed:
                self.wrong.append(f"{now:.3f}: {token} was refused after {self.stored}, though it was held")
        self.stored = max(self.stored, token)


@contextlib.contextmanager
def virtual(loop: VirtualLoop) -> Iterator[None]:
    """The recipes live in the time of this loop."""
    real, clock.now = clock.now, loop.time
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        clock.now = real
        logging.disable(logging.NOTSET)


def lock_of(session: AsyncSession, kind: str, mode: str, limit: int) -> AsyncLock:
    owner = ACTOR.get()
    if kind == "rwlock":
        lock = session.rwlock(KEY, owner=owner)
        return lock.write if mode == "write" else lock.read
    return session.semaphore(KEY, limit, owner=owner) if kind == "semaphore" else session.lock(KEY, owner=owner)


def play(
    seed: int, *, kind: str = "lock", limit: int = 1, contenders: int = 4, seconds: float = 60.0, margin: float = MARGIN
) -> Book:
    """One run. What it was that went wrong is in the book."""
    rng, loop = Random(seed), VirtualLoop()
    book = Book(limit if kind == "semaphore" else 1, kind)
    are_many = bool(seed % 2)
    faults = Faults(
        lose=rng.choice([0.0, 0.05, 0.25]),
        late=rng.choice([0.0, 0.1, 0.4]),
        twice=rng.choice([0.0, 0.1]),
        skew=MARGIN * 0.9,
        slow=rng.choice([0.0, 0.0, 0.5]),
        history=rng.choice([3, 1000]),
    )
    try:
        with virtual(loop), patch.object(common_watch, "FEW", 0 if are_many else contenders):
            loop.run_until_complete(_run(loop, rng, faults, book, contenders, seconds, limit, margin, are_many))
    finally:
        end_all(loop)
    return book


def end_all(loop: VirtualLoop) -> None:
    """Requests that nobody waits for any more."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


async def _run(
    loop: VirtualLoop,
    rng: Random,
    faults: Faults,
    book: Book,
    contenders: int,
    seconds: float,
    limit: int,
    margin: float,
    are_many: bool,
) -> None:
    store = Store(loop, rng, faults)
    ends = loop.time() + seconds
    names = [f"c{number}" for number in range(contenders)]
    sessions = [AsyncSession(cast(Any, ModelClient(store)), ttl=TTL, margin=margin, owner=name) for name in names]
    if are_many:  # of one program
        sessions[1:] = sessions[:1] * (contenders - 1)
    tasks = [
        loop.begin(name, _contend(loop, rng, session, book, ends, limit))
        for name, session in zip(names, sessions, strict=True)
    ]
    nemesis = loop.begin("", _disturb(loop, rng, faults, names, book, ends))
    done, late = await asyncio.wait(tasks, timeout=seconds + 20 * TTL)
    await nemesis
    for task in late:
        book.wrong.append("somebody waits for ever")
        task.cancel()
    for task in done:
        if (error := task.exception()) is not None:
            book.wrong.append(f"it raised {error!r}")

    # What was left is deleted, or expires; late requests come and are deleted as well.
    await asyncio.sleep(3 * TTL + faults.latest)
    store.sweep()
    if store.files:
        book.wrong.append(f"left behind: {list(store.files)}")
    if store.changed:
        book.wrong.append(f"{len(store.changed)} watches are left")
    for session in sessions:
        await session.close()


async def _contend(loop: VirtualLoop, rng: Random, session: AsyncSession, book: Book, ends: float, limit: int) -> None:
    session._keeping.rng = rng
    while loop.time() < ends:
        mode = rng.choice(["read", "read", "write"])
        timeout = rng.choice([None, 1.0, 8.0, 30.0])
        try:
            if book.kind == "election":
                lease: AsyncLease | None = await session.election(KEY).campaign(timeout=timeout)
            elif rng.random() < 0.9:
                lease = await lock_of(session, book.kind, mode, limit).acquire(timeout=timeout)
            else:
                lease = await lock_of(session, book.kind, mode, limit).try_acquire()
        except AcquireTimeout:
            book.timeouts += 1
            continue
        except EtcdError:  # of a try
            continue
        if lease is not None:
            await _hold(loop, rng, lease, mode, book)
        await asyncio.sleep(rng.uniform(0, 1))


async def _hold(loop: VirtualLoop, rng: Random, lease: AsyncLease, mode: str, book: Book) -> None:
    book.acquired(lease, mode, loop.time())
    try:
        async with lease:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(rng.uniform(0, rng.choice([0.2, 2 * TTL])))
                believed = lease.held
                if book.kind in ("lock", "election"):
                    book.write(lease.token, believed, loop.time())
            book.look(loop.time())
            book.released(lease)
    except LeaseLost:
        book.lost += 1
    finally:
        book.released(lease)


async def _disturb(loop: VirtualLoop, rng: Random, faults: Faults, names: list[str], book: Book, ends: float) -> None:
    """Freezes contenders, the holder above all, and cuts them off."""
    usual = (faults.lose, faults.late)
    while loop.time() < ends:
        await asyncio.sleep(rng.uniform(0, 3))
        book.look(loop.time())
        holders = [lease._held_key.key.rpartition("/")[2].rpartition("-")[0] for lease, _ in book.living]
        if book.kind == "election":
            holders = [lease.value.rpartition("-")[0] for lease, _ in book.living]
        holders = [name.removeprefix("r-").removeprefix("w-") for name in holders]
        name = rng.choice(names if rng.random() < 0.5 or not holders else holders)
        what = rng.random()
        if what < 0.25:
            loop.freeze(name, rng.uniform(0.3, 2 * TTL))
        elif what < 0.35:
            faults.cut.add(name)
        elif what < 0.55:
            faults.cut.clear()
        elif what < 0.65:
            faults.lose, faults.late = 1.0, 0.5
        else:
            faults.lose, faults.late = usual
        for _ in range(20):
            await asyncio.sleep(0.05)
            book.look(loop.time())
    faults.cut.clear()
    faults.lose, faults.late = 0.0, 0.0
