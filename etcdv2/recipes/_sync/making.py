# Derived from etcdv2/recipes/_async/making.py by scripts/unasync.py: change that file, make generate.
"""The making of a key that is kept by a session: as a lease, or as a registration.

Owns what becomes of it when the making is interrupted. Its requests are those of `ephemeral`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from etcdv2._runtime import clock
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._errors import LeaseLost
from etcdv2.recipes._lease import LeaseTimes
from etcdv2.recipes._sync.held_key import HeldKey
from etcdv2.recipes._sync.keeping import Keeping
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.registration import Presence, Registration

R = TypeVar("R")

CREATE_SECONDS = 20.0


def make_lease(keeping: Keeping, key: str, value: str, times: LeaseTimes, timeout: float | None) -> Lease:
    """See `Session.create`."""

    def make(held: HeldKey) -> Lease | HeldKey:
        keeping.plan(held, held)
        if not held.state.held(clock.now()):
            return held
        lease = Lease(keeping, held)
        keeping.acquired(lease, held)
        return lease

    until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
    while True:
        made = _make(keeping, key, value, times, timeout, make)
        if isinstance(made, Lease):
            return made

        # It stood still for so long that the lease was over before it was known: again, when that key has gone.
        if not made.delete(min(times.one_try, until - clock.now())) or clock.now() >= until:
            keeping.look_at(made)
            raise LeaseLost(key, made.token, made.state.reason)
        timeout = until - clock.now()


def register(
    keeping: Keeping, key: str, value: str, times: LeaseTimes, timeout: float | None, *, takeover: bool
) -> Registration:
    """See `Session.register`."""

    def make(held: HeldKey) -> Registration:
        presence = Presence(keeping.client, held, times, keeping.rng, takeover)
        registration = Registration(keeping, presence)
        keeping.plan(presence, held)
        keeping.leases.add(registration)
        if keeping.watch_own:
            presence.made = partial(keeping.watch, work=presence)
            presence.made(held)
        return registration

    return _make(keeping, key, value, times, timeout, make, takeover=takeover)


def _make(
    keeping: Keeping,
    key: str,
    value: str,
    times: LeaseTimes,
    timeout: float | None,
    make: Callable[[HeldKey], R],
    *,
    takeover: bool = False,
) -> R:
    """The key, and what `make` makes of it; on every other way out it is deleted."""
    keeping.check_open()
    check_timeout(timeout)
    creation = keeping.creation(key, value, times)
    try:
        until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
        held = creation.create(until, keeping.check_open, takeover=takeover)
        return make(held)
    except BaseException:
        keeping.give_up(creation)
        raise
