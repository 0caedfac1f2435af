"""The client: settings in, sections out. Builds the transport and owns its life."""

from __future__ import annotations

import os
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from etcdv2._async.admin import AsyncAuthAPI, AsyncMembersAPI, AsyncStatsAPI
from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._async.keys import AsyncKeysAPI
from etcdv2._async.leader import AsyncLeaderPreference
from etcdv2._async.transports import async_transport_for, check_transport_types, tls_settings
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import LOCAL_READ, policy_for
from etcdv2._core.curl import curl_command
from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint, parse_advertised, parse_endpoint, parse_endpoints
from etcdv2._core.wire import CLUSTER_ID, TransportFailure
from etcdv2._types.hooks import Hook
from etcdv2._types.results import ClusterHealth, EndpointHealth
from etcdv2._types.settings import (
    UNSET,
    Consistency,
    Timeout,
    TimeoutLike,
    Unset,
    check_consistency,
    check_user_agent,
    settings_from_env,
    timeout_from,
)
from etcdv2._types.tls import TLS
from etcdv2._types.version import __version__
from etcdv2_api import Call, Health, KeysError, KeysEvent, Message, Version, operations

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")

LEAST_SECONDS = 0.001
"""For an endpoint that is new to `sync`, even when the deadline has passed."""


class AsyncClient:
    """A client for a cluster's v2 API.

    Meant to be shared by threads, or by the tasks of one event loop. Does no network I/O until the
    first call; reads the PEM files at once. Raises ValueError and TypeError for settings that
    contradict each other.

    `endpoints`: URLs, `host:port` or addresses of several members; one alone as a str. The first to
    be used is random.
    `username`, `password`: basic auth, sent with every request.
    `tls`: files or a context for https endpoints.
    `timeout`: seconds in total, or a `Timeout`.
    `consistency` of reads: "local" (what a member has), "session" (never older than what this
    client has seen), "quorum" (through raft).
    `repeat_writes`: send a write again when its answer was lost, which can do it twice; without it
    such a write raises OutcomeUnknown.
    `prefer_leader`: talk to the leader when it is among the endpoints.
    `max_connections`: to each endpoint, watches aside.
    `transport`: an httpx transport to send through, or "httpx" for its standard one.
    `proxy`, `trust_env`: as in httpx, which is used for a proxy.
    `user_agent`: instead of the usual one.
    `before_attempt`, `after_attempt`: called with an `AttemptInfo` around each attempt.
    """

    def __init__(
        self,
        endpoints: str | Iterable[str] = "http://127.0.0.1:2379",
        *,
        username: str | None = None,
        password: str | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        timeout: TimeoutLike | Unset = UNSET,
        consistency: Consistency = "local",
        repeat_writes: bool = False,
        prefer_leader: bool = False,
        max_connections: int = 100,
        transport: httpx.AsyncBaseTransport | Literal["httpx"] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        user_agent: str | None = None,
        before_attempt: Hook | None = None,
        after_attempt: Hook | None = None,
    ) -> None:
        # 1. What can be refused is refused here, before anything is made.
        check_transport_types(tls, transport)
        check_user_agent(user_agent)
        check_consistency(consistency)
        parsed = parse_endpoints(endpoints, tls=tls is not None)
        self._tls = tls_settings(parsed, tls)

        # 2. The models are completed now rather than within the time of the first call.
        for model in (KeysEvent, KeysError, Message):
            model.model_rebuild()

        # 3. What carries out the calls.
        sender = async_transport_for(
            parsed,
            self._tls,
            transport,
            tls_given=tls is not None,
            proxy=proxy,
            trust_env=trust_env,
            max_connections=max_connections,
        )
        self._dispatcher = AsyncDispatcher(
            EndpointPool(parsed),
            sender,
            timeout_from(timeout, Timeout()),
            user_agent or f"etcdv2/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}",
            consistency=consistency,
            repeat_writes=repeat_writes,
            before_attempt=before_attempt,
            after_attempt=after_attempt,
        )
        self.set_credentials(username, password)
        if prefer_leader:
            self._dispatcher.before_call = AsyncLeaderPreference(self._dispatcher).before_call

        # 4. What users call.
        self._monitor = AsyncIndexMonitor(self._dispatcher)
        self.keys = AsyncKeysAPI(self._dispatcher, self._monitor)
        """The keys API."""
        self.members = AsyncMembersAPI(self._dispatcher)
        self.stats = AsyncStatsAPI(self._dispatcher)
        self.auth = AsyncAuthAPI(self._dispatcher)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """A client with the settings of etcdctl's variables: see the README for the list.

        Raises ValueError.
        """
        return cls(**settings_from_env(os.environ if environ is None else environ))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.endpoints)}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all watches and close all connections. Calls after it raise ValueError."""
        await self._monitor.close()
        await self._dispatcher.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The configured endpoints and those that `sync` found."""
        return tuple(endpoint.url for endpoint in self._dispatcher.endpoints)

    @property
    def cluster_id(self) -> str:
        """The X-Etcd-Cluster-Id of the cluster, "" before its first answer."""
        return self._dispatcher.cluster_id

    def set_credentials(self, username: str | None, password: str | None = None) -> None:
        """Use other credentials from the next request on; None for none. Raises ValueError."""
        self._dispatcher.authenticate(username, password)

    async def send(
        self,
        call: Call[Answer, KeysError | Message],
        *,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Answer:
        """Send any generated call, with failover, the rules for writes, the errors of the tree."""
        repeat = self._dispatcher.repeat_writes if repeat_writes is None else repeat_writes
        quorum = ("quorum", "true") in call.query
        policy = policy_for(call, repeat=repeat, quorum=quorum)
        if ("wait", "true") in call.query:
            raise ValueError("send() does not wait for events; use keys.watch()")
        return (await self._dispatcher.perform(call, policy, timeout)).answer

    def as_curl(self, call: Call[Any, Any], endpoint: str | None = None) -> str:
        """The call as a command line for curl, for the current endpoint or the one given.

        Sends nothing.

        Passwords are hidden (`***`), also those in the call's body; values are not. `call` is a
        generated one, or that of an OutcomeUnknown. TLS is shown by its files; a ready context and
        `server_hostname` cannot be.
        """
        target = self._dispatcher.current if endpoint is None else parse_endpoint(endpoint, tls=self._tls is not None)
        tls = self._tls if target.tls else None
        return curl_command(call, target.url, username=self._dispatcher.username, tls=tls)

    async def machines(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        """The client URLs that the started members advertise."""
        text = (await self._dispatcher.perform(operations.list_machines(), LOCAL_READ, timeout)).answer
        return tuple(part.strip() for part in text.split(",") if part.strip())

    async def version(self, *, timeout: TimeoutLike | Unset = UNSET) -> Version:
        """The versions of the answering member and of the cluster; also where the v2 API is off."""
        return (await self._dispatcher.perform(operations.get_version(), LOCAL_READ, timeout)).answer

    async def health(self) -> ClusterHealth:
        """Ask every endpoint at /health, one after the other, each within `Timeout.attempt`.

        Raises ValueError when the client is closed, else nothing.
        """
        await self._dispatcher.check_open()
        return ClusterHealth(tuple([await self._health_of(one) for one in self._dispatcher.endpoints]))

    async def sync(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        """Take the client URLs that the members advertise as further endpoints.

        Each once it has answered for the same cluster. The configured endpoints are kept in any
        case; found ones that are no longer advertised are dropped. Returns all endpoints. An
        address without TLS is not taken when all endpoints have it: the password would go there in
        the clear.
        """
        times = self._dispatcher.times(timeout)
        deadline = Deadline.after(times.total, time.monotonic())

        # 1. What the members advertise, each URL once.
        members = await self.members.list(timeout=timeout)
        urls = dict.fromkeys(url for member in members for url in member.client_urls)
        advertised = [endpoint for endpoint in map(parse_advertised, urls) if endpoint is not None]
        usable = [endpoint for endpoint in advertised if endpoint in self._dispatcher.endpoints]
        strangers = [endpoint for endpoint in advertised if endpoint not in self._dispatcher.endpoints]

        # 2. Those that are new have to answer for our cluster, in equal shares of the time that is left.
        while strangers:
            share = deadline.share(len(strangers), time.monotonic())
            within = shorter(times.attempt, None if share is None else max(LEAST_SECONDS, share))
            stranger = strangers.pop(0)
            if await self._is_member(stranger, within):
                usable.append(stranger)
        self._dispatcher.discovered(usable)
        return self.endpoints

    async def _is_member(self, endpoint: Endpoint, within: float | None) -> bool:
        if all(known.tls != endpoint.tls for known in self._dispatcher.endpoints):
            return False
        call = operations.list_members()
        try:
            # Without the password, which a stranger could only get to know; members answer this to everybody.
            reply = await self._dispatcher.ask(endpoint, call, within, anonymous=True)
            answer = call.decode(reply.status, reply.body)
        except (TransportFailure, ValueError):
            return False
        same = reply.headers.get(CLUSTER_ID, "") == self._dispatcher.cluster_id
        return same and not isinstance(answer, Message)

    async def _health_of(self, endpoint: Endpoint) -> EndpointHealth:
        started = time.monotonic()
        call = operations.get_health()
        try:
            reply = await self._dispatcher.ask(endpoint, call, self._dispatcher.timeout.attempt)
            answer = call.decode(reply.status, reply.body)
        except (TransportFailure, ValueError) as error:
            return EndpointHealth(endpoint.url, False, str(error), time.monotonic() - started)
        elapsed = time.monotonic() - started
        if isinstance(answer, Health):
            healthy = answer.health == "true"
            reason = "" if healthy else answer.reason or "the member says so, without a reason"
            return EndpointHealth(endpoint.url, healthy, reason, elapsed)
        return EndpointHealth(endpoint.url, False, answer.message, elapsed)
