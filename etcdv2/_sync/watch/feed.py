# Derived from etcdv2/_async/watch/feed.py by scripts/unasync.py: change that file, make generate.
"""The background side of a watch: one worker that registers, renews, streams, endures outages and reads the state anew.

Owns the life of a watch; where it stands is the cursor's affair, what it yields goes into a buffer.
"""

from __future__ import annotations

import logging
import threading
import time
from math import inf

from etcdv2._core.keys import KeysCall
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.watch.probe_interval import RENEW_AFTER, SURELY_KEPT, SURELY_QUIET, PollTrust
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.primitives import Channel, Pulse, Worker, settle
from etcdv2._sync.dispatcher import Dispatcher, Poll
from etcdv2._sync.watch.index_monitor import IndexMonitor
from etcdv2._sync.watch.pending_stream import PendingStream
from etcdv2._sync.watch.reconnect import Reconnect
from etcdv2._sync.watch.snapshot import check_not_restored, read_state
from etcdv2._types.api_errors import HistoryCleared
from etcdv2._types.call_errors import ClusterChanged
from etcdv2._types.results import Event, Snapshot
from etcdv2._types.settings import UNSET
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")

SETTLED = 0.01
"""Seconds to read what has come already."""
QUICK = 0.02
"""Seconds within which the event of a poll comes when events may be many: then a stream is opened."""


