"""One wait for something to change: until it does, its time is over, or it is ended from outside.

Owns how a wait is ended. What is waited for is the affair of `contest` and `election`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from math import inf
from random import Random

from etcdv2 import AsyncClient, Event, HistoryCleared
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import AsyncPulse, async_sleep
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._errors import AcquireCancelled
from etcdv2.recipes._lease import AGAIN_SECONDS

logger = logging.getLogger("etcdv2")


class WaitOver(Exception):
    """The time of a wait is over. Internal: users get an error that says for what they waited."""


class AsyncWait:
    """A wait that others can end."""

    def __init__(self, client: AsyncClient, key: str, until: float, rng: Random) -> None:
        self._client = client
        self._key = key
        self._until = until
        self._rng = rng
        self._stopped = ""
        self._wake: Callable[[], Awaitable[None]] | None = None
        """Ends what it sleeps on."""
        self.failure: Exception | None = None
        """The last one that another try may mend."""

    async def stop(self, reason: str) -> None:
        """End it: from any thread, once is enough."""
        self._stopped = self._stopped or reason
        wake = self._wake
        if wake is not None:
            await wake()

    def check_open(self) -> None:
        """Raises AcquireCancelled when it was ended from outside."""
        if self._stopped:
            raise AcquireCancelled(self._key, self._stopped)

    def check(self) -> None:
        """Raises AcquireCancelled when it was ended from outside, WaitOver when its time is over."""
        self.check_open()
        if clock.now() >= self._until:
            raise WaitOver

    async def pause(self, failure: Exception) -> None:
        """Before another try."""
        self.failure = failure
        await async_sleep(max(0.0, min(self._rng.uniform(*AGAIN_SECONDS), self._until - clock.now())))

    async def change_of(
        self, key: str, after: int, *, recursive: bool = False, held: AsyncHeldKey | None = None
    ) -> Event | None:
        """The first change of a key after this index.

        None where it has to be looked at again: the server has forgotten what came between or cannot
        be reached, the time is over, the wait was ended, or the entry `held` was lost meanwhile.
        """
        watcher = self._client.keys.watch(key, after_index=after, recursive=recursive)
        try:
            # 1. Whoever ends it either finds the watcher here, or is seen now.
            if not self._sleeps_until(watcher.close, held):
                return None

            # 2. The watch itself goes on through failures of members.
            return await watcher.next(self._left())

        except HistoryCleared:
            logger.info("the server has forgotten what came after index %d; %s is listed again", after, self._key)
        except PASSING as error:
            await self.pause(error)
        except ValueError:
            if not watcher.closed or not (self._stopped or (held is not None and held.state.ended)):
                raise
        finally:
            self._sleeps_no_more(watcher.close, held)
            await watcher.close()
        return None

    async def sleep_on(self, pulse: AsyncPulse, held: AsyncHeldKey | None = None) -> None:
        """Until it is set, the time is over, the wait was ended, or the entry `held` was lost."""

        async def wake() -> None:
            pulse.set()

        try:
            if self._sleeps_until(wake, held):
                await pulse.wait(self._left())
        finally:
            self._sleeps_no_more(wake, held)

    def _sleeps_until(self, wake: Callable[[], Awaitable[None]], held: AsyncHeldKey | None) -> bool:
        """False when it need not sleep. Whoever ends it either finds `wake`, or is seen now."""
        self._wake = wake
        if held is not None:
            held.wakers.append(wake)
        return not self._stopped and (held is None or held.state.held(clock.now()))

    def _sleeps_no_more(self, wake: Callable[[], Awaitable[None]], held: AsyncHeldKey | None) -> None:
        self._wake = None
        if held is not None and wake in held.wakers:
            held.wakers.remove(wake)

    def _left(self) -> float | None:
        """Seconds; None for as long as it takes."""
        return None if self._until == inf else max(0.0, self._until - clock.now())
