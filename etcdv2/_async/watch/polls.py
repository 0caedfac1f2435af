"""The polls of one watch: the I/O that `renewal` decides about, and what the index monitor sees and does of it.

Owns the lock around the renewal, the second poll, and the moments at which a poll is ended or aborted.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from math import inf
from typing import NamedTuple

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._async.watch.history_check import AsyncHistoryCheck, place_of
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._async.watch.snapshot import async_untouched_to
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.keys import KeysCall
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.one_history import Place
from etcdv2._core.watch.renewal import Ended, Registered, Renewal, State
from etcdv2._core.wire import TransportFailure
from etcdv2._types.api_errors import EtcdError, HistoryCleared
from etcdv2._types.call_errors import ClusterChanged, StaleRead
from etcdv2._types.settings import UNSET, TimeoutLike, Unset
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")

SILENT_STREAM_SECONDS = 0.25
"""A stream that has brought nothing for so long is ended by the monitor, where reading does not time out."""
READ_SECONDS = 0.5
"""What a read of the key may take while other watches of the client wait for their renewal."""


class AsyncHeldPoll(NamedTuple):
    """A registered poll, and what is known of it."""

    poll: AsyncPoll
    at: Registered


class AsyncPolls:
    """One per watch. The feed's worker begins and finishes polls; the monitor renews them meanwhile."""

    def __init__(
        self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, key: str, cursor: Cursor, *, snapshots: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self._key = key
        self._cursor = cursor
        self._renewal = Renewal(cursor)
        self._lock = threading.Lock()
        """For all that follows, which the monitor changes too; never held while waiting."""
        self._first: AsyncHeldPoll | None = None
        self._second: AsyncHeldPoll | None = None
        self._lost = self._leapt = False
        """Why the monitor has aborted the first poll, if it has."""
        self.came_at = inf
        """When the stream under way last brought something."""
        self.cluster_id = ""
        child = f"{cursor.key.rstrip('/')}/_etcdv2"
        self.probes = (child,) if cursor.recursive else (child, key)
        self.check = AsyncHistoryCheck(dispatcher, self.call, self.probes, cursor, strict=snapshots)
        self._history = self.check.history

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key}: {self._renewal!r}>"

    # --- opening -----------------------------------------------------------------------------------------------------

    def call(self, wait_index: int | None, stream: bool | None = None) -> KeysCall:
        """The request for a poll, or for a stream."""
        recursive = self._cursor.recursive or None
        return operations.get_key(self._key, recursive=recursive, wait=True, wait_index=wait_index, stream=stream)

    async def register(self) -> AsyncHeldPoll:
        """A poll from the settled index on, at whichever endpoint takes it.

        Raises as `perform` does, ClusterChanged, StaleRead for a member that is being caught up, and HistoryCleared.
        """
        # 1. After an outage from right behind the last event, where the server still has that.
        if self._history.interrupted:
            self._cursor.go_back()
        try:
            asked_at = time.monotonic()
            poll = await self._ask_from_settled()
        except EtcdError:
            self._history.interrupted = True
            raise
        asked_from = self._cursor.wait_index
        self._monitor.note(poll, asked_at)

        # 2. Whether the watch may go on there.
        try:
            if self.cluster_id and poll.meta.cluster_id != self.cluster_id:
                # Indexes of one cluster mean nothing in another, whoever noticed the change first.
                raise ClusterChanged(self.cluster_id, poll.meta.cluster_id, poll.endpoint.url)
            if self.cluster_id and poll.meta.index < self._cursor.seen:
                await self.check.check_index(poll)
            await self._monitor.follow_leap(poll, self.probes)
            held = self._held(poll)
            if held is None:
                raise StaleRead(poll.meta.index + 1, poll.meta.index)
            if self._is_behind_leap(held, asked_from):
                raise self.loss(held, Ended.LEAPT)
            if not await self.check.admits(poll):
                await poll.stream.close()
                return await self.register()
        except BaseException:
            await poll.stream.close()
            raise
        self.cluster_id = poll.meta.cluster_id
        return held

    async def _ask_from_settled(self) -> AsyncPoll:
        """Where that is further back than the watch had come, and gone from the history, from there."""
        try:
            return await self._dispatcher.open_watch(self.call(self._cursor.wait_index), UNSET)
        except HistoryCleared:
            if not self._cursor.go_forth():
                raise
        return await self._dispatcher.open_watch(self.call(self._cursor.wait_index), UNSET)

    async def open_at(
        self, endpoint: Endpoint, wait_index: int | None, stream: bool | None = None
    ) -> AsyncHeldPoll | None:
        """A poll at this endpoint.

        None where it does not take it, fails, belongs to another cluster, or has a history that may be wrong.
        """
        asked_at = time.monotonic()
        try:
            poll = await self._dispatcher.watch_at(endpoint, self.call(wait_index, stream))
        except TransportFailure as failure:
            logger.debug("watch of %s: no second poll: %s", self._key, failure)
            return None
        if poll is None:
            return None
        self._monitor.note(poll, asked_at)
        if poll.meta.cluster_id == self.cluster_id and self._history.is_new(place_of(poll)):
            self.lost(f"another process answers at {endpoint}")
            await poll.stream.close()
            return None
        held = self._held(poll)
        if held is None or poll.meta.cluster_id != self.cluster_id or self._is_behind_leap(held, wait_index):
            await poll.stream.close()
            return None
        return held

    def _held(self, poll: AsyncPoll) -> AsyncHeldPoll | None:
        """What is known of it; None when its member was being caught up by a snapshot, or that was not yet seen."""
        chain = self._monitor.chain(poll)
        if chain.leaping or poll.meta.index < chain.leapt_to:
            return None
        return AsyncHeldPoll(poll, Registered(poll.meta.index, chain.leaps, poll.member))

    def _is_behind_leap(self, held: AsyncHeldPoll, asked_from: int | None) -> bool:
        """Whether it searched a history that came with a snapshot: that may pass over events (rule 5 of `renewal`)."""
        asked_from = None if asked_from is None else max(asked_from, self._cursor.furthest)
        return asked_from is not None and asked_from <= self._monitor.chain(held.poll).leapt_to

    # --- what the worker does ----------------------------------------------------------------------------------------

    def begin(self, held: AsyncHeldPoll) -> None:
        """The poll is read from now on."""
        self._history.saw(held.poll.meta)
        with self._lock:
            self._cursor.opened(held.at.index)
            self._first, self._lost, self._leapt = held, False, False
            self._renewal.begin(held.at, path_answers=self._monitor.answers_ends(held.poll.endpoint))
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
                self._monitor.end_answered(held.poll.endpoint)
            return self._renewal.ended(properly=properly)

    def broke(self, failure: TransportFailure) -> None:
        """A poll or stream failed. No outage where this client has ended it itself, and not for the member's sake."""
        if not failure.aborted or self._lost:
            self._history.interrupted = True

    def needs_look_back(self, held: AsyncHeldPoll, event_index: int) -> bool:
        return self._renewal.needs_look_back(held.at, event_index)

    async def is_clear(self, stream: AsyncHeldPoll) -> bool:
        """Whether no snapshot was applied at the stream's member before what has come by now.

        That has to be asked after it came: a member may be late already when the stream is registered.
        """
        for key in self.probes:
            asked_at = time.monotonic()
            seen = await self._dispatcher.watch_at(stream.poll.endpoint, operations.get_key(key, wait=True))
            if seen is not None:
                await seen.stream.close()
                leaps = self._monitor.note(seen, asked_at)
                chain = self._monitor.chain(stream.poll)
                return seen.member == stream.at.member and leaps == stream.at.leaps and not chain.leaping
        return False

    def loss(self, held: AsyncHeldPoll, ended: Ended) -> HistoryCleared:
        """The error that names what cannot be known."""
        url, settled = held.poll.endpoint.url, self._renewal.settled
        text = f"what happened after index {settled} is not known: {ended.value}"
        return HistoryCleared(text, code=401, index=held.at.index, endpoint=url)

    def heard(self) -> None:
        """An event was delivered: what was silent before counts no more."""
        with self._lock:
            self._renewal.heard()

    async def observe(self) -> Place:
        """Who answers now. Raises as `perform` does."""
        asked_at = time.monotonic()
        poll = await self._dispatcher.open_watch(self.call(None))
        await poll.stream.close()
        self._monitor.note(poll, asked_at)
        return place_of(poll)

    def state_was_read(self, before: Place) -> None:
        """The same; `before` the state was read, this process had answered."""
        self.heard()
        self._history.begin(before)

    @property
    def was_put_back(self) -> bool:
        """Whether the loss that was named last is that of another history."""
        return self._history.was_put_back

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
        return self._renewal.state in (State.ENDING, State.STREAMING)

    def lost(self, why: str) -> None:
        """The member does not answer or does not follow: go on elsewhere, from the settled index."""
        logger.debug("watch of %s: %s", self._key, why)
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

    def is_due(self, store_index: int) -> bool:
        """Whether `renew` has something to do now."""
        if self._renewal.state is State.STREAMING:
            return time.monotonic() - self.came_at >= SILENT_STREAM_SECONDS
        return self._renewal.due(store_index)

    async def settle_by_reading(self, timeout: TimeoutLike | Unset = UNSET) -> bool:
        """Whether the watched key itself shows that nothing is missed, and the watch has moved on so far.

        Raises ClusterChanged.
        """
        if self._cursor.recursive or self._history.was_put_back:
            return False
        found = await async_untouched_to(self._dispatcher, self._key, self._renewal.settled, timeout)
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
            # 2. A second poll beside the first, from the settled index on.
            second = await self.open_at(first.poll.endpoint, self._renewal.settled + 1)
            if second is not None:
                await self._overlap(first, second)
                return

            # 3. Refused, and not for want of an answer: the history has left that index. The key may show that nothing
            #    is missing.
            now_on = await self.open_at(first.poll.endpoint, None)
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
