"""Which faults happen, when, and for how long: made from a seed, reported step by step, with times for later checks."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

import etcdv2
from etcdv2.testing import Server
from tests.chaos.ground import Ground
from tests.tools.waiting import SOON
from tests.tools.writers import foreign_writes

Fault = Callable[[Ground, random.Random], contextlib.AbstractContextManager[None]]

GRACE = 0.5
"""Seconds after all members are ready again in which a call may still begin to suffer."""
READY_WITHIN = 2 * SOON
MISSED = 5600
"""Entries; a leader keeps 5,000."""
FLOOD, POURING = 1200, 3
"""Events, more than the 1,000 that a member keeps; threads that make them."""


class Step(NamedTuple):
    """One entry of the plan: these faults at once, for so long, and then so long without any."""

    faults: tuple[str, ...]
    lasts: float
    quiet: float

    def __str__(self) -> str:
        return f"{' and '.join(self.faults)} for {self.lasts:.1f} s, then quiet for {self.quiet:.1f} s"


class Window(NamedTuple):
    """When a fault was active (monotonic time), its after-effects included."""

    since: float
    until: float
    what: str
    deaf: bool = False
    """No request could reach anybody: the kernel refused each connection."""


def leader(arena: Ground, rng: random.Random) -> list[Server]:
    return [arena.cluster.leader()]


def follower(arena: Ground, rng: random.Random) -> list[Server]:
    return [rng.choice(arena.cluster.followers())]


def majority(arena: Ground, rng: random.Random) -> list[Server]:
    return rng.sample(arena.members, 2)


def everybody(arena: Ground, rng: random.Random) -> list[Server]:
    return arena.members


Choice = Callable[[Ground, random.Random], list[Server]]


def killed(choice: Choice) -> Fault:
    """kill -9, started again when the fault ends."""

    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        members = choice(arena, rng)
        for member in members:
            member.kill()
        yield
        for member in members:
            member.start(wait=False)

    return fault


def paused(choice: Choice) -> Fault:
    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        members = choice(arena, rng)
        for member in members:
            member.pause()
        yield
        for member in members:
            member.resume()

    return fault


def restarted(choice: Choice) -> Fault:
    """SIGTERM, as a package upgrade does."""

    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        for member in choice(arena, rng):
            member.stop(timeout=1)
            member.start(wait=False)
        yield

    return fault


def moved(choice: Choice) -> Fault:
    """Away, by SIGTERM or kill -9, and back behind another link: clients on links must learn the new address."""

    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        members = choice(arena, rng)
        for member in members:
            member.kill() if rng.random() < 0.5 else member.stop(timeout=1)
        yield
        for member in members:
            arena.move(member)

    return fault


def cut_off(choice: Choice) -> Fault:
    """The member and the others do not reach each other; clients reach all of them."""

    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        for member in choice(arena, rng):
            arena.cut_off(member)
        yield
        arena.mend()

    return fault


@contextlib.contextmanager
def caught_up(arena: Ground, rng: random.Random) -> Generator[None]:
    """A follower misses more entries than a leader keeps, so a snapshot brings them: its watchers hear of none."""
    (member,) = follower(arena, rng)
    arena.cut_off(member)
    foreign_writes(arena.cluster.leader(), MISSED)
    yield
    arena.mend()


@contextlib.contextmanager
def client_cut(arena: Ground, rng: random.Random) -> Generator[None]:
    link = rng.choice(arena.ways)
    link.close_door()
    yield
    link.mend()


@contextlib.contextmanager
def client_stalled(arena: Ground, rng: random.Random) -> Generator[None]:
    link = rng.choice(arena.ways)
    link.stall()
    yield
    link.cut() if rng.random() < 0.5 else link.go()
    link.mend()


@contextlib.contextmanager
def all_clients_stalled(arena: Ground, rng: random.Random) -> Generator[None]:
    for link in arena.ways:
        link.stall()
    yield
    for link in arena.ways:
        link.mend()


@contextlib.contextmanager
def answers_lost(arena: Ground, rng: random.Random) -> Generator[None]:
    link = rng.choice(arena.ways)
    link.lose_answers = True
    yield
    link.mend()


@contextlib.contextmanager
def slow(arena: Ground, rng: random.Random) -> Generator[None]:
    """Slow for clients, a little slow between members."""
    for link in arena.ways:
        link.delay = rng.uniform(0.02, 0.2)
    for peers in arena.peer_ways:
        peers.delay = 0.01
    yield
    for way in [*arena.ways, *arena.peer_ways]:
        way.delay = 0.0


@contextlib.contextmanager
def flood_behind_a_cut(arena: Ground, rng: random.Random) -> Generator[None]:
    """Linked clients are cut off while more events happen than the members remember: watchers must name the hole."""

    def pour(client: etcdv2.Client) -> None:
        with contextlib.suppress(etcdv2.EtcdError):  # beside another fault
            for _ in range(FLOOD // POURING):
                client.keys.set("/chaos-flood", "", no_value_on_success=True)

    for link in arena.ways:
        link.close_door()
    with etcdv2.Client(arena.direct, timeout=2.0) as client:
        threads = [threading.Thread(target=pour, args=(client,)) for _ in range(POURING)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    yield
    for link in arena.ways:
        link.mend()


MEMBER_FAULTS: dict[str, Fault] = {
    "kill leader": killed(leader),
    "kill follower": killed(follower),
    "kill majority": killed(majority),
    "kill all": killed(everybody),
    "pause leader": paused(leader),
    "pause follower": paused(follower),
    "pause majority": paused(majority),
    "restart leader": restarted(leader),
    "restart follower": restarted(follower),
    "move leader": moved(leader),
    "move follower": moved(follower),
    "cut off leader": cut_off(leader),
    "cut off follower": cut_off(follower),
    "cut off follower until a snapshot": caught_up,
}
LINK_FAULTS: dict[str, Fault] = {
    "cut clients from a member": client_cut,
    "stall clients of a member": client_stalled,
    "stall all linked clients": all_clients_stalled,
    "lose a member's answers": answers_lost,
    "slow links": slow,
    "flood behind a cut": flood_behind_a_cut,
}
FAULTS = MEMBER_FAULTS | LINK_FAULTS


def plan(seed: int, own: Iterable[str] = ()) -> Iterator[Step]:
    """Without end: round after round, all faults in another order, some with a second one on the links.

    own: names of faults that only this ground has.
    """
    rng = random.Random(f"plan {seed}")
    while True:
        for name in rng.sample(every := [*FAULTS, *own], len(every)):
            chosen: tuple[str, ...] = (name,)
            if name in MEMBER_FAULTS and "cut off" not in name and rng.random() < 0.3:
                chosen += (rng.choice(list(LINK_FAULTS)),)
            yield Step(chosen, rng.uniform(0.5, 3.5), rng.uniform(0.8, 1.6))


class Schedule:
    """Carries out a plan against an arena; `windows` says when something was wrong, `done` what and how often.

    After each step `go_on` is called, which may wait for what has to follow.
    """

    def __init__(
        self, arena: Ground, seed: int, report: Callable[[str], None], go_on: Callable[[], None] = lambda: None
    ) -> None:
        self._arena = arena
        self._faults = FAULTS | dict(arena.own_faults)
        self._rng = random.Random(f"targets {seed}")
        self._plan = plan(seed, arena.own_faults)
        self._report = report
        self._go_on = go_on
        self.windows: list[Window] = []
        self.done: Counter[str] = Counter()

    def run(self, until: float, faults: int = 0) -> None:
        """Fault after fault until that (monotonic) time, and until there were so many; all is whole when it returns."""
        began = time.monotonic()
        self._go_on()
        time.sleep(1.0)
        while time.monotonic() < until or self.done.total() < faults:
            step = next(self._plan)
            self._report(f"{time.monotonic() - began:6.1f} s: {step}")
            self.carry_out(step)
            self._go_on()
            time.sleep(step.quiet)

    def carry_out(self, step: Step) -> None:
        since = time.monotonic()
        with contextlib.ExitStack() as stack:
            for name in step.faults:
                stack.enter_context(self._faults[name](self._arena, self._rng))
                self.done[name] += 1
            time.sleep(step.lasts)
        self._arena.cluster.wait_ready(timeout=READY_WITHIN)
        self.windows.append(Window(since, time.monotonic() + GRACE, " and ".join(step.faults)))
