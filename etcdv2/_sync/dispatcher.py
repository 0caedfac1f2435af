# Derived from etcdv2/_async/dispatcher.py by scripts/unasync.py: change that file, make generate.
"""Carries out calls: asks the core whom to try, sends, sleeps, reports back. Owns the transport and the credentials."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import LOCAL_READ, CallPolicy
from etcdv2._core.call.route import Route
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.steps import Answered, Try
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta, member_of, meta_of
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import Headers, Limits, Reply, Request, Sent, Stream, Transport, TransportFailure
from etcdv2._runtime.forks import Forked, tell_after_fork
from etcdv2._runtime.primitives import sleep
from etcdv2._types.call_errors import V2ApiDisabled
from etcdv2._types.hooks import AttemptInfo, Hook, tell
from etcdv2._types.settings import UNSET, Consistency, Timeout, TimeoutLike, Unset, timeout_from
from etcdv2_api import Call, KeysError, Message, operations

Answer = TypeVar("Answer")


MEMBER = operations.get_self_stats().target
"""What tells which member a connection goes to: behind a balancer two of them need not go to the same one."""


class Poll(NamedTuple):
    """A watch that the server has registered."""

    stream: Stream
    meta: Meta
    endpoint: Endpoint
    member: str
    """The id of the member that the connection goes to, "" where that is not known."""


class Closeable(Forked, Protocol):
    def close(self) -> None: ...


class Dispatcher:
    """One per client; shared by its keys, members, auth and watchers."""

    def __init__(
        self,
        pool: EndpointPool,
        transport: Transport,
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
        self.closed = False
        self.before_call: Callable[[], None] | None = None
        """Carried out before each call of `perform`."""
        self.watches: set[Closeable] = set()
        """Begun and not yet closed."""
        self._transport = transport
        self._user_agent = user_agent
        self._headers: Headers = (("User-Agent", user_agent),)
        self.secrets = Secrets(None, None)
        self._before = before_attempt
        self._after = after_attempt
        self._rng = random.Random()
        tell_after_fork(self)

    def __reduce__(self) -> str:
        raise TypeError("a Client cannot be pickled: make one in each process")

    def after_fork(self) -> None:
        """In a forked child: the watches are the parent's."""
        for watch in list(self.watches):
            watch.after_fork()
        self.watches.clear()
        self._rng.seed()

    def authenticate(self, username: str | None, password: str | None) -> None:
        """Use these credentials from the next request on; None for none."""
        self.secrets = Secrets(username, password)
        agent = ("User-Agent", self._user_agent)
        token = self.secrets.token
        self._headers = (agent,) if token is None else (agent, ("Authorization", f"Basic {token}"))

    def perform(
        self,
        call: Call[Answer, KeysError | Message],
        rules: CallPolicy,
        timeout: TimeoutLike | Unset = UNSET,
        deadline: Deadline = NEVER,
    ) -> Answered[Answer]:
        """The call's answer from whichever endpoint gives it. Raises every error of the tree."""
        if self.before_call is not None:
            self.before_call()
        attempts = self._begin(call, rules, timeout, deadline)
        while True:
            step = self._step(attempts, call)
            request = self._request(call, "" if rules.write else attempts.expected)
            try:
                reply = self._attempt(call, request, step)
            except TransportFailure as failure:
                attempts.failed(failure, time.monotonic())
                continue
            answered = attempts.answered(reply, time.monotonic())
            if answered is not None:
                return answered

    def open_watch(self, call: Call[Any, Any], timeout: TimeoutLike | Unset = UNSET) -> Poll:
        """Register a watch at whichever endpoint takes it. Raises as `perform` does."""
        attempts = self._begin(call, LOCAL_READ, timeout, NEVER)
        request = self._request(call)._replace(greeting=MEMBER)
        while True:
            step = self._step(attempts, call)
            try:
                stream = self._open(call, request, step)
                if stream.status != 200:
                    reply = Reply(stream.status, stream.headers, _read_all(stream, step.limits))
                    attempts.answered(reply, time.monotonic())
                    continue
            except TransportFailure as failure:
                attempts.failed(failure, time.monotonic())
                continue
            meta = attempts.opened(stream.headers, time.monotonic())
            if meta is not None:
                return Poll(stream, meta, step.endpoint, member_of(stream.greeting))
            stream.close()

    def watch_at(self, endpoint: Endpoint, call: Call[Any, Any]) -> Poll | None:
        """Register a watch at this endpoint only; None when it does not take it. Raises TransportFailure."""
        request = self._request(call)._replace(greeting=MEMBER)
        stream = self._open(call, request, Try(endpoint, 1, self._limits()))
        try:
            meta = meta_of(stream.headers)
        except ValueError:
            meta = Meta(0, 0, 0, "")
        if stream.status == 200 and meta.index:
            return Poll(stream, meta, endpoint, member_of(stream.greeting))
        stream.close()
        return None

    def look(self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None) -> Meta:
        """The etcd headers of one answer of one endpoint, whatever the answer says. Raises TransportFailure.

        `within`: seconds instead of the usual ones for an attempt.
        """
        reply = self.ask(endpoint, call, within)
        try:
            return meta_of(reply.headers)
        except ValueError:
            return Meta(0, 0, 0, "")

    def ask(
        self, endpoint: Endpoint, call: Call[Any, Any], within: float | None = None, *, anonymous: bool = False
    ) -> Reply:
        """One attempt at one endpoint, without any rule. `anonymous`: without credentials. Raises TransportFailure."""
        limits = self._limits(within)
        request = self._request(call)
        if anonymous:
            request = request._replace(headers=self._headers[:1])
        return self._attempt(call, request, Try(endpoint, 1, limits))

    def check_open(self) -> None:
        """Raises ValueError after `close`."""
        if self.closed:
            raise ValueError("this client is closed")

    def close(self) -> None:
        for watch in list(self.watches):
            watch.close()
        self.closed = True
        self._transport.close()

    def _begin(
        self, call: Call[Any, Any], rules: CallPolicy, timeout: TimeoutLike | Unset, deadline: Deadline
    ) -> Route[Any]:
        self.check_open()
        times = self.timeout if timeout is UNSET else timeout_from(timeout, self.timeout)
        now = time.monotonic()
        return Route(call, rules, times, self.pool, self.view, now, self._rng, deadline, self.secrets)

    def _limits(self, within: float | None = None) -> Limits:
        """Those of one attempt that begins now; `within`: seconds instead of the usual ones."""
        now = time.monotonic()
        if within is not None:
            return Limits(within, within, Deadline.after(within, now))
        return Limits(self.timeout.connect, self.timeout.attempt, Deadline.after(self.timeout.total, now))

    def _request(self, call: Call[Any, Any], cluster_id: str = "") -> Request:
        return Request(call.method, call.target, self._headers, call.content_type, call.body or b"", cluster_id)

    def _step(self, attempts: Route[Any], call: Call[Any, Any]) -> Try:
        while True:
            try:
                step = attempts.next(time.monotonic())
            except V2ApiDisabled as error:
                raise V2ApiDisabled(error.endpoints, self._server_version(error.endpoints)) from error
            if isinstance(step, Try):
                return step
            sleep(step.seconds)

    def _attempt(self, call: Call[Any, Any], request: Request, step: Try) -> Reply:
        if self._before is not None:
            tell(self._before, _info(call, step))
        if self._after is None:
            return self._transport.send(step.endpoint, request, step.limits)
        started = time.monotonic()
        try:
            reply = self._transport.send(step.endpoint, request, step.limits)
        except BaseException as error:  # cancelled, too
            self._tell_after(call, step, started, None, str(error) or type(error).__name__)
            raise
        self._tell_after(call, step, started, reply.status, None)
        return reply

    def _open(self, call: Call[Any, Any], request: Request, step: Try) -> Stream:
        if self._before is not None:
            tell(self._before, _info(call, step))
        started = time.monotonic()
        try:
            stream = self._transport.open(step.endpoint, request, step.limits)
        except BaseException as error:
            self._tell_after(call, step, started, None, str(error) or type(error).__name__)
            raise
        self._tell_after(call, step, started, stream.status, None)
        return stream

    def _tell_after(
        self, call: Call[Any, Any], step: Try, started: float, status: int | None, error: str | None
    ) -> None:
        if self._after is not None:
            elapsed = time.monotonic() - started
            tell(self._after, _info(call, step)._replace(status=status, elapsed=elapsed, error=error))

    def _server_version(self, urls: tuple[str, ...]) -> str | None:
        for endpoint in self.pool.endpoints:
            if endpoint.url not in urls:
                continue
            call = operations.get_version()
            try:
                reply = self.ask(endpoint, call)
                answer = call.decode(reply.status, reply.body)
            except (TransportFailure, ValueError):
                continue
            if not isinstance(answer, Message):
                return answer.etcdserver
        return None


def _info(call: Call[Any, Any], step: Try) -> AttemptInfo:
    operation = "watch" if ("wait", "true") in call.query else call.operation
    return AttemptInfo(operation, call.method, call.path, step.endpoint.url, step.number)


def _read_all(stream: Stream, limits: Limits) -> bytes:
    """The rest of a body within its limits; then closes the stream. Raises TransportFailure."""
    body = EventBuffer()
    try:
        while True:
            silence = limits.deadline.cut(limits.answer, time.monotonic())
            part = None if silence == 0 else stream.read(silence)
            if part is None:
                raise TransportFailure("timed out", "read", Sent.WHOLE, timed_out=True)
            if not part:
                return body.take()
            body.add(part)
    finally:
        stream.close()
