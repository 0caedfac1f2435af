"""python-etcd's `Client`: reads, writes and watches of keys, on etcdv2.

All of them go through `read`, `write` or `delete`, and these through `api_execute`: so a subclass, or
a test, that replaces one of them has them all.
"""

# python-etcd's attributes have these names.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn

from etcdv2.compat.python_etcd import _errors
from etcdv2.compat.python_etcd._advice import advise
from etcdv2.compat.python_etcd._arguments import flag, quoted, sanitized
from etcdv2.compat.python_etcd._base import ClientBase
from etcdv2.compat.python_etcd._result import EtcdResult


class Client(ClientBase):
    """python-etcd's client.

    `host`: a name or address, or a tuple of (host, port) pairs, which needs `allow_reconnect`.
    `read_timeout`: seconds for one call in total, also for a write; 0 for no limit.
    `cert`: a file with certificate and key, or a tuple of two files. `ca_cert`: the authority of an
    https server; without it the system's are asked, never nobody.
    `allow_reconnect`: use the other members, too, which are asked for at once. `use_proxies`: only
    those that are given.
    `expected_cluster_id`: another cluster raises EtcdClusterIdChanged, once.
    `srv_domain`: look the hosts up in DNS (needs dnspython).
    `allow_redirect` is taken and has no effect: what etcd v2 redirects is not sent.
    """

    _comparison_conditions: ClassVar[set[str]] = {"prevValue", "prevIndex", "prevExist", "refresh"}
    """Of `write`. Like the next two it may be added to, which holds for all clients of the class."""
    _read_options: ClassVar[set[str]] = {"recursive", "wait", "waitIndex", "sorted", "quorum"}
    _del_conditions: ClassVar[set[str]] = {"prevValue", "prevIndex"}

    def __contains__(self, key: str) -> bool:
        """Whether there is such a key."""
        advise("__contains__")
        try:
            self.get(key)
        except _errors.EtcdKeyNotFound:
            return False
        return True

    def read(self, key: str, **kwdargs: Any) -> EtcdResult:
        """Read a key, or with `wait` the next change of it.

        `recursive`, `sorted`, `quorum`, `wait`, `waitIndex`; `timeout`: seconds instead of `read_timeout`,
        0 for no limit. Others are ignored. Raises EtcdKeyNotFound, EtcdWatchTimedOut,
        EtcdConnectionFailed and the others of EtcdError.
        """
        advise("read")
        params = {
            name: flag(value) for name, value in kwdargs.items() if name in self._read_options and value is not None
        }
        path = self.key_endpoint + quoted(self._sanitize_key(key))
        response = self.api_execute(path, self._MGET, params=params, timeout=kwdargs.get("timeout"))
        return self._result_from_response(response)

    def get(self, key: str) -> EtcdResult:
        """Read a key, or one level of a directory."""
        advise("get")
        return self.read(key)

    def write(
        self, key: str, value: Any, ttl: Any = None, dir: bool = False, append: bool = False, **kwdargs: Any
    ) -> EtcdResult:
        """Write a key: any value goes as its `str`, None as "".

        `dir` makes a directory; `append` a key of its own in this directory, with a name that sorts by
        time. `prevValue`, `prevIndex`, `prevExist`, `refresh` are etcd's conditions; others are ignored.
        Sent once: an EtcdConnectionFailed whose `cause` is an etcdv2.OutcomeUnknown may be applied.
        """
        advise("write")
        params: dict[str, Any] = {}
        if value is not None:
            params["value"] = value
        if ttl is not None:
            params["ttl"] = ttl
        if dir:
            if value:
                raise _errors.EtcdException("Cannot create a directory with a value")
            params["dir"] = "true"
        params |= {name: flag(given) for name, given in kwdargs.items() if name in self._comparison_conditions}

        path = kwdargs.get("_endpoint", self.key_endpoint) + quoted(self._sanitize_key(key))
        response = self.api_execute(path, self._MPOST if append else self._MPUT, params=params)
        return self._result_from_response(response)

    def set(self, key: str, value: Any, ttl: Any = None) -> EtcdResult:
        """Write a key, whatever is there."""
        advise("set")
        return self.write(key, value, ttl=ttl)

    def test_and_set(self, key: str, value: Any, prev_value: Any, ttl: Any = None) -> EtcdResult:
        """Write a key if its value is `prev_value`. Raises EtcdCompareFailed, a ValueError."""
        advise("test_and_set")
        return self.write(key, value, prevValue=prev_value, ttl=ttl)

    def refresh(self, key: str, ttl: Any, **kwdargs: Any) -> EtcdResult:
        """Give a key a new TTL; its value stays, and nobody who watches it is woken."""
        advise("refresh")
        kwdargs["prevExist"] = True
        return self.write(key=key, value=None, ttl=ttl, refresh=True, **kwdargs)

    def update(self, obj: EtcdResult) -> EtcdResult:
        """Write a result back, with its value, TTL and kind, if nobody has changed the key meanwhile."""
        advise("update")
        conditions: dict[str, Any] = {"dir": obj.dir, "ttl": obj.ttl, "prevExist": True}
        if not obj.dir:  # etcd refuses prevIndex for a directory
            conditions["prevIndex"] = obj.modifiedIndex
        return self.write(obj.key, obj.value, **conditions)

    def delete(self, key: str, recursive: Any = None, dir: Any = None, **kwdargs: Any) -> EtcdResult:
        """Delete a key, an empty directory with `dir`, a whole one with `recursive`; by `prevValue`, `prevIndex`."""
        advise("delete")
        params: dict[str, Any] = {}
        for name, wanted in (("recursive", recursive), ("dir", dir)):
            if wanted is not None:
                params[name] = "true" if wanted else "false"
        params |= {name: kwdargs[name] for name in self._del_conditions if name in kwdargs}
        path = self.key_endpoint + quoted(self._sanitize_key(key))
        return self._result_from_response(self.api_execute(path, self._MDELETE, params=params))

    def pop(self, key: str, recursive: Any = None, dir: Any = None, **kwdargs: Any) -> EtcdResult:
        """Delete a key as `delete` does. Returns what was there."""
        advise("pop")
        return self.delete(key=key, recursive=recursive, dir=dir, **kwdargs)._prev_node

    def watch(self, key: str, index: Any = None, timeout: Any = None, recursive: Any = None) -> EtcdResult:
        """Wait for one change, from `index` on; else for the next one.

        `timeout`: seconds instead of `read_timeout`, 0 for ever. Raises EtcdWatchTimedOut, and
        EtcdEventIndexCleared where the server no longer has what came after `index`.
        """
        advise("watch")
        if index:
            return self.read(key, wait=True, waitIndex=index, timeout=timeout, recursive=recursive)
        return self.read(key, wait=True, timeout=timeout, recursive=recursive)

    def eternal_watch(self, key: str, index: Any = None, recursive: Any = None) -> Iterator[EtcdResult]:
        """The changes of a key, one by one, from `index` on. Raises as `watch` does, but never for the time."""
        advise("eternal_watch")
        while True:
            found = self.watch(key, index=index, timeout=0, recursive=recursive)
            index = found.modifiedIndex + 1
            yield found

    def get_lock(self, *args: Any, **kwargs: Any) -> NoReturn:
        """etcd has none by itself since 2.0: see `Lock`."""
        advise("get_lock")
        raise NotImplementedError("Lock primitives were removed from etcd 2.0")

    @property
    def election(self) -> NoReturn:
        """etcd has none by itself since 2.0."""
        advise("election")
        raise NotImplementedError("Election primitives were removed from etcd 2.0")

    def _sanitize_key(self, key: str) -> str:
        return sanitized(key)

    def _result_from_response(self, response: Any) -> EtcdResult:
        """Raises EtcdException for what is no answer about a key."""
        try:
            content = json.loads(response.data.decode("utf-8"))
        except (TypeError, ValueError) as error:
            raise _errors.EtcdException(f"Server response was not valid JSON: {error!r}") from error
        try:
            result = EtcdResult(**content)
            if response.status == 201:
                result.newKey = True
            result.parse_headers(response)
        except Exception as error:
            raise _errors.EtcdException(f"Unable to decode server response: {error!r}") from error
        return result
