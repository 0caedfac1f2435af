"""The scheduler of the watch machine: who goes on next, what arrives, what breaks. Seeded, and nothing else is random.

Owns the faults, and what is taken for granted of them: `Ground` says how much of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from etcdv2._core.watch import raft_chain, renewal
from tests.tools.watch_machine import ground as scale
from tests.tools.watch_machine.cluster import FOREIGN, NONE, WATCHED, History, Member
from tests.tools.watch_machine.ground import SNAPSHOT, Ground
from tests.tools.watch_machine.judge import Judge, Violation
from tests.tools.watch_machine.network import Flow, Handler, Headers, Mark, Soon, Stage

if TYPE_CHECKING:
    from tests.tools.watch_machine.polls_driver import Steps

DRAIN_ROUNDS = 600
SPEEDS = ((1.0,), (1.0, 1.0, 1.0, 0.2), (1.0, 1.0, 1.0, 0.2, 0.02))
"""How often it is somebody's turn: one run is quick, in another one many are slow."""
MEMBER_SPEEDS = (1.0, 1.0, 0.3)
TEMPOS = (0.01, 0.02, 0.035)
"""How many of the steps are entries."""
TROUBLES = (0.0, 0.01, 0.05)
"""How many of the steps are faults."""
WATCHED_SHARES = (0.02, 0.07, 0.25)
"""How many of the entries are events of the watched key."""
TICKS = (0.0005, 0.005, 0.02)
"""Seconds that a step takes at the least."""
STALLS = (0.1, 0.3, 0.8)
"""How many of the handlers are slow to get to where they wait."""
BURSTS = ((1,), (*[1] * 20, *[2] * 3, 3, 14))
FOUND = (Stage.WRITING, Stage.HALF_WRITTEN, Stage.ENDING, Stage.HEADED, Stage.REGISTERED)


