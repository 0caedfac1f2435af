"""The background side of a watch: one worker that registers, reads, streams, endures outages and reads the state again.

Owns the life of a watch. Where it stands is the cursor's affair, what silence proves is the
renewal's; the I/O of the polls is in `polls`. What it finds goes into a buffer.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from math import inf
from typing import Any

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._async.watch.event_reader import BURST_SECONDS, AsyncEventReader
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._async.watch.pending_stream import AsyncPendingStream
from etcdv2._async.watch.poll_requests import AsyncHeldPoll
from etcdv2._async.watch.polls import CLEARANCE_SECONDS, SHORT_POLL_SECONDS, SILENT_STREAM_SECONDS
from etcdv2._async.watch.proxied_polls import AsyncProxiedPolls
from etcdv2._async.watch.reconnect import AsyncReconnect
from etcdv2._async.watch.snapshot import AsyncStoreSeen, async_read_state
from etcdv2._core.deadline import Deadline
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.watch.renewal import Ended
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.channels import AsyncChannel
from etcdv2._runtime.errors import fresh
from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker
from etcdv2._types.api_errors import HistoryCleared, Unauthorized
from etcdv2._types.call_errors import ClusterChanged, ClusterUnavailable
from etcdv2_api import KeysEvent

logger = logging.getLogger("etcdv2")

ONE_SHOT_SECONDS = 0.05
"""What a watch waits after its first event, if that came at once, for its reader to ask for another one."""


class AsyncFeed:
    """Begun once, then runs until it is closed or fails; `items` has what it found."""

    def __init__(
        self,
        dispatcher: AsyncDispatcher,
        monitor: AsyncIndexMonitor,
        spellings: tuple[str, ...],
        cursor: Cursor,
        patience: float | None,
        buffer: int,
        snapshots: bool,
    ) -> None:
        self._dispatcher = dispatcher
        key, *self._other_spellings = spellings
        """How it is asked for where the first is refused before the watch has begun."""
        self._cursor = cursor
        self._reconnect = AsyncReconnect(key, patience, dispatcher.timeout.total, monitor.outage, steadfast=snapshots)
        self._snapshots = snapshots
        self._snapshot_due = snapshots
        self._polls = AsyncProxiedPolls(dispatcher, monitor, key, cursor, snapshots=snapshots)
        self._pending = AsyncPendingStream()
        self._reader = AsyncEventReader(dispatcher, self._polls, self._pending, key)
        self._worker: AsyncWorker | None = None
        self._ready, self._back = AsyncPulse(), AsyncPulse()
        self._short_polls = 0
        self._is_back = self._has_brought = False
        """Whether its reader has asked for a second event, and whether there was a first one."""
        self.items: AsyncChannel[Any] = AsyncChannel(buffer)
        """Events, with snapshots Snapshots as well, and for a mirror what its own feed adds."""
        self._said = 0
        """The index of the last item."""
        self.begun = False
        self.started_at = (cursor.wait_index or 1) - 1

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._polls.key}: {self._polls!r}>"

    @property
    def closed(self) -> bool:
        return self._reconnect.closed

    @property
    def unreachable_since(self) -> float | None:
        return self._reconnect.unreachable_since

    @property
    def registered(self) -> bool:
        """Whether the server has known the watch at some time."""
        return self._reconnect.begun

    async def begin(self, timeout: float | None = None) -> None:
        """Start reading, and wait until the server has registered the watch; `timeout` seconds at the most.

        It goes on beginning after that. Raises what prevents it.
        """
        if not self.begun:
            self.begun = True
            self._dispatcher.watches.add(self)
            try:
                self._worker = AsyncWorker(self._run, "etcdv2-watch")
            except RuntimeError as error:
                raise ClusterUnavailable(f"the watch of {self._polls.key} cannot begin: {error}") from error
        await self._ready.wait(timeout)
        if not self._reconnect.begun and self.items.error is not None:
            raise fresh(self.items.error)

    def reader_is_back(self) -> None:
        """Who has taken an event asks for another one; from any thread."""
        if not self._is_back:
            self._is_back = True
            self._back.set()

    async def close(self) -> None:
        try:
            self.items.discard()
        finally:  # also where the handler of a signal raises
            self.abandon()
        if self._worker is not None:
            await self._worker.join(0.2)

    def after_fork(self) -> None:
        """In a forked child: ended. The parent's thread, sockets and locks are not here, or not ours."""
        self._reconnect.forget()
        self._polls.after_fork()
        self._pending.held = None
        self._worker = None
        self._ready, self._back = AsyncPulse(), AsyncPulse()
        self._ready.set()
        self.items = AsyncChannel(1)
        self.items.end()

    def abandon(self) -> None:
        """Stop reading; from any thread, without waiting."""
        self._reconnect.close()
        self._dispatcher.watches.discard(self)
        self._ready.set()
        self._back.set()
        self._pending.abort()
        self._polls.close()
        if self._worker is not None:
            self._worker.cancel()

    # --- the background ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        held: AsyncHeldPoll | None = None
        try:
            while not self.closed:
                try:
                    held = (held and await self._taken_over(held)) or await self._begin_poll()
                    if held is None:
                        break  # closed
                    self._now_registered()
                    held = await self._follow(held)
                    if held is None and (stream := self._pending.reached(self._cursor.wait_index)) is not None:
                        await self._read_stream(stream)
                except (HistoryCleared, ClusterChanged) as error:
                    held = None
                    if not self._snapshots or not await self._reconnect.may_begin_again():
                        raise
                    logger.info("watch of %s reads the state again: %s", self._polls.key, error)
                    self._snapshot_due, self._polls.cluster_id = True, ""
                except Unauthorized:
                    if self._reconnect.begun or not self._other_spellings:
                        raise
                    self._polls.key = self._other_spellings.pop()
        except Exception as error:  # whatever it is, the watcher's user must hear of it
            self.items.end(error)
        finally:
            self.items.end()
            self._ready.set()
            await self._pending.drop()
            await self._polls.drop()
            if held is not None:
                await held.poll.stream.close()

    async def _taken_over(self, held: AsyncHeldPoll) -> AsyncHeldPoll | None:
        """The poll to go on with; None where nobody would look after it."""
        try:
            self._polls.begin(held)
        except ClusterUnavailable:
            await self._polls.finish(held)
            return None
        return held

    async def _registered(self, deadline: Deadline) -> AsyncHeldPoll | AsyncStoreSeen:
        """A poll that is looked after; the store, where headers are held back. Raises what prevents it."""
        held = await self._polls.begin_watch(deadline)
        if isinstance(held, AsyncStoreSeen):
            return held
        try:
            self._polls.begin(held)
        except ClusterUnavailable:
            await self._polls.finish(held)
            raise
        return held

    async def _begin_poll(self) -> AsyncHeldPoll | None:
        """A registered poll, after a snapshot where one is due. None when closed."""
        while True:
            if self._snapshot_due and not await self._deliver_state():
                return None
            try:
                begun = await self._reconnect.endure(self._registered)
                if not isinstance(begun, AsyncStoreSeen):
                    return begun
                if self._polls.is_wanted(begun.meta.index):
                    self._snapshot_due = True  # where headers are held back, nothing else shows what is there
                    continue
                held = await self._await_headers(begun)
                if held is not None or self.closed:
                    return held
            except HistoryCleared as error:
                # A watch that begins with the oldest event asks from the one that the server names.
                older = not self._reconnect.begun and self._cursor.seek_oldest(error.cause)
                if older and await self._reconnect.may_begin_again():
                    continue
                if not (self._reconnect.begun and await self._polls.settle_by_reading()):
                    raise

    async def _deliver_state(self) -> bool:
        """Read the state and go on after it. False when closed."""
        # A process that answers before the state is read, and behind it, has been in one history all the time.
        before = await self._reconnect.endure(self._polls.observe)
        recursive, quorum = self._cursor.recursive, self._polls.was_put_back
        read = partial(async_read_state, self._dispatcher, self._polls.key, recursive=recursive, quorum=quorum)
        snapshot = await self._reconnect.endure(read)
        if before is None or snapshot is None:
            return False
        self._cursor.restart(snapshot.index)
        self._polls.state_was_read(before)
        self._snapshot_due = False
        await self._put(snapshot)
        return True

    async def _put(self, item: Any) -> None:
        self._said = item.index
        await self.items.put(item)

    async def _await_headers(self, seen: AsyncStoreSeen) -> AsyncHeldPoll | None:
        """Where headers are held back the watch has begun when the store was seen. None: to be asked again."""
        self._now_registered()
        began = time.monotonic()
        held = await self._polls.await_headers(seen)
        if held is None:
            await self._ended_early(began, broken=True)
        return held and await self._taken_over(held)

    def _now_registered(self) -> None:
        self._reconnect.beginnings = 0
        if not self._reconnect.begun:
            self._reconnect.begun = True
            self.started_at = (self._cursor.wait_index or 1) - 1
            self._ready.set()

    async def _follow(self, held: AsyncHeldPoll) -> AsyncHeldPoll | None:
        """Wait for the poll's one event and hand it on. Returns the poll to go on with, None to register again."""
        began = time.monotonic()
        polls = self._polls
        try:
            body, failure = (b"", None) if self.closed else await self._reader.read_event(held)
        finally:
            second = await polls.finish(held)
        try:
            if self.closed:
                return None

            # 1. An event.
            if body.strip():
                return await self._deliver(held, body, began)

            # 2. The end of a poll that was renewed: what does it prove?
            ended = polls.ended(held, properly=failure is None)
            if ended is Ended.GO_ON and second is not None:
                if not await polls.may_go_on(second):
                    return None
                second, went_on = None, second
                return went_on
            if ended is Ended.LEAPT and not await polls.settle_by_reading():
                raise polls.loss(held, ended)
        finally:
            if second is not None:
                await second.poll.stream.close()

        # 3. An end that nobody asked for: an event may have been on its way. Ask from the same index, elsewhere.
        if failure is not None:
            polls.broke(failure)
            if polls.blames(failure):
                self._dispatcher.endpoint_failed(held.poll.endpoint, failure)
        await self._ended_early(began, broken=failure is not None)
        return None

    async def _deliver(self, held: AsyncHeldPoll, body: bytes, began: float) -> AsyncHeldPoll | None:
        """Hand an event on, unless a snapshot may have brought another one before it.

        Returns the poll to go on with.
        """
        change = self._reader.change(held.poll, body)
        if change is None:
            await self._ended_early(began)
            return None
        received = time.monotonic()
        index = 0 if change.node is None else change.node.modified_index
        if not await self._polls.check.may_deliver(held.poll, index):
            return None  # not delivered: it is asked for again
        after: AsyncHeldPoll | None = None
        if change.node is not None and self._polls.needs_look_back(held, change.node.modified_index):
            if not await self._polls.member_is_known(held.poll.endpoint):
                await self._ended_early(began, broken=True)
                return None  # not delivered: it is asked for again, and found in the history of whoever answers
            # The next poll is asked for first: its headers say whether a snapshot has caught the member up meanwhile.
            after = await self._polls.open_at(held.poll.endpoint, change.node.modified_index + 1)
            if after is None:
                return None  # not delivered: it is asked for again, from the index before, and found in the history
            if after.at.member != held.at.member:
                await after.poll.stream.close()
                return None  # the same: another member says nothing of this one
            if after.at.leaps != held.at.leaps:
                await after.poll.stream.close()
                raise self._polls.loss(held, Ended.LEAPT)

        if await self._accept(change):
            if received - began < BURST_SECONDS and after is None:
                await self._expect_more(held)
            return after
        if after is not None:
            await after.poll.stream.close()
        self._dispatcher.endpoint_failed(held.poll.endpoint, "sent no new event")
        await self._ended_early(received)
        return None

    async def _expect_more(self, held: AsyncHeldPoll) -> None:
        """An event has come at once, so there may be many: after another one that did, a stream is opened.

        Of 2,000 events in a moment the server forgets 1,000 while polls fetch them one by one. A first
        event is mostly all that is wanted of a watch of the past, which is closed then.
        """
        if self._has_brought:
            await self._pending.open(self._polls, held.poll.endpoint)
            return
        self._has_brought = True
        if not self._snapshots:
            await self._back.wait(ONE_SHOT_SECONDS)

    async def _read_stream(self, stream: AsyncHeldPoll) -> None:
        """Take events from the stream until it ends or falls silent; then polls take over, from where it came to.

        A poll has brought an event later than the stream's registration, so nothing between them can be missing.
        """
        buffer, asked_at = EventBuffer(), -inf
        polls, poll = self._polls, stream.poll
        changes: list[KeysEvent] = []
        try:
            polls.begin_stream(stream)
            sound = True
            while sound and not self.closed:
                polls.came_at = time.monotonic()
                part = await poll.stream.read(CLEARANCE_SECONDS if changes else SILENT_STREAM_SECONDS)
                if part == b"" or (part is None and not changes):
                    break  # ended, or silent; what is not delivered yet a poll asks for again
                polls.came_at = inf  # the monitor ends a silent stream where reads do not, but not while this is busy
                sound = self._reader.add_lines(poll, buffer.lines(part or b""), changes)

                # What came after foreign events waits until a look back has been asked for after it came.
                if not self._cursor.follows_on(changes):
                    if sound and time.monotonic() - asked_at < CLEARANCE_SECONDS:
                        continue
                    asked_at = time.monotonic()
                    if not await polls.is_clear(stream):
                        return
                await self._accept_all(changes)
        except ClusterUnavailable:
            return  # nobody would look after it: polls go on
        except TransportFailure as failure:
            polls.broke(failure)
            if not failure.aborted:
                self._dispatcher.endpoint_failed(poll.endpoint, failure)
        finally:
            await polls.finish(stream)

    async def _accept_all(self, changes: list[KeysEvent]) -> None:
        for change in changes:
            await self._accept(change)
        changes.clear()

    async def _accept(self, change: KeysEvent) -> bool:
        """Whether the change brought the watch on; an older one does not."""
        self._short_polls = 0
        before = self._cursor.wait_index
        event = self._cursor.accept(change)
        self._polls.heard()
        if event is not None:
            await self._put(event)
        return self._cursor.wait_index != before

    async def _ended_early(self, began: float, *, broken: bool = False) -> None:
        """A poll ended with nothing (proxies do that), or broke: go on, but do not hammer anybody."""
        if time.monotonic() - began >= SHORT_POLL_SECONDS:
            self._short_polls = 0
            return
        self._short_polls += 1
        if not broken or self._short_polls > 1:
            await self._reconnect.pause(self._short_polls)
