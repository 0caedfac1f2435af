"""Requests of one's own, answered by bytes, under the client's rules for endpoints and writes.

Owns the way of one such call and of one long poll. Knows nothing of what is in a body.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._core.call.policy import raw_policy_for
from etcdv2._core.deadline import Deadline, backoff
from etcdv2._core.endpoints import parse_endpoint
from etcdv2._core.raw import raw_call
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.primitives import async_gives_way, async_later, async_sleep
from etcdv2._types.api_errors import ApiError
from etcdv2._types.call_errors import DeadlineExceeded
from etcdv2._types.raw import RawAnswer
from etcdv2._types.settings import UNSET, TimeoutLike, Unset
from etcdv2_api import Call, operations

SILENCE_SECONDS = 5.0
"""A long poll that has been silent for that long is no proof that its member lives: it is asked."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
"""Before a poll is opened again that ended without an answer, as behind some proxies: doubled each time."""


@async_gives_way
class AsyncRawAPI:
    """What a library with other names, or a tool, is built on: `client.raw`.

    Failover, time limits, "a write is sent once", TLS and credentials are those of all calls.
    Different from them, etcd's refusals are answers here, not exceptions; those of a member without
    leader (codes 300 and 301) come at once, and it is then the caller who knows that such a write may
    still be applied.
    """

    def __init__(self, dispatcher: AsyncDispatcher) -> None:
        self._dispatcher = dispatcher

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.endpoint or 'no endpoint yet'}>"

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        form: Iterable[tuple[str, str]] | None = None,
        json: Mapping[str, Any] | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> RawAnswer:
        """Send a request and hand over its answer, whatever etcd says in it.

        `path`: from `/v2/` on, percent-encoded; what cannot stand in a path is encoded here. `form` or
        `json`: the body; in a form bytes that are no UTF-8 are surrogate escapes. `timeout`: seconds in
        total, or a `Timeout`.

        Raises ClusterUnavailable, OutcomeUnknown, UnexpectedAnswer, V2ApiDisabled and ClusterChanged as
        all calls do, and ValueError for what is no request.
        """
        kept: list[bytes] = []
        call = raw_call(method, path, tuple(query), None if form is None else tuple(form), json, kept)
        if ("wait", "true") in call.query:
            raise ValueError("send() does not wait for events; use poll()")

        try:
            found = await self._dispatcher.perform(call, raw_policy_for(call), timeout)
        except ApiError as refusal:
            return _refused(refusal, kept)
        meta = found.meta
        return RawAnswer(
            found.status,
            found.answer,
            meta.index,
            meta.raft_index,
            meta.raft_term,
            meta.cluster_id,
            found.endpoint.url,
        )

    async def poll(
        self, path: str, *, query: Iterable[tuple[str, str]] = (), timeout: TimeoutLike | Unset = UNSET
    ) -> RawAnswer | None:
        """Wait for one event of a key: one long poll. None when none came in time.

        `path`: as in `send`, of a key. `query`: `waitIndex` and `recursive` where they are wanted; `wait`
        is added. `timeout`: as in `send`; None waits for ever.

        A poll whose connection breaks, or whose member does not answer any more, is opened again at
        another one. Without a `waitIndex` that is from the first poll on, so that nothing is lost
        between two. Raises as `send` does; ClusterUnavailable when no endpoint takes it.
        """
        dispatcher = self._dispatcher
        times = dispatcher.times(timeout)
        by = Deadline.after(times.total, time.monotonic())
        kept: list[bytes] = []
        call = raw_call("GET", path, (("wait", "true"), *query), None, None, kept)
        since = empty = 0

        while True:
            # 1. The first poll says from where on a later one has to wait.
            try:
                poll = await dispatcher.open_watch(_from_here_on(call, since), times, deadline=by)
            except ApiError as refusal:
                return _refused(refusal, kept)
            except DeadlineExceeded:
                if empty:
                    return None
                raise
            since = since or poll.meta.index

            # 2. A broken poll says nothing of the key.
            try:
                body = await self._read(poll, by)
            except TransportFailure as failure:
                await dispatcher.check_open()
                dispatcher.endpoint_failed(poll.endpoint, failure)
                continue

            # 3. The event; or no time is left; or it ended without one.
            if body is None:
                return None
            if body.strip():
                meta = poll.meta
                return RawAnswer(
                    200, body, meta.index, meta.raft_index, meta.raft_term, meta.cluster_id, poll.endpoint.url
                )
            empty += 1
            pause = backoff(empty, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            await async_sleep(by.cut(pause, time.monotonic()) or 0.0)

    @property
    def endpoint(self) -> str:
        """The URL that calls go to while it answers, "" while none is known."""
        current = self._dispatcher.current
        return "" if current is None else current.url

    def prefer(self, endpoint: str) -> None:
        """Make this one of the endpoints the one that calls go to. Raises ValueError where it is no URL."""
        self._dispatcher.prefer(parse_endpoint(endpoint))

    def expect_cluster(self, cluster_id: str) -> None:
        """Take this for the cluster's id: answers of another one raise ClusterChanged, once.

        "" takes that of the next answer.
        """
        self._dispatcher.view.switch_to(cluster_id)
        self._dispatcher.pool.readmit()

    async def _read(self, poll: AsyncPoll, by: Deadline) -> bytes | None:
        """The body, or None when the time is over.

        Raises TransportFailure, also for a member that is silent; over httpx that is noticed by TCP alone.
        """
        dispatcher, stream, body = self._dispatcher, poll.stream, EventBuffer()
        left = None if stream.keeps_time else by.left(time.monotonic())
        timer = None if left is None else async_later(left, stream.abort)
        try:
            while True:
                wait = by.cut(SILENCE_SECONDS, time.monotonic())
                part = None if wait == 0 else await stream.read(wait)
                if part is None:
                    if time.monotonic() >= by:
                        return None
                    await dispatcher.probe(poll.endpoint, operations.get_version(), dispatcher.timeout.attempt)
                elif part:
                    body.add(part)
                else:
                    return body.take()
        except TransportFailure as failure:
            if timer is not None and failure.aborted and time.monotonic() >= by:
                return None
            raise
        finally:
            if timer is not None:
                timer.cancel()
            await stream.close()


def _refused(refusal: ApiError, kept: list[bytes]) -> RawAnswer:
    return RawAnswer(refusal.status, kept[-1], refusal.index, 0, 0, "", refusal.endpoint)


def _from_here_on(call: Call[Any, Any], index: int) -> Call[Any, Any]:
    """The same long poll for what comes after `index`, unless that is 0 or it says by itself from where on."""
    if not index:
        return call
    others: list[tuple[str, str]] = []
    for pair in call.query:
        if pair[0] != "waitIndex":
            others.append(pair)
        elif pair[1] != "0":
            return call
    return call._replace(query=(*others, ("waitIndex", str(index + 1))))
