# Derived from etcdv2/_async/client.py by scripts/unasync.py: change that file, make generate.
"""The client: settings in, sections out. Builds the transport and owns its life."""

from __future__ import annotations

import os
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import LOCAL_READ, policy_for
from etcdv2._core.curl import curl_command
from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint, has_proxy, parse_endpoint, parse_endpoints
from etcdv2._core.wire import CLUSTER_ID, Transport, TransportFailure
from etcdv2._sync.admin import AuthAPI, MembersAPI, StatsAPI
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._sync.keys import KeysAPI
from etcdv2._sync.watch.index_monitor import IndexMonitor
from etcdv2._transport.threads import FastTransport
from etcdv2._types.api_errors import EtcdError
from etcdv2._types.hooks import Hook
from etcdv2._types.results import ClusterHealth, EndpointHealth
from etcdv2._types.settings import (
    UNSET,
    Consistency,
    Timeout,
    TimeoutLike,
    Unset,
    check_consistency,
    settings_from_env,
    timeout_from,
)
from etcdv2._types.tls import TLS
from etcdv2._types.version import __version__
from etcdv2_api import Call, Health, KeysError, KeysEvent, Message, Version, operations

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")

LEADER_AGAIN = 5.0
"""Seconds between two questions for the leader while it cannot be found among the endpoints."""


