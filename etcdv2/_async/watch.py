"""Watchers: a background reader polls, resumes and fails over; its user takes events from a buffer.

Owns the life of a watch: registration, renewal, outages, closing. Where it stands is the cursor's affair.
"""

from __future__ import annotations

import logging
import random
import time
from types import TracebackType
from typing import Generic, Self, TypeVar

from etcdv2._async.caller import AsyncCaller, AsyncPoll
from etcdv2._async.follower import AsyncFollower
from etcdv2._cursor import Cursor
from etcdv2._errors import ClusterUnavailable, UnexpectedAnswer
from etcdv2._keys import KeysCall
from etcdv2._primitives import AsyncChannel, AsyncPulse, AsyncWorker
from etcdv2._results import Event
from etcdv2._settings import UNSET, check_seconds
from etcdv2._wire import AsyncStream, TransportFailure
from etcdv2_api import KeysError, Message, UndescribedAnswer, operations

logger = logging.getLogger("etcdv2")
T = TypeVar("T")

LONGEST_BACKOFF = 5.0
SURELY_QUIET = 0.25
"""Seconds of silence after which a poll that looked through history is taken to have found nothing there."""
NEARLY_CLEARED = 700
"""Events behind the store at which a poll moves on without waiting that long."""


class AsyncWatcher(Generic[T]):
    """The changes of a key or tree, in order: iterate, or call `next`. Begun by `with` or the first `next`.

    Loses nothing: when the server no longer has what comes next, HistoryCleared is raised. Errors are raised after the
    events that came before them, and end the watch.
    """

    def __init__(
        self,
        caller: AsyncCaller,
        follower: AsyncFollower,
        key: str,
        cursor: Cursor,
        patience: float | None,
        buffer: int,
    ) -> None:
        self._caller = caller
        self._key = key
        self._feed = AsyncFeed(caller, follower, key, cursor, patience, buffer)
        self._index = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key} after {self.index}>"

    @property
    def key(self) -> str:
        return self._key

    @property
    def index(self) -> int:
        """Everything up to this index has been taken: a new watch with `after_index=` this one goes on here."""
        return self._index or self._feed.started_at

    @property
    def closed(self) -> bool:
        return self._feed.closed

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self.next()
        if item is None:
            raise StopAsyncIteration
        return item

    async def next(self, timeout: float | None = None) -> T | None:
        """The next event; None when none came within `timeout` seconds, or when the watcher is closed.

        Raises HistoryCleared, ClusterChanged, ClusterUnavailable (patience over), Unauthorized, V2ApiDisabled.
        """
        check_seconds("timeout", timeout)
        await self._begin()
        event = await self._feed.events.get(timeout)
        if event is not None:
            self._index = event.index
        return event  # type: ignore[return-value] # pyright: ignore[reportReturnType]

    async def close(self) -> None:
        """End the watch at once, from any thread or task; a `next` under way returns None."""
        await self._feed.close()

    async def _begin(self) -> None:
        feed = self._feed
        if feed.begun or feed.closed:
            return
        try:
            await feed.begin()
        except BaseException:
            await feed.close()
            raise

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()


