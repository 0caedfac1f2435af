"""Clients that break a promise, each in one way: stand-ins for a keys API, to show that the checks can fail.

Where one takes `sound`, that is the keys API of a client which no fault hits. The kind of complaint that each must get:

- lost: TakesLostForDone, ModifiesWithoutComparing, WatchFromNow, WatchSilently, MirrorStandsStill, MirrorMissesAChange,
  ForgetsConfigured, NeverLooksAgain
- doubled: RepeatsLostWrites, TakesLostForRefused, WatchTwice
- stale: ReadsLocally, RemembersValues, MirrorGoesBack; a client with `repeat_writes` on a register
- late: IgnoresTheDeadline
- unfounded: CallsRefusedUnknown
- strange: LeaksForeignErrors, WatchOutOfOrder, MirrorInvents, MirrorNeverSynced
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import etcdv2
from etcdv2_api import operations


class StandIn:
    """The keys API that it was given; the heirs change a little of it."""

    def __init__(self, keys: Any, sound: Any = None) -> None:
        self._keys, self._sound = keys, sound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)


class RepeatsLostWrites(StandIn):
    """Sends a write again when its answer was lost, and gives the outcome of the second one."""

    def _twice(self, method: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._keys, method)(*arguments, **options)
        except etcdv2.OutcomeUnknown:
            return getattr(self._sound, method)(*arguments, **options)

    def modify(self, *arguments: Any, **options: Any) -> Any:
        return self._twice("modify", *arguments, **options)

    def create(self, *arguments: Any, **options: Any) -> Any:
        return self._twice("create", *arguments, **options)

    def create_in_order(self, *arguments: Any, **options: Any) -> Any:
        return self._twice("create_in_order", *arguments, **options)


class SettlesByRepeating(StandIn):
    """What `unique=True` must not be."""

    def _again(self, method: str, *arguments: Any, **options: Any) -> Any:
        del options["unique"]
        write = getattr(self._keys, method)
        try:
            return write(*arguments, **{**options, "timeout": 2})
        except etcdv2.OutcomeUnknown:
            return getattr(self._sound, method)(*arguments, **options)

    def modify(self, *arguments: Any, **options: Any) -> Any:
        return self._again("modify", *arguments, **options)

    def create(self, *arguments: Any, **options: Any) -> Any:
        return self._again("create", *arguments, **options)


class TakesLostForDone(StandIn):
    """Says "written" when the answer was lost."""

    def create(self, key: str, value: str) -> Any:
        try:
            return self._keys.create(key, value)
        except etcdv2.OutcomeUnknown:
            return SimpleNamespace(node=SimpleNamespace(key=key, value=value))

    def create_in_order(self, key: str, value: str) -> Any:
        try:
            return self._keys.create_in_order(key, value)
        except etcdv2.OutcomeUnknown:
            return SimpleNamespace(node=SimpleNamespace(key=f"{key}/1", value=value))

    def modify(self, key: str, change: Any, default: str) -> Any:
        try:
            return self._keys.modify(key, change, default=default)
        except etcdv2.OutcomeUnknown:
            return SimpleNamespace(value=change(self._sound.get(key, default=SimpleNamespace(value="0")).value))


class TakesLostForRefused(StandIn):
    """Says "nothing was done" when the answer was lost."""

    def _refusing(self, method: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._keys, method)(*arguments, **options)
        except etcdv2.OutcomeUnknown as error:
            raise etcdv2.ClusterUnavailable("no answer") from error

    def modify(self, *arguments: Any, **options: Any) -> Any:
        return self._refusing("modify", *arguments, **options)

    def create(self, *arguments: Any, **options: Any) -> Any:
        return self._refusing("create", *arguments, **options)

    def create_in_order(self, *arguments: Any, **options: Any) -> Any:
        return self._refusing("create_in_order", *arguments, **options)

    def set(self, *arguments: Any, **options: Any) -> Any:
        return self._refusing("set", *arguments, **options)


class ModifiesWithoutComparing(StandIn):
    """A read and a plain write, with a moment between them."""

    def modify(self, key: str, change: Any, default: str) -> Any:
        node = self._keys.get(key, quorum=True, default=SimpleNamespace(value=default))
        time.sleep(0.02)
        return self._keys.set(key, change(node.value))


class CallsRefusedUnknown(StandIn):
    """Says "perhaps written" when nobody could be asked."""

    def modify(self, *arguments: Any, **options: Any) -> Any:
        try:
            return self._keys.modify(*arguments, **options)
        except etcdv2.ClusterUnavailable as error:
            raise etcdv2.OutcomeUnknown(operations.put_key(arguments[0]), "", str(error)) from error


class ReadsLocally(StandIn):
    """Takes what the asked member has, whatever was wished."""

    def get(self, key: str, **options: Any) -> Any:
        return self._keys.get(key)


class RemembersValues(StandIn):
    """Shows the first value of a key for ever, with the index of the current one."""

    def __init__(self, keys: Any, sound: Any = None) -> None:
        super().__init__(keys, sound)
        self._values: dict[str, str] = {}

    def get(self, key: str, **options: Any) -> Any:
        node = self._keys.get(key, **options).node
        return SimpleNamespace(
            node=SimpleNamespace(value=self._values.setdefault(key, node.value), modified_index=node.modified_index)
        )


class IgnoresTheDeadline(StandIn):
    def get(self, key: str, **options: Any) -> Any:
        return self._keys.get(key, **(options | {"timeout": etcdv2.Timeout(attempt=10.0, total=12.0)}))


class LeaksForeignErrors(StandIn):
    def get(self, key: str, **options: Any) -> Any:
        raise ConnectionResetError("connection reset by peer")


class WatchFromNow:
    """Registers again after each event, "from now"; that takes a moment."""

    def __init__(self, keys: Any, directory: str, after: int) -> None:
        self._keys, self._dir = keys, directory
        self._first: Any = keys.watch(directory, recursive=True, after_index=after)

    def next(self, timeout: float) -> Any:
        first, self._first = self._first, None
        time.sleep(0.0 if first else 0.02)
        with first or self._keys.watch(self._dir, recursive=True) as watcher:
            return watcher.next(timeout=timeout)

    def close(self) -> None:
        """Nothing is open between two calls."""


class WatchTwice:
    """Begins one event too early when it resumes, which it does all the time."""

    def __init__(self, keys: Any, directory: str, after: int) -> None:
        self._watcher = keys.watch(directory, recursive=True, after_index=after)
        self._last: Any = None

    def next(self, timeout: float) -> Any:
        if self._last is not None:
            last, self._last = self._last, None
            return last
        self._last = self._watcher.next(timeout=timeout)
        return self._last

    def close(self) -> None:
        self._watcher.close()


class WatchOutOfOrder:
    """Hands events on in pairs, the later one first."""

    def __init__(self, keys: Any, directory: str, after: int) -> None:
        self._watcher = keys.watch(directory, recursive=True, after_index=after)
        self._held: list[Any] = []

    def next(self, timeout: float) -> Any:
        if self._held:
            return self._held.pop()
        first = self._watcher.next(timeout=timeout)
        second = None if first is None else self._watcher.next(timeout=0.1)
        if second is None:
            return first
        self._held.append(first)
        return second

    def close(self) -> None:
        self._watcher.close()


class WatchSilently:
    """When the server has forgotten what came next, it goes on from now and says nothing."""

    def __init__(self, keys: Any, directory: str, after: int) -> None:
        self._keys, self._dir = keys, directory
        self._watcher = keys.watch(directory, recursive=True, after_index=after)

    def next(self, timeout: float) -> Any:
        try:
            return self._watcher.next(timeout=timeout)
        except etcdv2.HistoryCleared:
            self._watcher.close()
            self._watcher = self._keys.watch(self._dir, recursive=True)
            return self._watcher.next(timeout=timeout)

    def close(self) -> None:
        self._watcher.close()


class MirrorStandsStill:
    """Shows its first state for ever."""

    def __init__(self, keys: Any, directory: str) -> None:
        self._mirror = keys.mirror(directory)
        self.state: Any = None
        self.synced = True

    def __enter__(self) -> None:
        self.state = self._mirror.__enter__().state

    def wait_for(self, predicate: Any, timeout: float) -> bool:
        return bool(self._mirror.wait_for(lambda _: False, timeout=timeout))

    def close(self) -> None:
        self._mirror.close()


class MirrorMissesAChange(MirrorStandsStill):
    """Goes on, but has one file as it was at first."""

    def wait_for(self, predicate: Any, timeout: float) -> bool:
        first, ended = self.state, self._mirror.wait_for(predicate, timeout=timeout)
        now = self._mirror.state
        self.state = Frozen({**now, **{key: node for key, node in first.items() if key in now}})
        self.state.index = now.index
        return bool(ended)


class MirrorGoesBack(MirrorStandsStill):
    """Shows its first state again after each later one."""

    first: Any = None

    def wait_for(self, predicate: Any, timeout: float) -> bool:
        self.first = self.first or self.state
        ended = self._mirror.wait_for(predicate, timeout=min(timeout, 0.05))
        self.state = self._mirror.state if ended or self.state is self.first else self.first
        return bool(ended)


class MirrorNeverSynced(MirrorStandsStill):
    """Shows all, and says for ever that it may be behind."""

    def wait_for(self, predicate: Any, timeout: float) -> bool:
        self.synced, ended = False, self._mirror.wait_for(predicate, timeout=timeout)
        self.state = self._mirror.state
        return bool(ended)


class MirrorInvents(MirrorStandsStill):
    """Shows a file that nobody wrote."""

    def wait_for(self, predicate: Any, timeout: float) -> bool:
        ended, now = self._mirror.wait_for(predicate, timeout=timeout), self._mirror.state
        self.state = Frozen({**now, "/chaos/ghost": SimpleNamespace(modified_index=1, value="boo")})
        self.state.index = now.index
        return bool(ended)


class NeverLooksAgain:
    """A client whose `sync` finds nothing."""

    def __init__(self, client: etcdv2.Client) -> None:
        self.keys, self._client = client.keys, client

    def sync(self) -> tuple[str, ...]:
        return self._client.endpoints


class ForgetsConfigured(NeverLooksAgain):
    """A client whose `sync` drops the configured endpoints that the members do not advertise."""

    def sync(self) -> tuple[str, ...]:
        found = self._client.sync()
        advertised = {url for member in self._client.members.list() for url in member.client_urls}
        return tuple(url for url in found if url in advertised)


class Frozen(dict[str, Any]):
    """A state with an index."""

    index = 0
