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
   poll's handler has written. Nothing can come late any more, whoever was stopped, wherever, for
   however long. An event can still be missing: a handler that gets as far as its wait when event
   and end are both there picks one at random (seen on 3.4.23 and 3.5.1, also with the event found
   in the history, and after three looks).
3. *Two in a row.* Therefore one silent poll proves nothing, and two do, one directly after the
   other, for what both had: each had to find it in the history, or to be sent it. That is all up
   to the registration of the later one where both are known to be at one member and the earlier
   was ended properly, for what it was sent while it waited was put before it by then; else it is
   all up to the earlier of the two registrations. What is taken for granted is that not both of
   two polls in a row lose what they have.
4. *Where the end is not answered* (a proxy, another transport) a poll that was aborted counts as
   silent as well: two requests, the look and the younger poll, were answered that were begun after
   its headers had come. Only there: on a path that was seen to answer, a missing end means that
   somebody is slow.
5. *No snapshot.* A member that is caught up by a snapshot sends its polls nothing of what that
   brought, and what it keeps as history may be wrong. Its raft index leaps by 5,000 or more then. A
   poll over which it leapt proves nothing, and one that searches history from before the leap finds
   nothing for sure: the loss is named. The same holds before an event is delivered that came live
   after foreign ones.
6. *The key itself.* Where the settled index has left the history, a watch reads its key: a file
   of the same history whose node is not younger than the settled index was not touched since, for
   each change of it, a deletion and a new beginning too, would show there. A directory shows nothing.
7. *Else the loss is named.* When the settled index has left the history and nothing proves the silence, the poll is
   ended and asked for again, and the server's refusal (HistoryCleared) goes to the user, or the state is read again.
8. *Headers held back.* A proxy may keep a poll's headers until its event. Before they are there nothing says that it
   is registered, so it proves nothing: it is asked again from the settled index, which stays where it is (rule 7).
9. *One connection, many members.* A balancer of HTTP sends each request of a connection where it likes, so nothing says
   which member a poll waits at. A connection whose half-close is answered goes to one member. Elsewhere what is seen of
   members says nothing of this poll: rule 5 cannot be applied, so an event that came live after foreign ones is not
   delivered but asked for again, and found in a history.

    state               what happens                              next       what is done
    ------------------  ----------------------------------------  ---------  --------------------------------------
    NONE                a poll is registered                      POLLING    cursor opened; the monitor watches it
    POLLING             the store has gone on far enough          POLLING    a second poll from the settled index
    POLLING             the second poll is registered             ENDING     sending half of the first is closed
    POLLING             the second is refused: history is gone    POLLING    read the key (rule 6); where that
                                                                             shows nothing: ENDING, with no second
    ENDING              the first ends, empty                     NONE       settle what is proved; go on with the
                                                                             second, or ask again without one
    ENDING              it does not end                           ENDING     it is aborted
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

RENEW_AFTER_EVENTS = 300
"""Events after which a waiting poll is renewed. How often, never whether: what comes late is asked for, or named.

A poll asks from where the one before the last was registered: of the server's 1,000 events that leaves 400 for looks
that come late.
"""
RENEW_SOONER_EVENTS = 200
"""The same where the end of a poll proves less, so that the settled index follows three polls behind."""
URGENT_EVENTS = 600
"""Events behind which the settled index may not stay for want of a second silent poll: then one is asked for early."""
LOOKS_BEFORE_RENEWAL = 1
"""Looks at the index that have to be answered, and begun after a poll's headers, before it is renewed (rules 2, 4)."""
END_SECONDS = 1.0
"""How long a first poll may take to end when it was asked to, before it is aborted. A matter of pace."""


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

    index: int
    """X-Etcd-Index: where the store was when the poll was registered. Everything before was searched."""
    leaps: int = 0
    """How often the raft index of its member had leapt by then (`raft_chain`)."""
    member: str = ""
    """Which member it is at, "" where that is not known."""


class Ended(Enum):
    """What follows from the end of a poll that brought nothing."""

    AGAIN = "ask from the settled index again"
    GO_ON = "go on with the second poll"
    LEAPT = "the member was caught up by a snapshot"


