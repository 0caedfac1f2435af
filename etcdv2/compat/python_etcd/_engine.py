"""The etcdv2 client behind one python-etcd client: made with its first call, and kept in step with it.

Owns what python-etcd's settings and errors are in etcdv2's words. Knows nothing of keys and results.
"""

# python-etcd's attributes have these names, and programs set them.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias
from weakref import WeakSet

import etcdv2  # gives its names when they are asked for: what they need is not imported before the first call
from etcdv2.compat.python_etcd import _errors

if TYPE_CHECKING:
    from etcdv2 import TLS, Client, EtcdError, RawAnswer, RawAPI, Timeout

Pairs: TypeAlias = list[tuple[str, str]]

NOBODY: tuple[str | None, str | None] = (None, None)
LEAST_CONNECTIONS = 100
"""To each endpoint: python-etcd opens as many as there are threads, and keeps `per_host_pool_size` of them."""


class Owner(Protocol):
    """What of a python-etcd client is looked at before each call, and changed after it."""

    username: str | None
    password: str | None
    _base_uri: str
    _machines_cache: list[str]
    _allow_reconnect: bool
    _read_timeout: float
    _moved: bool


class Security(NamedTuple):
    """What python-etcd is given once, for https."""

    cert: str | tuple[str, str] | None
    ca_cert: str | None
    connections: int

    def tls(self) -> TLS:
        if isinstance(self.cert, tuple):
            return etcdv2.TLS(ca_file=self.ca_cert, cert_file=self.cert[0], key_file=self.cert[1])
        return etcdv2.TLS(ca_file=self.ca_cert, cert_file=self.cert)


_engines: WeakSet[Engine] = WeakSet()
"""All of this process."""


