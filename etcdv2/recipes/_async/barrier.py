"""A barrier: a key that holds up whoever waits for it to go.

Owns how it is closed, opened and waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from random import Random
from typing import overload

from etcdv2 import AsyncClient, KeyExists, KeyNotFound
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import async_sleep
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import within
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.making import CREATE_SECONDS, async_make_lease
from etcdv2.recipes._async.removal import async_remove
from etcdv2.recipes._async.waiting import AsyncWait, WaitOver
from etcdv2.recipes._lease import AGAIN_SECONDS, TRY_SECONDS, LeaseTimes


class AsyncOpening(AsyncWait):
    """One wait until the key has gone."""

    def __init__(self, client: AsyncClient, key: str, until: float, rng: Random) -> None:
        super().__init__(client, key, until, rng)
        self._token: int | None = None

    async def run(self) -> None:
        """Raises WaitOver and AcquireCancelled, and what no other try can mend."""
        while True:
            try:
                limit = within(min(TRY_SECONDS[1], self._until - clock.now()))
                found = await self._client.keys.get(self._key, quorum=True, timeout=limit)
            except KeyNotFound:
                return
            except PASSING as error:
                self.check()
                await self.pause(error)
                continue

            # Another key than before: it was open in between.
            if self._token is not None and found.node.created_index != self._token:
                return
            self._token = found.node.created_index
            self.check()
            event = await self.change_of(self._key, found.index)
            if event is not None and event.deleted:
                return
            self.check()


class AsyncBarrier:
    """A key: while it is there the barrier is closed, and who waits goes on when it goes. Made by a session.

    Guarantees: `wait` returns True only when there was a moment without the key after it was called,
    and within a second of one when the cluster can be reached. Open it after you have closed it:
    nobody else does, unless it was closed with a TTL.
    """

    def __init__(self, keeping: AsyncKeeping, key: str, times_of: Callable[[int | timedelta], LeaseTimes]) -> None:
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
    async def close(self, *, ttl: int | timedelta) -> AsyncLease: ...

    @overload
    async def close(self, *, ttl: None = None) -> None: ...

    async def close(self, *, ttl: int | timedelta | None = None) -> AsyncLease | None:
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
            return await async_make_lease(keeping, self._key, value, self._times_of(ttl), None)

        until = clock.now() + CREATE_SECONDS
        while True:
            try:
                limit = within(min(TRY_SECONDS[1], until - clock.now()))
                await keeping.client.keys.create(self._key, value, repeat_writes=False, timeout=limit)
                return None
            except KeyExists:
                return None
            except PASSING:
                if clock.now() >= until:
                    raise
            await async_sleep(min(keeping.rng.uniform(*AGAIN_SECONDS), max(0.0, until - clock.now())))

    async def open(self) -> None:
        """Let all go on, whoever has closed it: who holds a lease of it loses that.

        Takes at most 20 s, then raises what the last try ended in.
        """
        self._keeping.check_open()
        until = clock.now() + CREATE_SECONDS
        await async_remove(self._keeping.client, self._key, self._keeping.rng, until)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is open: True then, False after `timeout` seconds; None for ever, 0 to look once.

        Failures of members are endured until then. Raises AcquireCancelled when the session is closed.
        """
        check_timeout(timeout)
        keeping = self._keeping
        keeping.check_open()
        if timeout == 0:
            return await keeping.client.keys.get(self._key, quorum=True, default=None) is None
        until = inf if timeout is None else clock.now() + timeout
        opening = AsyncOpening(keeping.client, self._key, until, keeping.rng)
        keeping.waits.add(opening)
        try:
            await opening.run()
        except WaitOver:
            return False
        return True
