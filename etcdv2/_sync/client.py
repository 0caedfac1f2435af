# Derived from etcdv2/_async/client.py by scripts/unasync.py: change that file, make generate.
"""The client: settings in, sections out. Builds the transport and owns its life."""

from __future__ import annotations

import os
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack
from weakref import WeakSet

from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import LOCAL_READ, policy_for
from etcdv2._core.curl import curl_command
from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import parse_advertised, parse_endpoint, parse_endpoints
from etcdv2._runtime.primitives import check_loop, gives_way
from etcdv2._sync.admin import AuthAPI, MembersAPI, StatsAPI
from etcdv2._sync.auto_sync import AutoSync
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._sync.keys import KeysAPI
from etcdv2._sync.leader import LeaderPreference
from etcdv2._sync.probes import health_of_all, is_member, not_in_dns, readiness
from etcdv2._sync.raw import RawAPI
from etcdv2._sync.settings import ClientSettings, Part
from etcdv2._sync.srv import SrvDiscovery
from etcdv2._sync.transports import (
    HttpTransport,
    check_transport_settings,
    srv_tls,
    tls_settings,
    transport_for,
)
from etcdv2._sync.watch.index_monitor import IndexMonitor
from etcdv2._types.environment import settings_from_env
from etcdv2._types.hooks import Hook
from etcdv2._types.results import ClusterHealth, Readiness
from etcdv2._types.settings import (
    UNSET,
    Consistency,
    Timeout,
    TimeoutLike,
    Unset,
    check_consistency,
    check_kinds,
    check_seconds,
    check_user_agent,
    timeout_from,
    with_settings,
)
from etcdv2._types.srv import Srv, SrvResolver
from etcdv2._types.tls import TLS
from etcdv2._types.version import __version__
from etcdv2_api import Call, KeysError, KeysEvent, Message, Version, operations

Answer = TypeVar("Answer")

LEAST_SECONDS = 0.001
"""For an endpoint that is new to `sync`, even when the deadline has passed."""


