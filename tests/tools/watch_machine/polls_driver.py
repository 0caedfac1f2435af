"""The client of the watch machine: line by line what `poll_requests`, `polls` and `index_monitor` do, on the real core.

Owns no decision: what those files decide by `Renewal`, `Cursor` and `RaftChain` is decided by these here, in the same
calls. Each `yield` is a place where others may run: between any two lines outside of the polls' lock, for the threads
of the sync client may stop there, too. Where those files wait for a span of time, any time may pass here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache

from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.one_history import Landmark, landmark_of
from etcdv2._core.watch.raft_chain import RaftChain
from etcdv2._core.watch.renewal import Ended, Registered, Renewal, State
from etcdv2_api import KeysEvent
from tests.tools.watch_machine.history_driver import HistoryDriver
from tests.tools.watch_machine.network import Ask, Body, Flow, Headers, Mark, Soon
from tests.tools.watch_machine.world import World

Steps = Generator[Flow | Soon | None, None, None]
"""What is waited for: something to read there, for a while or for ever, or nothing but one's turn."""

SILENT_STREAM = 0.25
KEY = "/k"


class Lost(Exception):
    """HistoryCleared or ClusterChanged: a loss that is named."""


class Failed(Exception):
    """TransportFailure."""


@dataclass(eq=False)
class Held:
    """A registered poll (`AsyncHeldPoll`)."""

    flow: Flow
    at: Registered
    headers: Headers
    endpoint: int
    since: int | None = None


@lru_cache(maxsize=4096)
def change(index: int, mark: int = 0) -> KeysEvent:
    return KeysEvent.model_validate({"action": "set", "node": {"key": KEY, "value": f"{mark}", "modifiedIndex": index}})


