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

from etcdv2.recipes._async.contest import AsyncContest
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.waiting import AsyncWait
from etcdv2.recipes._lease import LeaseState
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