@gives_way
class Client:
    """A client for a cluster's v2 API.

    Meant to be shared by threads, or by the tasks of one event loop of asyncio (or uvloop). Does no
    network I/O until the first call; reads the PEM files at once. Raises ValueError and TypeError
    for settings that contradict each other.

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
    `transport`: one of httpx or httpx2 to send through, or "httpx" for its standard one.
    `proxy`, `trust_env`: as in httpx, which is used for a proxy.
    `user_agent`: instead of the usual one.
    `before_attempt`, `after_attempt`: called with an `AttemptInfo` around each attempt.
    """

    def __init__(
        self,
        endpoints: str | Iterable[str] | Srv = "http://127.0.0.1:2379",
        *,
        username: str | None = None,
        password: str | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        timeout: TimeoutLike | Unset = UNSET,
        consistency: Consistency = "local",
        repeat_writes: bool = False,
        prefer_leader: bool = False,
        max_connections: int = 100,
        transport: HttpTransport | Literal["httpx"] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        user_agent: str | None = None,
        before_attempt: Hook | None = None,
        after_attempt: Hook | None = None,
    ) -> None:
        # 1. What can be refused is refused here, before anything is made.
        check_transport_settings(tls, transport, max_connections)
        check_kinds(
            {"repeat_writes": repeat_writes, "prefer_leader": prefer_leader, "trust_env": trust_env},
            {"before_attempt": before_attempt, "after_attempt": after_attempt},
        )
        check_user_agent(user_agent)
        check_consistency(consistency)
        parsed = () if isinstance(endpoints, Srv) else parse_endpoints(endpoints, tls=tls is not None)
        self._tls = srv_tls(endpoints, tls) if isinstance(endpoints, Srv) else tls_settings(parsed, tls)
        self._own_transport = transport not in (None, "httpx")

        # 2. The models are completed now rather than within the time of the first call.
        for model in (KeysEvent, KeysError, Message):
            model.model_rebuild()

        # 3. What carries out the calls.
        sender = transport_for(
            parsed,
            self._tls,
            transport,
            tls_given=tls is not None,
            proxy=proxy,
            trust_env=trust_env,
            max_connections=max_connections,
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
        if isinstance(endpoints, Srv):
            self._dispatcher.discovery = SrvDiscovery(endpoints, secure=tls is not None or username is not None)
        self._dispatcher.has_certificate = isinstance(tls, TLS) and tls.cert_file is not None
        self.set_credentials(username, password)
        self._auto_sync: AutoSync | None = None
        if prefer_leader:
            self._dispatcher.before_call = LeaderPreference(self._dispatcher).before_call

        # 4. What users call.
        self._monitor = IndexMonitor(self._dispatcher)
        self._keys = KeysAPI(self._dispatcher, self._monitor)
        self._members = MembersAPI(self._dispatcher)
        self._stats = StatsAPI(self._dispatcher)
        self._auth = AuthAPI(self._dispatcher)
        self._raw = RawAPI(self._dispatcher)
        self._parts: WeakSet[Part] = WeakSet()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Unpack[ClientSettings]) -> Self:
        """A client with the settings of etcdctl's variables: see the README for the list.

        `settings` go over them. Raises ValueError that names the variable.
        """
        found = settings_from_env(os.environ if environ is None else environ)
        return cls(**with_settings(found, settings))

    @classmethod
    def from_srv(
        cls,
        domain: str,
        *,
        service: str = "",
        insecure_discovery: bool = True,
        verify_domain: bool = False,
        resolver: SrvResolver | None = None,
        **settings: Unpack[ClientSettings],
    ) -> Self:
        """A client whose endpoints are in DNS: `_etcd-client-ssl._tcp.DOMAIN` for https, then
        `_etcd-client._tcp.DOMAIN` for http, as etcd's own clients have it.

        They are looked up with the first call, and again when none of them answers; calls raise
        ClusterUnavailable when there are none. They are tried in the order of priority and weight.
        With `tls=` or a user name, those without TLS are not used beside those with it.

        `service`: for `_etcd-client-ssl-SERVICE` and `_etcd-client-SERVICE`.
        `insecure_discovery`: whether endpoints without TLS count.
        `verify_domain`: have certificates for the domain, as etcdctl, instead of the host.
        `resolver`: a `dns.resolver.Resolver` of your own.

        Needs dnspython, `etcdv2[srv]`: raises ImportError without it; ValueError for what is no domain.
        """
        source = Srv(
            domain=domain,
            service=service,
            insecure_discovery=insecure_discovery,
            verify_domain=verify_domain,
            resolver=resolver,
        )
        return cls(source, **settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.endpoints)}>"

    def __enter__(self) -> Self:
        check_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, part: Part) -> None:
        """Call the `close` of `part` when this client is closed, before anything else is.

        For what is built on a client and has something to put in order while calls still work. Held
        weakly: what is forgotten is not called.
        """
        self._parts.add(part)

    def close(self) -> None:
        """Close what was attached, end all watches and close all connections. Calls after it raise ValueError."""
        check_loop()
        try:
            for part in tuple(self._parts):
                part.close()
        finally:
            self._monitor.close()
            self._dispatcher.close()

    @property
    def keys(self) -> KeysAPI:
        """Keys and directories: read, write, watch, mirror. Start here."""
        return self._keys

    @property
    def members(self) -> MembersAPI:
        """The members of the cluster: list, leader, add, update, remove."""
        return self._members

    @property
    def stats(self) -> StatsAPI:
        """Counters of single members: self_, leader, store."""
        return self._stats

    @property
    def auth(self) -> AuthAPI:
        """Authentication: the switch, `auth.users` and `auth.roles`."""
        return self._auth

    @property
    def raw(self) -> RawAPI:
        """Requests of one's own, answered by bytes: what other clients' names are built on."""
        return self._raw

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

    def send(
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
        return (self._dispatcher.perform(call, policy, timeout)).answer

    def as_curl(self, call: Call[Any, Any], endpoint: str | None = None) -> str:
        """The call as a command line for curl, for the current endpoint or the one given.

        Sends nothing.

        Passwords are hidden (`***`), also those in the call's body; values are not. `call` is a
        generated one, or that of an OutcomeUnknown. TLS is shown by its files; a ready context and
        `server_hostname` cannot be.
        """
        target = (
            self._dispatcher.pool.first if endpoint is None else parse_endpoint(endpoint, tls=self._tls is not None)
        )
        tls = self._tls if target.tls else None
        return curl_command(call, target.url, username=self._dispatcher.username, tls=tls)

    def machines(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        """The client URLs that the started members advertise."""
        text = (self._dispatcher.perform(operations.list_machines(), LOCAL_READ, timeout)).answer
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def version(self, *, timeout: TimeoutLike | Unset = UNSET) -> Version:
        """The versions of the answering member and of the cluster; also where the v2 API is off."""
        return (self._dispatcher.perform(operations.get_version(), LOCAL_READ, timeout)).answer

    def health(self) -> ClusterHealth:
        """What each member says of itself at /health: all at once, each within `Timeout.attempt`.

        For people who look after the cluster; `ready` says whether this client can work. A member
        is healthy though its v2 API is off, and unhealthy under an alarm of v3 (its space is used
        up), which v2 does not mind. Each request makes every member write an entry into its raft
        log (etcd 3.5: where the v2 API is on), so do not ask often (spec/protocol.md section 15).

        Raises ValueError when the client is closed, else nothing.
        """
        self._dispatcher.check_open()
        missing = not_in_dns(self._dispatcher)
        return ClusterHealth(missing) if missing else health_of_all(self._dispatcher)

    def ready(self, *, key: str | None = None, timeout: TimeoutLike | Unset = UNSET) -> Readiness:
        """Whether this client can work: an endpoint serves the v2 API and sees a leader.

        For readiness checks: `if not client.ready(): ...`, and its `reason` says why not. All
        endpoints are asked at once, and the first one that can is enough; else until all have
        answered, each within `Timeout.attempt` and `timeout` (seconds in total, or a `Timeout`).
        It costs the cluster a local read and no raft entry.

        `key`: also read it, as this client's user: without it a wrong password is not noticed, as
        etcd names its leader to everybody. The key need not be there.

        A leader that was just cut off from the others is not noticed for up to two election
        timeouts. Raises ValueError when the client is closed, and for a key that is none.
        """
        self._dispatcher.check_open()
        missing = not_in_dns(self._dispatcher)
        return Readiness(False, missing) if missing else readiness(self._dispatcher, key, timeout)

    def set_endpoints(self, endpoints: str | Iterable[str]) -> None:
        """Use these endpoints and no others from now on. Calls and watches under way go on where they are.

        Those that `sync` found, and DNS, are given up. Raises ValueError and TypeError as the
        constructor does, and for https endpoints of a client that was made without TLS.
        """
        parsed = parse_endpoints(endpoints, tls=self._tls is not None)
        if self._tls is None and not self._own_transport and any(endpoint.tls for endpoint in parsed):
            raise ValueError(
                "this client was made for http endpoints, without TLS settings: make another one for https"
            )
        self._dispatcher.configure(parsed)

    def sync(self, *, timeout: TimeoutLike | Unset = UNSET, every: float | None = None) -> tuple[str, ...]:
        """Take the client URLs that the members advertise as further endpoints.

        Each once it has answered for the same cluster. The configured endpoints are kept in any
        case; found ones that are no longer advertised are dropped. Returns all endpoints. An
        address without TLS is not taken when all endpoints have it: the password would go there in
        the clear.

        `every`: and do so again each time so many seconds have passed, until the client is closed;
        another number replaces the one before. What fails then is logged (WARNING) and tried again.
        """
        check_seconds("every", every)
        found = self._sync(timeout)
        if every is not None:
            if self._auto_sync is not None:
                self._dispatcher.watches.discard(self._auto_sync)
                self._auto_sync.close()
            self._auto_sync = AutoSync(self._sync_again, every)
            self._dispatcher.watches.add(self._auto_sync)
        return found

    def _sync(self, timeout: TimeoutLike | Unset = UNSET) -> tuple[str, ...]:
        times = self._dispatcher.times(timeout)
        deadline = Deadline.after(times.total, time.monotonic())

        # 1. What the members advertise, each URL once.
        members = self.members.list(timeout=timeout)
        urls = dict.fromkeys(url for member in members for url in member.client_urls)
        advertised = [endpoint for endpoint in map(parse_advertised, urls) if endpoint is not None]
        usable = [endpoint for endpoint in advertised if endpoint in self._dispatcher.endpoints]
        strangers = [endpoint for endpoint in advertised if endpoint not in self._dispatcher.endpoints]

        # 2. Those that are new have to answer for our cluster, in equal shares of the time that is left.
        while strangers:
            share = deadline.share(len(strangers), time.monotonic())
            within = shorter(times.attempt, None if share is None else max(LEAST_SECONDS, share))
            stranger = strangers.pop(0)
            if is_member(self._dispatcher, stranger, within):
                usable.append(stranger)
        self._dispatcher.pool.discovered(usable)
        return self.endpoints

    def _sync_again(self) -> None:
        self._sync()
