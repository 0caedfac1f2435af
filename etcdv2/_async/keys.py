"""The keys API: get, set, create, compare-and-swap, delete and watch, for the whole store or below a prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, overload

from etcdv2._async.modify import async_modify
from etcdv2._async.resolve import async_resolve
from etcdv2._async.view import AsyncView
from etcdv2._core import keys as _keys
from etcdv2._core.answers import ack_from
from etcdv2._core.call.policy import READS, WRITES, CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.keys import TTL, KeysCall
from etcdv2._types.api_errors import KeyExists, KeyNotFound, NotDir
from etcdv2._types.call_errors import OutcomeUnknown
from etcdv2._types.results import Ack, Outcome, Response
from etcdv2._types.settings import UNSET, Consistency, TimeoutLike, Unset, check_consistency

Default = TypeVar("Default")


class AsyncKeysAPI(AsyncView):
    """`client.keys`, or a view below a prefix made by `at`.

    Every call takes `timeout=` (seconds in total, a `Timeout`, or None) and raises the errors of `etcdv2.EtcdError`;
    ValueError and TypeError are raised before anything is sent. Keys: a leading slash is optional, in a view forbidden.
    """

    def at(self, prefix: str) -> AsyncKeysAPI:
        """A view below `prefix`: its keys are relative, "" is the directory itself; nodes carry absolute keys."""
        return AsyncKeysAPI(self._dispatcher, self._monitor, _keys.view_prefix(prefix, self._prefix))

    @overload
    async def get(
        self,
        key: str,
        *,
        recursive: bool = ...,
        sorted: bool = ...,
        quorum: bool = ...,
        consistency: Consistency | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response: ...
    @overload
    async def get(
        self,
        key: str,
        *,
        default: Default,
        recursive: bool = ...,
        sorted: bool = ...,
        quorum: bool = ...,
        consistency: Consistency | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response | Default: ...
    async def get(
        self,
        key: str,
        *,
        default: Default | Unset = UNSET,
        recursive: bool = False,
        sorted: bool = False,
        quorum: bool = False,
        consistency: Consistency | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | Default:
        """Read a key, or a directory's children (all below with `recursive`), in key order with `sorted`.

        `quorum=True` reads through raft: never stale, one commit slower, and it needs a leader. `consistency` says the
        same with "quorum"; "session" refuses answers older than what this client has seen, "local" takes what the
        member has. `default` is returned where the key is not there, instead of raising KeyNotFound. Hidden keys (a
        segment beginning with "_") are left out of listings by the server.
        """
        rules = self._read_rules(quorum, consistency)
        call = _keys.get(self._absolute(key), recursive=recursive, sort=sorted, quorum=rules.commit)
        try:
            return response_of(await self._dispatcher.perform(call, rules, timeout))
        except KeyNotFound:
            if default is UNSET:
                raise
            return default

    @overload
    async def set(
        self,
        key: str,
        value: str,
        *,
        no_value_on_success: Literal[True],
        ttl: TTL | None = ...,
        prev_value: str | None = ...,
        prev_index: int | None = ...,
        prev_exist: bool | None = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Ack: ...
    @overload
    async def set(
        self,
        key: str,
        value: str,
        *,
        no_value_on_success: Literal[False] = ...,
        ttl: TTL | None = ...,
        prev_value: str | None = ...,
        prev_index: int | None = ...,
        prev_exist: bool | None = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response: ...
    async def set(
        self,
        key: str,
        value: str,
        *,
        ttl: TTL | None = None,
        prev_value: str | None = None,
        prev_index: int | None = None,
        prev_exist: bool | None = None,
        no_value_on_success: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | Ack:
        """Write a file, creating parents; with conditions, compare and swap (CompareFailed, KeyNotFound, KeyExists).

        `ttl`: seconds or timedelta until it expires; None clears a TTL that the key had. Conditions: `prev_value` (not
        ""), `prev_index` (the node's modified index), `prev_exist`. Conditions keep the created index, a plain set
        makes a new one. `no_value_on_success` saves the answer's body and returns an Ack. Never sent twice unless
        `repeat_writes`: OutcomeUnknown when the answer was lost.
        """
        call = _keys.put(
            self._absolute(key),
            value,
            ttl=ttl,
            prev_value=prev_value,
            prev_index=prev_index,
            prev_exist=prev_exist,
            no_value_on_success=no_value_on_success,
        )
        return await self._write(call, no_value_on_success, repeat_writes, timeout)

    async def create(
        self,
        key: str,
        value: str,
        *,
        ttl: TTL | None = None,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Write a file that is not there yet. Raises KeyExists."""
        call = _keys.put(self._absolute(key), value, ttl=ttl, prev_exist=False)
        return await self._written(call, repeat_writes, timeout)

    async def update(
        self,
        key: str,
        value: str,
        *,
        ttl: TTL | None = None,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Write a file that is there, keeping its created index; without `ttl` its TTL is gone. Raises KeyNotFound."""
        call = _keys.put(self._absolute(key), value, ttl=ttl, prev_exist=True)
        return await self._written(call, repeat_writes, timeout)

    @overload
    async def create_in_order(
        self,
        key: str,
        value: str,
        *,
        no_value_on_success: Literal[True],
        ttl: TTL | None = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Ack: ...
    @overload
    async def create_in_order(
        self,
        key: str,
        value: str,
        *,
        no_value_on_success: Literal[False] = ...,
        ttl: TTL | None = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response: ...
    async def create_in_order(
        self,
        key: str,
        value: str,
        *,
        ttl: TTL | None = None,
        no_value_on_success: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | Ack:
        """Add a file below the directory `key`, named by its index so that names sort in creation order.

        The name is in `response.node.key`. `no_value_on_success` loses it.
        """
        call = _keys.create_in_order(self._absolute(key), value, ttl=ttl, no_value_on_success=no_value_on_success)
        return await self._write(call, no_value_on_success, repeat_writes, timeout)

    async def delete(
        self,
        key: str,
        *,
        prev_value: str | None = None,
        prev_index: int | None = None,
        recursive: bool = False,
        dir: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Delete a file; an empty directory with `dir`, a whole tree with `recursive`.

        With `prev_value` or `prev_index`: only if it still is so (files only). Raises KeyNotFound, CompareFailed,
        NotFile for a directory, DirNotEmpty.
        """
        call = _keys.delete(
            self._absolute(key), prev_value=prev_value, prev_index=prev_index, recursive=recursive, directory=dir
        )
        return await self._written(call, repeat_writes, timeout)

    async def refresh(
        self,
        key: str,
        ttl: TTL,
        *,
        prev_value: str | None = None,
        prev_index: int | None = None,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Give a file a new TTL, keeping its value and telling no watcher (etcd 2.3 and newer). Raises KeyNotFound.

        The modified index grows: take it from this response for a later prev_index.
        """
        if ttl is None:
            raise ValueError("refresh needs a ttl; persist() takes a TTL away")
        call = _keys.put(
            self._absolute(key),
            None,
            ttl=ttl,
            prev_value=prev_value,
            prev_index=prev_index,
            prev_exist=True,
            refresh=True,
        )
        return await self._written(call, repeat_writes, timeout)

    async def persist(self, key: str, *, timeout: TimeoutLike | Unset = UNSET) -> Response:
        """Take a file's TTL away, keeping its value: a read and a compare-and-swap, again when somebody was quicker.

        A key without TTL is left as it is; then the response is that of the read.
        """
        return await async_modify(
            self._dispatcher, self._absolute(key), lambda value, expires: value if expires else None, timeout
        )

    async def modify(
        self,
        key: str,
        change: Callable[[str], str | None],
        *,
        default: str | None = None,
        ttl: TTL | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Read the value, change it, write it if nobody else did meanwhile; else read again, until the time is over.

        `change` gets the value (`default` where the key is not there, if given) and returns the new one, or None to
        leave the key alone; it may be called several times. `ttl` is that of the new value, as in `set`.
        """
        _keys.ttl_seconds(ttl)
        if default is not None and not isinstance(default, str):
            raise TypeError(f"default {default!r}: must be a str, the value to change where the key is not there")
        full = self._absolute(key)
        return await async_modify(
            self._dispatcher, full, lambda value, _: change(value), timeout, ttl=ttl, default=default
        )

    async def make_dir(
        self,
        key: str,
        *,
        ttl: TTL | None = None,
        exist_ok: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Create a directory and its parents. Raises KeyExists for a file, and for a directory unless `exist_ok`.

        `ttl` holds for the whole tree below. With `exist_ok` an existing directory is returned as it is, with its TTL.
        """
        full = self._absolute(key)
        call = _keys.make_dir(full, ttl)
        try:
            return await self._written(call, repeat_writes, timeout)
        except KeyExists:
            if not exist_ok:
                raise
            found = await self.get(key, quorum=True, timeout=timeout)
            if found.node.dir:
                return found
            raise

    async def remove_dir(
        self,
        key: str,
        *,
        recursive: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Delete an empty directory, or a whole tree with `recursive`. Raises NotDir for a file, DirNotEmpty.

        The server itself would delete a file too, so it is looked at first: two requests.
        """
        full = self._absolute(key)
        found = await self.get(key, quorum=True, timeout=timeout)
        if not found.node.dir:
            raise NotDir("Not a directory", code=104, cause=found.node.key, index=found.index)
        call = _keys.delete(full, prev_value=None, prev_index=None, recursive=recursive, directory=not recursive)
        return await self._written(call, repeat_writes, timeout)

    async def exists(
        self,
        key: str,
        *,
        quorum: bool = False,
        consistency: Consistency | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> bool:
        """Whether there is a file or directory of that name."""
        return await self.get(key, default=None, quorum=quorum, consistency=consistency, timeout=timeout) is not None

    async def resolve(self, error: OutcomeUnknown, *, timeout: TimeoutLike | Unset = UNSET) -> Outcome:
        """Find out whether a write whose answer was lost has been applied. Reads only, up to 3 s; never guesses.

        For writes with a value that nobody else writes, nor this client with another write (a UUID, say): create,
        compare-and-swap, in order, set. Then "applied" is certain: the key had that value since the write was sent.
        "not applied" is certain as of `Outcome.index`: it is not among the key's changes since the client's last index
        before the write. It is `final` only for a write with `prev_index=`, once the key has gone on; else the lost
        write may still be applied, after a member that was paused or cut off comes back. A deletion that was applied
        does not show whose it was, and a refresh leaves no trace: "unknown". So is what the server has forgotten (it
        keeps 1,000 events of the whole store), and the first call that a client ever made, as it knew no index. A value
        that others write too (a counter's) is theirs as well: then "applied" may be somebody else's write.

        Raises TypeError, ValueError (not a write of a key), Unauthorized, and ClusterUnavailable: then ask again later.
        """
        return await async_resolve(self._dispatcher, error, timeout)

    def _read_rules(self, quorum: bool, consistency: Consistency | None) -> CallPolicy:
        if consistency is None:
            consistency = "quorum" if quorum else self._dispatcher.consistency
        else:
            check_consistency(consistency)
            if quorum and consistency != "quorum":
                raise ValueError(f"quorum=True and consistency={consistency!r} contradict each other")
        return READS[consistency]

    async def _write(
        self, call: KeysCall, acknowledge: bool, repeat: bool | None, timeout: TimeoutLike | Unset
    ) -> Response | Ack:
        answered = await self._dispatcher.perform(call, self._write_rules(repeat), timeout)
        return ack_from(answered.answer, answered.meta) if acknowledge else response_of(answered)

    async def _written(self, call: KeysCall, repeat: bool | None, timeout: TimeoutLike | Unset) -> Response:
        return response_of(await self._dispatcher.perform(call, self._write_rules(repeat), timeout))

    def _write_rules(self, repeat: bool | None) -> CallPolicy:
        return WRITES[self._dispatcher.repeat_writes if repeat is None else repeat]
