"""A session: what is made by it is renewed by it in the background, and ends with it.

Owns the ways to make things. What becomes of them is the affair of `keeping`.
"""

from __future__ import annotations

import os
import platform
from datetime import timedelta
from types import TracebackType
from typing import Self

from etcdv2 import AsyncClient
from etcdv2.recipes._arguments import check_count, check_int, check_margin, check_owner, lease_ttl, recipe_key
from etcdv2.recipes._async.barrier import AsyncBarrier
from etcdv2.recipes._async.contest import Terms
from etcdv2.recipes._async.counter import AsyncCounter
from etcdv2.recipes._async.double_barrier import AsyncDoubleBarrier
from etcdv2.recipes._async.election import AsyncElection
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.lock import AsyncLock, AsyncRWLock
from etcdv2.recipes._async.making import async_make_lease, async_register
from etcdv2.recipes._async.party import AsyncParty
from etcdv2.recipes._async.queue import AsyncQueue
from etcdv2.recipes._async.registration import AsyncRegistration
from etcdv2.recipes._contest import Kind
from etcdv2.recipes._lease import LeaseTimes


class AsyncSession:
    """Leases that are renewed together, in the background, and end together.

    `ttl`: seconds (or a timedelta) after which a key of a program that died is gone; at least 2.
    `margin`: seconds by which the members' clocks may differ; by default a tenth of the TTL and at
    least 0.5. `owner`: how others see this program, by default its host's name and process id.

    `watch_own`: watch the key of each lease and registration besides, so that what an operator takes
    away is noticed at once, and not at the next renewal, within a third of the TTL. That is one watch for each
    (in a sync session with two threads).

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
        watch_own: bool = False,
    ) -> None:
        self._client = client
        self._owner = check_owner(_default_owner() if owner is None else owner)
        self._times = LeaseTimes.of(lease_ttl(ttl), check_margin(margin, lease_ttl(ttl)))
        self._margin = margin
        self._keeping = AsyncKeeping(client, self._owner, watch_own=watch_own)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.owner} at {self.client!r}>"

    @property
    def client(self) -> AsyncClient:
        """What it was made with. The client's `close` closes the session as well."""
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
        seconds, by default 20. Raises KeyExists, and what a write raises when the time is over; LeaseLost
        where this program stood still for so long that the lease was over before it was known, and the
        time as well. Then the session deletes the key if it comes after all.
        """

        return await async_make_lease(self._keeping, recipe_key(key), value, self._times_of(ttl), timeout)

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
        return await async_register(
            self._keeping, recipe_key(key), value, self._times_of(ttl), timeout, takeover=takeover
        )

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

    def party(self, key: str, *, ttl: int | timedelta | None = None) -> AsyncParty:
        """A directory in which each member has a key, and who is in it at the moment."""
        return AsyncParty(self._keeping, recipe_key(key), self._times_of(ttl))

    def queue(self, key: str, *, ttl: int | timedelta = 30) -> AsyncQueue:
        """A queue of items that are given to one consumer at a time. `ttl`: of a claim."""
        return AsyncQueue(self._keeping, recipe_key(key), self._times_of(ttl))

    def barrier(self, key: str) -> AsyncBarrier:
        """A key that holds up whoever waits for it to go."""
        return AsyncBarrier(self._keeping, recipe_key(key), self._times_of)

    def double_barrier(self, key: str, count: int, *, ttl: int | timedelta | None = None) -> AsyncDoubleBarrier:
        """For `count` participants who begin together, and end together. All programs must name the same count."""
        return AsyncDoubleBarrier(self._keeping, recipe_key(key), check_count("count", count), self._times_of(ttl))

    def counter(self, key: str, *, default: int = 0) -> AsyncCounter:
        """A number that is added to, each time exactly once. `default`: where there is no key yet."""
        return AsyncCounter(self._keeping, recipe_key(key), check_int("default", default))

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
