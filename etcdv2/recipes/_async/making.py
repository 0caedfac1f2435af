"""The making of a key that is kept by a session: as a lease, or as a registration.

Owns what becomes of it when the making is interrupted. Its requests are those of `ephemeral`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from etcdv2._runtime import clock
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.registration import AsyncPresence, AsyncRegistration
from etcdv2.recipes._errors import LeaseLost
from etcdv2.recipes._lease import LeaseTimes

R = TypeVar("R")

CREATE_SECONDS = 20.0


async def async_make_lease(
    keeping: AsyncKeeping, key: str, value: str, times: LeaseTimes, timeout: float | None
) -> AsyncLease:
    """See `AsyncSession.create`."""

    def make(held: AsyncHeldKey) -> AsyncLease | AsyncHeldKey:
        keeping.plan(held, held)
        if not held.state.held(clock.now()):
            return held
        lease = AsyncLease(keeping, held)
        keeping.acquired(lease, held)
        return lease

    until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
    while True:
        made = await _make(keeping, key, value, times, timeout, make)
        if isinstance(made, AsyncLease):
            return made

        # It stood still for so long that the lease was over before it was known: again, when that key has gone.
        if not await made.delete(min(times.one_try, until - clock.now())) or clock.now() >= until:
            keeping.look_at(made)
            raise LeaseLost(key, made.token, made.state.reason)
        timeout = until - clock.now()


async def async_register(
    keeping: AsyncKeeping, key: str, value: str, times: LeaseTimes, timeout: float | None, *, takeover: bool
) -> AsyncRegistration:
    """See `AsyncSession.register`."""

    def make(held: AsyncHeldKey) -> AsyncRegistration:
        presence = AsyncPresence(keeping.client, held, times, keeping.rng, takeover)
        registration = AsyncRegistration(keeping, presence)
        keeping.plan(presence, held)
        keeping.leases.add(registration)
        if keeping.watch_own:
            presence.made = partial(keeping.watch, work=presence)
            presence.made(held)
        return registration

    return await _make(keeping, key, value, times, timeout, make, takeover=takeover)


async def _make(
    keeping: AsyncKeeping,
    key: str,
    value: str,
    times: LeaseTimes,
    timeout: float | None,
    make: Callable[[AsyncHeldKey], R],
    *,
    takeover: bool = False,
) -> R:
    """The key, and what `make` makes of it; on every other way out it is deleted."""
    keeping.check_open()
    check_timeout(timeout)
    creation = keeping.creation(key, value, times)
    try:
        until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
        held = await creation.create(until, keeping.check_open, takeover=takeover)
        return make(held)
    except BaseException:
        await keeping.give_up(creation)
        raise
