"""The dispatcher: carries out what a call's `Route` says, and reports back what came of it.

Owns the transport, the credentials, and what is known of the endpoints and of the cluster; one per
client, shared by all that the client does. The rest of the shell asks and reports through its
methods. Decides nothing about retries.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar

from etcdv2._async.answer_body import async_read_all
from etcdv2._async.srv import AsyncSrvDiscovery
from etcdv2._async.without_v2 import async_without_v2
from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.finding import undescribed_text
from etcdv2._core.call.policy import LOCAL_READ, READS, CallPolicy
from etcdv2._core.call.route import Route
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.steps import Answered, Try
from etcdv2._core.deadline import NEVER, Deadline, shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta, member_of, meta_of
from etcdv2._core.wire import CLUSTER_ID, AsyncStream, AsyncTransport, Headers, Limits, Reply, Request, TransportFailure
from etcdv2._runtime.forks import Forked, register_after_fork
from etcdv2._runtime.handlers import raise_of_handler
from etcdv2._runtime.primitives import async_checkpoint, async_sleep
from etcdv2._types.api_errors import ApiError
from etcdv2._types.call_errors import ClusterUnavailable, DeadlineExceeded, UnexpectedAnswer, V2ApiDisabled
from etcdv2._types.hooks import AttemptInfo, Hook, call_hook
from etcdv2._types.settings import UNSET, Consistency, Timeout, TimeoutLike, Unset, timeout_from
from etcdv2_api import Call, KeysError, Message, operations

Answer = TypeVar("Answer")

MEMBER = operations.get_self_stats().target
"""A read whose answer names the member of a connection: behind a balancer two may go to different ones."""
NOTHING_KNOWN = Meta(0, 0, 0, "")
"""Of an answer whose headers are not etcd's."""


class AsyncPoll(NamedTuple):
    """A watch that the server has registered."""

    stream: AsyncStream
    meta: Meta
    endpoint: Endpoint
    member: str
    """The id of the member that the connection goes to, "" where that is not known."""
    tries: int = 1
    """Attempts that it took."""


class AsyncCloseable(Forked, Protocol):
    async def close(self) -> None: ...


