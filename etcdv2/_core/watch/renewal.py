"""The life of one watch between its events: which polls it has, and what their silence proves.

Owns the states and the rule of what may move a watch on without an event. No I/O, no clock: the feed opens, ends and
reads the polls, and asks here what follows.

Theory of operation
-------------------
The server keeps 1,000 events of the whole store, so a poll that breaks when the store has gone on
by more cannot be asked again (`spec/protocol.md` section 11). A waiting poll is therefore replaced
by a younger one from time to time, and the position of the watch moves on though nothing came.

**No span of time proves silence.** A server, a network, a proxy or this process can stop anywhere,
for as long as it likes. What counts is what happened before what:

1. *Make before break.* The younger poll is asked from the settled index on, so it finds in the
   history whatever the older one still keeps, and its headers have come before the older one is
   given up. While either lives, nothing is lost.
2. *The proper end.* The older poll is ended by closing the sending half of its connection. etcd
   then ends the body properly; that end comes on the same connection, behind everything that this
   poll was given. A poll that ended so, empty, has proved that there was no event up to its
   registration, whoever was stopped, wherever, for however long. If the younger poll is known to be
   at the same member, and no snapshot was applied meanwhile, all up to the registration of the
   younger one is proved: whatever was told to the older one was put before it by then.
   One thing more is needed: the handler of the older poll must have come from its headers to where
   it waits, since between the two it could find the end and an event at once, and take either. So
   the member must have answered two looks at its index since those headers, the second begun after
   the first was answered: a server that is stopped or starved answers none.
3. *Two in a row.* Where the end is not answered (a proxy, another transport), two polls in a row
   have to be silent, on two connections, both asked from the settled index, with two looks answered
   after the headers of each. That proves as much as that two connections do not both lose what
   comes directly behind their headers.
4. *No snapshot.* A member that is caught up by a snapshot tells its polls nothing of what that
   brought, and what it keeps as history may be wrong. Its raft index leaps by 5,000 or more then. A
   poll over which it leapt proves nothing: the loss is named. The same holds before an event is
   told that came live after foreign ones.
5. *Else the loss is named.* When the settled index has left the history and nothing proves the silence, the watch
   raises HistoryCleared, or reads the state again.

    state               what happens                              next       what is done
    ------------------  ----------------------------------------  ---------  --------------------------------------
    NONE                a poll is registered                      POLLING    cursor opened; the monitor watches it
    POLLING             the store has gone on far enough          POLLING    a second poll from the settled index
    POLLING             the second poll is registered             ENDING     sending half of the first is closed
    ENDING              the first ends, empty                     POLLING    go on with the second; settle what is
                                                                             proved
    ENDING              it does not end                           ENDING     it is aborted: that proves nothing
    POLLING, ENDING     first bytes of the first poll             RECEIVING  it finishes; no second is needed
    RECEIVING           the event is whole                        NONE       deliver; if it came at once, open a
                                                                             stream too
    POLLING             broke, or ended by itself                 NONE       ask from the settled index elsewhere
    NONE                polls came beyond the stream's beginning  STREAMING  read lines
    STREAMING           silent, ended, or a line that is no event NONE       a poll asks from the last event on
    any                 close, fork                               CLOSED     abort
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from etcdv2._core.watch.cursor import Cursor

KEPT_EVENTS = 1000
"""So many events of the whole store the server keeps (2.3 to 3.5)."""
RENEW_AFTER_EVENTS = 400
"""Events after which a waiting poll is renewed. How often, never whether: what comes late is asked for, or named."""
RENEW_SOONER_EVENTS = 200
"""The same where the end of a poll proves less, so that the settled index follows one or two polls behind."""
LOOKS_BEFORE_PROOF = 2
"""Looks at the member's index, one after the other, that have to be answered after a poll's headers (rules 2, 3)."""
URGENT_EVENTS = 600
"""Events behind which the settled index may not stay for want of a second silent poll: then one is asked for early."""
END_SECONDS = 1.0
"""How long a first poll may take to end when it was asked to, before it is aborted. A matter of pace."""
FASTEST_LEAP_SECONDS = 0.05
"""A member cannot have missed 5,000 entries and been caught up in less: 100,000 entries a second.

