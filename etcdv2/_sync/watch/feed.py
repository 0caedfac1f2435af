# Derived from etcdv2/_async/watch/feed.py by scripts/unasync.py: change that file, make generate.
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

from etcdv2._core.deadline import Deadline
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.watch.renewal import Ended
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.channels import Channel
from etcdv2._runtime.errors import fresh
from etcdv2._runtime.primitives import Pulse, Worker
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._sync.watch.event_reader import BURST_SECONDS, EventReader
from etcdv2._sync.watch.index_monitor import IndexMonitor
from etcdv2._sync.watch.pending_stream import PendingStream
from etcdv2._sync.watch.poll_requests import HeldPoll
from etcdv2._sync.watch.polls import CLEARANCE_SECONDS, SHORT_POLL_SECONDS, SILENT_STREAM_SECONDS
from etcdv2._sync.watch.proxied_polls import ProxiedPolls
from etcdv2._sync.watch.reconnect import Reconnect
from etcdv2._sync.watch.snapshot import StoreSeen, read_state
from etcdv2._types.api_errors import HistoryCleared, Unauthorized
from etcdv2._types.call_errors import ClusterChanged, ClusterUnavailable
from etcdv2_api import KeysEvent

logger = logging.getLogger("etcdv2")

ONE_SHOT_SECONDS = 0.05
"""What a watch waits after its first event, if that came at once, for its reader to ask for another one."""