class AsyncDispatcher:
    """One per client; shared by its keys, members, auth and watchers."""

    def __init__(
        self,
        pool: EndpointPool,
        transport: AsyncTransport,
        timeout: Timeout,
        user_agent: str,
        *,
        consistency: Consistency = "local",
        repeat_writes: bool = False,
        before_attempt: Hook | None = None,
        after_attempt: Hook | None = None,
    ) -> None:
        self.pool = pool
        self.view = ClusterView()
        self.timeout = timeout
        self.consistency: Consistency = consistency
        self.repeat_writes = repeat_writes
        self.has_certificate = False
        """Whether it is known to show one; etcd takes its name for the user where there are no credentials."""
        self.closed = False
        self.before_call: Callable[[Deadline], Awaitable[None]] | None = None
        """Carried out at the beginning of each `perform`, with its deadline."""
        self.discovery: AsyncSrvDiscovery | None = None
        """Where the endpoints come from when they are not given; None when they are."""
        self.watches: set[AsyncCloseable] = set()
        """Begun and not yet closed."""
        self._transport = transport
        self._user_agent = ("User-Agent", user_agent)
        self._headers: Headers = (self._user_agent,)
        self._secrets = Secrets(None, None)
        self._before = before_attempt
        self._after = after_attempt
        self._rng = random.Random()
        register_after_fork(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self.watches)} watches"
        return f"<{type(self).__name__}: {self.pool!r}, {self.view!r}, {state}>"

    def __reduce__(self) -> str:
        raise TypeError("a Client cannot be pickled: make one in each process")

    def after_fork(self) -> None:
        """In a forked child: the watches are the parent's."""
        for watch in list(self.watches):
            watch.after_fork()
        self.watches.clear()
        self._rng.seed()

    async def check_open(self) -> None:
        """Raises ValueError after `close`."""
        if self.closed:
            await async_checkpoint()
            raise ValueError("this client is closed")

    async def close(self) -> None:
        for watch in list(self.watches):
            await watch.close()
        self.closed = True
        await self._transport.close()

    # --- credentials and times -------------------------------------------------------------------------------------

    def authenticate(self, username: str | None, password: str | None) -> None:
        """Use these credentials from the next request on; None for none.

        Raises ValueError and TypeError.
        """
        self._secrets = Secrets(username, password)
        token = self._secrets.token
        credentials = () if token is None else (("Authorization", f"Basic {token}"),)
        self._headers = (self._user_agent, *credentials)

    @property
    def username(self) -> str | None:
        return self._secrets.username

    def times(self, timeout: TimeoutLike | Unset) -> Timeout:
        """Those of one call, for which this was given."""
        return self.timeout if timeout is UNSET else timeout_from(timeout, self.timeout)

    # --- endpoints and cluster -------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The configured and the discovered ones."""
        return self.pool.endpoints

    @property
    def current(self) -> Endpoint | None:
        """The endpoint that calls go to while it answers; None while there is none."""
        pool = self.pool
        return pool.first if pool.endpoints else None

    def prefer(self, endpoint: Endpoint) -> None:
        """Make it the current one, unless it is unknown."""
        self.pool.prefer(endpoint)

    def ordered_endpoints(self) -> list[Endpoint]:
        """All endpoints, as the next read would ask them."""
        return self.pool.order(time.monotonic())

    def healthy_endpoints(self) -> list[Endpoint]:
        """Those that neither rest nor are quarantined."""
        return self.pool.well(time.monotonic())

    def endpoint_failed(self, endpoint: Endpoint, why: TransportFailure | str) -> None:
        """It did not answer, or uselessly: it rests, and another one becomes the current one."""
        self.pool.failed(endpoint, time.monotonic(), str(why))

    async def find_endpoints(self, deadline: Deadline, *, again: bool = False) -> None:
        """Those in DNS: once, or `again`. Raises ClusterUnavailable."""
        if self.discovery is not None and (again or not self.pool.endpoints):
            await self.discovery.find(self.pool, deadline)

    def configure(self, endpoints: Iterable[Endpoint]) -> None:
        self.discovery = None
        self.pool.configure(endpoints)

    @property
    def cluster_id(self) -> str:
        """X-Etcd-Cluster-Id of the cluster, "" before its first answer."""
        return self.view.cluster_id

    def is_foreign(self, reply: Reply) -> bool:
        """Whether it comes from another cluster."""
        return self.view.is_foreign(reply.headers.get(CLUSTER_ID, ""))

    # --- calls -----------------------------------------------------------------------------------------------------

    async def perform(
        self,
        call: Call[Answer, KeysError | Message],
        policy: CallPolicy,
        timeout: TimeoutLike | Unset = UNSET,
        deadline: Deadline = NEVER,
    ) -> Answered[Answer]:
        """The call's answer from whichever endpoint gives it. Raises every error of the tree."""
        if self.closed:
            await self.check_open()
        route = self._begin(call, policy, timeout, deadline)
        if self.discovery is not None:
            await self.find_endpoints(route.deadline)
        if self.before_call is not None:
            await self.before_call(route.deadline)

        while True:
            step = await self._step(route, call)
            # A read names the cluster that it is for: of an answer of another one its body is not waited for.
            request = self._request(call, "" if policy.write else route.expected)
            try:
                reply = await self._attempt(call, request, step)
            except TransportFailure as failure:
                route.failed(failure, time.monotonic())
                continue
            answered = route.answered(reply, time.monotonic())
            if answered is not None:
                return answered

    async def open_watch(
        self,
        call: Call[Any, Any],
        timeout: TimeoutLike | Unset = UNSET,
        failed: Callable[[Endpoint, TransportFailure], Awaitable[None]] | None = None,
        deadline: Deadline = NEVER,
    ) -> AsyncPoll:
        """Register a watch at whichever endpoint takes it. Raises as `perform` does, and what `failed` raises.

        That is called when one has not answered.
        """
        if self.closed:
            await self.check_open()
        route = self._begin(call, LOCAL_READ, timeout, deadline)
        if self.discovery is not None:
            await self.find_endpoints(route.deadline)

        while True:
            step = await self._step(route, call)
            request = self._request(call, route.expected)._replace(greeting=MEMBER)
            try:
                stream = await self._open(call, request, step)
                if stream.status != 200:  # a refusal, which is read as any answer is
                    reply = Reply(stream.status, stream.headers, await async_read_all(stream, step.limits))
                    route.answered(reply, time.monotonic())
                    continue
            except TransportFailure as failure:
                if failed is not None:
                    await failed(step.endpoint, failure)
                route.failed(failure, time.monotonic())
                continue

            meta = route.opened(stream.headers, time.monotonic())
            if meta is not None:
                return AsyncPoll(stream, meta, step.endpoint, member_of(stream.greeting), step.number)
            await stream.close()

    # --- one attempt at one endpoint, without any rule -------------------------------------------------------------

    async def ask(
        self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None, *, anonymous: bool = False
    ) -> Reply:
        """Whatever it answers. `within`: seconds instead of the usual ones for an attempt.

        `anonymous`: without credentials. Raises TransportFailure.
        """
        request = self._request(call)
        if anonymous:
            request = request._replace(headers=(self._user_agent,))
        return await self._attempt(call, request, Try(endpoint, 1, self._limits(within)))

    async def probe(self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None) -> Meta:
        """The etcd headers of what `ask` gets. Raises TransportFailure."""
        reply = await self.ask(endpoint, call, within)
        try:
            return meta_of(reply.headers)
        except ValueError as error:
            raise_of_handler(error)
            return NOTHING_KNOWN

    async def watch_at(
        self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None, *, greeting: str = MEMBER
    ) -> AsyncPoll | None:
        """Register a watch; None when the endpoint does not take it. Raises TransportFailure."""
        request = self._request(call, self.cluster_id)._replace(greeting=greeting)
        stream = await self._open(call, request, Try(endpoint, 1, self._limits(within)))
        try:
            meta = meta_of(stream.headers)
        except ValueError as error:
            raise_of_handler(error)
            meta = NOTHING_KNOWN
        if stream.status == 200 and meta.index:
            return AsyncPoll(stream, meta, endpoint, member_of(stream.greeting))
        await stream.close()
        return None

    def shown(self, problem: ValueError, call: Call[Any, Any]) -> str:
        """Why an answer that `ask` got is not as described, without what must not be shown."""
        return undescribed_text(problem, call, self._secrets)

    # --- steps of these --------------------------------------------------------------------------------------------

    def _begin(
        self, call: Call[Any, Any], policy: CallPolicy, timeout: TimeoutLike | Unset, deadline: Deadline
    ) -> Route[Any]:
        times = self.timeout if timeout is UNSET else timeout_from(timeout, self.timeout)
        known = (self.pool, self.view, time.monotonic(), self._rng, deadline, self._secrets)
        return Route(call, policy, times, *known, raise_of_handler)

    def _limits(self, within: float | None = None) -> Limits:
        """Those of one attempt that begins now; `within`: seconds instead of the usual ones."""
        now = time.monotonic()
        if within is not None:
            return Limits(shorter(self.timeout.connect, within), within, Deadline.after(within, now))
        return Limits(self.timeout.connect, self.timeout.attempt, Deadline.after(self.timeout.total, now))

    def _request(self, call: Call[Any, Any], cluster_id: str = "") -> Request:
        return Request(call.method, call.target, self._headers, call.content_type, call.body or b"", cluster_id)

    async def _step(self, route: Route[Any], call: Call[Any, Any]) -> Try:
        """The next try, after the pauses before it. Raises what ends the call."""
        while True:
            try:
                step = route.next(time.monotonic())
            except V2ApiDisabled as error:
                raise await async_without_v2(self, error, route.deadline) from error
            except DeadlineExceeded:
                if not route.number:  # nothing was waited for
                    await async_checkpoint()
                raise
            if isinstance(step, Try):
                return step
            if step.behind:
                await self._check_not_put_back(call, route.deadline)
            await self.find_endpoints(route.deadline, again=True)
            await async_sleep(step.seconds)

    async def _check_not_put_back(self, call: Call[Any, Any], deadline: Deadline) -> None:
        """Whether members that are behind only lag. Raises ClusterChanged when the quorum is behind, too."""
        before, times = self.view.seen, replace(self.timeout, total=self.timeout.attempt)
        quorum = call._replace(query=(("quorum", "true"),))
        try:
            answered = await self.perform(quorum, READS["quorum"], times, deadline)
            found, url = answered.meta, answered.endpoint.url
        except ApiError as error:
            found, url = Meta(error.index, 0, 0, ""), error.endpoint
        except (ClusterUnavailable, UnexpectedAnswer):  # no leader just now, or no time: the members are asked again
            return
        self.view.check_not_put_back(before, found, url)

    async def _attempt(self, call: Call[Any, Any], request: Request, step: Try) -> Reply:
        """Send it and wait for the whole answer; the hooks around it. Raises TransportFailure."""
        if self._before is not None:
            call_hook(self._before, _info(call, step))
        if self._after is None:
            return await self._transport.send(step.endpoint, request, step.limits)

        started = time.monotonic()
        try:
            reply = await self._transport.send(step.endpoint, request, step.limits)
        except BaseException as error:  # cancelled, too
            self._call_after(call, step, started, None, str(error) or type(error).__name__)
            raise
        self._call_after(call, step, started, reply.status, None)
        return reply

    async def _open(self, call: Call[Any, Any], request: Request, step: Try) -> AsyncStream:
        """Send it and wait for the headers of the answer; the hooks around it.

        Raises TransportFailure.
        """
        if self._before is not None:
            call_hook(self._before, _info(call, step))
        started = time.monotonic()
        try:
            stream = await self._transport.open(step.endpoint, request, step.limits)
        except BaseException as error:
            self._call_after(call, step, started, None, str(error) or type(error).__name__)
            raise
        self._call_after(call, step, started, stream.status, None)
        return stream

    def _call_after(
        self, call: Call[Any, Any], step: Try, started: float, status: int | None, error: str | None
    ) -> None:
        if self._after is not None:
            elapsed = time.monotonic() - started
            call_hook(self._after, _info(call, step)._replace(status=status, elapsed=elapsed, error=error))


def _info(call: Call[Any, Any], step: Try) -> AttemptInfo:
    operation = "watch" if ("wait", "true") in call.query else call.operation
    return AttemptInfo(operation, call.method, call.path, step.endpoint.url, step.number)