A stop makes it longer.
"""


class State(Enum):
    """What a watch is doing; see the table above."""

    NONE = "none"
    POLLING = "polling"
    ENDING = "ending"
    RECEIVING = "receiving"
    STREAMING = "streaming"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Registered:
    """What is known of a poll from its request and its headers."""

    asked_from: int | None
    """`waitIndex`; None is "from now"."""
    index: int
    """X-Etcd-Index: where the store was when the poll was registered. Everything before was searched."""
    leaps: int = 0
    """How often the raft index of its endpoint had leapt by then (`raft_chain`)."""
    member: str = ""
    """Which member it is at, "" where that is not known."""
    asked_at: float = 0.0
    """When it was asked for, on the clock of `time.monotonic`."""


class Ended(Enum):
    """What follows from the end of a poll that brought nothing."""

    AGAIN = "ask from the settled index again"
    GO_ON = "go on with the second poll"
    LOST = "what the first poll was told cannot be known, and the history no longer has it"
    LEAPT = "the member was caught up by a snapshot"


class Renewal:
    """The polls of one watch. Not locked: the feed holds its lock around each call."""

    __slots__ = ("_cursor", "_ending_since", "_looks", "_silent", "first", "second", "state")

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.state = State.NONE
        self.first: Registered | None = None
        self.second: Registered | None = None
        self._looks = 0
        """Answered since the first poll's headers."""
        self._ending_since = 0.0
        self._silent: int | None = None
        """Registration index of a poll before the first that was silent too, asked from the same index, unproved."""

    def __repr__(self) -> str:
        return f"<Renewal {self.state.value}, settled {self.settled}, first {self.first}, second {self.second}>"

    @property
    def settled(self) -> int:
        """Everything up to this index has been told, or is proved not to be."""
        return (self._cursor.wait_index or 1) - 1

    # --- polls come and go -------------------------------------------------------------------------------------------

    def begin(self, first: Registered) -> None:
        """`first` is read from now on; the cursor knows its index already."""
        self.state = State.POLLING
        self.first, self.second = first, None
        self._looks = 0

    def due(self, store_index: int) -> bool:
        """Whether there is something to do, the store being at `store_index` (0: that may not be read)."""
        if self.state is State.ENDING:
            return True
        if self.state is not State.POLLING or self.first is None:
            return False
        # Rule 2: before that its end would prove nothing.
        if self._looks < LOOKS_BEFORE_PROOF:
            return False
        if store_index == 0:
            return True
        behind = not self.first.member or self._silent is not None
        after = RENEW_SOONER_EVENTS if behind else RENEW_AFTER_EVENTS
        urgent = store_index - self.settled >= URGENT_EVENTS
        return store_index - self.first.index >= after or (behind and urgent)

    def asks_from(self, store_index: int) -> int | None:
        """What to ask the second poll from: the settled index, or "from now" when the history has left that."""
        return self.settled + 1 if store_index - self.settled < KEPT_EVENTS else None

    def overlap(self, second: Registered, now: float) -> bool:
        """The second poll is registered. True: now the end of the first is to be asked for. False: it is not needed."""
        if self.state is not State.POLLING:
            return False
        self.second = second
        self.state = State.ENDING
        self._ending_since = now
        return True

    def looked(self, first: Registered | None) -> None:
        """A look at the member's index has been answered that was begun while `first` was the first poll."""
        if first is not None and first is self.first:
            self._looks += 1

    def is_overdue(self, now: float) -> bool:
        """Whether the first poll should have ended by now: abort it. A matter of pace, it proves nothing."""
        return self.state is State.ENDING and now - self._ending_since >= END_SECONDS

    def receiving(self) -> None:
        """Bytes of the first poll's event have come."""
        if self.state in (State.POLLING, State.ENDING):
            self.state = State.RECEIVING

    # --- what an end proves ------------------------------------------------------------------------------------------

    def ended(self, *, properly: bool) -> Ended:
        """The first poll has ended and brought nothing, `properly` or by a failure.

        Moves the cursor as far as is proved.
        """
        first, second, state = self.first, self.second, self.state
        if state is State.CLOSED:
            return Ended.AGAIN
        self.state, self.first, self.second = State.NONE, None, None
        if state is not State.ENDING or first is None or second is None:
            # An end that nobody asked for: a proxy's, a member that stops. An event may have been on its way.
            self._silent = None
            return Ended.AGAIN

        # Rule 4. What the polls of this member say of the time before the leap is worth nothing.
        if second.leaps != first.leaps:
            self._silent = None
            return Ended.LEAPT

        # Rules 2 and 3.
        proved = self._proved(first, second, properly=properly)
        if second.asked_from is None and proved < second.index:
            self._silent = None
            return Ended.LOST
        if proved > self.settled:
            self._cursor.moved_to(proved)
            self._silent = None
        if not properly:
            self._silent = first.index
        return Ended.GO_ON

    def _proved(self, first: Registered, second: Registered, *, properly: bool) -> int:
        """Up to which index it is proved that there was no event."""
        if properly and first.member and first.member == second.member:
            return second.index
        if properly:
            return first.index  # the second may be at another member, which is further
        if self._silent is not None:
            return self._silent
        return self.settled

    def heard(self) -> None:
        """An event was told, or the state was read: what was silent before counts no more."""
        self.first = self.second = self._silent = None
        if self.state is not State.STREAMING:
            self.state = State.NONE

    def streaming(self) -> None:
        """A stream is read from now on."""
        self.heard()
        self.state = State.STREAMING

    def stream_ended(self) -> None:
        """Polls go on, from the last event that the stream brought."""
        if self.state is State.STREAMING:
            self.state = State.NONE

    def close(self) -> None:
        """Ended for good."""
        self.state = State.CLOSED

    @staticmethod
    def needs_look_back(poll: Registered, event_index: int, now: float) -> bool:
        """Whether an event, received `now`, may have had one before it that a snapshot brought: rule 4.

        Not one that was found in the history, nor the next of the whole store, nor one that came before a snapshot can
        have been applied since the poll was asked for.
        """
        return event_index > poll.index + 1 and now - poll.asked_at >= FASTEST_LEAP_SECONDS
