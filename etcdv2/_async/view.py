"""The reading side of the keys API: reads, watches, mirrors, in all of the store or below a prefix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, overload

from etcdv2._async.directory import async_as_permitted
from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._async.mirror import AsyncMirror
from etcdv2._async.watch.feed import AsyncFeed
from etcdv2._async.watch.index_monitor import AsyncIndexMonitor
from etcdv2._async.watch.mirror_feed import AsyncMirrorFeed, AsyncMirrorWatcher
from etcdv2._async.watch.watcher import AsyncWatcher
from etcdv2._core import keys as key_calls
from etcdv2._core.call.policy import READS, CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline
from etcdv2._core.watch.cursor import Cursor
from etcdv2._runtime.primitives import async_gives_way
from etcdv2._types.api_errors import KeyNotFound
from etcdv2._types.results import Event, Response, Snapshot
from etcdv2._types.settings import UNSET, Consistency, TimeoutLike, Unset, check_consistency, check_seconds
from etcdv2_api.call import key_path

Default = TypeVar("Default")
F = TypeVar("F", bound=AsyncFeed)


@async_gives_way
class AsyncView:
    """What `AsyncKeysAPI` is built on."""

    def __init__(
        self, dispatcher: AsyncDispatcher, monitor: AsyncIndexMonitor, prefix: str = "", *, slash: bool = False
    ) -> None:
        self._dispatcher = dispatcher
        self._monitor = monitor
        self._prefix = prefix
        self._slash = slash
        """Whether the prefix was given with a slash behind it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._prefix or '/'}>"

    @property
    def prefix(self) -> str:
        """The directory that keys are relative to, "" for the whole store."""
        return self._prefix

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
        """Read a key, or a directory's children (all below with `recursive`).

        `sorted`: in key order. `quorum=True` reads through raft: never stale, one commit slower,
        and it needs a leader. `consistency` says the same with "quorum"; "session" refuses answers
        older than what this client has seen, "local" takes what the member has. None: what the
        client was made with.

        Hidden keys (a segment beginning with "_") are left out of listings by the server. Raises
        KeyNotFound, unless there is a `default` to return, and StaleRead with "session".
        """
        policy = self._read_policy(quorum, consistency)
        try:
            return await self._get(key, policy, timeout, recursive=recursive, sort=sorted)
        except KeyNotFound:
            if default is UNSET:
                raise
            return default

    async def exists(
        self,
        key: str,
        *,
        quorum: bool = False,
        consistency: Consistency | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> bool:
        """Whether there is a file or directory of that name. For the consistency see `get`."""
        return await self.get(key, default=None, quorum=quorum, consistency=consistency, timeout=timeout) is not None

    @overload
    def watch(
        self,
        key: str,
        *,
        recursive: bool = ...,
        after_index: int | None = ...,
        snapshots: Literal[False] = ...,
        patience: float | None = ...,
        buffer: int = ...,
    ) -> AsyncWatcher[Event]: ...
    @overload
    def watch(
        self,
        key: str,
        *,
        snapshots: Literal[True],
        recursive: bool = ...,
        patience: float | None = ...,
        buffer: int = ...,
    ) -> AsyncWatcher[Event | Snapshot]: ...
    def watch(
        self,
        key: str,
        *,
        recursive: bool = False,
        after_index: int | None = None,
        snapshots: bool = False,
        patience: float | None = None,
        buffer: int = 1000,
    ) -> AsyncWatcher[Any]:
        """The changes of a key, or of all below it with `recursive`, one by one and in order.

        `after_index`: None is "from now" (from entering `with`, or the first `next`), n is what
        came after index n, 0 the oldest that the server still has (1,000 events of the whole
        store). A deletion of a directory above comes as an event with `ancestor` set.

        `snapshots`: the first item is a Snapshot of the state, then come the events after it; where
        the server has lost events, or the cluster was replaced, the next item is another Snapshot,
        which without snapshots is a HistoryCleared or ClusterChanged.

        `patience`: seconds to endure a cluster that cannot be reached before ClusterUnavailable,
        from the first try on. None: the first try raises (a member that is being caught up is asked
        again for `timeout.total`), and a watch that has begun endures for ever. Once begun, it also
        endures refusals (a 401, a page of a proxy): four in a row end it, and with snapshots it is
        patience alone that ends. `buffer`: events read ahead while their user is busy.
        """
        if snapshots and after_index is not None:
            raise ValueError("after_index: a watch with snapshots begins with the state as it is; leave it out")

        wait_index = key_calls.wait_index_after(after_index)
        make = self._feeds(AsyncFeed, key, patience, buffer, recursive=recursive, wait_index=wait_index)
        return AsyncWatcher(self._absolute(key), partial(make, snapshots=snapshots))

    def mirror(self, key: str, *, patience: float | None = None, buffer: int = 1000) -> AsyncMirror:
        """A live local copy of a file, or of all below a directory: a mapping, begun by `with`.

        Its keys are absolute, also in a view. One watch with snapshots keeps it current; `patience`
        and `buffer` are those of `watch`.
        """
        return AsyncMirror(partial(self._watch_of_mirror, key, patience, buffer))

    def _watch_of_mirror(self, key: str, patience: float | None, buffer: int) -> AsyncMirrorWatcher:
        make = self._feeds(AsyncMirrorFeed, key, patience, buffer, recursive=True, wait_index=None)
        return AsyncMirrorWatcher(self._absolute(key), partial(make, snapshots=True))

    def _feeds(
        self,
        kind: type[F],
        key: str,
        patience: float | None,
        buffer: int,
        *,
        recursive: bool,
        wait_index: int | None,
    ) -> Callable[..., F]:
        """Makes feeds of a watch, given `snapshots`. Raises TypeError or ValueError for what cannot be watched."""
        check_seconds("patience", patience)
        key_calls.check_buffer(buffer)
        full = self._absolute(key)
        key_path(full)  # refuses now what the worker would send later
        spellings = self._spellings(key, recursive=True) if recursive else (full,)
        if self._caller == "guest":
            spellings = spellings[:1]

        return partial(self._feed, kind, spellings, recursive, wait_index, patience, buffer)

    def _feed(
        self,
        kind: type[F],
        spellings: tuple[str, ...],
        recursive: bool,
        wait_index: int | None,
        patience: float | None,
        buffer: int,
        *,
        snapshots: bool,
    ) -> F:
        cursor = Cursor(spellings[0], recursive=recursive, wait_index=wait_index)
        return kind(self._dispatcher, self._monitor, spellings, cursor, patience, buffer, snapshots=snapshots)

    def _absolute(self, key: str) -> str:
        return key_calls.absolute(key, self._prefix)

    async def _get(
        self, key: str, policy: CallPolicy, timeout: TimeoutLike | Unset, *, recursive: bool = False, sort: bool = False
    ) -> Response:
        # 1. What may be a file or a directory is asked for as it is written.
        full = self._absolute(key)
        if not recursive and not self._is_root(key):
            call = key_calls.get(full, recursive=False, sort=sort, quorum=policy.commit)
            return response_of(await self._dispatcher.perform(call, policy, timeout))

        # 2. What is read with all below, and a view's own directory.
        async def send(spelled: str, by: Deadline) -> Response:
            call = key_calls.get(spelled, recursive=recursive, sort=sort, quorum=policy.commit)
            return response_of(await self._dispatcher.perform(call, policy, timeout, by))

        spellings = self._spellings(key, recursive=recursive)
        if self._caller == "guest" and not self._is_root(key):
            spellings = spellings[:1]
        return await async_as_permitted(self._dispatcher, spellings, timeout, send)

    def _is_root(self, key: str) -> bool:
        """Whether it is the directory of the view itself, which cannot be written with its slash."""
        return not key and self._prefix != ""

    @property
    def _caller(self) -> key_calls.Caller:
        """Whom the server may take the client for."""
        if self._dispatcher.username is not None:
            return "user"
        return "certificate" if self._dispatcher.has_certificate else "guest"

    def _spellings(self, key: str, *, recursive: bool = False) -> tuple[str, ...]:
        """How the key of a directory may be sent, the best first."""
        slash = self._slash and self._is_root(key)
        return key_calls.spellings_of_directory(self._absolute(key), self._caller, slash=slash, recursive=recursive)

    def _read_policy(self, quorum: bool, consistency: Consistency | None) -> CallPolicy:
        if consistency is None:
            consistency = "quorum" if quorum else self._dispatcher.consistency
        else:
            check_consistency(consistency)
            if quorum and consistency != "quorum":
                raise ValueError(f"quorum=True and consistency={consistency!r} contradict each other")
        return READS[consistency]
