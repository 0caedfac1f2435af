# Derived from etcdv2/_async/watch.py by scripts/unasync.py: change that file, make generate.
"""Watchers: a background reader polls, resumes and fails over; its user takes events from a buffer.

Owns the life of a watch: registration, renewal, outages, closing. Where it stands is the cursor's affair.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from types import TracebackType
from typing import Generic, Self, TypeVar

from etcdv2._cursor import Cursor
from etcdv2._errors import ClusterChanged, ClusterUnavailable, HistoryCleared, UnexpectedAnswer
from etcdv2._keys import KeysCall
from etcdv2._pace import SURELY_QUIET
from etcdv2._primitives import Channel, Pulse, Worker, settle
from etcdv2._results import Event
from etcdv2._settings import UNSET, check_seconds
from etcdv2._sync.caller import Caller, Poll
from etcdv2._sync.follower import Follower
from etcdv2._wire import TransportFailure
from etcdv2_api import KeysError, Message, UndescribedAnswer, operations

logger = logging.getLogger("etcdv2")
T = TypeVar("T")

LONGEST_BACKOFF = 5.0


class Watcher(Generic[T]):
    """The changes of a key or tree, in order: iterate, or call `next`. Begun by `with` or the first `next`.

    Loses nothing: when the server no longer has what comes next, HistoryCleared is raised. Errors are raised after the
    events that came before them, and end the watch.
    """

    def __init__(
        self,
        caller: Caller,
        follower: Follower,
        key: str,
        cursor: Cursor,
        patience: float | None,
        buffer: int,
    ) -> None:
        self._caller = caller
        self._key = key
        self._feed = Feed(caller, follower, key, cursor, patience, buffer)
        self._index = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key} after {self.index}>"

    @property
    def key(self) -> str:
        """The watched key, absolute."""
        return self._key

    @property
    def index(self) -> int:
        """Everything up to this index has been taken: a new watch with `after_index=` this one goes on here."""
        return self._index or self._feed.started_at

    @property
    def closed(self) -> bool:
        """Whether `close` was called; also True after the client's."""
        return self._feed.closed

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float | None = None) -> T | None:
        """The next event; None when none came within `timeout` seconds, or when the watcher is closed.

        Raises HistoryCleared, ClusterChanged, ClusterUnavailable (patience over), Unauthorized, V2ApiDisabled.
        """
        check_seconds("timeout", timeout)
        self._begin()
        event = self._feed.events.get(timeout)
        if event is not None:
            self._index = event.index
        return event  # type: ignore[return-value] # pyright: ignore[reportReturnType]

    def close(self) -> None:
        """End the watch at once, from any thread or task; a `next` under way returns None."""
        self._feed.close()

    def _begin(self) -> None:
        feed = self._feed
        if feed.begun or feed.closed:
            return
        try:
            feed.begin()
        except BaseException:
            feed.close()
            raise

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()


