"""A session: what is made by it is renewed by it in the background, and ends with it.

Owns the ways to make things. What becomes of them is the affair of `keeping`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from etcdv2 import AsyncClient
from etcdv2._runtime import clock
from etcdv2.recipes._arguments import check_count, check_margin, check_owner, check_timeout, lease_ttl, recipe_key
from etcdv2.recipes._async.contest import Terms
from etcdv2.recipes._async.election import AsyncElection
from etcdv2.recipes._async.ephemeral import AsyncCreation
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.lock import AsyncLock, AsyncRWLock
from etcdv2.recipes._async.registration import AsyncPresence, AsyncRegistration
from etcdv2.recipes._contest import Kind
from etcdv2.recipes._lease import LeaseTimes

R = TypeVar("R")

CREATE_SECONDS = 20.0


class AsyncSession:
    """Leases that are renewed together, in the background, and end together.

    `ttl`: seconds (or a timedelta) after which a key of a program that died is gone; at least 2.
    `margin`: seconds by which the members' clocks may differ; by default a tenth of the TTL and at
    least 0.5. `owner`: how others see this program, by default its host's name and process id.

    A TTL under 2.5 times the cluster's election time (1 to 2 s by default) does not survive the
    death of a leader: while there is none, nothing can be renewed.

    `with`, `close` and the client's `close` delete the keys. Leases that are forgotten are released,
    with a ResourceWarning. A process that ends without all that leaves its keys to their TTL, and a
    forked child has none of them.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        ttl: int | timedelta = 15,
        margin: float | None = None,
        owner: str | None = None,
    ) -> None:
        self._client = client
        self._owner = check_owner(_default_owner() if owner is None else owner)
        self._times = LeaseTimes.of(lease_ttl(ttl), check_margin(margin, lease_ttl(ttl)))
        self._margin = margin
        self._keeping = AsyncKeeping(client, self._owner)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.owner} at {self.client!r}>"

    @property
    def client(self) -> AsyncClient:
        return self._client

    @property
    def owner(self) -> str:
        """How others see this program: a part of the names of its entries."""
        return self._owner

    @property
    def leases(self) -> tuple[AsyncLease, ...]:
        """Those that are held."""
        leases = self._keeping.leases.all()
        return tuple(lease for lease in leases if isinstance(lease, AsyncLease) and lease.held)

    async def create(
        self, key: str, value: str, *, ttl: int | timedelta | None = None, timeout: float | None = None
    ) -> AsyncLease:
        """An ephemeral key: there until the lease is released or lost.

        `value` should be one that no other program writes to this key (its host's name, say): where
        the answer of the create is lost, the key is taken for ours by it. Takes at most `timeout`
        seconds, by default 20. Raises KeyExists, and what a write raises when the time is over; then
        the session deletes the key if it comes after all.
        """

        def make(held: AsyncHeldKey) -> AsyncLease:
            lease = AsyncLease(self._keeping, held)
            self._keeping.plan(held, held)
            self._keeping.acquired(lease, held)
            return lease

        return await self._create(recipe_key(key), value, self._times_of(ttl), timeout, make)

    async def register(
        self,
        key: str,
        value: str,
        *,
        ttl: int | timedelta | None = None,
        takeover: bool = False,
        timeout: float | None = None,
    ) -> AsyncRegistration:
        """A key that is there for as long as the registration is open, made again after every outage.

        `takeover`: take the key from whoever has it, for example from this program's last run, whose
        key has not expired yet. Else KeyExists. The rest is as for `create`.
        """
        times = self._times_of(ttl)

        def make(held: AsyncHeldKey) -> AsyncRegistration:
            presence = AsyncPresence(self._client, held, times, self._keeping.rng, takeover)
            registration = AsyncRegistration(self._keeping, presence)
            self._keeping.plan(presence, held)
            return registration

        return await self._create(recipe_key(key), value, times, timeout, make, takeover=takeover)

    def lock(
        self, key: str, *, ttl: int | timedelta | None = None, owner: str | None = None, tidy: bool = False
    ) -> AsyncLock:
        """A lock: a directory in which each contender has an entry, served in the order of their coming.

        `ttl`, `owner`: other ones than the session's. `tidy`: remove the directory with the last entry.
        """
        return AsyncLock(self._keeping, self._terms(key, "lock", 1, ttl, owner, tidy))

    def rwlock(
        self, key: str, *, ttl: int | timedelta | None = None, owner: str | None = None, tidy: bool = False
    ) -> AsyncRWLock:
        """A lock with `.read`, held by any number together, and `.write`, held alone. In order: nobody starves."""
        return AsyncRWLock(
            AsyncLock(self._keeping, self._terms(key, "read", 1, ttl, owner, tidy)),
            AsyncLock(self._keeping, self._terms(key, "write", 1, ttl, owner, tidy)),
        )

    def semaphore(
        self, key: str, limit: int, *, ttl: int | timedelta | None = None, owner: str | None = None, tidy: bool = False
    ) -> AsyncLock:
        """A lock that `limit` leases hold at a time. All programs must name the same limit; its tokens do not fence."""
        return AsyncLock(self._keeping, self._terms(key, "semaphore", check_count("limit", limit), ttl, owner, tidy))

    def election(self, key: str, *, ttl: int | timedelta | None = None) -> AsyncElection:
        """An election: one key, with the leader's value in it."""
        return AsyncElection(self._keeping, recipe_key(key), self._times_of(ttl))

    async def close(self, *, release: bool = True) -> None:
        """End all leases and waits, for at most 2 s; keys that are not deleted by then expire.

        `release=False` only stops the renewal and lets all keys expire (the Go client's Orphan).
        Further calls raise ValueError.
        """
        await self._keeping.close(release=release)

    async def __aenter__(self) -> Self:
        self._keeping.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _create(
        self,
        key: str,
        value: str,
        times: LeaseTimes,
        timeout: float | None,
        make: Callable[[AsyncHeldKey], R],
        *,
        takeover: bool = False,
    ) -> R:
        """The key, and what `make` makes of it; on every other way out it is deleted."""
        self._keeping.check_open()
        check_timeout(timeout)
        creation = AsyncCreation(self.client, key, value, times, self._keeping.rng, self._keeping.tokens)
        held: AsyncHeldKey | None = None
        try:
            until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
            held = await creation.create(until, self._keeping.check_open, takeover=takeover)
            return make(held)
        except BaseException:
            if held is not None:
                held.end()
                self._keeping.look_at(held)
            elif creation.may_come:
                self._keeping.look_at(creation)
            raise

    def _times_of(self, ttl: int | timedelta | None) -> LeaseTimes:
        return self._times if ttl is None else LeaseTimes.of(lease_ttl(ttl), check_margin(self._margin, lease_ttl(ttl)))

    def _terms(
        self, key: str, kind: Kind, limit: int, ttl: int | timedelta | None, owner: str | None, tidy: bool
    ) -> Terms:
        name = self.owner if owner is None else check_owner(owner)
        return Terms(recipe_key(key), kind, limit, name, self._times_of(ttl), tidy)


def _default_owner() -> str:
    host = platform.node().replace("/", "-").lstrip("_") or "host"
    return f"{host}-{os.getpid()}"