class Renewal:
    """The polls of one watch. Not locked: the feed holds its lock around each call."""

    __slots__ = (
        "_cursor",
        "_ending_since",
        "_looks",
        "_silent_to",
        "first",
        "path_answers",
        "second",
        "state",
        "wanted",
    )

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.state = State.NONE
        self.first: Registered | None = None
        self.second: Registered | None = None
        self.path_answers = False
        """Whether the path to the first poll was seen to answer a half-close."""
        self._looks = 0
        """Answered, and begun after the first poll's headers had come."""
        self._ending_since = 0.0
        self._silent_to: int | None = None
        """Up to here the poll before the first was silent, and the first one has to be: that proves it (rule 3)."""
        self.wanted: list[int] = []
        """Somebody waits until the settled index has come to these."""

    def __repr__(self) -> str:
        return f"<Renewal {self.state.value}, settled {self.settled}, first {self.first}, second {self.second}>"

    @property
    def settled(self) -> int:
        """Everything up to this index has been delivered, or is proved not to be there."""
        return (self._cursor.wait_index or 1) - 1

    def is_wanted(self, store_index: int) -> bool:
        """Whether somebody waits for an index that the store has come to, and the settled index has not."""
        return any(self.settled < index <= store_index for index in self.wanted)

    # --- polls come and go -------------------------------------------------------------------------------------------

    def begin(self, first: Registered, *, path_answers: bool) -> None:
        """`first` is read from now on; the cursor knows its index already."""
        if self.state is State.CLOSED:
            return
        self.state = State.POLLING
        self.first, self.second = first, None
        self.path_answers = path_answers
        self._looks = 0

    def due(self, store_index: int) -> bool:
        """Whether there is something to do, the store being at `store_index` (0: that may not be read)."""
        if self.state is State.ENDING:
            return True
        first = self.first  # once: another thread may end it meanwhile
        if self.state is not State.POLLING or first is None:
            return False

        if self._looks < LOOKS_BEFORE_RENEWAL:
            return False
        if store_index == 0:
            return True

        if self.is_wanted(store_index):
            return True
        slow = not (self.path_answers and first.member)
        after = RENEW_SOONER_EVENTS if slow else RENEW_AFTER_EVENTS
        return store_index - first.index >= after or store_index - self.settled >= URGENT_EVENTS

    def overlap(self, second: Registered | None, now: float) -> bool:
        """The second poll is registered; None: it was refused, as the history has left the settled index.

        True: now the end of the first is to be asked for. False: the second is not needed.
        """
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
        first, second, state, silent_to = self.first, self.second, self.state, self._silent_to
        if state is State.CLOSED:
            return Ended.AGAIN
        self.state, self.first, self.second, self._silent_to = State.NONE, None, None, None

        # 1. An end that nobody asked for (a proxy's, a member that stops): an event may have been on its way. Or there
        #    is no second poll to go on with.
        if state is not State.ENDING or first is None or second is None:
            return Ended.AGAIN

        # 2. Rule 5. What the polls of this member say of the time before the leap is worth nothing.
        together = second.member == first.member
        if together and second.leaps != first.leaps:
            return Ended.LEAPT

        # 3. Whether it was silent: rules 2 and 4. If not, the next two will have to be.
        if not properly and self.path_answers:
            return Ended.GO_ON

        # 4. Rule 3, with the poll before; and how far it can be applied to the next one.
        if silent_to is not None:
            self._cursor.moved_to(silent_to)
        sent_all = properly and together and first.member
        self._silent_to = second.index if sent_all else min(first.index, second.index)
        return Ended.GO_ON

    def heard(self) -> None:
        """An event was delivered, or the state was read: what was silent before counts no more."""
        self.first = self.second = self._silent_to = None
        if self.state not in (State.STREAMING, State.CLOSED):
            self.state = State.NONE

    def streaming(self) -> None:
        """A stream is read from now on."""
        self.heard()
        if self.state is not State.CLOSED:
            self.state = State.STREAMING

    def stream_ended(self) -> None:
        """Polls go on, from the last event that the stream brought."""
        if self.state is State.STREAMING:
            self.state = State.NONE

    def close(self) -> None:
        """Ended for good."""
        self.state = State.CLOSED

    @staticmethod
    def needs_look_back(poll: Registered, event_index: int) -> bool:
        """Whether an event may have had one before it that a snapshot brought: rule 5.

        Not one that was found in the history, nor the next of the whole store.
        """
        return event_index > poll.index + 1