class Feed:
    """The background side of one watcher."""

    def __init__(
        self,
        caller: Caller,
        follower: Follower,
        key: str,
        cursor: Cursor,
        patience: float | None,
        buffer: int,
    ) -> None:
        self._caller = caller
        self._follower = follower
        self._key = key
        self._cursor = cursor
        self._patience = patience
        self._lock = threading.Lock()
        """For the polls, which the follower changes too; never held while waiting."""
        self._poll: Poll | None = None
        self._spare: Poll | None = None
        self._spare_since = 0.0
        self._switching = False
        self._receiving = False
        self._cluster_id = ""
        self._worker: Worker | None = None
        self._ready = Pulse()
        self._stop = Pulse()
        self._short_polls = 0
        self.events: Channel[Event] = Channel(buffer)
        self.begun = False
        self.closed = False
        self.started_at = (cursor.wait_index or 1) - 1
        self._was_registered = False
        child = f"{cursor.key.rstrip('/')}/_etcdv2"
        self.probes = (child,) if cursor.recursive else (child, key)

    @property
    def registered(self) -> int:
        return self._cursor.registered

    def begin(self) -> None:
        """Start reading and wait until the server has registered the watch. Raises what prevents it."""
        self.begun = True
        self._caller.watches.add(self)
        self._worker = Worker(self._run, "etcdv2-watch")
        self._ready.wait(None)
        if self.events.ended and not self.closed:
            self.events.get(None)

    def close(self) -> None:
        self.events.discard()
        self.abandon()
        if self._worker is not None:
            self._worker.join(0.2)

    def abandon(self) -> None:
        """Stop reading; from any thread, without waiting."""
        self.closed = True
        self._caller.watches.discard(self)
        self._stop.set()
        self._ready.set()
        for poll in (self._poll, self._spare):
            if poll is not None:
                poll.stream.abort()
        if self._worker is not None:
            self._worker.cancel()

    def lost(self, why: str) -> None:
        """The member does not answer: go on elsewhere, from the same index."""
        logger.debug("watch of %s: %s", self._key, why)
        for poll in (self._poll, self._spare):
            if poll is not None:
                poll.stream.abort()

    @property
    def renewing(self) -> bool:
        return self._spare is not None

    def renew(self) -> None:
        """Open a second poll beside the first, and later let go of the first: no moment is without one.

        Everything up to the second one's registration comes by the first, which is open all the while.
        """
        poll, spare = self._poll, self._spare
        if poll is None:
            return
        if spare is None:
            spare = self._caller.watch_at(poll.endpoint, self._call(None))
            if spare is None:
                return
            with self._lock:
                wanted = self._poll is poll and not self.closed and spare.meta.cluster_id == poll.meta.cluster_id
                if wanted:
                    self._spare, self._spare_since = spare, time.monotonic()
            if not wanted:
                spare.stream.close()
        elif time.monotonic() - self._spare_since >= SURELY_QUIET:
            settle()
            with self._lock:
                # One that has begun to receive its event is left to finish.
                if self._poll is poll and not self._receiving:
                    self._switching = True
                    poll.stream.abort()

    # --- the background ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poll: Poll | None = None
        try:
            while not self.closed:
                if poll is None:
                    poll = self._register()
                    if poll is None:
                        break
                    self._check_cluster(poll)
                    self._cursor.opened(poll.meta.index)
                    self._began()
                else:
                    self._cursor.opened(poll.meta.index)
                poll = self._follow(poll)
        except Exception as error:  # whatever it is, the watcher's user must hear of it
            self.events.end(error)
        finally:
            self.events.end()
            self._ready.set()
            if poll is not None:
                poll.stream.close()

    def _register(self) -> Poll | None:
        """Open a poll; endure a dead cluster as long as `patience` says, once the watch has begun. None when closed."""
        since = time.monotonic()
        failures = 0
        while not self.closed:
            try:
                poll = self._caller.open_watch(self._call(self._cursor.wait_index), UNSET)
            except HistoryCleared as error:
                if self._was_registered or not self._cursor.seek_oldest(error.cause):
                    raise
                continue
            except (ClusterUnavailable, UnexpectedAnswer) as error:
                if self.closed:
                    return None
                lasting = isinstance(error, UnexpectedAnswer) and error.status < 500
                endured = time.monotonic() - since
                if lasting or not self._was_registered or (self._patience is not None and endured >= self._patience):
                    raise
                failures += 1
                if failures == 1:
                    logger.warning("watch of %s is interrupted: %s", self._key, error)
                pause = _backoff(failures)
                if self._patience is not None:
                    pause = min(pause, max(0.0, self._patience - endured))
                self._stop.wait(pause)
                continue
            if failures:
                logger.info("watch of %s goes on at %s", self._key, poll.endpoint)
            return poll
        return None

    def _call(self, wait_index: int | None) -> KeysCall:
        recursive = self._cursor.recursive or None
        return operations.get_key(self._key, recursive=recursive, wait=True, wait_index=wait_index)

    def _check_cluster(self, poll: Poll) -> None:
        """Indexes of one cluster mean nothing in another, whoever noticed the change first."""
        if self._cluster_id and poll.meta.cluster_id != self._cluster_id:
            raise ClusterChanged(self._cluster_id, poll.meta.cluster_id, poll.endpoint.url)
        self._cluster_id = poll.meta.cluster_id

    def _began(self) -> None:
        if not self._was_registered:
            self._was_registered = True
            self.started_at = (self._cursor.wait_index or 1) - 1
            self._ready.set()

    def _follow(self, poll: Poll) -> Poll | None:
        """Wait for the poll's one event and hand it on. Returns the poll to go on with, None to register anew."""
        began = time.monotonic()
        parts: list[bytes] = []
        with self._lock:
            self._poll, self._switching, self._receiving = poll, False, False
        self._follower.add(self, poll.endpoint)
        try:
            if self.closed:
                return None
            while part := poll.stream.read():
                self._receiving = True
                parts.append(part)
        except TransportFailure as failure:
            if self.closed:
                return None
            if self._switching and parts:
                return None  # both at once: ask for that event again
            if self._switching and (spare := self._take_spare()) is not None:
                self._cursor.moved_to(spare.meta.index)
                return spare
            # An event may have been on its way: ask again from the same index, elsewhere.
            self._caller.pool.failed(poll.endpoint, time.monotonic(), str(failure))
            return None
        finally:
            with self._lock:
                self._poll = None
            self._follower.remove(self, poll.endpoint)
            poll.stream.close()
            spare = self._take_spare()
            if spare is not None:
                spare.stream.close()
        body = b"".join(parts)
        if not body.strip():
            self._ended_early(began)
        elif not self._deliver(poll, body):
            self._caller.pool.failed(poll.endpoint, time.monotonic(), "sent no new event")
            self._ended_early(time.monotonic())
        return None

    def _take_spare(self) -> Poll | None:
        with self._lock:
            spare, self._spare = self._spare, None
        return spare

    def _deliver(self, poll: Poll, body: bytes) -> bool:
        """Whether the body was an event that brought the watch on."""
        try:
            change = self._call(None).decode(200, body)
        except UndescribedAnswer as error:
            logger.info("watch of %s: %s sent no event: %s", self._key, poll.endpoint, error.reason)
            return False
        self._short_polls = 0
        if isinstance(change, (KeysError, Message)):
            return False
        before = self._cursor.wait_index
        event = self._cursor.accept(change)
        if event is not None:
            self.events.put(event)
        return self._cursor.wait_index != before

    def _ended_early(self, began: float) -> None:
        """A poll ended properly with nothing: proxies do that. Do not hammer them."""
        if time.monotonic() - began >= 1.0:
            self._short_polls = 0
            self._cursor.stayed_quiet()
            return
        self._short_polls += 1
        self._stop.wait(_backoff(self._short_polls))


def _backoff(failures: int) -> float:
    return min(LONGEST_BACKOFF, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)