class AsyncFeed:
    """The background side of one watcher."""

    def __init__(
        self,
        caller: AsyncCaller,
        follower: AsyncFollower,
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
        self._stream: AsyncStream | None = None
        self._worker: AsyncWorker | None = None
        self._ready = AsyncPulse()
        self._stop = AsyncPulse()
        self._renew_at: int | None = None
        self._short_polls = 0
        self.events: AsyncChannel[Event] = AsyncChannel(buffer)
        self.begun = False
        self.closed = False
        self.started_at = (cursor.wait_index or 1) - 1
        self._was_registered = False
        child = f"{cursor.key.rstrip('/')}/_etcdv2"
        self.probes = (child,) if cursor.recursive else (child, key)

    @property
    def registered(self) -> int:
        return self._cursor.registered

    async def begin(self) -> None:
        """Start reading and wait until the server has registered the watch. Raises what prevents it."""
        self.begun = True
        self._caller.watches.add(self)
        self._worker = AsyncWorker(self._run, "etcdv2-watch")
        await self._ready.wait(None)
        if self.events.ended and not self.closed:
            await self.events.get(None)

    async def close(self) -> None:
        self.events.discard()
        self.abandon()
        if self._worker is not None:
            await self._worker.join(0.2)

    def abandon(self) -> None:
        """Stop reading; from any thread, without waiting."""
        self.closed = True
        self._caller.watches.discard(self)
        self._stop.set()
        self._ready.set()
        stream = self._stream
        if stream is not None:
            stream.abort()
        if self._worker is not None:
            self._worker.cancel()

    def renew(self, index: int) -> None:
        stream = self._stream
        if stream is not None:
            self._renew_at = index
            stream.abort()

    def lost(self, why: str) -> None:
        logger.debug("watch of %s: %s", self._key, why)
        stream = self._stream
        if stream is not None:
            stream.abort()

    # --- the background ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self.closed:
                call = operations.get_key(
                    self._key,
                    recursive=self._cursor.recursive or None,
                    wait=True,
                    wait_index=self._cursor.wait_index,
                )
                poll = await self._register(call)
                if poll is None:
                    break
                await self._follow(call, poll)
        except Exception as error:  # whatever it is, the watcher's user must hear of it
            self.events.end(error)
        finally:
            self.events.end()
            self._ready.set()

    async def _register(self, call: KeysCall) -> AsyncPoll | None:
        """Open a poll; endure a dead cluster as long as `patience` says, once the watch has begun. None when closed."""
        since = time.monotonic()
        failures = 0
        while not self.closed:
            try:
                poll = await self._caller.open_watch(call, UNSET)
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
                await self._stop.wait(pause)
                continue
            if failures:
                logger.info("watch of %s goes on at %s", self._key, poll.endpoint)
            return poll
        return None

    async def _follow(self, call: KeysCall, poll: AsyncPoll) -> None:
        """Wait for the poll's one event and hand it on."""
        began = time.monotonic()
        self._cursor.opened(poll.meta.index)
        self._renew_at = None
        self._stream = poll.stream
        if not self._was_registered:
            self._was_registered = True
            self.started_at = (self._cursor.wait_index or 1) - 1
        self._ready.set()
        self._follower.add(self, poll.endpoint)
        parts: list[bytes] = []
        try:
            if self.closed:
                return
            while part := await poll.stream.read():
                parts.append(part)
        except TransportFailure as failure:
            self._interrupted(poll, failure, began)
            return
        finally:
            self._stream = None
            self._follower.remove(self, poll.endpoint)
            await poll.stream.close()
        body = b"".join(parts)
        if body.strip():
            await self._deliver(call, poll, body)
        else:
            await self._ended_early(began)

    async def _deliver(self, call: KeysCall, poll: AsyncPoll, body: bytes) -> None:
        try:
            change = call.decode(200, body)
        except UndescribedAnswer as error:
            logger.info("watch of %s: %s sent no event: %s", self._key, poll.endpoint, error)
            self._caller.pool.failed(poll.endpoint, time.monotonic(), "sent no event")
            await self._ended_early(time.monotonic())
            return
        self._short_polls = 0
        if isinstance(change, (KeysError, Message)):
            return
        event = self._cursor.accept(change)
        if event is not None:
            await self.events.put(event)

    def _interrupted(self, poll: AsyncPoll, failure: TransportFailure, began: float) -> None:
        if self.closed:
            return
        index = self._renew_at
        if index is None:
            # The event may have been on its way: ask again from the same index, elsewhere.
            self._caller.pool.failed(poll.endpoint, time.monotonic(), str(failure))
        elif time.monotonic() - began >= SURELY_QUIET or index - (self._cursor.wait_index or 0) >= NEARLY_CLEARED:
            self._cursor.stayed_quiet()

    async def _ended_early(self, began: float) -> None:
        """A poll ended properly with nothing: proxies do that. Do not hammer them."""
        if time.monotonic() - began >= 1.0:
            self._short_polls = 0
            self._cursor.stayed_quiet()
            return
        self._short_polls += 1
        await self._stop.wait(_backoff(self._short_polls))


def _backoff(failures: int) -> float:
    return min(LONGEST_BACKOFF, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)