class PollsDriver:
    """One watch. `renewal` and `chain` are the classes in use, so that mutants can be tried."""

    renewal_class: type[Renewal] = Renewal
    chain_class: type[RaftChain] = RaftChain
    history_class: type[HistoryDriver] = HistoryDriver
    strict = True
    lost_error, failed_error = Lost, Failed

    def __init__(self, world: World, since: int | None) -> None:
        self.world = world
        self.cursor = Cursor(KEY, recursive=False, wait_index=since)
        self.renewal = self.renewal_class(self.cursor)
        self.chains: dict[tuple[int, str, str], RaftChain] = {}
        self.answering: set[int] = set(range(len(world.ground.endpoints))) if world.ground.answers_ends else set()
        self.watched: int | None = None
        """At which endpoint the monitor watches the polls."""
        self.first: Held | None = None
        self.second: Held | None = None
        self.pending: Held | None = None
        self.is_lost = self.has_leapt = False
        self.meets_newcomers = False
        self.cluster_id = ""
        self.seen_cluster, self.seen_index = "", 0
        """The cluster view's."""
        self.check = self.history_class(self, strict=self.strict)
        self.history = self.check.history
        self.snapshot_due = False
        self.begun = False
        self.came_at = 0.0
        self.polls_begun = 0

    @property
    def settled(self) -> int:
        return self.renewal.settled

    # --- the transport -----------------------------------------------------------------------------------------------

    def ask(self, endpoint: int, ask: Ask, found: list[Flow]) -> Steps:
        """Send a request and wait for its headers; `found` gets the connection. Raises Failed and Lost (401)."""
        flow = self.world.connect(endpoint)
        flow.send(ask)
        yield Soon(flow)
        answer = flow.inbox.popleft() if flow.inbox else None
        if isinstance(answer, Headers):
            self.world.headers_came(flow, answer)
            found.append(flow)
            return
        self.world.close(flow)
        raise Lost("history cleared") if answer is Mark.REFUSED else Failed

    def read(self, flow: Flow, found: list[Body | Mark]) -> Steps:
        """One part of a body. Raises Failed."""
        if not flow.inbox:
            yield flow
        part = flow.inbox.popleft() if flow.inbox else None
        if part is None or (flow.aborted and part is Mark.END):
            raise Failed
        assert not isinstance(part, Headers)
        flow.half_read = isinstance(part, Body)
        found.append(part)

    # --- poll_requests.py -------------------------------------------------------------------------------------------

    def open_at(
        self, endpoint: int, since: int | None, found: list[Held], kind: str = "poll", *, newcomers: bool = False
    ) -> Steps:
        flows: list[Flow] = []
        try:
            yield from self.ask(endpoint, Ask(kind, since), flows)
        except (Failed, Lost):
            return
        flow, headers = flows[0], flows[0].headers
        self.note(endpoint, flow)
        held = self.hold(endpoint, flow, since)
        if (
            held is None
            or headers.cluster_id != self.cluster_id
            or self.is_behind_leap(held, since)
            or not (newcomers or not self.history.is_new(self.check.place(endpoint, flow)))
        ):
            self.world.close(flow)
            return
        found.append(held)

    def open_second(self, endpoint: int, found: list[Held]) -> Steps:
        settled, landmark = self.renewal.settled, self.cursor.landmark
        if self.meets_newcomers and landmark is not None and landmark.modified < settled:
            yield from self.open_at(endpoint, landmark.modified + 1, found, newcomers=True)
            if found:
                return
        yield from self.open_at(endpoint, settled + 1, found, newcomers=True)
        if not found or self.meets_newcomers or not self.history.is_new(self.check.place(endpoint, found[0].flow)):
            return
        self.meets_newcomers = True
        if landmark is None or landmark.modified >= settled:
            return
        self.world.close(found.pop().flow)
        yield from self.open_second(endpoint, found)

    def register(self, found: list[Held]) -> Steps:
        while True:
            if self.history.interrupted:
                self.cursor.go_back()
            flows: list[Flow] = []
            endpoint = self.world.any_endpoint()
            try:
                yield from self.ask_from_settled(endpoint, flows)
            except Failed:
                self.history.interrupted = True
                yield None
                continue
            since = self.cursor.wait_index
            flow, headers = flows[0], flows[0].headers
            self.note(endpoint, flow)
            try:
                if self.seen_cluster and headers.cluster_id != self.seen_cluster:
                    self.seen_cluster, self.seen_index = headers.cluster_id, 0
                    raise Lost("another cluster")
                if self.cluster_id and headers.cluster_id != self.cluster_id:  # a read has met it before
                    raise Lost("another cluster")
                if self.cluster_id and headers.index < self.cursor.seen:
                    yield None
                    if self.world.history.index < self.cursor.seen:
                        self.seen_index = 0
                        raise Lost("the store went back")
                yield from self.follow_leap(endpoint, flow)
                held = self.hold(endpoint, flow, since)
                if held is None:  # StaleRead: once more, after a pause
                    self.world.close(flow)
                    continue
                if self.is_behind_leap(held, since):
                    raise Lost("behind a leap")
                admitted: list[bool] = []
                yield from self.check.admits(endpoint, flow, admitted)
                if not admitted:
                    self.world.close(flow)
                    continue
            except Failed:  # ClusterUnavailable: the same
                self.world.close(flow)
                continue
            except Lost:
                self.world.close(flow)
                raise
            self.seen_index = max(self.seen_index, headers.index)
            self.cluster_id = self.seen_cluster = headers.cluster_id
            found.append(held)
            return

    def ask_from_settled(self, endpoint: int, flows: list[Flow]) -> Steps:
        try:
            yield from self.ask(endpoint, Ask("poll", self.cursor.wait_index), flows)
        except Lost:
            if not self.cursor.go_forth():
                raise
            yield from self.ask(endpoint, Ask("poll", self.cursor.wait_index), flows)

    def landmark_at(self, flow: Flow, event: int) -> Landmark | None:
        return landmark_of(change(event, flow.history.marks[event]))

    def loss(self, why: str) -> Lost:
        return Lost(why)

    def hold(self, endpoint: int, flow: Flow, since: int | None) -> Held | None:
        chain, headers = self.chain(endpoint, flow), flow.headers
        if chain.leaping or headers.index < chain.leapt_to:
            return None
        return Held(flow, Registered(headers.index, chain.leaps, self.member(flow)), headers, endpoint, since)

    def is_behind_leap(self, held: Held, since: int | None) -> bool:
        since = None if since is None else max(since, self.cursor.furthest)
        return since is not None and since <= self.chain(held.endpoint, held.flow).leapt_to

    def member(self, flow: Flow) -> str:
        return flow.member.name if self.world.ground.members_known else ""

    # --- index_monitor.py: what the polls ask of it ------------------------------------------------------------------

    def chain(self, endpoint: int, flow: Flow) -> RaftChain:
        key = endpoint, self.member(flow), flow.history.cluster_id
        return self.chains.setdefault(key, self.chain_class())

    def note(self, endpoint: int, flow: Flow) -> int:
        self.world.observed(flow)
        return self.chain(endpoint, flow).note(flow.headers.index, flow.headers.raft, self.world.now)

    def follow_leap(self, endpoint: int, flow: Flow) -> Steps:
        chain = self.chain(endpoint, flow)
        leaping = chain.leaping
        if chain.asks_cluster:
            yield None
            index = self.world.history.index if self.world.rng.random() < 0.7 else 0
            yield None
            chain.reached(index, leaping)
            chain.note(flow.headers.index, flow.headers.raft, chain.asked_at)

    # --- polls.py: what the worker does ------------------------------------------------------------------------------

    def begin(self, held: Held) -> None:
        self.cursor.opened(held.at.index)
        self.first, self.is_lost, self.has_leapt = held, False, False
        self.renewal.begin(held.at, path_answers=held.endpoint in self.answering)
        self.watched = held.endpoint
        self.polls_begun += 1
        self.world.poll_begun(held.flow, self.polls_begun)

    def begin_stream(self, held: Held) -> None:
        self.first, self.is_lost, self.has_leapt = held, False, False
        self.renewal.streaming()
        self.watched = held.endpoint

    def finish(self, held: Held) -> Held | None:
        self.first = None
        second, self.second = self.second, None
        self.renewal.stream_ended()
        self.watched = None
        self.world.close(held.flow)
        return second

    def ended(self, held: Held, *, properly: bool) -> Ended:
        if self.is_lost or self.has_leapt:
            self.renewal.heard()
            return Ended.LEAPT if self.has_leapt else Ended.AGAIN
        if properly and self.renewal.state is State.ENDING:
            self.answering.add(held.endpoint)
        return self.renewal.ended(properly=properly)

    def broke(self, flow: Flow) -> None:
        if not flow.aborted or self.is_lost:
            self.history.interrupted = True

    def is_clear(self, stream: Held, found: list[bool]) -> Steps:
        flows: list[Flow] = []
        try:
            yield from self.ask(stream.endpoint, Ask("observe"), flows)
        except Lost:
            return
        flow = flows[0]
        self.world.close(flow)
        leaps = self.note(stream.endpoint, flow)
        chain = self.chain(stream.endpoint, stream.flow)
        same = self.is_same_process(stream, flow) and self.member(flow) == stream.at.member
        found.append(same and leaps == stream.at.leaps and not chain.leaping)

    def is_same_process(self, stream: Held, flow: Flow) -> bool:
        place = self.check.place
        same = place(stream.endpoint, flow) == place(stream.endpoint, stream.flow)
        return same and flow.headers.cluster_id == stream.headers.cluster_id

    # --- polls.py: what the index monitor does with it ---------------------------------------------------------------

    def lost(self) -> None:
        if self.first is not None:
            self.is_lost = True
            self.first.flow.abort()

    def leapt(self, member: str, leaps: int) -> None:
        if self.first is not None and self.first.at.member == member and self.first.at.leaps < leaps:
            self.has_leapt = True
            self.first.flow.abort()

    def is_due(self, store_index: int) -> bool:
        if self.renewal.state is State.STREAMING:
            return self.world.now - self.came_at >= SILENT_STREAM
        return self.renewal.due(store_index)

    def settle_by_reading(self, found: list[bool]) -> Steps:
        """Raises Lost for another cluster."""
        settled = self.settled
        flows: list[Flow] = []
        try:
            yield from self.ask(self.world.any_endpoint(), Ask("read"), flows)
        except Failed:
            return
        headers = flows[0].headers
        self.world.close(flows[0])
        if headers.cluster_id != self.seen_cluster:
            self.seen_cluster, self.seen_index = headers.cluster_id, 0
            raise Lost("another cluster")
        if headers.index < self.seen_index:  # StaleRead
            return
        self.seen_index = headers.index
        if headers.cluster_id != self.cluster_id or headers.index < self.cursor.seen:
            return
        if not self.is_untouched(headers.node, settled) or not self.is_unchanged(flows[0], headers.node):
            return
        yield None
        self.cursor.moved_to(headers.index)
        found.append(True)

    def is_unchanged(self, flow: Flow, node: tuple[int, int] | None) -> bool:
        """There are no refreshes here."""
        landmark = self.cursor.landmark
        if self.history.interrupted and self.strict:
            return False
        return landmark is None or (node is not None and self.landmark_at(flow, node[1]) == landmark)

    def is_untouched(self, node: tuple[int, int] | None, settled: int) -> bool:
        return node is not None and 0 < node[0] <= node[1] <= settled

    def renew(self) -> Steps:
        first, state = self.first, self.renewal.state
        overdue = self.renewal.is_overdue(self.world.now)
        if first is None:
            return
        yield None
        if state is State.STREAMING or overdue:
            first.flow.abort()
        elif state is State.POLLING:
            found: list[Held] = []
            yield from self.open_second(first.endpoint, found)
            yield None
            if found:
                self.overlap(first, found[0])
                return
            yield from self.open_at(first.endpoint, None, found, newcomers=True)
            if found:
                self.world.close(found[0].flow)
                settled: list[bool] = []
                with contextlib.suppress(Lost):
                    yield from self.settle_by_reading(settled)
                if not settled:
                    self.overlap(first, None)

    def overlap(self, first: Held, second: Held | None) -> None:
        at = None if second is None else second.at
        wanted = self.first is first and self.renewal.overlap(at, self.world.now)
        if wanted:
            self.second = second
            self.end(first)
        if second is not None and not wanted:
            self.world.close(second.flow)

    def end(self, first: Held) -> None:
        if not self.world.half_close(first.flow):
            first.flow.abort()

    # --- index_monitor.py --------------------------------------------------------------------------------------------

    def monitor(self, endpoint: int) -> Steps:
        last_index = 0
        while True:
            yield None
            if self.watched != endpoint:
                continue
            waiting = self.renewal.first
            observes = self.world.rng.random() < 0.3
            flows: list[Flow] = []
            try:
                yield from self.ask(endpoint, Ask("observe" if observes else "look"), flows)
            except (Failed, Lost):
                if self.watched == endpoint:
                    self.lost()
                continue
            headers = flows[0].headers
            self.world.close(flows[0])
            if observes:
                self.note(endpoint, flows[0])
                yield from self.follow_leap(endpoint, flows[0])
                if self.watched == endpoint:
                    self.leapt(self.member(flows[0]), self.chain(endpoint, flows[0]).leaps)
                yield None
            before, last_index = last_index, headers.index
            self.renewal.looked(waiting)
            registered = self.cursor.registered
            went_back = 0 < before < registered and headers.index < registered
            if went_back or headers.cluster_id != self.cluster_id:
                self.lost()
            yield None
            if self.is_due(headers.index):
                yield from self.renew()
