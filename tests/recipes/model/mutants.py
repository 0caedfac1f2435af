"""What a careless author would write: each of these must be found out.

Owns the mutations. Each is a context in which the recipes are wrong in one way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from math import inf
from typing import Any
from unittest.mock import patch

from etcdv2 import EtcdError, Node
from etcdv2.recipes import AsyncItem, AsyncLease, LeaseLost, _double_barrier
from etcdv2.recipes._async.contest import AsyncContest
from etcdv2.recipes._async.double_barrier import AsyncGathering
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.putting import AsyncPutting
from etcdv2.recipes._async.taking import AsyncTaking
from etcdv2.recipes._async.waiting import AsyncWait
from etcdv2.recipes._lease import LeaseState
from etcdv2.recipes._queue import items_of
from tests.recipes.model.store import ModelKeys, ModelWatcher

Mutant = Callable[[], AbstractContextManager[Any]]


def refresh_without_index() -> AbstractContextManager[Any]:
    """A late refresh then shortens the TTL that a newer one gave."""
    real = ModelKeys.refresh

    async def refresh(self: ModelKeys, key: str, ttl: int, *, prev_index: int, **rest: Any) -> Any:
        del prev_index
        return await real(self, key, ttl, **rest)

    return patch.object(ModelKeys, "refresh", refresh)


def deadline_from_the_answer() -> AbstractContextManager[Any]:
    """The answer may be as late as a try takes."""
    real = LeaseState.renewed

    def renewed(self: LeaseState, index: int, now: float) -> None:
        self._trying = now
        real(self, index, now)

    return patch.object(LeaseState, "renewed", renewed)


def no_deadline() -> AbstractContextManager[Any]:
    """Held until somebody says otherwise."""
    return patch.object(LeaseState, "deadline", property(lambda self: inf))


def loss_that_is_not_final() -> AbstractContextManager[Any]:
    """An answer after the deadline revives it."""
    real = LeaseState.renewed

    def renewed(self: LeaseState, index: int, now: float) -> None:
        self.ended, self.reason = "", ""
        real(self, index, min(now, self.deadline - 0.001))

    return patch.object(LeaseState, "renewed", renewed)


@contextlib.contextmanager
def watch_from_now() -> Iterator[None]:
    """What comes between the listing and the watch is missed."""

    def watch(self: ModelKeys, key: str, *, after_index: int, recursive: bool = False) -> ModelWatcher:
        del after_index
        return ModelWatcher(self._store, key, self._store.index, recursive)

    with patch.object(ModelKeys, "watch", watch):
        yield


def entry_left_behind() -> AbstractContextManager[Any]:
    """A wait that ends leaves its entry."""

    async def leave(self: AsyncContest) -> None:
        self._held = self._creation = None

    return patch.object(AsyncContest, "leave", leave)


def turn_without_a_look_at_the_lease() -> AbstractContextManager[Any]:
    """The own entry may have expired while its process slept."""
    return patch.object(AsyncContest, "_holds", lambda *_: True)


@contextlib.contextmanager
def late_creates_forgotten() -> Iterator[None]:
    """A create that was given up is carried out, and nobody deletes what it makes."""
    real = AsyncHeldKey.work

    async def work(self: AsyncHeldKey) -> float | None:
        self.ghosts = None
        return await real(self)

    with patch.object(AsyncHeldKey, "work", work):
        yield


def cancelled_waits_go_on() -> AbstractContextManager[Any]:
    """Its time is over, and nobody looks."""
    return patch.object(AsyncWait, "check", lambda self: None)


@contextlib.contextmanager
def no_look_at_the_created_index() -> Iterator[None]:
    """A key with our value is taken for ours."""
    real = AsyncHeldKey._settle

    async def settle(self: AsyncHeldKey) -> None:
        with contextlib.suppress(EtcdError):
            node = (await self._client.keys.get(self.key, quorum=True)).node
            self.token = node.created_index
        await real(self)

    with patch.object(AsyncHeldKey, "_settle", settle):
        yield


def claim_without_a_look_at_the_item() -> AbstractContextManager[Any]:
    """It is given as the mirror has it, where it may have been done since."""

    async def look_at(self: AsyncTaking, name: str, held: AsyncHeldKey, until: float) -> AsyncItem:
        del until
        node = self._copy.state().node(f"{items_of(self._key)}/{name}")
        assert node is not None
        lease = AsyncLease(self._keeping, held)
        self._keeping.acquired(lease, held)
        return AsyncItem(self._client, node.key, node.value or "", 0, node.modified_index, lease, self._rng)

    return patch.object(AsyncTaking, "_look_at", look_at)


def put_again_under_the_same_name() -> AbstractContextManager[Any]:
    """A put that was given up is carried out after its item was done."""

    async def unnamed(self: AsyncPutting) -> str:
        return await self.named(self._new_name())

    return patch.object(AsyncPutting, "unnamed", unnamed)


def claim_ended_before_the_item() -> AbstractContextManager[Any]:
    """In between another consumer gets what was done."""

    async def ack(self: AsyncItem) -> None:
        self._lease.check()
        await self._lease.release()
        with contextlib.suppress(LeaseLost):
            await self._delete()

    return patch.object(AsyncItem, "ack", ack)


def count_without_nonce() -> AbstractContextManager[Any]:
    """Another program's 42 is taken for ours."""
    return patch("etcdv2.recipes._async.counter.with_nonce", lambda number, _: str(number))


def ready_for_everybody() -> AbstractContextManager[Any]:
    """A late one lets those pass who came after its time."""
    real = _double_barrier.ready_of

    def ready_of(node: Node | None) -> _double_barrier.Ready | None:
        ready = real(node)
        return None if ready is None else _double_barrier.Ready(10**9, ready.index)

    return patch.object(_double_barrier, "ready_of", ready_of)


def entries_that_come_again() -> AbstractContextManager[Any]:
    """A late create of one who has left counts in the next round."""
    return patch.object(AsyncGathering, "_enter", AsyncContest._enter)


CAUGHT_IN_WORK: dict[str, tuple[str, Mutant]] = {
    mutant.__name__: (course, mutant)
    for course, mutant in (
        ("queue", claim_without_a_look_at_the_item),
        ("queue", put_again_under_the_same_name),
        ("queue", claim_ended_before_the_item),
        ("counter", count_without_nonce),
        ("barrier", ready_for_everybody),
        ("barrier", entries_that_come_again),
    )
}
CAUGHT_BY_RUNS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        refresh_without_index,
        deadline_from_the_answer,
        no_deadline,
        loss_that_is_not_final,
        watch_from_now,
        entry_left_behind,
        turn_without_a_look_at_the_lease,
    )
}
