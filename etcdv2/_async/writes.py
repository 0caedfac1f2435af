"""Single writes of the keys API: one request each, unless it has to be settled what became of it."""

from __future__ import annotations

from typing import Literal, overload

from etcdv2._async.directory import async_as_permitted
from etcdv2._async.settle import async_write_settled
from etcdv2._async.view import AsyncView
from etcdv2._core import keys as key_calls
from etcdv2._core.answers import ack_from, ack_of
from etcdv2._core.call.policy import WRITES, CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline
from etcdv2._core.keys import TTL, KeysCall
from etcdv2._runtime.primitives import async_gives_way
from etcdv2._types.api_errors import KeyNotFound
from etcdv2._types.call_errors import OutcomeUnknown
from etcdv2._types.results import Ack, Response
from etcdv2._types.settings import UNSET, TimeoutLike, Unset


@async_gives_way
class AsyncWrites(AsyncView):
    """What `AsyncKeysAPI` is built on."""

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
        unique: bool = ...,
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
        unique: bool = ...,
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
        unique: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | Ack:
        """Write a file, creating parents; with conditions, compare and swap.

        `ttl`: seconds or timedelta until it expires; None clears a TTL that the key had.
        Conditions: `prev_value` (not ""), `prev_index` (the node's modified index), `prev_exist`.
        Conditions keep the created index, a plain set makes a new one. `no_value_on_success` saves
        the answer's body and returns an Ack. `unique`, with prev_index or prev_value or
        prev_exist=False: nobody else writes this value, so a lost answer is settled (see the class).

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
        if unique:
            self._check_unique(call, repeat_writes)
            # What became of it is read off its node.
            done = await async_write_settled(self._dispatcher, key_calls.with_nodes(call), timeout)
            return ack_of(done) if no_value_on_success else done
        return await self._write(call, no_value_on_success, repeat_writes, timeout)

    async def create(
        self,
        key: str,
        value: str,
        *,
        ttl: TTL | None = None,
        unique: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Write a file that is not there yet. Raises KeyExists.

        `unique`: nobody else writes this value, so a lost answer is settled (see the class):

            client.keys.create("/locks/db", f"{host} {uuid4()}", ttl=15, unique=True)
        """
        call = key_calls.put(self._absolute(key), value, ttl=ttl, prev_exist=False)
        if unique:
            self._check_unique(call, repeat_writes)
            return await async_write_settled(self._dispatcher, call, timeout)
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
        policy = self._write_policy(repeat_writes)

        async def send(spelled: str, by: Deadline) -> Response | Ack:
            call = key_calls.create_in_order(spelled, value, ttl=ttl, no_value_on_success=no_value_on_success)
            answered = await self._dispatcher.perform(call, policy, timeout, by)
            return ack_from(answered.answer, answered.meta) if no_value_on_success else response_of(answered)

        spellings = self._spellings(key)
        return await async_as_permitted(self._dispatcher, spellings, timeout, send)

    @overload
    async def delete(
        self,
        key: str,
        *,
        missing_ok: Literal[False] = ...,
        prev_value: str | None = ...,
        prev_index: int | None = ...,
        recursive: bool = ...,
        dir: bool = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response: ...
    @overload
    async def delete(
        self,
        key: str,
        *,
        missing_ok: bool,
        prev_value: str | None = ...,
        prev_index: int | None = ...,
        recursive: bool = ...,
        dir: bool = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response | None: ...
    async def delete(
        self,
        key: str,
        *,
        missing_ok: bool = False,
        prev_value: str | None = None,
        prev_index: int | None = None,
        recursive: bool = False,
        dir: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | None:
        """Delete a file; an empty directory with `dir`, a whole tree with `recursive`.

        With `prev_value` or `prev_index`: only if it still is so (files only). `missing_ok`: None
        instead of KeyNotFound, also where a repeated deletion finds nothing (`repeat_writes`).

        Raises KeyNotFound, CompareFailed, NotFile for a directory, DirNotEmpty.
        """
        policy = self._write_policy(repeat_writes)

        async def send(spelled: str, by: Deadline) -> Response:
            call = key_calls.delete(
                spelled, prev_value=prev_value, prev_index=prev_index, recursive=recursive, directory=dir
            )
            return response_of(await self._dispatcher.perform(call, policy, timeout, by))

        full = self._absolute(key)
        spellings = self._spellings(key, recursive=recursive) if recursive or dir else (full,)
        try:
            return await async_as_permitted(self._dispatcher, spellings, timeout, send)
        except KeyNotFound:
            if not missing_ok:
                raise
        except OutcomeUnknown as error:
            # It was sent again and found nothing: that it is gone is all that was asked.
            if not missing_ok or not isinstance(error.__cause__, KeyNotFound):
                raise
        return None

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

    async def _write(
        self, call: KeysCall, acknowledge: bool, repeat: bool | None, timeout: TimeoutLike | Unset
    ) -> Response | Ack:
        answered = await self._dispatcher.perform(call, self._write_policy(repeat), timeout)
        return ack_from(answered.answer, answered.meta) if acknowledge else response_of(answered)

    async def _written(self, call: KeysCall, repeat: bool | None, timeout: TimeoutLike | Unset) -> Response:
        return response_of(await self._dispatcher.perform(call, self._write_policy(repeat), timeout))

    def _write_policy(self, repeat: bool | None) -> CallPolicy:
        return WRITES[self._dispatcher.repeat_writes if repeat is None else repeat]

    def _check_unique(self, call: KeysCall, repeat: bool | None) -> None:
        key_calls.check_unique(call)
        if repeat:
            raise ValueError("unique=True and repeat_writes=True: give one; unique repeats only what was not applied")
