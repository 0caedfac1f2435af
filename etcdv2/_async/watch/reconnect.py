"""How a watch endures a cluster that cannot be reached: again and again with pauses, for `patience` seconds.

Owns what is endured, and how the watches of one client take turns: while nobody answers, one of them tries at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from etcdv2._core.deadline import Deadline, backoff
from etcdv2._runtime.primitives import AsyncPulse
from etcdv2._types.api_errors import EtcdError, HistoryCleared
from etcdv2._types.call_errors import ClusterChanged, ClusterUnavailable, StaleRead, UnexpectedAnswer

logger = logging.getLogger("etcdv2")
R = TypeVar("R")

FIRST_BACKOFF_SECONDS = 0.2
"""The pause after a first failure, doubled by each further one; half of it is jitter."""
LONGEST_BACKOFF_SECONDS = 5.0
MOST_BEGINNINGS = 8
"""Attempts in a row to begin a watch whose user waits."""
BEGIN_AGAIN_SECONDS = 0.02
MOST_REFUSALS = 4
"""Refusals in a row (401, a page of a proxy) that end a watch; one that can read the state again goes on asking."""


class AsyncOutage:
    """One per client. Each watch tries once by itself; when that has failed they take turns, until one is answered.

    Else each one would try as often as it would alone, all the time that the cluster is away.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        """The garbage collector may end a watch in the midst of these steps, by the thread that carries them out."""
        self._waiting: dict[AsyncReconnect, None] = {}
        self._trying: AsyncReconnect | None = None
        self._failures = 0
        """Tries in a row that nobody has answered; 0 when there is no outage."""
        self._next_at = -inf

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._failures} failures, {len(self._waiting)} waiting>"

    async def turn(self, watch: AsyncReconnect, deadline: Deadline) -> None:
        """Wait until this watch may try, has ended, or has no more patience."""
        while True:
            with self._lock:
                self._waiting.pop(watch, None)
                now = time.monotonic()
                if not self._failures or watch.closed or now >= deadline:
                    return
                if self._trying is None and now >= self._next_at:
                    self._trying = watch
                    return

                self._waiting[watch] = None
                pause = None if self._trying is not None else self._next_at - now
            await watch.wait(deadline.cut(pause, now))

    def failed(self, watch: AsyncReconnect) -> None:
        """Its try was not answered by anybody. Only one of those that tried together makes the pause longer."""
        with self._lock:
            now = time.monotonic()
            if now >= self._next_at or self._trying is watch:
                self._failures += 1
                self._next_at = now + backoff(self._failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        self.leave(watch)

    def is_over(self) -> None:
        """A try was answered."""
        if not self._failures:
            return
        with self._lock:
            self._failures = 0
            self._trying = None
            self._next_at = -inf
            waiting = list(self._waiting)
        for one in waiting:
            one.wake()

    def leave(self, watch: AsyncReconnect) -> None:
        """It does not try now: another one may."""
        with self._lock:
            self._waiting.pop(watch, None)
            if self._trying is not watch:
                return
            self._trying = None
            waiting = list(self._waiting)
        for one in waiting:
            one.wake()


class AsyncReconnect:
    """One per watch.

    `patience`: seconds, None for ever, but once only before the watch has `begun`; then a member that is being caught
    up is asked again for `catching_up` seconds, as by a read with consistency="session" (None for ever). `steadfast`:
    it can read the state again, so no refusal that comes later ends it.
    """

    def __init__(
        self, key: str, patience: float | None, catching_up: float | None, outage: AsyncOutage, *, steadfast: bool
    ) -> None:
        self._key = key
        self._patience = patience
        self._catching_up = catching_up
        self._outage = outage
        self._steadfast = steadfast
        self._pulse = AsyncPulse()
        self._beginning_since: float | None = None
        self.begun = False
        self.closed = False
        self.unreachable_since: float | None = None
        self.beginnings = 0
        """Attempts in a row to begin that ended with a history that is gone, or with another cluster."""

    def forget(self) -> None:
        """In a forked child: closed; what the parent's threads may have locked is left alone."""
        self.closed = True
        self._outage = AsyncOutage()
        self._pulse = AsyncPulse()
        self._pulse.set()

    def close(self) -> None:
        """End pauses at once; from any thread."""
        self.closed = True
        self._pulse.set()
        self._outage.leave(self)

    def wake(self) -> None:
        """End the pause under way, if there is one; from any thread."""
        self._pulse.set()

    async def wait(self, seconds: float | None) -> None:
        """Until `wake` or `close`, or for so long."""
        await self._pulse.wait(seconds)
        self._pulse.clear()
        if self.closed:  # set before the pulse is, so it is seen here or ends the next pause
            self._pulse.set()

    async def may_begin_again(self) -> bool:
        """Whether to try another beginning: not without pauses, and not without end where nothing has begun yet."""
        self.beginnings += 1
        if self.begun and self.beginnings > 1:
            await self.pause(self.beginnings - 1)
        elif self.beginnings > 1:  # its user waits
            await self.wait(BEGIN_AGAIN_SECONDS * self.beginnings)
        return self.begun or self.beginnings < MOST_BEGINNINGS

    async def pause(self, failures: int) -> None:
        """Longer after each failure, with jitter."""
        await self.wait(backoff(failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS))

    async def endure(self, attempt: Callable[[Deadline], Awaitable[R]]) -> R | None:
        """What `attempt` returns at last, None when closed. Raises its error when that lasts or `patience` is over.

        `attempt` is given the moment when patience is over.
        """
        since = time.monotonic()
        deadline = self._patience_ends(since)
        failures = refusals = 0
        while not self.closed:
            try:
                result = await attempt(deadline)
            except EtcdError as error:
                failures += 1
                refusals = refusals + 1 if _is_refusal(error) else 0
                self._note(error)
                if self.closed:
                    return None
                self._check_endurable(error, refusals, deadline)

                if self.unreachable_since is None:
                    logger.warning("watch of %s is interrupted: %s", self._key, error)
                    self.unreachable_since = since  # whoever sees this finds the reason in the log
                await self._pause_after(error, failures, deadline)
                if time.monotonic() >= deadline:
                    raise
                continue
            except BaseException:  # cancelled, too
                self._outage.leave(self)
                raise

            self._outage.is_over()
            if self.unreachable_since is not None:  # perhaps from a call before, which ended with a loss
                self.unreachable_since = None
                logger.info("watch of %s goes on", self._key)
            return result
        return None

    def _patience_ends(self, now: float) -> Deadline:
        """All steps of a beginning share its patience, which its user waits for."""
        if self.begun:
            return Deadline.after(self._patience, now)
        if self._beginning_since is None:
            self._beginning_since = now
        return Deadline.after(self._patience, self._beginning_since)

    def _note(self, error: EtcdError) -> None:
        """Tell the others whether anybody has answered."""
        if isinstance(error, ClusterUnavailable):
            self._outage.failed(self)
        else:
            self._outage.is_over()

    def _check_endurable(self, error: EtcdError, refusals: int, deadline: Deadline) -> None:
        """Raises it where it is to end the watch."""
        # 1. Not for want of an answer: what follows from these is decided elsewhere.
        if isinstance(error, (HistoryCleared, ClusterChanged)):
            raise error

        # 2. Patience is over. A beginning has some only where that was asked for, or for a member to be caught up.
        now = time.monotonic()
        impatient = not self.begun and self._patience is None and not self._may_be_caught_up(error, now)
        if impatient or now >= deadline:
            raise error

        # 3. A refusal. etcd gives a 401 now and then, and a proxy a page of its own.
        if refusals and not (self.begun and (self._steadfast or refusals < MOST_REFUSALS)):
            raise error

    def _may_be_caught_up(self, error: EtcdError, now: float) -> bool:
        return isinstance(error, StaleRead) and now < Deadline.after(self._catching_up, self._beginning_since or now)

    async def _pause_after(self, error: EtcdError, failures: int, deadline: Deadline) -> None:
        if isinstance(error, ClusterUnavailable):
            await self._outage.turn(self, deadline)
        else:
            pause = backoff(failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
            await self.wait(deadline.cut(pause, time.monotonic()))


def _is_refusal(error: EtcdError) -> bool:
    """Whether it is an answer that says no, rather than none, or one of a member that is not ready."""
    if isinstance(error, UnexpectedAnswer):
        return error.status < 500
    return not isinstance(error, (ClusterUnavailable, StaleRead))
