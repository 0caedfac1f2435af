"""The polls of one watch: what `renewal` decides about, and what the index monitor sees and does of it.

Owns the lock around the renewal, the second poll, and the moments at which a poll is ended or aborted.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from math import inf

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._async.watch.history_check import place_of
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._async.watch.poll_requests import AsyncHeldPoll, AsyncPollRequests
from etcdv2._async.watch.snapshot import async_untouched_to
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import MAX_INDEX
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.one_history import Place
from etcdv2._core.watch.renewal import Ended, Registered, State
from etcdv2._core.wire import TransportFailure
from etcdv2._types.call_errors import ClusterChanged
from etcdv2._types.settings import UNSET, TimeoutLike, Unset
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")

SHORT_POLL_SECONDS = 1.0
"""A poll that breaks sooner than this is blamed on its endpoint; those that end sooner are followed by pauses."""
CLEARANCE_SECONDS = 0.05
"""Between two questions whether a stream's member was caught up by a snapshot; what it brings waits for the answer."""
SILENT_STREAM_SECONDS = 0.25
"""A stream that is silent for so long is given up for polls, which ask for what it may have missed: by its reader, or
by the monitor where reading does not time out."""
READ_SECONDS = 0.5
"""What a read of the key may take while other watches of the client wait for their renewal."""


