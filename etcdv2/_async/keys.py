"""The keys API, for all of the store or below a prefix.

Owns the writes and what is made of them. Reads, watches and mirrors are in `view`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from etcdv2._async.make_dir import async_make_dir
from etcdv2._async.modify import async_modify
from etcdv2._async.resolve import async_resolve
from etcdv2._async.view import AsyncView
from etcdv2._core import keys as key_calls
from etcdv2._core.answers import ack_from
from etcdv2._core.call.policy import WRITES, CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.keys import TTL, KeysCall
from etcdv2._types.api_errors import NotDir
from etcdv2._types.call_errors import OutcomeUnknown
from etcdv2._types.results import Ack, Outcome, Response
from etcdv2._types.settings import UNSET, TimeoutLike, Unset


class AsyncKeysAPI(AsyncView):
    """`client.keys`, or a view below a prefix made by `at`.

    Every call takes `timeout=` (seconds in total, a `Timeout`, or None) and raises the errors of
    `etcdv2.EtcdError`; ValueError and TypeError are raised before anything is sent. Keys: a leading
    slash is optional, in a view forbidden.

    `repeat_writes=`: False sends a write at most once, and raises OutcomeUnknown when its answer
    was lost; True sends it again then, so that it may be applied twice; None is what the client was
    made with.
    """

    def at(self, prefix: str) -> AsyncKeysAPI:
        """A view below `prefix`. Its keys are relative, "" is the directory itself.

        Nodes carry absolute keys. Raises ValueError for the root and for what would leave this
        view.
        """
        return AsyncKeysAPI(self._dispatcher, self._monitor, key_calls.view_prefix(prefix, self._prefix))

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
        """Write a file, creating parents; with conditions, compare and swap.

        `ttl`: seconds or timedelta until it expires; None clears a TTL that the key had.
        Conditions: `prev_value` (not ""), `prev_index` (the node's modified index), `prev_exist`.
        Conditions keep the created index, a plain set makes a new one. `no_value_on_success` saves
        the answer's body and returns an Ack.

        Raises CompareFailed, KeyNotFound or KeyExists where a condition does not hold, and NotFile
        for a directory.
        """
        call = key_calls.put(
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
        call = key_calls.put(self._absolute(key), value, ttl=ttl, prev_exist=False)
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
        """Write a file that is there, keeping its created index. Raises KeyNotFound.

        Without `ttl` its TTL is cleared.
        """
        call = key_calls.put(self._absolute(key), value, ttl=ttl, prev_exist=True)
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
        """Add a file below the directory `key`, named by its index: names sort in creation order.

        The name is in `response.node.key`. `no_value_on_success` loses it.
        """
        call = key_calls.create_in_order(self._absolute(key), value, ttl=ttl, no_value_on_success=no_value_on_success)
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

        With `prev_value` or `prev_index`: only if it still is so (files only). Raises KeyNotFound,
        CompareFailed, NotFile for a directory, DirNotEmpty.
        """
        call = key_calls.delete(
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
        """Give a file a new TTL, keeping its value and notifying no watcher (etcd 2.3 and newer).

        The modified index grows: take it from this response for a later prev_index. Raises
        KeyNotFound.
        """
        if ttl is None:
            raise ValueError("refresh needs a ttl; persist() takes a TTL away")
        call = key_calls.put(
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
        """Take a file's TTL away and keep its value, by a read and a compare-and-swap.

        Again when that lost a race. A key without TTL is left as it is; then the response is that
        of the read. Raises KeyNotFound, NotFile, and DeadlineExceeded when every race was lost
        until the total time was over.
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
        """Read the value, change it, and write it if nobody else did meanwhile; else read again.

        `change` gets the value (`default` where the key is not there, if given) and returns the new
        one, or None to leave the key alone; it may be called several times. `ttl` is that of the
        new value, as in `set`.

        Goes on until it succeeds or the total time is over. Raises KeyNotFound without a `default`,
        NotFile, and DeadlineExceeded, which says how often the compare-and-swap race was lost.
        """
        key_calls.ttl_seconds(ttl)
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
        """Create a directory and its parents. Raises KeyExists when something is there.

        `ttl` (seconds or timedelta) holds for the whole tree below. With `exist_ok` an existing
        directory is returned as it is, with its TTL; a file still raises. Then a lost answer does no
        harm: what is there is read, and where nothing is, the directory is created again, within
        the total time.
        """
        full = self._absolute(key)
        if exist_ok:
            return await async_make_dir(self._dispatcher, full, ttl, self._write_policy(repeat_writes), timeout)
        return await self._written(key_calls.make_dir(full, ttl), repeat_writes, timeout)

    async def remove_dir(
        self,
        key: str,
        *,
        recursive: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Delete an empty directory, or a whole tree with `recursive`. Raises NotDir, DirNotEmpty.

        Two requests, a read first: the server itself would delete a file too.
        """
        full = self._absolute(key)
        found = await self.get(key, quorum=True, timeout=timeout)
        if not found.node.dir:
            raise NotDir("Not a directory", code=104, cause=found.node.key, index=found.index)

        call = key_calls.delete(full, prev_value=None, prev_index=None, recursive=recursive, directory=not recursive)
        return await self._written(call, repeat_writes, timeout)

    async def resolve(self, error: OutcomeUnknown, *, timeout: TimeoutLike | Unset = UNSET) -> Outcome:
        """Find out whether a write whose answer was lost has been applied; never guesses.

        Reads only, up to 3 s. For writes with a value that nobody else writes, nor this client with
        another write (a UUID, say): create, compare-and-swap, in order, set. Then "applied" is
        certain: the key had that value since the write was sent.

        "not applied" is certain as of `Outcome.index`: it is not among the key's changes since the
        client's last index before the write. It is `final` only for a write with `prev_index=`,
        once the key has gone on; else the lost write may still be applied, after a member that was
        paused or cut off comes back, or when it still lies with a proxy (this machine's kernel keeps
        nothing of it, unless `transport=` is one of your own).

        "unknown" is a deletion that was applied (it does not show whose it was), a refresh (it
        leaves no trace), what the server has forgotten (it keeps 1,000 events of the whole store),
        and the first call that a client ever made, as it knew no index. A value that others write
        too (a counter's) is theirs as well: then "applied" may be somebody else's write.

        Raises TypeError, ValueError (not a write of a key), Unauthorized, and ClusterUnavailable:
        then ask again later.
        """
        return await async_resolve(self._dispatcher, error, timeout)

    async def _write(
        self, call: KeysCall, acknowledge: bool, repeat: bool | None, timeout: TimeoutLike | Unset
    ) -> Response | Ack:
        answered = await self._dispatcher.perform(call, self._write_policy(repeat), timeout)
        return ack_from(answered.answer, answered.meta) if acknowledge else response_of(answered)

    async def _written(self, call: KeysCall, repeat: bool | None, timeout: TimeoutLike | Unset) -> Response:
        return response_of(await self._dispatcher.perform(call, self._write_policy(repeat), timeout))

    def _write_policy(self, repeat: bool | None) -> CallPolicy:
        return WRITES[self._dispatcher.repeat_writes if repeat is None else repeat]
