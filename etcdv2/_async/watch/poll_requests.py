"""How the polls of one watch are asked for: from which index, at which endpoint, and whether the watch may go on there.

Owns the requests, and which of their answers are of no use. What the polls prove is `renewal`'s affair; of which
history they are, that of `one_history`.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import NamedTuple

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._async.watch.history_check import AsyncHistoryCheck, place_of
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.keys import KeysCall
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.renewal import Ended, Registered, Renewal
from etcdv2._core.wire import TransportFailure
from etcdv2._types.api_errors import EtcdError, HistoryCleared
from etcdv2._types.call_errors import ClusterChanged, StaleRead
from etcdv2._types.settings import UNSET
from etcdv2_api import operations

logger = logging.getLogger("etcdv2")


class AsyncHeldPoll(NamedTuple):
    """A registered poll, and what is known of it."""

    poll: AsyncPoll
    at: Registered
    since: int | None = None
    """The index that it was asked from, None for "from now"."""


class AsyncPollRequests:
    """Of one watch. Its worker registers polls, the monitor opens second ones."""

    def __init__(
        self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, key: str, cursor: Cursor, *, snapshots: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self.key = key
        self._cursor = cursor
        self._renewal = Renewal(cursor)
        self._meets_newcomers = False
        """Whether a second poll was answered by a process that was not yet known to be in this history."""
        self.cluster_id = ""
        child = f"{cursor.key.rstrip('/')}/_etcdv2"
        self.probes = (child,) if cursor.recursive else (child, key)
        self.check = AsyncHistoryCheck(dispatcher, self.call, self.probes, cursor, monitor.paths, strict=snapshots)
        self._history = self.check.history

    def call(self, wait_index: int | None, stream: bool | None = None) -> KeysCall:
        """The request for a poll, or for a stream."""
        recursive = self._cursor.recursive or None
        return operations.get_key(self.key, recursive=recursive, wait=True, wait_index=wait_index, stream=stream)

    async def register(self, deadline: Deadline = NEVER) -> AsyncHeldPoll:
        """A poll from the settled index on, at whichever endpoint takes it until then.

        Raises as `perform` does, ClusterChanged, StaleRead for a member that is being caught up, HistoryCleared, and
        HeadersHeldBack.
        """
        # 1. After an outage from right behind the last event, where the server still has that.
        if self._history.interrupted:
            self._cursor.go_back()
        try:
            asked_at = time.monotonic()
            poll = await self._ask_from_settled(deadline)
        except EtcdError:
            self._history.interrupted = True
            raise
        return await self.admitted(poll, asked_at, deadline)

    async def admitted(self, poll: AsyncPoll, asked_at: float, deadline: Deadline = NEVER) -> AsyncHeldPoll:
        """The poll, where the watch may go on there. Raises as `register` does."""
        asked_from = self._cursor.wait_index
        self._monitor.note(poll, asked_at)
        try:
            if self.cluster_id and poll.meta.cluster_id != self.cluster_id:
                # Indexes of one cluster mean nothing in another, whoever noticed the change first.
                raise ClusterChanged(self.cluster_id, poll.meta.cluster_id, poll.endpoint.url)
            if self.cluster_id and poll.meta.index < self._cursor.seen:
                await self.check.check_index(poll)
            await self._monitor.follow_leap(poll, self.probes)
            held = self._held(poll, asked_from)
            if held is None:
                raise StaleRead(poll.meta.index + 1, poll.meta.index)
            if self._is_behind_leap(held, asked_from):
                raise self.loss(held, Ended.LEAPT)
            if not await self.check.admits(poll):
                await poll.stream.close()
                return await self.register(deadline)
        except BaseException:
            await poll.stream.close()
            raise
        self.cluster_id = poll.meta.cluster_id
        return held

    async def _ask_from_settled(self, deadline: Deadline) -> AsyncPoll:
        """Where that is further back than the watch had come, and gone from the history, from there."""
        try:
            return await self._open(self._cursor.wait_index, deadline)
        except HistoryCleared:
            if not self._cursor.go_forth():
                raise
        return await self._open(self._cursor.wait_index, deadline)

    async def _open(self, wait_index: int | None, deadline: Deadline) -> AsyncPoll:
        self._monitor.paths.avoid_holding_back()
        failed = partial(self._monitor.paths.unanswered, self.probes, deadline)
        return await self._dispatcher.open_watch(self.call(wait_index), UNSET, failed, deadline)

    async def open_at(
        self, endpoint: Endpoint, wait_index: int | None, stream: bool | None = None, *, newcomers: bool = False
    ) -> AsyncHeldPoll | None:
        """A poll at this endpoint.

        None where it does not take it, fails, belongs to another cluster, or has a history that may be wrong; where
        headers are held back; and, unless `newcomers` will do, where a process answers that is not known to be in the
        history of the watch.
        """
        if self._monitor.paths.holds_back(endpoint):
            return None
        asked_at = time.monotonic()
        try:
            poll = await self._dispatcher.watch_at(endpoint, self.call(wait_index, stream))
        except TransportFailure as failure:
            logger.debug("watch of %s: no second poll: %s", self.key, failure)
            return None
        if poll is None:
            return None
        self._monitor.note(poll, asked_at)
        held = self._held(poll, wait_index)
        if (
            held is None
            or poll.meta.cluster_id != self.cluster_id
            or self._is_behind_leap(held, wait_index)
            or not (newcomers or not self._history.is_new(place_of(poll)))
        ):
            await poll.stream.close()
            return None
        return held

    async def open_second(self, endpoint: Endpoint) -> AsyncHeldPoll | None:
        """A second poll, from the settled index on.

        Where other processes answer, as behind a balancer, from right behind the last event: what silence has proved
        holds in the history of those that were silent, and the watch may have to go on with this one (`one_history`).
        """
        settled, landmark = self._renewal.settled, self._cursor.landmark
        if self._meets_newcomers and landmark is not None and landmark.modified < settled:
            second = await self.open_at(endpoint, landmark.modified + 1, newcomers=True)
            if second is not None:
                return second

        second = await self.open_at(endpoint, settled + 1, newcomers=True)
        if second is None or self._meets_newcomers or not self._history.is_new(place_of(second.poll)):
            return second
        self._meets_newcomers = True
        if landmark is None or landmark.modified >= settled:
            return second
        await second.poll.stream.close()
        return await self.open_second(endpoint)

    def _held(self, poll: AsyncPoll, since: int | None) -> AsyncHeldPoll | None:
        """What is known of it; None when its member was being caught up by a snapshot, or that was not yet seen."""
        chain = self._monitor.chain(poll)
        if chain.leaping or poll.meta.index < chain.leapt_to:
            return None
        return AsyncHeldPoll(poll, Registered(poll.meta.index, chain.leaps, poll.member), since)

    def _is_behind_leap(self, held: AsyncHeldPoll, asked_from: int | None) -> bool:
        """Whether it searched a history that came with a snapshot: that may pass over events (rule 5 of `renewal`)."""
        asked_from = None if asked_from is None else max(asked_from, self._cursor.furthest)
        return asked_from is not None and asked_from <= self._monitor.chain(held.poll).leapt_to

    def loss(self, held: AsyncHeldPoll, ended: Ended) -> HistoryCleared:
        """The error that names what cannot be known."""
        url, settled = held.poll.endpoint.url, self._renewal.settled
        text = f"what happened after index {settled} is not known: {ended.value}"
        return HistoryCleared(text, code=401, index=held.at.index, endpoint=url)