class Feed:
    """Begun once, then runs until it is closed or fails; `items` has what it found."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        monitor: IndexMonitor,
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
        self._reconnect = Reconnect(key, patience, dispatcher.timeout.total, monitor.outage, steadfast=snapshots)
        self._snapshots = snapshots
        self._snapshot_due = snapshots
        self._polls = ProxiedPolls(dispatcher, monitor, key, cursor, snapshots=snapshots)
        self._pending = PendingStream()
        self._reader = EventReader(dispatcher, self._polls, self._pending, key)
        self._worker: Worker | None = None
        self._ready, self._back = Pulse(), Pulse()
        self._short_polls = 0
        self._is_back = self._has_brought = False
        """Whether its reader has asked for a second event, and whether there was a first one."""
        self.items: Channel[Any] = Channel(buffer)
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

    def begin(self, timeout: float | None = None) -> None:
        """Start reading, and wait until the server has registered the watch; `timeout` seconds at the most.

        It goes on beginning after that. Raises what prevents it.
        """
        if not self.begun:
            self.begun = True
            self._dispatcher.watches.add(self)
            try:
                self._worker = Worker(self._run, "etcdv2-watch")
            except RuntimeError as error:
                raise ClusterUnavailable(f"the watch of {self._polls.key} cannot begin: {error}") from error
        self._ready.wait(timeout)
        if not self._reconnect.begun and self.items.error is not None:
            raise fresh(self.items.error)

    def reader_is_back(self) -> None:
        """Who has taken an event asks for another one; from any thread."""
        if not self._is_back:
            self._is_back = True
            self._back.set()

    def close(self) -> None:
        try:
            self.items.discard()
        finally:  # also where the handler of a signal raises
            self.abandon()
        if self._worker is not None:
            self._worker.join(0.2)

    def after_fork(self) -> None:
        """In a forked child: ended. The parent's thread, sockets and locks are not here, or not ours."""
        self._reconnect.forget()
        self._polls.after_fork()
        self._pending.held = None
        self._worker = None
        self._ready, self._back = Pulse(), Pulse()
        self._ready.set()
        self.items = Channel(1)
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

    def _run(self) -> None:
        held: HeldPoll | None = None
        try:
            while not self.closed:
                try:
                    held = (held and self._taken_over(held)) or self._begin_poll()
                    if held is None:
                        break  # closed
                    self._now_registered()
                    held = self._follow(held)
                    if held is None and (stream := self._pending.reached(self._cursor.wait_index)) is not None:
                        self._read_stream(stream)
                except (HistoryCleared, ClusterChanged) as error:
                    held = None
                    if not self._snapshots or not self._reconnect.may_begin_again():
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
            self._pending.drop()
            self._polls.drop()
            if held is not None:
                held.poll.stream.close()

    def _taken_over(self, held: HeldPoll) -> HeldPoll | None:
        """The poll to go on with; None where nobody would look after it."""
        try:
            self._polls.begin(held)
        except ClusterUnavailable:
            self._polls.finish(held)
            return None
        return held

    def _registered(self, deadline: Deadline) -> HeldPoll | StoreSeen:
        """A poll that is looked after; the store, where headers are held back. Raises what prevents it."""
        held = self._polls.begin_watch(deadline)
        if isinstance(held, StoreSeen):
            return held
        try:
            self._polls.begin(held)
        except ClusterUnavailable:
            self._polls.finish(held)
            raise
        return held

    def _begin_poll(self) -> HeldPoll | None:
        """A registered poll, after a snapshot where one is due. None when closed."""
        while True:
            if self._snapshot_due and not self._deliver_state():
                return None
            try:
                begun = self._reconnect.endure(self._registered)
                if not isinstance(begun, StoreSeen):
                    return begun
                if self._polls.is_wanted(begun.meta.index):
                    self._snapshot_due = True  # where headers are held back, nothing else shows what is there
                    continue
                held = self._await_headers(begun)
                if held is not None or self.closed:
                    return held
            except HistoryCleared as error:
                # A watch that begins with the oldest event asks from the one that the server names.
                older = not self._reconnect.begun and self._cursor.seek_oldest(error.cause)
                if older and self._reconnect.may_begin_again():
                    continue
                if not (self._reconnect.begun and self._polls.settle_by_reading()):
                    raise

    def _deliver_state(self) -> bool:
        """Read the state and go on after it. False when closed."""
        # A process that answers before the state is read, and behind it, has been in one history all the time.
        before = self._reconnect.endure(self._polls.observe)
        recursive, quorum = self._cursor.recursive, self._polls.was_put_back
        read = partial(read_state, self._dispatcher, self._polls.key, recursive=recursive, quorum=quorum)
        snapshot = self._reconnect.endure(read)
        if before is None or snapshot is None:
            return False
        self._cursor.restart(snapshot.index)
        self._polls.state_was_read(before)
        self._snapshot_due = False
        self._put(snapshot)
        return True

    def _put(self, item: Any) -> None:
        self._said = item.index
        self.items.put(item)

    def _await_headers(self, seen: StoreSeen) -> HeldPoll | None:
        """Where headers are held back the watch has begun when the store was seen. None: to be asked again."""
        self._now_registered()
        began = time.monotonic()
        held = self._polls.await_headers(seen)
        if held is None:
            self._ended_early(began, broken=True)
        return held and self._taken_over(held)

    def _now_registered(self) -> None:
        self._reconnect.beginnings = 0
        if not self._reconnect.begun:
            self._reconnect.begun = True
            self.started_at = (self._cursor.wait_index or 1) - 1
            self._ready.set()

    def _follow(self, held: HeldPoll) -> HeldPoll | None:
        """Wait for the poll's one event and hand it on. Returns the poll to go on with, None to register again."""
        began = time.monotonic()
        polls = self._polls
        try:
            body, failure = (b"", None) if self.closed else self._reader.read_event(held)
        finally:
            second = polls.finish(held)
        try:
            if self.closed:
                return None

            # 1. An event.
            if body.strip():
                return self._deliver(held, body, began)

            # 2. The end of a poll that was renewed: what does it prove?
            ended = polls.ended(held, properly=failure is None)
            if ended is Ended.GO_ON and second is not None:
                if not polls.may_go_on(second):
                    return None
                second, went_on = None, second
                return went_on
            if ended is Ended.LEAPT and not polls.settle_by_reading():
                raise polls.loss(held, ended)
        finally:
            if second is not None:
                second.poll.stream.close()

        # 3. An end that nobody asked for: an event may have been on its way. Ask from the same index, elsewhere.
        if failure is not None:
            polls.broke(failure)
            if polls.blames(failure):
                self._dispatcher.endpoint_failed(held.poll.endpoint, failure)
        self._ended_early(began, broken=failure is not None)
        return None

    def _deliver(self, held: HeldPoll, body: bytes, began: float) -> HeldPoll | None:
        """Hand an event on, unless a snapshot may have brought another one before it.

        Returns the poll to go on with.
        """
        change = self._reader.change(held.poll, body)
        if change is None:
            self._ended_early(began)
            return None
        received = time.monotonic()
        index = 0 if change.node is None else change.node.modified_index
        if not self._polls.check.may_deliver(held.poll, index):
            return None  # not delivered: it is asked for again
        after: HeldPoll | None = None
        if change.node is not None and self._polls.needs_look_back(held, change.node.modified_index):
            if not self._polls.member_is_known(held.poll.endpoint):
                self._ended_early(began, broken=True)
                return None  # not delivered: it is asked for again, and found in the history of whoever answers
            # The next poll is asked for first: its headers say whether a snapshot has caught the member up meanwhile.
            after = self._polls.open_at(held.poll.endpoint, change.node.modified_index + 1)
            if after is None:
                return None  # not delivered: it is asked for again, from the index before, and found in the history
            if after.at.member != held.at.member:
                after.poll.stream.close()
                return None  # the same: another member says nothing of this one
            if after.at.leaps != held.at.leaps:
                after.poll.stream.close()
                raise self._polls.loss(held, Ended.LEAPT)

        if self._accept(change):
            if received - began < BURST_SECONDS and after is None:
                self._expect_more(held)
            return after
        if after is not None:
            after.poll.stream.close()
        self._dispatcher.endpoint_failed(held.poll.endpoint, "sent no new event")
        self._ended_early(received)
        return None

    def _expect_more(self, held: HeldPoll) -> None:
        """An event has come at once, so there may be many: after another one that did, a stream is opened.

        Of 2,000 events in a moment the server forgets 1,000 while polls fetch them one by one. A first
        event is mostly all that is wanted of a watch of the past, which is closed then.
        """
        if self._has_brought:
            self._pending.open(self._polls, held.poll.endpoint)
            return
        self._has_brought = True
        if not self._snapshots:
            self._back.wait(ONE_SHOT_SECONDS)

    def _read_stream(self, stream: HeldPoll) -> None:
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
                part = poll.stream.read(CLEARANCE_SECONDS if changes else SILENT_STREAM_SECONDS)
                if part == b"" or (part is None and not changes):
                    break  # ended, or silent; what is not delivered yet a poll asks for again
                polls.came_at = inf  # the monitor ends a silent stream where reads do not, but not while this is busy
                sound = self._reader.add_lines(poll, buffer.lines(part or b""), changes)

                # What came after foreign events waits until a look back has been asked for after it came.
                if not self._cursor.follows_on(changes):
                    if sound and time.monotonic() - asked_at < CLEARANCE_SECONDS:
                        continue
                    asked_at = time.monotonic()
                    if not polls.is_clear(stream):
                        return
                self._accept_all(changes)
        except ClusterUnavailable:
            return  # nobody would look after it: polls go on
        except TransportFailure as failure:
            polls.broke(failure)
            if not failure.aborted:
                self._dispatcher.endpoint_failed(poll.endpoint, failure)
        finally:
            polls.finish(stream)

    def _accept_all(self, changes: list[KeysEvent]) -> None:
        for change in changes:
            self._accept(change)
        changes.clear()

    def _accept(self, change: KeysEvent) -> bool:
        """Whether the change brought the watch on; an older one does not."""
        self._short_polls = 0
        before = self._cursor.wait_index
        event = self._cursor.accept(change)
        self._polls.heard()
        if event is not None:
            self._put(event)
        return self._cursor.wait_index != before

    def _ended_early(self, began: float, *, broken: bool = False) -> None:
        """A poll ended with nothing (proxies do that), or broke: go on, but do not hammer anybody."""
        if time.monotonic() - began >= SHORT_POLL_SECONDS:
            self._short_polls = 0
            return
        self._short_polls += 1
        if not broken or self._short_polls > 1:
            self._reconnect.pause(self._short_polls)