class AsyncPolls(AsyncPollRequests):
    """One per watch. The feed's worker begins and finishes polls; the monitor renews them meanwhile."""

    def __init__(
        self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, key: str, cursor: Cursor, *, snapshots: bool
    ) -> None:
        super().__init__(dispatcher, monitor, key, cursor, snapshots=snapshots)
        self._lock = threading.Lock()
        """For all that follows and the renewal, which the monitor changes too; never held while waiting."""
        self._first: AsyncHeldPoll | None = None
        self._second: AsyncHeldPoll | None = None
        self._lost = self._leapt = False
        """Why the monitor has aborted the first poll, if it has."""
        self._begun_at = 0.0
        """When the first poll was begun."""
        self.came_at = inf
        """When the stream under way last brought something."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}: {self._renewal!r}>"

    # --- what the worker does ----------------------------------------------------------------------------------------

    def begin(self, held: AsyncHeldPoll) -> None:
        """The poll is read from now on."""
        self._history.saw(held.poll.meta)
        with self._lock:
            self._cursor.opened(held.at.index)
            self._first, self._lost, self._leapt, self._begun_at = held, False, False, time.monotonic()
            self._renewal.begin(held.at, path_answers=self._monitor.paths.answers_ends(held.poll.endpoint))
        self._monitor.add(self, held.poll.endpoint)

    def begin_stream(self, held: AsyncHeldPoll) -> None:
        """The stream is read from now on."""
        with self._lock:
            self._first, self._lost, self._leapt = held, False, False
            self._renewal.streaming()
        self._monitor.add(self, held.poll.endpoint)

    def receiving(self) -> None:
        """Bytes of the first poll's event have come: it is left to finish."""
        with self._lock:
            self._renewal.receiving()

    async def finish(self, held: AsyncHeldPoll) -> AsyncHeldPoll | None:
        """The poll is not read any more. Closes it, and gives the second one to whoever read it."""
        with self._lock:
            self._first = None
            second, self._second = self._second, None
            self._renewal.stream_ended()
        self._monitor.remove(self, held.poll.endpoint, for_good=self._renewal.state is State.CLOSED)
        await held.poll.stream.close()
        return second

    def ended(self, held: AsyncHeldPoll, *, properly: bool) -> Ended:
        """What follows from the end of a poll that brought nothing."""
        with self._lock:
            if self._lost or self._leapt:
                self._renewal.heard()
                return Ended.LEAPT if self._leapt else Ended.AGAIN
            if properly and self._renewal.state is State.ENDING:
                self._monitor.paths.end_answered(held.poll.endpoint)
            return self._renewal.ended(properly=properly)

    async def may_go_on(self, second: AsyncHeldPoll) -> bool:
        """Whether the watch goes on with this second poll, the first having ended. Raises HistoryCleared."""
        if await self.check.admits_second(second.poll, second.since):
            return True
        self.heard()  # the poll after this one is not the next in a row
        return False

    def broke(self, failure: TransportFailure) -> None:
        """A poll or stream failed. No outage where this client has ended it itself, and not for the member's sake."""
        if not failure.aborted or self._lost:
            self._history.interrupted = True

    def blames(self, failure: TransportFailure) -> bool:
        """Whether the failure of the first poll that ended last is one of its endpoint, which is to rest then.

        A poll that has waited for a while may be cut by whatever lies between, as balancers do with quiet connections.
        Whether the endpoint answers, the next poll shows, which is asked for there.
        """
        waited = time.monotonic() - self._begun_at >= SHORT_POLL_SECONDS
        return failure.aborted or self._lost or not waited

    def needs_look_back(self, held: AsyncHeldPoll, event_index: int) -> bool:
        return self._renewal.needs_look_back(held.at, event_index)

    async def member_is_known(self, endpoint: Endpoint) -> bool:
        """Whether a poll there waits at the member that its connection names (rule 9 of `renewal`)."""
        return await self._monitor.paths.leads_to_one_member(endpoint, self.probes)

    async def is_clear(self, stream: AsyncHeldPoll) -> bool:
        """Whether no snapshot was applied at the stream's member before what has come by now.

        That has to be asked after it came: a member may be late already when the stream is registered.
        And of the same process: another one may be in another history, whose raft index shows nothing of that leap.
        """
        if not await self.member_is_known(stream.poll.endpoint):
            return False
        for key in self.probes:
            asked_at = time.monotonic()
            seen = await self._dispatcher.watch_at(stream.poll.endpoint, operations.get_key(key, wait=True))
            if seen is not None:
                await seen.stream.close()
                leaps = self._monitor.note(seen, asked_at)
                chain = self._monitor.chain(stream.poll)
                same = _is_same_process(seen, stream.poll) and seen.member == stream.at.member
                return same and leaps == stream.at.leaps and not chain.leaping
        return False

    def heard(self) -> None:
        """An event was delivered: what was silent before counts no more."""
        with self._lock:
            self._renewal.heard()

    def state_was_read(self, before: Place) -> None:
        """The same; `before` the state was read, this process had answered."""
        self.heard()
        self._history.begin(before)

    @property
    def was_put_back(self) -> bool:
        """Whether the loss that was named last is that of another history."""
        return self._history.was_put_back

    def want(self, index: int) -> None:
        """Renew the polls, once the store has come to it, until the settled index has; from any thread."""
        with self._lock:
            self._renewal.wanted = [*self._renewal.wanted, index]
            first = self._first
        if first is not None:
            self._monitor.hurry(first.poll.endpoint)

    def unwant(self, index: int) -> None:
        """As often as it was wanted."""
        with self._lock:
            wanted = list(self._renewal.wanted)
            if index in wanted:
                wanted.remove(index)
            self._renewal.wanted = wanted

    def is_wanted(self, store_index: int) -> bool:
        """Whether an index is wanted that the store has come to, and the settled one has not."""
        return self._renewal.is_wanted(store_index)

    def close(self) -> None:
        """From any thread, without waiting."""
        self._renewal.close()
        for held in (self._first, self._second):
            if held is not None:
                held.poll.stream.abort()

    async def drop(self) -> None:
        """Close a second poll that is left over."""
        with self._lock:
            second, self._second = self._second, None
        if second is not None:
            await second.poll.stream.close()

    def after_fork(self) -> None:
        """In a forked child: the sockets are the parent's, and so may be who holds the lock."""
        self._lock = threading.Lock()
        self._first = self._second = None
        self._renewal.close()

    # --- what the index monitor does with it -------------------------------------------------------------------------

    @property
    def registered(self) -> int:
        return self._cursor.registered

    @property
    def settled(self) -> int:
        return self._renewal.settled

    @property
    def first(self) -> Registered | None:
        return self._renewal.first

    @property
    def renewing(self) -> bool:
        return self._renewal.state in (State.ENDING, State.STREAMING) or self.is_wanted(MAX_INDEX)

    def lost(self, why: str) -> None:
        """The member does not answer or does not follow: go on elsewhere, from the settled index."""
        logger.debug("watch of %s: %s", self.key, why)
        with self._lock:
            if self._first is not None:
                self._lost = True
                self._first.poll.stream.abort()

    def leapt(self, member: str, leaps: int) -> None:
        """The member's raft index leapt: a poll that was registered before is ended, and proves nothing."""
        with self._lock:
            if self._first is not None and self._first.at.member == member and self._first.at.leaps < leaps:
                self._leapt = True
                self._first.poll.stream.abort()

    def looked(self, first: Registered | None) -> None:
        """A look has been answered that was begun while `first` was the first poll."""
        with self._lock:
            self._renewal.looked(first)
            held, polling = self._first, self._renewal.state is State.POLLING
        if polling and held is not None and held.at is first:
            self._monitor.paths.passes_on(held.poll.endpoint)  # its headers had come before, and no event with them

    def is_due(self, store_index: int) -> bool:
        """Whether `renew` has something to do now."""
        if self._renewal.state is State.STREAMING:
            return time.monotonic() - self.came_at >= SILENT_STREAM_SECONDS
        return self._renewal.due(store_index)

    async def settle_by_reading(self, timeout: TimeoutLike | Unset = UNSET) -> bool:
        """Whether the watched key itself shows that nothing is missed, and the watch has moved on so far.

        Raises ClusterChanged.
        """
        if self._history.was_put_back:
            return False
        found = await async_untouched_to(self._dispatcher, self.key, self._renewal.settled, timeout)
        with self._lock:
            # Of another history it shows nothing.
            if found is None or found.meta.cluster_id != self.cluster_id or found.meta.index < self._cursor.seen:
                return False
            if found.answer.node is None or not self.check.is_unchanged(found.answer.node):
                return False
            self._cursor.moved_to(found.meta.index)
            return True

    async def renew(self, store_index: int) -> None:
        """One step of the renewal; see the table in `renewal`."""
        with self._lock:
            first, state = self._first, self._renewal.state
            overdue = self._renewal.is_overdue(time.monotonic())
        if first is None:
            return

        # 1. A silent stream may have died, which the server does not say. A poll asks for what it missed.
        if state is State.STREAMING or overdue:
            first.poll.stream.abort()

        elif state is State.POLLING:
            # 2. A second poll beside the first.
            second = await self.open_second(first.poll.endpoint)
            if second is not None:
                await self._overlap(first, second)
                return

            # 3. Refused, and not for want of an answer: the history has left that index. The key may show that nothing
            #    is missing.
            now_on = await self.open_at(first.poll.endpoint, None, newcomers=True)
            if now_on is None:
                return
            await now_on.poll.stream.close()
            with contextlib.suppress(ClusterChanged):  # the feed finds that out when it asks again
                if await self.settle_by_reading(READ_SECONDS):
                    return

            # 4. Else the first is ended, and what it was sent comes, or its watch asks again and hears of the loss.
            await self._overlap(first, None)

    async def _overlap(self, first: AsyncHeldPoll, second: AsyncHeldPoll | None) -> None:
        """The second poll is registered: ask for the end of the first, unless it has begun to receive its event."""
        with self._lock:
            at = None if second is None else second.at
            wanted = self._first is first and self._renewal.overlap(at, time.monotonic())
            if wanted:
                self._second = second
                if not first.poll.stream.half_close():
                    first.poll.stream.abort()
        if second is not None and not wanted:
            await second.poll.stream.close()


def _is_same_process(one: AsyncPoll, other: AsyncPoll) -> bool:
    return place_of(one) == place_of(other) and one.meta.cluster_id == other.meta.cluster_id
