"""The worker of the watch machine's client: `etcdv2/_async/watch/feed.py`, line by line; see `polls_driver`."""

from __future__ import annotations

from etcdv2._core.watch.one_history import Place
from etcdv2._core.watch.renewal import Ended
from tests.tools.watch_machine.network import Ask, Body, Flow, Mark, Soon
from tests.tools.watch_machine.polls_driver import Failed, Held, Lost, PollsDriver, Steps, change

BURST, CLEARED_LATER = 0.3, 0.5
"""How often a stream is opened, and how often what it brings waits for more."""


class Driver(PollsDriver):
    """One watch: its worker and its monitors."""

    def actors(self) -> list[Steps]:
        return [self.run(), *(self.monitor(endpoint) for endpoint in range(len(self.world.ground.endpoints)))]

    def run(self) -> Steps:
        held: Held | None = None
        while True:
            try:
                if held is None:
                    found: list[Held] = []
                    yield from self.begin_poll(found)
                    held = found[0]
                self.begin(held)
                if not self.begun:
                    self.begun = True
                    self.world.judge.begun(held.flow.history, self.renewal.settled)
                yield None
                going_on: list[Held] = []
                yield from self.follow(held, going_on)
                held = going_on[0] if going_on else None
                if held is None and (stream := self.reached()) is not None:
                    yield from self.read_stream(stream)
            except Lost as loss:
                held = None
                self.world.judge.lost(str(loss))
                self.snapshot_due, self.cluster_id = True, ""

    def begin_poll(self, found: list[Held]) -> Steps:
        if self.snapshot_due:
            yield from self.read_state()
            self.snapshot_due = False
        while True:
            try:
                yield from self.register(found)
                return
            except Lost:
                settled: list[bool] = []
                if self.begun:
                    yield from self.settle_by_reading(settled)
                if not settled:
                    raise

    def read_state(self) -> Steps:
        """Any member that is not behind what was seen; the answer comes at once, for a later one is the same."""
        before: list[Place] = []
        while not before:
            yield None
            flows: list[Flow] = []
            endpoint = self.world.any_endpoint()
            try:
                yield from self.ask(endpoint, Ask("observe"), flows)
            except Failed:
                continue
            before.append(self.check.place(endpoint, flows[0]))
            self.note(endpoint, flows[0])
            self.world.close(flows[0])
        while True:
            yield None
            member = self.world.any_member()
            if member.history.cluster_id != self.seen_cluster:
                self.seen_cluster, self.seen_index = member.history.cluster_id, 0
            if self.world.history.index < self.seen_index:
                self.seen_index = 0  # ClusterChanged, which is endured
            if member.index >= self.seen_index:
                break
        self.world.judge.state_was_read(member.history, member.index)
        self.seen_index = member.index
        self.cursor.restart(member.index)
        self.renewal.heard()
        self.history.begin(before[0])
        yield None

    def follow(self, held: Held, going_on: list[Held]) -> Steps:
        began = self.world.now
        event: list[int] = []
        failed = False
        try:
            yield from self.read_event(held, event)
        except Failed:
            failed = True
            event.clear()
        second = self.finish(held)
        yield None
        try:
            if event:
                yield from self.deliver(held, event[0], began, going_on)
                return
            ended = self.ended(held, properly=not failed)
            if ended is Ended.GO_ON and second is not None:
                admitted: list[bool] = []
                yield from self.check.admits_second(second, admitted)
                if not admitted:
                    self.renewal.heard()
                    return
                going_on.append(second)
                second = None
                return
            if ended is Ended.LEAPT:
                settled: list[bool] = []
                yield from self.settle_by_reading(settled)
                if not settled:
                    raise Lost("leapt")
            if failed:
                self.broke(held.flow)
        finally:
            if second is not None:
                self.world.close(second.flow)
        yield None

    def read_event(self, held: Held, event: list[int]) -> Steps:
        if self.pending is not None and self.world.rng.random() < 0.5:
            self.drop_pending()
        while True:
            found: list[Body | Mark] = []
            yield from self.read(held.flow, found)
            part = found[0]
            if not isinstance(part, Body):
                return
            self.renewal.receiving()
            if part.whole:
                event.append(part.event)

    def deliver(self, held: Held, event: int, began: float, going_on: list[Held]) -> Steps:
        after: list[Held] = []
        if self.history.interrupted:
            proved: list[bool] = []
            try:
                yield from self.check.prove(held.endpoint, held.flow, event, self.cursor.wait_index, proved)
            except Failed:
                return
            if not proved:
                return
        if self.renewal.needs_look_back(held.at, event):
            yield from self.open_at(held.endpoint, event + 1, after)
            if not after:
                return
            if after[0].at.member != held.at.member:
                self.world.close(after[0].flow)
                return
            if after[0].at.leaps != held.at.leaps:
                self.world.close(after[0].flow)
                raise Lost("leapt")
        if self.accept(held.flow, event):
            if not after and self.pending is None and self.world.rng.random() < BURST:
                streams: list[Held] = []
                yield from self.open_at(held.endpoint, None, streams, "stream")
                self.pending = streams[0] if streams else None
            going_on += after
            return
        for one in after:
            self.world.close(one.flow)

    def accept(self, flow: Flow, event: int) -> bool:
        before = self.cursor.wait_index
        accepted = self.cursor.accept(change(event, flow.history.marks[event]))
        self.renewal.heard()
        if accepted is not None:
            self.world.judge.delivered(flow.history, event)
        return self.cursor.wait_index != before

    def reached(self) -> Held | None:
        held = self.pending
        if held is None or (self.cursor.wait_index or 0) <= held.at.index + 1:
            return None
        self.pending = None
        return held

    def drop_pending(self) -> None:
        unused, self.pending = self.pending, None
        if unused is not None:
            self.world.close(unused.flow)

    def read_stream(self, stream: Held) -> Steps:
        self.begin_stream(stream)
        events: list[int] = []
        try:
            while True:
                self.came_at = self.world.now
                if not stream.flow.inbox:
                    yield Soon(stream.flow, 0.05)
                if not stream.flow.inbox and (stream.flow.ended or not events):
                    break
                self.came_at = float("inf")
                found: list[Body | Mark] = []
                if stream.flow.inbox:
                    yield from self.read(stream.flow, found)
                if found and not isinstance(found[0], Body):
                    break
                events += [part.event for part in found if isinstance(part, Body) and part.whole]
                if not self.cursor.follows_on(map(change, events)):
                    if self.world.rng.random() < CLEARED_LATER:
                        continue
                    clear: list[bool] = []
                    yield from self.is_clear(stream, clear)
                    if clear != [True]:
                        return
                for event in events:
                    self.accept(stream.flow, event)
                events.clear()
        except Failed:
            self.broke(stream.flow)
        finally:
            self.finish(stream)
