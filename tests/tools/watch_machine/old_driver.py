"""The rules of before, which took spans of time for proofs: `feed.py` and `probe_interval.py` as they were.

Owns a copy of them as of version e2482d7, line by line as `driver` does it, so that the machine can be seen to fail.
"""

from __future__ import annotations

from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.renewal import Registered
from tests.tools.watch_machine.driver import Driver
from tests.tools.watch_machine.ground import KEPT, RENEW_AFTER
from tests.tools.watch_machine.network import Body, Flow, Mark, Soon
from tests.tools.watch_machine.polls_driver import KEY, Failed, Held, Lost, Steps, change
from tests.tools.watch_machine.world import World

SURELY_QUIET = 0.25
SURELY_CAME = 2.0
YOUNG = 20.0
SURELY_ALIVE = 45.0
SURELY_KEPT = KEPT - 1


class OldCursor(Cursor):
    """With the rule of a poll that ended properly."""

    __slots__ = ()

    def stayed_quiet(self) -> None:
        if self.registered - (self.wait_index or 0) >= RENEW_AFTER:
            self.moved_to(self.registered)


class PollTrust:
    """Whether a silent poll, whose events the server may have forgotten by now, would have delivered them."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._doubted_since: float | None = None

    def given(self, asks_for_past: bool, now: float) -> bool:
        if now - self._since < YOUNG:
            return not asks_for_past or now - self._since > SURELY_CAME
        if self._doubted_since is None:
            self._doubted_since = now
        return now - self._doubted_since > SURELY_ALIVE


class OldDriver(Driver):
    """One watch, by those rules."""

    def __init__(self, world: World, since: int | None) -> None:
        super().__init__(world, since)
        self.cursor: OldCursor = OldCursor(KEY, recursive=False, wait_index=since)
        self.spare: Held | None = None
        self.spare_since = 0.0
        self.reached_index = 0
        self.streaming = self.taken_over = self.switching = self.receiving = False
        self.trust = PollTrust(0.0)

    @property
    def settled(self) -> int:
        return (self.cursor.wait_index or 1) - 1

    # --- what the index monitor does with it -------------------------------------------------------------------------

    @property
    def quiet_to(self) -> int:
        """`settled` of that time."""
        registered = self.cursor.registered
        return registered if self.taken_over else min(registered, (self.cursor.wait_index or registered + 1) - 1)

    def is_due(self, store_index: int) -> bool:
        self.store_index = store_index
        if self.streaming:
            return self.world.now - self.came_at >= SURELY_QUIET
        if self.spare is not None:
            return self.world.now - self.spare_since >= SURELY_QUIET
        return store_index - self.quiet_to >= RENEW_AFTER

    def renew(self) -> Steps:
        poll, spare = self.first, self.spare
        if poll is None:
            return
        if self.streaming:
            poll.flow.abort()
        elif spare is None:
            since = self.quiet_to
            within = self.store_index - since < SURELY_KEPT
            if not within and not self.trust.given(since < poll.at.index, self.world.now):
                return
            found: list[Held] = []
            yield from self.open_at(poll.endpoint, since + 1 if within else None, found)
            if found:
                if self.first is poll:
                    self.spare, self.spare_since = found[0], self.world.now
                    self.reached_index = since if within else found[0].at.index
                else:
                    self.world.close(found[0].flow)
        else:
            yield None
            if self.first is poll and not self.receiving:
                self.switching = True
                poll.flow.abort()

    # --- the background ----------------------------------------------------------------------------------------------

    def hold(self, endpoint: int, flow: Flow, since: int | None) -> Held | None:
        return Held(flow, Registered(flow.headers.index), flow.headers, endpoint, since)

    def is_behind_leap(self, held: Held, since: int | None) -> bool:
        return False

    def follow_leap(self, endpoint: int, flow: Flow) -> Steps:
        yield from ()

    def leapt(self, member: str, leaps: int) -> None:
        pass

    def run(self) -> Steps:
        held: Held | None = None
        taken_over = False
        while True:
            try:
                if held is None:
                    found: list[Held] = []
                    yield from self.begin_poll(found)
                    held = found[0]
                self.cursor.opened(held.at.index)
                self.polls_begun += 1
                self.world.poll_begun(held.flow, self.polls_begun)
                if not self.begun:
                    self.begun = True
                    self.world.judge.begun(held.flow.history, self.settled)
                going_on: list[Held] = []
                yield from self.follow_old(held, going_on, taken_over=taken_over)
                held = going_on[0] if going_on else None
                taken_over = held is not None
                if held is None and (stream := self.reached()) is not None:
                    yield from self.read_stream(stream)
            except Lost as loss:
                held, taken_over = None, False
                self.world.judge.lost(str(loss))
                self.snapshot_due, self.cluster_id = True, ""

    def follow_old(self, poll: Held, going_on: list[Held], *, taken_over: bool) -> Steps:
        began = self.world.now
        event: list[int] = []
        broken = False
        self.now_reading(poll, taken_over=taken_over)
        yield None
        try:
            if taken_over or self.pending is not None:
                if not poll.flow.inbox:
                    yield Soon(poll.flow, 0.2)  # `SETTLED`: a moment
                if not (poll.flow.inbox or poll.flow.ended) and taken_over:
                    self.cursor.moved_to(poll.at.index)
                elif not poll.flow.inbox and not poll.flow.ended:
                    self.drop_pending()
            yield from self.read_old(poll, event)
        except Failed:
            if self.switching and self.receiving:
                return
            spare = self.take_spare() if self.switching else None
            if spare is not None:
                self.cursor.moved_to(self.reached_index)
                going_on.append(spare)
                return
            broken = True
        finally:
            self.no_longer_reading(poll)
        if event and not broken:
            if self.deliver(poll, event[0]) and self.pending is None and self.world.rng.random() < 0.3:
                streams: list[Held] = []
                yield from self.open_at(poll.endpoint, None, streams, "stream")
                self.pending = streams[0] if streams else None
        elif not broken and self.world.now - began >= 1.0:
            self.cursor.stayed_quiet()
        yield None

    def read_old(self, poll: Held, event: list[int]) -> Steps:
        while True:
            found: list[Body | Mark] = []
            yield from self.read(poll.flow, found)
            if not isinstance(found[0], Body):
                return
            self.receiving = True
            if found[0].whole:
                event.append(found[0].event)

    def read_stream(self, stream: Held) -> Steps:
        self.came_at = self.world.now
        self.now_reading(stream, streaming=True)
        try:
            while True:
                self.came_at = self.world.now
                if not stream.flow.inbox:
                    yield Soon(stream.flow, 0.05)
                if not stream.flow.inbox and not stream.flow.ended:
                    break
                self.came_at = float("inf")
                found: list[Body | Mark] = []
                yield from self.read(stream.flow, found)
                if not isinstance(found[0], Body):
                    break
                if found[0].whole:
                    self.deliver(stream, found[0].event)
        except Failed:
            pass
        finally:
            self.no_longer_reading(stream)

    def now_reading(self, poll: Held, *, streaming: bool = False, taken_over: bool = False) -> None:
        self.first, self.streaming, self.taken_over = poll, streaming, taken_over
        self.trust = PollTrust(self.spare_since if taken_over else self.world.now)
        self.switching = self.receiving = False
        self.watched = poll.endpoint

    def no_longer_reading(self, poll: Held) -> None:
        self.first, self.streaming = None, False
        self.watched = None
        self.world.close(poll.flow)
        spare = self.take_spare()
        if spare is not None:
            self.world.close(spare.flow)

    def take_spare(self) -> Held | None:
        spare, self.spare = self.spare, None
        return spare

    def deliver(self, poll: Held, index: int) -> bool:
        before = self.cursor.wait_index
        accepted = self.cursor.accept(change(index))
        if accepted is not None:
            self.world.judge.delivered(poll.flow.history, index)
        return self.cursor.wait_index != before
