"""What python-etcd's client is beside its keys: its settings, the cluster, and the one door to the server.

Every call goes through `api_execute`, but for those that it needs itself. Owns which members are
used.
"""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

from etcdv2.compat.python_etcd import _advice, _arguments, _errors, _lazy
from etcdv2.compat.python_etcd._advice import advise
from etcdv2.compat.python_etcd._engine import Engine, Pairs, Security
from etcdv2.compat.python_etcd._response import Response

_log = logging.getLogger("etcdv2.compat.python_etcd")

NO_SERVERS = "Could not get the list of servers, maybe you provided the wrong host(s) to connect to?"
DONE = frozenset({200, 201, 204})
"""Statuses of what succeeded."""


class ClientBase:
    """A client without its keys. For the settings see `Client`."""

    _MGET = "GET"
    _MPUT = "PUT"
    _MPOST = "POST"
    _MDELETE = "DELETE"

    # Of an object whose constructor did not come to its end.
    _engine: Engine | None = None
    _http: Any = None
    _moved = False
    """Whether calls go to another member than before."""

    def __init__(
        self,
        host: Any = "127.0.0.1",
        port: int = 4001,
        srv_domain: str | None = None,
        version_prefix: str = "/v2",
        read_timeout: float = 60,
        allow_redirect: bool = True,
        protocol: str = "http",
        cert: Any = None,
        ca_cert: str | None = None,
        username: str | None = None,
        password: str | None = None,
        allow_reconnect: bool = False,
        use_proxies: bool = False,
        expected_cluster_id: str | None = None,
        per_host_pool_size: int = 10,
        lock_prefix: str = "/_locks",
    ) -> None:
        # 1. Where to.
        advise("Client")
        self._protocol = protocol
        if srv_domain is not None:
            host = self._discover(srv_domain) or host
        several = isinstance(host, tuple)
        if several and not allow_reconnect:
            raise _errors.EtcdException("A list of hosts to connect to was given, but reconnection not allowed?")
        pairs = cast("Iterable[tuple[str, int]]", host if several else ((host, port),))
        self._base_uri, *self._machines_cache = [_arguments.uri(protocol, *pair) for pair in pairs]

        # 2. How.
        self.version_prefix = version_prefix
        self._read_timeout = read_timeout
        self._allow_redirect = allow_redirect
        self._use_proxies = use_proxies
        self._allow_reconnect = allow_reconnect
        self._lock_prefix = lock_prefix
        self._security = Security(cert, ca_cert, per_host_pool_size)
        self._given = (self._base_uri, *self._machines_cache)

        # 3. Who.
        self.username: str | None = None
        self.password: str | None = None
        if username and password:
            self.username, self.password = username, password
        elif username or password:
            given, missing = ("Username", "password") if username else ("Password", "username")
            _log.warning("%s provided without %s, both are required for authentication", given, missing)

        # 4. The other members.
        self._version: str | None = None
        self._cluster_version: str | None = None
        self._engine = Engine(self, self._security)
        if expected_cluster_id:
            self.expected_cluster_id = expected_cluster_id
        if self._allow_reconnect and not self._use_proxies:
            self._learn_machines()

    def __del__(self) -> None:
        with suppress(Exception):
            if self._engine is not None:
                self._engine.close()
            if self._http is not None:
                self._http.clear()

    # --- settings --------------------------------------------------------------------------------------------------

    @property
    def base_uri(self) -> str:
        """Where calls go to while it answers."""
        return self._base_uri

    @property
    def host(self) -> str:
        return urlsplit(self._base_uri).hostname or ""

    @property
    def port(self) -> int:
        return int(urlsplit(self._base_uri).port or 0)

    @property
    def protocol(self) -> str:
        return self._protocol

    @property
    def read_timeout(self) -> float:
        """Seconds for one call, with all tries of it."""
        return self._read_timeout

    @property
    def allow_redirect(self) -> bool:
        return self._allow_redirect

    @property
    def lock_prefix(self) -> str:
        return self._lock_prefix

    @property
    def key_endpoint(self) -> str:
        return self.version_prefix + "/keys"

    @property
    def expected_cluster_id(self) -> str | None:
        """The id of the cluster, as given or as in its first answer; None before."""
        return (self._engine.cluster_id if self._engine is not None else "") or None

    @expected_cluster_id.setter
    def expected_cluster_id(self, cluster_id: str | None) -> None:
        if self._engine is not None:
            self._engine.cluster_id = cluster_id or ""

    @property
    def http(self) -> Any:
        """A urllib3.PoolManager with this client's settings, for programs that send by themselves.

        Calls of this client do not go through it. Raises ImportError without urllib3.
        """
        advise("http")
        if self._http is None:
            security = self._security
            self._http = _lazy.pool_manager(security.cert, security.ca_cert, security.connections, self._read_timeout)
        return self._http

    @http.setter
    def http(self, manager: Any) -> None:
        self._http = manager

    # --- the cluster -----------------------------------------------------------------------------------------------

    @property
    def machines(self) -> list[str]:
        """The client URLs of the members. Raises EtcdException when nobody answers."""
        advise("machines")
        try:
            answer = self._handle_server_response(self._execute(self.version_prefix + "/machines", self._MGET))
        except _errors.EtcdConnectionFailed as error:
            raise _errors.EtcdException(f"{NO_SERVERS} ({error})") from error
        return [machine.strip() for machine in answer.data.decode().split(",")]

    @property
    def members(self) -> dict[str, Any]:
        """The members by id, each as the server's JSON has it. Raises EtcdException."""
        advise("members")
        try:
            found = self._json_of("/members")["members"]
            return {member["id"]: member for member in found}
        except Exception as error:
            raise _errors.EtcdException(
                f"Could not get the members list, maybe the cluster has gone away? ({error})"
            ) from error

    @property
    def leader(self) -> dict[str, Any]:
        """The member that leads, as in `members`. Raises EtcdException."""
        advise("leader")
        try:
            found: dict[str, Any] = self.members[self._json_of("/stats/self")["leaderInfo"]["leader"]]
        except Exception as error:
            raise _errors.EtcdException(f"Cannot get leader data: {error}") from error
        return found

    @property
    def stats(self) -> dict[str, Any]:
        """Counters of the member that answers."""
        advise("stats")
        return self._stats()

    @property
    def leader_stats(self) -> dict[str, Any]:
        """Counters of the leader, which alone has them: of several members it is looked for."""
        advise("leader_stats")
        return self._stats("leader")

    @property
    def store_stats(self) -> dict[str, Any]:
        """Counters of the store of the member that answers."""
        advise("store_stats")
        return self._stats("store")

    @property
    def version(self) -> str:
        """The version of the first member that has answered."""
        advise("version")
        if not self._version:
            self._set_version_info()
        return str(self._version)

    @property
    def cluster_version(self) -> str:
        """The version that all members have."""
        advise("version")
        if not self._cluster_version:
            self._set_version_info()
        return str(self._cluster_version)

    # --- the one door ----------------------------------------------------------------------------------------------

    def api_execute(self, path: str, method: str, params: Any = None, timeout: Any = None) -> Any:
        """Send any request; `params` go into the query of a GET or DELETE, else into a form.

        Returns the response, with `status`, `data`, `headers`, `getheader` and `getheaders`.
        """
        if _advice.wanted:  # not asked for by a call of its own: all calls come through here
            advise("api_execute")
        response = self._handle_server_response(self._execute(path, method, params, timeout))
        if self._moved and self._allow_reconnect and not self._use_proxies:
            self._moved = False
            with suppress(_errors.EtcdException):
                self._learn_machines()
        return response

    def api_execute_json(self, path: str, method: str, params: Any = None, timeout: Any = None) -> Any:
        """The same, with `params` as JSON."""
        advise("api_execute_json")
        return self._handle_server_response(self._execute(path, method, params, timeout, as_json=True))

    def _execute(
        self, path: str, method: str, params: Any = None, timeout: Any = None, *, as_json: bool = False
    ) -> Response:
        """Send it, whatever comes. Raises EtcdConnectionFailed and its like."""
        # 1. What is no request.
        if not path.startswith("/"):
            raise ValueError("Path does not start with /")
        writes = method in (self._MPUT, self._MPOST)
        if not writes and method not in (self._MGET, self._MDELETE):
            raise _errors.EtcdException(f"HTTP method {method} not supported")
        engine = self._engine
        if engine is None:
            raise ValueError("this client was not made: its __init__ has not come to its end")

        # 2. JSON, a form, or a query.
        query: Pairs = []
        if "?" in path:
            path, query = _arguments.target(path)
        if as_json:
            return Response(engine.send(method, path, query, None, params or {}, timeout))
        given = _arguments.pairs(params)
        if writes:
            return Response(engine.send(method, path, query, given, None, timeout))

        # 3. To wait is not to ask.
        query += given
        if query and method == self._MGET:
            others = [pair for pair in query if pair[0] != "wait"]
            if any(pair[0] == "wait" and pair[1] in _arguments.TRUE for pair in query):
                return Response(engine.poll(path, others, timeout))
        return Response(engine.send(method, path, query, None, None, timeout))

    def _handle_server_response(self, response: Any) -> Any:
        """The response, if it is a success. Raises the exception for etcd's error."""
        if response.status in DONE:
            return response
        text = response.data.decode("utf-8", "replace")
        try:
            payload = json.loads(text)
            payload["status"] = response.status
        except (TypeError, ValueError):
            payload = {"message": "Bad response", "cause": text}
        return _errors.EtcdError.handle(payload)

    def _get_headers(self) -> dict[str, str]:
        """What a program that sends by itself has to add."""
        if not (self.username and self.password):
            return {}
        token = b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"authorization": f"Basic {token}"}

    def _json_of(self, path: str) -> Any:
        response = self.api_execute(self.version_prefix + path, self._MGET)
        return json.loads(response.data.decode())

    def _stats(self, what: str = "self") -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._json_of(f"/stats/{what}")
        except (TypeError, ValueError) as error:
            raise _errors.EtcdException("Cannot parse json data in the response") from error
        return found

    def _set_version_info(self) -> None:
        found = json.loads(self._handle_server_response(self._execute("/version", self._MGET)).data.decode())
        self._version, self._cluster_version = found["etcdserver"], found["etcdcluster"]

    def _learn_machines(self) -> None:
        """Use what the members advertise beside what was given. Raises EtcdException when nobody answers."""
        usable = [one for one in self.machines if _arguments.is_uri(one, self._protocol)]
        self._machines_cache = [one for one in dict.fromkeys([*self._given, *usable]) if one != self._base_uri]

    def _discover(self, domain: str) -> tuple[tuple[str, int], ...]:
        """The hosts in DNS; none, and an ERROR in the log, where they cannot be found."""
        try:
            return _lazy.hosts_in_dns(domain, self._protocol)
        except Exception as error:
            _log.error("Could not discover the etcd hosts from %s: %s", domain, error)
            return ()
