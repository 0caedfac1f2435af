"""Connections of the watch machine, and the server's handlers at their other ends: each step by itself.

Owns what `spec/protocol.md` section 11.7 says of how an event is handed over, and what a network may do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tests.tools.watch_machine.cluster import Member, Refused
from tests.tools.watch_machine.ground import STREAM_BUFFER


class Ask(NamedTuple):
    """A request.

    `kind`: "poll", "stream", "observe" (a poll of a key that nobody writes), "look" (a read of
    another key) or "read" (of the watched one).
    """

    kind: str
    since: int | None = None


@dataclass(slots=True)
class Headers:
    """Those of an answer; `raft` is 0 where the answer shows none."""

    index: int
    raft: int
    cluster_id: str
    node: tuple[int, int] | None = None
    """createdIndex and modifiedIndex of the watched key, where that is read and is there."""


class Body(NamedTuple):
    """Bytes of an event: its beginning, or its `whole`."""

    event: int
    whole: bool


class Mark(Enum):
    """What else is on a line."""

    EOF = "the sending half was closed"
    END = "the proper end of a body"
    REFUSED = "401"


class Flow:
    """One connection, to one member: what is on its way, and what has arrived at the client."""

    __slots__ = (
        "aborted",
        "answer",
        "answers",
        "asked_at",
        "broken",
        "dead",
        "deaf",
        "down",
        "half_read",
        "handler",
        "headed_at",
        "history",
        "inbox",
        "member",
        "number",
        "process",
        "speed",
        "stalls",
        "up",
    )

    def __init__(self, member: Member, speed: float) -> None:
        self.member = member
        self.history = member.history
        self.process = f"{member.name} since {member.starts}"
        self.up: deque[Ask | Mark] = deque()
        self.down: deque[Headers | Body | Mark] = deque()
        self.inbox: deque[Headers | Body | Mark] = deque()
        self.handler: Handler | None = None
        self.speed = speed
        self.stalls = False
        """Its handler is slow to get from its headers to where it waits."""
        self.dead = False
        """Nothing passes any more."""
        self.deaf = False
        """Nothing comes down any more."""
        self.broken = False
        """The client got an error."""
        self.aborted = False
        self.half_read = False
        """The client has read a part of an event."""
        self.number = 0
        """Which of the watch's polls it is, in the order in which they were the first one; 0 for another one."""
        self.asked_at = 0
        self.headed_at = 0
        """The steps at which it was asked, and at which its headers had come."""
        self.answer: Headers | None = None
        self.answers = 0
        """Requests answered that were begun after its headers had come."""

    def __repr__(self) -> str:
        return f"<flow {self.number} to {self.member.name}>"

    @property
    def headers(self) -> Headers:
        """Those that have come."""
        assert self.answer is not None
        return self.answer

    @property
    def ended(self) -> bool:
        """Whether a read fails that finds nothing."""
        return self.aborted or self.broken

    # --- what the client does ----------------------------------------------------------------------------------------

    def send(self, what: Ask | Mark) -> None:
        if not self.dead:
            self.up.append(what)

    def abort(self) -> None:
        """What has arrived can still be read."""
        self.aborted = True
        self.die()

    # --- what the network does ---------------------------------------------------------------------------------------

    def die(self) -> None:
        """All that is on its way is lost, and all that will be; nobody is notified."""
        self.dead = True
        self.up.clear()
        self.down.clear()
        self.handler = None

    def put_down(self, what: Headers | Body | Mark) -> None:
        if not (self.dead or self.deaf):
            self.down.append(what)

    def deliver_up(self, lose_toss: Callable[[Flow], bool]) -> bool:
        if not self.up:
            return False
        what = self.up.popleft()
        if isinstance(what, Ask):
            self.handler = Handler(self, what, lose_toss)
        elif self.handler is not None:
            self.handler.eof = True
            self.handler.wake()
        return True

    def deliver_down(self) -> bool:
        if not self.down:
            return False
        self.inbox.append(self.down.popleft())
        return True


class Soon(NamedTuple):
    """Wait for something to read there, but not for ever: `impatience` is the chance to give up at a turn."""

    flow: Flow
    impatience: float = 0.003


class Stage(Enum):
    """How far a handler has come."""

    NEW = 0
    REGISTERED = 1
    HEADED = 2
    WAITING = 3
    WRITING = 4
    HALF_WRITTEN = 5
    ENDING = 6
    DONE = 7


class Handler:
    """The goroutine of one request."""

    __slots__ = (
        "_event",
        "_events",
        "_flow",
        "_index",
        "_lose_toss",
        "_node",
        "ask",
        "eof",
        "found",
        "since",
        "stage",
        "stream",
    )

    def __init__(self, flow: Flow, ask: Ask, lose_toss: Callable[[Flow], bool]) -> None:
        self._flow = flow
        self._lose_toss = lose_toss
        self.ask = ask
        self.stream = ask.kind == "stream"
        self.since = 0
        self.eof = False
        self.found = False
        """Whether its event was in the history."""
        self.stage = Stage.NEW
        self._index = 0
        self._node: tuple[int, int] | None = None
        self._events: deque[int] = deque()
        self._event = 0

    def notify(self, index: int) -> None:
        """The store puts an event into the channel. A stream's channel that overflows is forgotten by the store."""
        if len(self._events) < STREAM_BUFFER:
            self._events.append(index)
        elif self in self._flow.member.hub:
            self._flow.member.hub.remove(self)
        self.wake()

    def wake(self) -> None:
        """One that waits gets what comes first, and that for sure."""
        if self.stage is Stage.WAITING:
            if self._events:
                self._event = self._events.popleft()
                self.stage = Stage.WRITING
            elif self.eof:
                self.stage = Stage.ENDING

    def step(self) -> bool:
        member, flow = self._flow.member, self._flow
        match self.stage:
            case Stage.NEW:
                self._register(member)
            case Stage.REGISTERED:
                # The raft index is read after the registration, and is that of the log, not that of the store.
                raft = 0 if self.ask.kind in ("look", "read") else 1 + member.committed
                flow.put_down(Headers(self._index, raft, member.history.cluster_id, self._node))
                self.stage = Stage.HEADED if self.ask.kind in ("poll", "stream") else Stage.DONE
            case Stage.HEADED:
                self._come_to_wait()
            case Stage.WRITING:
                flow.put_down(Body(self._event, whole=False))
                self.stage = Stage.HALF_WRITTEN
            case Stage.HALF_WRITTEN:
                flow.put_down(Body(self._event, whole=True))
                self.stage = Stage.HEADED if self.stream else Stage.ENDING
            case Stage.ENDING:
                flow.put_down(Mark.END)
                self.stage = Stage.DONE
            case Stage.WAITING | Stage.DONE:
                return False
        return True

    def _register(self, member: Member) -> None:
        self.stage = Stage.REGISTERED
        if self.ask.kind in ("look", "observe", "read"):
            self._index = member.index
            self._node = member.history.node(member.index) if self.ask.kind == "read" else None
            return
        self.since = self.ask.since or member.index + 1
        try:
            self._index, event = member.watch(self)
        except Refused:
            self._flow.put_down(Mark.REFUSED)
            self.stage = Stage.DONE
            return
        if event is not None:
            self.found = True
            self._events.append(event)

    def _come_to_wait(self) -> None:
        """Go's select: of an event and an end that are both there it takes either."""
        if self._events and self.eof and self._lose_toss(self._flow):
            self.stage = Stage.ENDING
            return
        self.stage = Stage.WAITING
        self.wake()