class Client:
    """A client for a cluster's v2 API. Meant to be shared by threads, or by the tasks of one event loop.

    `endpoints`: URLs, `host:port` or addresses of several members; one alone as a str. The first to be used is random.
    `username`, `password`: basic auth, sent with every request. `tls`: files or a context for https endpoints.
    `timeout`: seconds in total, or a `Timeout`. `consistency` of reads: "local" (what a member has), "session" (never
    older than what this client has seen), "quorum" (through raft). `repeat_writes`: send a write again when its answer
    was lost, which can do it twice; without it such a write raises OutcomeUnknown. `prefer_leader`: talk to the leader
    when it is among the endpoints. `max_connections`: to each endpoint, watches aside. `transport`: an httpx transport
    to send through, or "httpx" for its standard one. `proxy`, `trust_env`: as in httpx, then used. `user_agent`:
    instead of the usual one. `before_attempt`, `after_attempt`: called with an `AttemptInfo` around each attempt.

    Does no network I/O until the first call; reads the PEM files at once. Raises ValueError and TypeError for settings
    that contradict each other.
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
        transport: httpx.BaseTransport | Literal["httpx"] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        user_agent: str | None = None,
        before_attempt: Hook | None = None,
        after_attempt: Hook | None = None,
    ) -> None:
        if not isinstance(tls, (TLS, ssl.SSLContext, NoneType)):
            raise TypeError(f"tls: a {type(tls).__name__}; must be an etcdv2.TLS or an ssl.SSLContext")
        if isinstance(transport, str) and transport != "httpx":
            raise TypeError(f'transport {transport!r}: must be an httpx transport, or "httpx"')
        if not isinstance(user_agent, (str, NoneType)):
            raise TypeError(f"user_agent {user_agent!r}: must be a str")
        if user_agent is not None and not (user_agent.isascii() and user_agent.isprintable()):
            raise ValueError(f"user_agent {user_agent!r}: must be printable ASCII")
        for model in (KeysEvent, KeysError, Message):
            model.model_rebuild()  # now rather than within the time of the first call
        parsed = parse_endpoints(endpoints, tls=tls is not None)
        check_consistency(consistency)
        secure = any(endpoint.tls for endpoint in parsed)
        if tls is not None and not secure:
            raise ValueError("tls= is given, but every endpoint is http://; write https:// or leave tls= out")
        given = None if transport == "httpx" else transport
        if given is not None and (tls is not None or proxy is not None):
            raise ValueError("transport= has its own TLS and proxy settings; give them to it, not to the client")
        if max_connections < 1:
            raise ValueError(f"max_connections {max_connections!r}: must be at least 1")
        settings = TLS(context=tls) if isinstance(tls, ssl.SSLContext) else tls or TLS()
        context = settings.build() if secure and given is None else None
        sender: Transport
        if transport is None and proxy is None and not (trust_env and any(map(has_proxy, parsed))):
            sender = FastTransport(
                ssl_context=context, server_hostname=settings.server_hostname, max_connections=max_connections
            )
        else:
            # Imported when it is used: httpx and what it needs take longer than all the rest.
            from etcdv2._sync.httpx_transport import HttpxTransport

            sender = HttpxTransport(
                ssl_context=context,
                server_hostname=settings.server_hostname,
                max_connections=max_connections,
                transport=given,
                proxy=proxy,
                trust_env=trust_env,
            )
        self._dispatcher = Dispatcher(
            EndpointPool(parsed),
            sender,
            timeout_from(timeout, Timeout()),
            user_agent or f"etcdv2/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}",
            consistency=consistency,
            repeat_writes=repeat_writes,
            before_attempt=before_attempt,
            after_attempt=after_attempt,
        )
        self._tls = settings if secure else None
        self.set_credentials(username, password)
        if prefer_leader:
            self._dispatcher.before_call = self._find_leader
        self._leader_asked = float("-inf")
        self._leader_endpoint: Endpoint | None = None
        self._monitor = IndexMonitor(self._dispatcher)
        self.keys = KeysAPI(self._dispatcher, self._monitor)
        """The keys API."""
        self.members = MembersAPI(self._dispatcher)
        self.stats = StatsAPI(self._dispatcher)
        self.auth = AuthAPI(self._dispatcher)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """A client with the settings of etcdctl's variables: see the README for the list. Raises ValueError."""
        return cls(**settings_from_env(os.environ if environ is None else environ))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.endpoints)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all watches and close all connections. Calls after it raise ValueError."""
        self._monitor.close()
        self._dispatcher.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The configured endpoints and those that `sync` found."""
        return tuple(endpoint.url for endpoint in self._dispatcher.pool.endpoints)

    @property
    def cluster_id(self) -> str:
        """The X-Etcd-Cluster-Id of the cluster, "" before its first answer."""
        return self._dispatcher.view.cluster_id

    def set_credentials(self, username: str | None, password: str | None = None) -> None:
        """Use other credentials from the next request on; None for none. Raises ValueError."""
        if username is None and password is not None:
            raise ValueError("password= is given without username=")
        if username is not None:
            if password is None:
                raise ValueError("username= is given without password=")
            if not isinstance(username, str) or not isinstance(password, str):
                raise TypeError("username and password: must be str")
            if not username or ":" in username:
                shown = username.partition(":")[0]  # what follows may be the password, as for curl
                raise ValueError(f"username {shown!r}: must not be empty, and basic auth allows no colon in it")
        self._dispatcher.authenticate(username, password)

    def send(
        self,
        call: Call[Answer, KeysError | Message],
        *,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Answer:
        """Send any generated call, with failover, the rules for writes, and the errors of the tree."""
        repeat = self._dispatcher.repeat_writes if repeat_writes is None else repeat_writes
        quorum = ("quorum", "true") in call.query
        rules = policy_for(call, repeat=repeat, quorum=quorum)
        if ("wait", "true") in call.query:
            raise ValueError("send() does not wait for events; use keys.watch()")
        return (self._dispatcher.perform(call, rules, timeout)).answer

    def as_curl(self, call: Call[Any, Any], endpoint: str | None = None) -> str:
        """The call as a command line for curl, for the current endpoint or the one given. Sends nothing.

        Passwords are hidden (`***`), also those in the call's body; values are not. `call` is a generated one, or that
        of an OutcomeUnknown. TLS is shown by its files; a ready context and `server_hostname` cannot be.
        """
        pool = self._dispatcher.pool
        target = pool.first if endpoint is None else parse_endpoint(endpoint, tls=self._tls is not None)
        tls = self._tls if target.tls else None
        return curl_command(call, target.url, username=self._dispatcher.secrets.username, tls=tls)

    def machines(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        """The client URLs that the started members advertise."""
        text = (self._dispatcher.perform(operations.list_machines(), LOCAL_READ, timeout)).answer
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def version(self, *, timeout: TimeoutLike | Unset = UNSET) -> Version:
        """The versions of the member that answers and of the cluster; also where the v2 API is off."""
        return (self._dispatcher.perform(operations.get_version(), LOCAL_READ, timeout)).answer

    def health(self) -> ClusterHealth:
        """Ask every endpoint at /health, one after the other, each within `Timeout.attempt`.

        Raises ValueError when the client is closed, else nothing.
        """
        self._dispatcher.check_open()
        return ClusterHealth(tuple([self._health_of(one) for one in self._dispatcher.pool.endpoints]))

    def sync(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        """Take the members' advertised client URLs as further endpoints, once each has answered for the same cluster.

        The configured endpoints are kept in any case; found ones that are no longer advertised are dropped. Returns
        all endpoints. An address without TLS is not taken when all endpoints have it: the password would go there in
        the clear.
        """
        times = self._dispatcher.timeout if timeout is UNSET else timeout_from(timeout, self._dispatcher.timeout)
        ends = Deadline.after(times.total, time.monotonic())
        members = self.members.list(timeout=timeout)
        known = self._dispatcher.pool.endpoints
        found = [_advertised(url) for url in dict.fromkeys(url for member in members for url in member.client_urls)]
        usable = [endpoint for endpoint in found if endpoint is not None and endpoint in known]
        strangers = [endpoint for endpoint in found if endpoint is not None and endpoint not in known]
        while strangers:
            endpoint = strangers.pop(0)
            share = ends.share(len(strangers) + 1, time.monotonic())
            within = shorter(times.attempt, None if share is None else max(0.001, share))
            if self._is_member(endpoint, within):
                usable.append(endpoint)
        self._dispatcher.pool.discovered(usable)
        return self.endpoints

    def _is_member(self, endpoint: Endpoint, within: float | None) -> bool:
        if all(known.tls != endpoint.tls for known in self._dispatcher.pool.endpoints):
            return False
        call = operations.list_members()
        try:
            # Without the password, which a stranger could only get to know; members answer this to everybody.
            reply = self._dispatcher.ask(endpoint, call, within, anonymous=True)
            answer = call.decode(reply.status, reply.body)
        except (TransportFailure, ValueError):
            return False
        same = reply.headers.get(CLUSTER_ID, "") == self._dispatcher.view.cluster_id
        return same and not isinstance(answer, Message)

    def _health_of(self, endpoint: Endpoint) -> EndpointHealth:
        started = time.monotonic()
        call = operations.get_health()
        try:
            reply = self._dispatcher.ask(endpoint, call, self._dispatcher.timeout.attempt)
            answer = call.decode(reply.status, reply.body)
        except (TransportFailure, ValueError) as error:
            return EndpointHealth(endpoint.url, False, str(error), time.monotonic() - started)
        elapsed = time.monotonic() - started
        if isinstance(answer, Health):
            healthy = answer.health == "true"
            reason = "" if healthy else answer.reason or "the member says so, without a reason"
            return EndpointHealth(endpoint.url, healthy, reason, elapsed)
        return EndpointHealth(endpoint.url, False, answer.message, elapsed)

    def _find_leader(self) -> None:
        """Make the leader the current endpoint, when it is one of them; a failure changes nothing."""
        pool = self._dispatcher.pool
        now = time.monotonic()
        if pool.first == self._leader_endpoint or now - self._leader_asked < LEADER_AGAIN:
            return
        self._leader_asked = now
        attempt = self._dispatcher.timeout.attempt
        try:
            rules = LOCAL_READ
            leader = (self._dispatcher.perform(operations.get_leader(), rules, attempt)).answer
        except EtcdError:
            return
        for url in leader.client_urls:
            endpoint = _advertised(url)
            if endpoint is not None and endpoint in pool.endpoints:
                self._leader_endpoint = endpoint
                pool.prefer(endpoint)
                return


def _advertised(url: str) -> Endpoint | None:
    """None for what cannot be connected to, such as unix sockets."""
    try:
        return parse_endpoint(url)
    except ValueError:
        return None