class Feed:
    """Begun once, then runs until it is closed or fails; `items` has what it found."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        monitor: IndexMonitor,
        key: str,
        cursor: Cursor,
        patience: float | None,
        buffer: int,
        snapshots: bool,
    ) -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self._key = key
        self._cursor = cursor
        self._reconnect = Reconnect(key, patience)
        self._snapshots = snapshots
        self._snapshot_due = snapshots
        self._lock = threading.Lock()
        """For the polls, which the index monitor changes too; never held while waiting."""
        self._poll: Poll | None = None
        self._spare: Poll | None = None
        self._spare_since = 0.0
        self._reached = 0
        """Up to where everything has come when the spare poll takes over."""
        self._pending = PendingStream(dispatcher)
        self._streaming = self._taken_over = False
        self._switching = False
        self._receiving = False
        self._came_at = 0.0
        self._trust = PollTrust(0.0)
        self._cluster_id = ""
        self._worker: Worker | None = None
        self._ready = Pulse()
        self._short_polls = 0
        self.items: Channel[Event | Snapshot] = Channel(buffer)
        self.begun = False
        self.started_at = (cursor.wait_index or 1) - 1
        child = f"{cursor.key.rstrip('/')}/_etcdv2"
        self.probes = (child,) if cursor.recursive else (child, key)

    @property
    def closed(self) -> bool:
        return self._reconnect.closed

    @property
    def unreachable_since(self) -> float | None:
        return self._reconnect.unreachable_since

    def begin(self) -> None:
        """Start reading and wait until the server has registered the watch. Raises what prevents it."""
        self.begun = True
        self._dispatcher.watches.add(self)
        self._worker = Worker(self._run, "etcdv2-watch")
        self._ready.wait(None)
        if not self._reconnect.begun and self.items.error is not None:
            raise self.items.error

    def close(self) -> None:
        self.items.discard()
        self.abandon()
        if self._worker is not None:
            self._worker.join(0.2)

    def after_fork(self) -> None:
        """In a forked child: ended. The parent's thread, sockets and locks are not here, or not ours."""
        self._lock = threading.Lock()
        self._reconnect.forget()
        self._poll = self._spare = self._pending.poll = self._worker = None
        self._ready = Pulse()
        self._ready.set()
        self.items = Channel(1)
        self.items.end()

    def abandon(self) -> None:
        """Stop reading; from any thread, without waiting."""
        self._reconnect.close()
        self._dispatcher.watches.discard(self)
        self._ready.set()
        self._pending.abort()
        for poll in (self._poll, self._spare):
            if poll is not None:
                poll.stream.abort()
        if self._worker is not None:
            self._worker.cancel()

    # --- what the index monitor does with it -------------------------------------------------------------------------

    @property
    def registered(self) -> int:
        return self._cursor.registered

    @property
    def settled(self) -> int:
        """Up to this index the poll under way has nothing more to bring."""
        registered = self._cursor.registered
        return registered if self._taken_over else min(registered, (self._cursor.wait_index or registered + 1) - 1)

    @property
    def cluster_id(self) -> str:
        return self._cluster_id

    @property
    def renewing(self) -> bool:
        return self._spare is not None or self._streaming

    def lost(self, why: str) -> None:
        """The member does not answer or does not follow: go on elsewhere, from the same index."""
        logger.debug("watch of %s: %s", self._key, why)
        with self._lock:
            if self._poll is not None:
                self._poll.stream.abort()

    def is_due(self, store_index: int) -> bool:
        """Whether `renew` has something to do now."""
        now = time.monotonic()
        if self._streaming:
            return now - self._came_at >= SURELY_QUIET
        if self._spare is not None:
            return now - self._spare_since >= SURELY_QUIET
        return store_index == 0 or store_index - self.settled >= RENEW_AFTER

    def renew(self, store_index: int) -> None:
        """Open a second poll beside the first, and later let go of the first: no moment is without one.

        The second one asks from where the first asks, or for what came since that was registered, so that it finds what
        a dead or slow connection keeps. When the server may have forgotten that it begins now, and the first one is
        trusted. A silent stream is ended instead: it may have died, which the server does not say, so a poll goes on.
        """
        poll, spare = self._poll, self._spare
        if poll is None:
            return
        if self._streaming:
            poll.stream.abort()
        elif spare is None:
            since = self.settled
            within = store_index - since < SURELY_KEPT
            if not within and not self._trust.given(since < poll.meta.index, time.monotonic()):
                return
            spare = self._dispatcher.watch_at(poll.endpoint, self._call(since + 1 if within else None))
            if spare is None:
                return
            with self._lock:
                wanted = self._poll is poll and not self.closed and spare.meta.cluster_id == poll.meta.cluster_id
                if wanted:
                    self._spare, self._spare_since = spare, time.monotonic()
                    self._reached = since if within else spare.meta.index
            if not wanted:
                spare.stream.close()
        else:
            settle()
            with self._lock:
                # One that has begun to receive its event is left to finish.
                if self._poll is poll and not self._receiving:
                    self._switching = True
                    poll.stream.abort()

    # --- the background ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poll: Poll | None = None
        taken_over = False
        try:
            while not self.closed:
                if poll is None:
                    try:
                        poll = self._begin_poll()
                    except (HistoryCleared, ClusterChanged) as error:
                        if not self._snapshots or not self._reconnect.may_begin_anew():
                            raise
                        logger.info("watch of %s reads the state anew: %s", self._key, error)
                        self._snapshot_due, self._cluster_id = True, ""
                        continue
                    if poll is None:
                        break
                self._cursor.opened(poll.meta.index)
                self._now_registered()
                poll = self._follow(poll, taken_over=taken_over)
                taken_over = poll is not None
                if poll is None and (stream := self._pending.reached(self._cursor.wait_index)) is not None:
                    self._read_stream(stream)
        except Exception as error:  # whatever it is, the watcher's user must hear of it
            self.items.end(error)
        finally:
            self.items.end()
            self._ready.set()
            self._pending.drop()
            if poll is not None:
                poll.stream.close()

    def _begin_poll(self) -> Poll | None:
        """A registered poll, after a snapshot where one is due. None when closed."""
        if self._snapshot_due:
            snapshot = self._reconnect.endure(self._read_state)
            if snapshot is None:
                return None
            self._cursor.restart(snapshot.index)
            self._snapshot_due = False
            self.items.put(snapshot)
        while True:
            try:
                poll = self._reconnect.endure(self._open_poll)
                break
            except HistoryCleared as error:
                older = not self._reconnect.begun and self._cursor.seek_oldest(error.cause)
                if not (older and self._reconnect.may_begin_anew()):
                    raise
        if poll is None:
            return None
        if self._cluster_id and poll.meta.cluster_id != self._cluster_id:
            poll.stream.close()
            # Indexes of one cluster mean nothing in another, whoever noticed the change first.
            raise ClusterChanged(self._cluster_id, poll.meta.cluster_id, poll.endpoint.url)
        self._cluster_id = poll.meta.cluster_id
        return poll

    def _open_poll(self) -> Poll:
        poll = self._dispatcher.open_watch(self._call(self._cursor.wait_index), UNSET)
        if poll.meta.index < self._cursor.seen and poll.meta.cluster_id == self._cluster_id:
            try:
                check_not_restored(self._dispatcher, self.probes, self._cursor.seen, poll)
            except BaseException:
                poll.stream.close()
                raise
        return poll

    def _read_state(self) -> Snapshot:
        return read_state(self._dispatcher, self._key, recursive=self._cursor.recursive)

    def _call(self, wait_index: int | None, stream: bool | None = None) -> KeysCall:
        recursive = self._cursor.recursive or None
        return operations.get_key(self._key, recursive=recursive, wait=True, wait_index=wait_index, stream=stream)

    def _now_registered(self) -> None:
        self._reconnect.beginnings = 0
        if not self._reconnect.begun:
            self._reconnect.begun = True
            self.started_at = (self._cursor.wait_index or 1) - 1
            self._ready.set()

    def _follow(self, poll: Poll, *, taken_over: bool) -> Poll | None:
        """Wait for the poll's one event and hand it on. Returns the poll to go on with, None to register anew."""
        began = time.monotonic()
        body = EventBuffer()
        broken = False
        self._now_reading(poll, taken_over=taken_over)
        try:
            if self.closed:
                return None
            if taken_over or self._pending.poll is not None:
                part = poll.stream.read(SETTLED)
                if part is None and taken_over:  # open for a while already: what its history had would have come
                    self._cursor.moved_to(poll.meta.index)
                elif part is None:
                    self._pending.drop()  # events do not come that quickly any more
                elif part:
                    self._receiving = True
                    body.add(part)
            while part := poll.stream.read():
                self._receiving = True
                body.add(part)
        except TransportFailure as failure:
            if self.closed or (self._switching and body):
                return None  # both at once: ask for that event again
            if self._switching and (spare := self._take_spare()) is not None:
                self._cursor.moved_to(self._reached)
                return spare
            # An event may have been on its way: ask again from the same index, elsewhere.
            self._dispatcher.pool.failed(poll.endpoint, time.monotonic(), str(failure))
            broken = True
        finally:
            self._no_longer_reading(poll)
        event = b"" if broken else body.take()
        if not event.strip():
            self._ended_early(began, broken=broken)
        elif self._deliver(poll, event):
            if time.monotonic() - began < QUICK:
                # At once: of 2,000 events in a moment the server forgets 1,000 while polls fetch them one by one.
                self._pending.open(self._call(None, stream=True), self._cluster_id)
        else:
            self._dispatcher.pool.failed(poll.endpoint, time.monotonic(), "sent no new event")
            self._ended_early(time.monotonic())
        return None

    def _read_stream(self, poll: Poll) -> None:
        """Take events from the stream until it ends or falls silent; then polls take over, from where it came to.

        A poll has brought an event later than the stream's registration, so nothing between them can be missing.
        """
        gathered = EventBuffer()
        self._came_at = time.monotonic()
        self._now_reading(poll, streaming=True)
        try:
            while not self.closed:
                self._came_at = time.monotonic()
                part = poll.stream.read(SURELY_QUIET)
                if not part:  # silent, or ended
                    break
                self._came_at = (
                    inf  # the index monitor ends a silent stream where reads do not, but not while this is busy
                )
                for line in gathered.lines(part):
                    if line.strip() and self._deliver(poll, line) is None:
                        # What it was is not known, so nothing behind it may be taken: a poll asks for it again.
                        self._dispatcher.pool.failed(poll.endpoint, time.monotonic(), "sent what is no event")
                        return
        except TransportFailure as failure:
            if not failure.aborted:
                self._dispatcher.pool.failed(poll.endpoint, time.monotonic(), str(failure))
        finally:
            self._no_longer_reading(poll)

    def _now_reading(self, poll: Poll, *, streaming: bool = False, taken_over: bool = False) -> None:
        with self._lock:
            self._poll, self._streaming, self._taken_over = poll, streaming, taken_over
            self._trust = PollTrust(self._spare_since if taken_over else time.monotonic())
            self._switching = self._receiving = False
        self._monitor.add(self, poll.endpoint)

    def _no_longer_reading(self, poll: Poll) -> None:
        with self._lock:
            self._poll, self._streaming = None, False
        self._monitor.remove(self, poll.endpoint, for_good=self.closed)
        poll.stream.close()
        spare = self._take_spare()
        if spare is not None:
            spare.stream.close()

    def _take_spare(self) -> Poll | None:
        with self._lock:
            spare, self._spare = self._spare, None
        return spare

    def _deliver(self, poll: Poll, body: bytes) -> bool | None:
        """True when the body was an event that brought the watch on, False for an older one, None for no event."""
        try:
            change = change_from(body)
        except ValueError as error:
            logger.info("watch of %s: %s sent no event: %s", self._key, poll.endpoint, error)
            return None
        self._short_polls = 0
        before = self._cursor.wait_index
        event = self._cursor.accept(change)
        if event is not None:
            self.items.put(event)
        return self._cursor.wait_index != before

    def _ended_early(self, began: float, *, broken: bool = False) -> None:
        """A poll ended properly with nothing (proxies do that), or broke: go on, but do not hammer anybody."""
        if time.monotonic() - began >= 1.0:
            self._short_polls = 0
            if not broken:
                self._cursor.stayed_quiet()
            return
        self._short_polls += 1
        if not broken or self._short_polls > 1:
            self._reconnect.pause(self._short_polls)