def _after_fork() -> None:
    for engine in list(_engines):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Engine:
    """Sends the calls of `owner`, whose attributes may be changed at any time."""

    def __init__(self, owner: Owner, security: Security) -> None:
        self._owner = owner
        self._security = security
        self._client: Client | None = None
        self._raw: RawAPI | None = None
        """Its door, once it is ready."""
        self._lock = threading.Lock()
        _engines.add(self)
        self._known: tuple[str, ...] = ()
        """The endpoints of the client as the owner has written them."""
        self._current = ""
        """Where the client's calls went to last, as it writes it."""
        self._credentials = NOBODY
        self._expected = ""

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have had the lock, and is not there."""
        self._lock = threading.Lock()

    def close(self) -> None:
        client, self._client, self._raw = self._client, None, None
        if client is not None:
            client.close()

    @property
    def cluster_id(self) -> str:
        """That of the cluster, or the expected one; "" when neither is known."""
        return self._expected if self._client is None else self._client.cluster_id

    @cluster_id.setter
    def cluster_id(self, cluster_id: str) -> None:
        self._expected = cluster_id
        if self._client is not None:
            self._client.raw.expect_cluster(cluster_id)

    def send(
        self, method: str, path: str, query: Pairs, form: Pairs | None, json: Mapping[str, Any] | None, seconds: Any
    ) -> RawAnswer:
        """One call. `seconds`: as python-etcd has them. Raises python-etcd's errors."""
        raw, times = self._ready(), self._times(seconds)
        try:
            return raw.send(method, path, query=query, form=form, json=json, timeout=times)
        except etcdv2.EtcdError as error:
            raise self._translated(error) from error
        finally:
            if raw.endpoint != self._current:
                self._follow(raw.endpoint)

    def poll(self, path: str, query: Pairs, seconds: Any) -> RawAnswer:
        """One event of a key. Raises EtcdWatchTimedOut when none comes in time."""
        raw, times = self._ready(), self._times(seconds)
        try:
            answer = raw.poll(path, query=query, timeout=times)
        except etcdv2.DeadlineExceeded as error:
            raise _timed_out(times, error) from error
        except etcdv2.EtcdError as error:
            raise self._translated(error) from error
        finally:
            if raw.endpoint != self._current:
                self._follow(raw.endpoint)
        if answer is None:
            raise _timed_out(times, None)
        return answer

    # --- in step with its owner ------------------------------------------------------------------------------------

    def _ready(self) -> RawAPI:
        """The door of the client, with the endpoints and credentials that its owner has by now."""
        owner, raw = self._owner, self._raw
        wanted = (owner._base_uri, *owner._machines_cache) if owner._allow_reconnect else (owner._base_uri,)
        both = (owner.username, owner.password) if owner.username and owner.password else NOBODY
        if raw is None or wanted != self._known or both != self._credentials:
            with self._lock:
                return self._made_ready(both)
        return raw

    def _made_ready(self, credentials: tuple[str | None, str | None]) -> RawAPI:
        """The same after a change, which another thread may have seen to meanwhile."""
        owner, client = self._owner, self._client
        wanted = (owner._base_uri, *owner._machines_cache) if owner._allow_reconnect else (owner._base_uri,)
        if client is None or wanted != self._known:
            try:
                client = self._pointed_at(wanted)
            except ValueError as error:  # no URL, or no certificates: python-etcd finds that out as it connects
                raise _errors.EtcdConnectionFailed(f"Connection to etcd failed due to {error}", cause=error) from error
        if credentials != self._credentials:
            client.set_credentials(*credentials)
            self._credentials = credentials
        self._raw = client.raw
        return client.raw

    def _pointed_at(self, wanted: tuple[str, ...]) -> Client:
        """The client with these endpoints, the first of which is to be used first."""
        client = self._client
        if client is None:
            https = wanted[0].startswith("https:")
            client = etcdv2.Client(
                wanted,
                tls=self._security.tls() if https else None,
                timeout=self._times(None),
                max_connections=max(LEAST_CONNECTIONS, self._security.connections),
                trust_env=False,
            )
            if self._expected:
                client.raw.expect_cluster(self._expected)
        else:
            client.set_endpoints(wanted)
        client.raw.prefer(wanted[0])
        self._client, self._known, self._current = client, wanted, client.raw.endpoint
        return client

    def _follow(self, current: str) -> None:
        """Calls go to another member by now: so says the owner's `base_uri`."""
        with self._lock:
            others = [uri for uri in self._known if uri != current]
            self._owner._base_uri, self._owner._machines_cache = current, others
            self._known, self._current = (current, *others), current
        self._owner._moved = True

    def _times(self, seconds: Any) -> Timeout:
        """The limits of one call. `seconds`: None for `read_timeout`, 0 for none, a number or a urllib3.Timeout.

        Raises ValueError for what is none of them, as urllib3 does.
        """
        owner = self._owner
        if seconds is None:
            seconds = owner._read_timeout
        several = owner._allow_reconnect and len(owner._machines_cache) > 0
        if isinstance(seconds, (int, float)):
            return _limits(None, seconds, several)
        if not hasattr(seconds, "total"):
            raise ValueError(f"timeout {seconds!r}: must be seconds, 0 for no limit, or a urllib3.Timeout")

        parts = [_number(getattr(seconds, name, None)) for name in ("total", "_read")]
        total = min((part for part in parts if part is not None), default=0)
        return _limits(_number(getattr(seconds, "_connect", None)), total, several)

    # --- errors ----------------------------------------------------------------------------------------------------

    def _translated(self, error: EtcdError) -> Exception:
        """The same in python-etcd's words."""
        match error:
            case etcdv2.ClusterChanged():
                self._expected = error.new
                return _errors.EtcdClusterIdChanged(f"The UUID of the cluster changed from {error.old} to {error.new}.")
            case etcdv2.UnexpectedAnswer():
                return _bad_response(error.body.decode(errors="replace"))
            case etcdv2.V2ApiDisabled():
                return _bad_response(str(error))
            case etcdv2.ClusterUnavailable() | etcdv2.OutcomeUnknown():
                cause = _cause(error)
                hint = self._hint(error)
                return _errors.EtcdConnectionFailed(f"Connection to etcd failed due to {error}{hint}", cause=cause)
            case _:
                return _errors.EtcdException(str(error))

    def _hint(self, error: EtcdError) -> str:
        if self._security.ca_cert is None and "certificate was not accepted" in str(error):
            return "; certificates are verified against the system's authorities: give ca_cert= for another one"
        return ""


@lru_cache(maxsize=256)
def _limits(connect: float | None, seconds: float, several: bool) -> Timeout:
    """One member has all the time; of several a silent one must leave some to the others.

    `seconds`: in total, 0 for no limit. Raises ValueError for a negative one.
    """
    total = float(seconds) or None
    if not several:
        return etcdv2.Timeout(connect=connect or total, attempt=total, commit=total, total=total)
    usual = etcdv2.Timeout(total=total)
    return usual if connect is None else etcdv2.Timeout(connect=connect, total=total)


def _number(seconds: Any) -> float | None:
    """None for what is no limit."""
    return float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else None


def _bad_response(cause: str) -> _errors.EtcdException:
    payload = {"message": "Bad response", "cause": cause}
    return _errors.EtcdException(f"Bad response : {cause}", payload)


def _cause(error: Exception) -> Exception:
    """Programs look for urllib3's error of a time that is over: where they have imported it, they find it."""
    return _time_over(str(error), error) if isinstance(error, etcdv2.DeadlineExceeded) else error


def _timed_out(times: Timeout, error: Exception | None) -> _errors.EtcdWatchTimedOut:
    text = f"timed out: nothing happened within {times.total:.6g} s"
    return _errors.EtcdWatchTimedOut(f"Watch {text}", cause=_time_over(f"Read {text}", error))


def _time_over(text: str, error: Exception | None) -> Exception:
    exceptions = sys.modules.get("urllib3.exceptions")
    over: Exception = TimeoutError(text) if exceptions is None else exceptions.ReadTimeoutError(None, None, text)
    over.__cause__ = error
    return over