@contextmanager
def scaled() -> Iterator[None]:
    """The numbers of the core as small as the model's history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renewal, "RENEW_AFTER_EVENTS", scale.RENEW_AFTER)
        patch.setattr(renewal, "RENEW_SOONER_EVENTS", scale.RENEW_SOONER)
        patch.setattr(renewal, "URGENT_EVENTS", scale.URGENT)
        patch.setattr(raft_chain, "SNAPSHOT_ENTRIES", SNAPSHOT)
        yield


def _either(given: float | None, drawn: float) -> float:
    return drawn if given is None else given


class Client(Protocol):
    """What the world wants of a driver."""

    @property
    def settled(self) -> int: ...

    def actors(self) -> list[Steps]: ...

    def lost(self) -> None: ...


class Outcome(NamedTuple):
    """What one run came to."""

    delivered: int
    named: int
    proved: int
    violation: Violation | None
    trace: list[str]


class World:
    """One run. The driver asks it for connections; it runs the driver."""

    def __init__(self, ground: Ground, seed: int, *, traced: bool = False) -> None:
        self.ground = ground
        self.rng = Random(seed)
        self.judge = Judge()
        self.now = 0.0
        self.history = self._begin_history("c0")
        self.endpoints: list[list[Member]] = []
        for endpoint, count in enumerate(ground.endpoints):
            self.endpoints.append([Member(f"m{endpoint}{number}", self.history) for number in range(count)])
        self.members = [member for members in self.endpoints for member in members]
        for member in self.members:
            member.speed = self.rng.choice(MEMBER_SPEEDS)
        self.flows: list[Flow] = []
        self._observed: set[str] = set()
        """Members of whose raft index, in this history, the client has heard."""
        self.faulty: set[int] = set()
        """Polls that lose what they have."""
        self.draining = False
        self._speeds = self.rng.choice(SPEEDS)
        self._tempo = self.rng.choice(TEMPOS)
        self._trouble = _either(ground.trouble, self.rng.choice(TROUBLES))
        self._bursts = self.rng.choice(BURSTS)
        self._tick = self.rng.choice(TICKS)
        self._stalls = _either(ground.stalls, self.rng.choice(STALLS))
        self._watched_share = _either(ground.watched_share, self.rng.choice(WATCHED_SHARES))
        self._step = 0
        self._trace: list[str] | None = [] if traced else None

    def note(self, *what: object) -> None:
        if self._trace is not None:
            self._trace.append(f"{self._step:4} " + " ".join(map(str, what)))

    # --- what the driver asks for ------------------------------------------------------------------------------------

    def any_endpoint(self) -> int:
        return self.rng.randrange(len(self.endpoints))

    def any_member(self) -> Member:
        return self.rng.choice(self.members)

    def connect(self, endpoint: int) -> Flow:
        flow = Flow(self.rng.choice(self.endpoints[endpoint]), self.rng.choice(self._speeds))
        flow.stalls = self.rng.random() < self._stalls
        flow.asked_at = self._step
        self.flows.append(flow)
        return flow

    def headers_came(self, flow: Flow, headers: Headers) -> None:
        """Before the driver sees them."""
        flow.answer = headers
        flow.headed_at = self._step
        for other in self.flows:
            if 0 < other.headed_at < flow.asked_at:
                other.answers += 1
                if other.answers >= 2 and self.ground.prompt:
                    self._hurry(other)

    def observed(self, flow: Flow) -> None:
        """The client heeds the raft index of its headers."""
        if flow.history is self.history:
            self._observed.add(flow.member.name)

    def poll_begun(self, flow: Flow, number: int) -> None:
        """It is the watch's first poll from now on."""
        flow.number = number
        self.note("poll", number, "begins:", flow.answer, "at", flow.member)
        if self._may_be_faulty(number, self.ground.deaf_in_a_row) and self.rng.random() < 0.5:
            self.faulty.add(number)
            flow.deaf = True
            flow.down.clear()
            flow.inbox.clear()
            self.note("it is deaf")

    def half_close(self, flow: Flow) -> bool:
        if not self.ground.half_close or flow.aborted:
            return False
        if self.ground.answers_ends:
            flow.send(Mark.EOF)
        self.note("end of", flow, "is asked for")
        return True

    def close(self, flow: Flow) -> None:
        flow.die()
        if flow in self.flows:
            self.flows.remove(flow)

    # --- the run -----------------------------------------------------------------------------------------------------

    def run(self, driver: Client) -> Outcome:
        """To its end, or to the first violation."""
        actors = driver.actors()
        violation: Violation | None = None
        waiting = [next(actor) for actor in actors]
        speeds = [self.rng.choice(self._speeds) for _ in actors]
        try:
            for step in range(1, self.ground.steps):
                self._step = step
                self.now += self._tick
                kind = self.rng.random()
                if kind < self._tempo:
                    self._commit()
                elif kind < self._tempo + self._trouble:
                    self._fault(driver, speeds)
                elif kind < 0.4:
                    self._step_actor(actors, waiting, speeds)
                    if self.ground.strictly and self.judge.history is self.history:
                        self.judge.settled(driver.settled)
                elif kind < 0.9:
                    self._step_flow()
                else:
                    self._step_member()
            self._drain(actors, waiting)
        except Violation as error:
            violation = error
        judge = self.judge
        return Outcome(judge.delivered_events, len(judge.named), judge.proved, violation, self._trace or [])

    def _step_actor(self, actors: list[Steps], waiting: list[Flow | Soon | None], speeds: list[float]) -> None:
        first = self.rng.randrange(len(actors))
        for turn in range(len(actors)):
            number = (first + turn) % len(actors)
            if self.rng.random() < speeds[number] and self._is_ready(waiting[number]):
                waiting[number] = next(actors[number])
                return

    def _is_ready(self, awaited: Flow | Soon | None) -> bool:
        if awaited is None:
            return True
        if isinstance(awaited, Flow):
            return bool(awaited.inbox) or awaited.ended
        flow, impatience = awaited
        return bool(flow.inbox) or flow.ended or self.rng.random() < impatience

    def _step_flow(self) -> None:
        flows, random = self.flows, self.rng.random
        start = int(random() * len(flows)) if flows else 0
        for place in range(len(flows)):
            flow = flows[place - start]
            if (flow.up or flow.down or flow.handler is not None) and random() < flow.speed and self._move(flow):
                return

    def _move(self, flow: Flow) -> bool:
        """Something on this connection goes on by one step."""
        first = int(self.rng.random() * 3)
        for kind in (first, first - 1, first - 2):
            if kind % 3 == 0:
                handler = flow.handler
                if handler is not None and not self._is_stalled(flow, handler) and handler.step():
                    return True
            elif flow.deliver_up(self._lose_toss) if kind % 3 == 1 else flow.deliver_down():
                return True
        return False

    def _is_stalled(self, flow: Flow, handler: Handler) -> bool:
        """One that is slow to get to where it waits; once the client has asked for its end mostly no more."""
        stalls = flow.stalls and handler.stage is Stage.HEADED and (not handler.eof or flow.speed < 1)
        return stalls and self.rng.random() < 0.98

    def _step_member(self) -> None:
        member = self.any_member()
        if self.rng.random() >= member.speed:
            return
        if self.rng.random() < 0.5:
            member.learn(self.rng)
        else:
            member.apply(self.rng, wrong_history=self.ground.wrong_history)

    def _commit(self) -> None:
        for _ in range(self.rng.choice(self._bursts)):
            self._commit_one()

    def _commit_one(self) -> None:
        share = self.rng.random()
        kind = WATCHED if share < self._watched_share else NONE if share > 0.9 else FOREIGN
        self.history.commit(kind)
        self.now += 0.05 / SNAPSHOT  # nobody makes more than 100,000 entries a second
        self.note("entry", len(self.history), kind, "index", self.history.index)

    # --- faults ------------------------------------------------------------------------------------------------------

    def _fault(self, driver: Client, speeds: list[float]) -> None:
        kind = self.rng.random()
        if kind < 0.2:
            self.now += self.rng.choice((0.01, 0.01, 0.3, 60))
        elif kind < 0.3:
            speeds[self.rng.randrange(len(speeds))] = self.rng.choice(self._speeds)
        elif kind < 0.5 and self.flows:
            self.rng.choice(self.flows).speed = self.rng.choice(self._speeds)
        elif kind < 0.7 and self.ground.flows_die and self.flows:
            self._kill(self.rng.choice(self.flows))
        elif kind < 0.9 and self.ground.snapshots:
            self._replace(self.any_member())
        elif kind < 0.95:
            driver.lost()  # a monitor that gives the member up
        elif kind < 0.953 and self.ground.swaps:
            self._swap()

    def _replace(self, member: Member) -> None:
        """The member is cut off from the others while many entries are made; the next time it gets a snapshot."""
        if len(self.history) - member.committed < SNAPSHOT:
            member.cut_off = True
            while len(self.history) - member.committed < SNAPSHOT:
                self._commit_one()
            if self.rng.random() < 0.5:
                return
        if (self.ground.first_contact or member.name in self._observed) and member.receive_snapshot():
            self.note("snapshot for", member)

    def _kill(self, flow: Flow) -> None:
        handler = flow.handler
        if self.ground.prompt and handler is not None and handler.found and (flow.down or handler.stage in FOUND):
            return  # that would be deaf
        self.note("dies:", flow, "with", list(flow.down))
        flow.die()
        flow.broken = self.rng.random() < 0.5

    def _swap(self) -> None:
        """Another history takes the place of this one, and all connections end."""
        if self.ground.swaps == "same id":
            self.history = self._copy_grown()
        else:
            self.history = self._begin_history(f"c{self._step}")
        self.note("another history:", self.history.cluster_id)
        self._observed.clear()
        for member in self.members:
            member.begin(self.history)
        for flow in self.flows:
            flow.die()
            flow.broken = self.rng.random() < 0.5

    def _begin_history(self, cluster_id: str) -> History:
        history = History(cluster_id)
        for _ in range(self.rng.randint(1, 12)):
            history.commit(self.rng.choice((WATCHED, FOREIGN, FOREIGN, NONE)))
        return history

    def _copy_grown(self) -> History:
        """Put back to a copy, and perhaps grown past the old index."""
        history = self.history.copy(self.rng.randint(max(0, len(self.history) - 30), len(self.history)))
        for _ in range(self.rng.randint(0, 40)):
            history.commit(self.rng.choice((WATCHED, FOREIGN, FOREIGN, FOREIGN, NONE)))
        return history

    def _may_be_faulty(self, number: int, in_a_row: int) -> bool:
        before = 0
        while number - 1 - before in self.faulty:
            before += 1
        return before < in_a_row and not self.draining

    def _lose_toss(self, flow: Flow) -> bool:
        if not self._may_be_faulty(flow.number, self.ground.tosses_in_a_row) or self.rng.random() < 0.3:
            return False
        self.faulty.add(flow.number)
        self.note(flow, "loses the toss")
        return True

    def _hurry(self, flow: Flow) -> None:
        """What it found in the history arrives now, at the latest."""
        handler = flow.handler
        if handler is None or not handler.found or flow.dead or flow.deaf:
            return
        while handler.step():
            pass
        while flow.deliver_down():
            pass

    # --- the end -----------------------------------------------------------------------------------------------------

    def _drain(self, actors: list[Steps], waiting: list[Flow | Soon | None]) -> None:
        """All goes well from now on, and nobody stops. Raises Violation when the watch does not come to the last event.

        What died in silence stays silent, but for a poll that has begun to receive: there the kernel finds out.
        """
        self.draining = True
        self.note("drain")
        self.history.commit(WATCHED)
        last = self.history.index
        for round_number in range(DRAIN_ROUNDS):
            if self.judge.history is self.history and self.judge.position >= last:
                return
            if round_number % 25 == 24:
                self.history.commit(FOREIGN)
            self.now += 0.5
            for member in self.members:
                member.cut_off = False
                member.learn(self.rng)
                while member.apply(self.rng, wrong_history=False):
                    pass
            for number, actor in enumerate(actors):
                if self._is_ready(waiting[number]):
                    waiting[number] = next(actor)
            for flow in list(self.flows):
                self._drain_flow(flow)
        raise Violation(f"the watch came to {self.judge.position} and no further than that, of {last}")

    def _drain_flow(self, flow: Flow) -> None:
        while flow.deliver_up(self._lose_toss):
            pass
        while flow.handler is not None and flow.handler.step():
            pass
        while flow.deliver_down():
            pass
        if flow.dead and not flow.inbox and (flow.answer is None or flow.half_read):
            flow.broken = True
