# Derived from etcdv2/recipes/_async/barrier.py by scripts/unasync.py: change that file, make generate.
"""A barrier: a key that holds up whoever waits for it to go.

Owns how it is closed, opened and waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from random import Random
from typing import overload

from etcdv2 import Client, KeyExists, KeyNotFound
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._lease import AGAIN_SECONDS, TRY_SECONDS, LeaseTimes
from etcdv2.recipes._sync.ephemeral import PASSING
from etcdv2.recipes._sync.held_key import within
from etcdv2.recipes._sync.keeping import Keeping
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.making import CREATE_SECONDS, make_lease
from etcdv2.recipes._sync.removal import remove
from etcdv2.recipes._sync.waiting import Wait, WaitOver


class Opening(Wait):
    """One wait until the key has gone."""

    def __init__(self, client: Client, key: str, until: float, rng: Random) -> None:
        super().__init__(client, key, until, rng)
        self._token: int | None = None

    def run(self) -> None:
        """Raises WaitOver and AcquireCancelled, and what no other try can mend."""
        while True:
            try:
                limit = within(min(TRY_SECONDS[1], self._until - clock.now()))
                found = self._client.keys.get(self._key, quorum=True, timeout=limit)
            except KeyNotFound:
                return
            except PASSING as error:
                self.check()
                self.pause(error)
                continue

            # Another key than before: it was open in between.
            if self._token is not None and found.node.created_index != self._token:
                return
            self._token = found.node.created_index
            self.check()
            event = self.change_of(self._key, found.index)
            if event is not None and event.deleted:
                return
            self.check()


class Barrier:
    """A key: while it is there the barrier is closed, and who waits goes on when it goes. Made by a session.

    Guarantees: `wait` returns True only when there was a moment without the key after it was called,
    and within a second of one when the cluster can be reached. Open it after you have closed it:
    nobody else does, unless it was closed with a TTL.
    """

    def __init__(self, keeping: Keeping, key: str, times_of: Callable[[int | timedelta], LeaseTimes]) -> None:
        self._keeping = keeping
        self._key = key
        self._times_of = times_of

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    @property
    def key(self) -> str:
        """Absolute."""
        return self._key

    @overload
    def close(self, *, ttl: int | timedelta) -> Lease: ...

    @overload
    def close(self, *, ttl: None = None) -> None: ...

    def close(self, *, ttl: int | timedelta | None = None) -> Lease | None:
        """Close it, also where it is closed already.

        With a `ttl`, seconds of at least 2, it opens with the end of the lease that is returned, at
        the latest that long after the death of this program; then KeyExists when it is closed
        already. Without one it stays until `open`, and None is returned: a close whose answer was
        lost may then be carried out after that, by a member that was paused.

        Takes at most 20 s, then raises what the last try ended in.
        """
        keeping = self._keeping
        keeping.check_open()
        value = f"{keeping.owner}-{keeping.rng.getrandbits(64):016x}"
        if ttl is not None:
            return make_lease(keeping, self._key, value, self._times_of(ttl), None)

        until = clock.now() + CREATE_SECONDS
        while True:
            try:
                limit = within(min(TRY_SECONDS[1], until - clock.now()))
                keeping.client.keys.create(self._key, value, repeat_writes=False, timeout=limit)
                return None
            except KeyExists:
                return None
            except PASSING:
                if clock.now() >= until:
                    raise
            sleep(min(keeping.rng.uniform(*AGAIN_SECONDS), max(0.0, until - clock.now())))

    def open(self) -> None:
        """Let all go on, whoever has closed it: who holds a lease of it loses that.

        Takes at most 20 s, then raises what the last try ended in.
        """
        self._keeping.check_open()
        until = clock.now() + CREATE_SECONDS
        remove(self._keeping.client, self._key, self._keeping.rng, until)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is open: True then, False after `timeout` seconds; None for ever, 0 to look once.

        Failures of members are endured until then. Raises AcquireCancelled when the session is closed.
        """
        check_timeout(timeout)
        keeping = self._keeping
        keeping.check_open()
        if timeout == 0:
            return keeping.client.keys.get(self._key, quorum=True, default=None) is None
        until = inf if timeout is None else clock.now() + timeout
        opening = Opening(keeping.client, self._key, until, keeping.rng)
        keeping.waits.add(opening)
        try:
            opening.run()
        except WaitOver:
            return False
        return True
