"""How a watch endures a cluster that cannot be reached: again and again with pauses, for `patience` seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from etcdv2._core.deadline import Deadline, backoff
from etcdv2._runtime.primitives import AsyncPulse
from etcdv2._types.call_errors import ClusterUnavailable, StaleRead, UnexpectedAnswer

logger = logging.getLogger("etcdv2")
R = TypeVar("R")

FIRST_BACKOFF_SECONDS = 0.2
"""The pause after a first failure, doubled by each further one; half of it is jitter."""
LONGEST_BACKOFF_SECONDS = 5.0
MOST_BEGINNINGS = 8
"""Attempts in a row to begin a watch whose user waits."""
BEGIN_AGAIN_SECONDS = 0.02


class AsyncReconnect:
    """One per watch. `patience`: seconds, None for ever; before the watch has `begun` there is none."""

    def __init__(self, key: str, patience: float | None) -> None:
        self._key = key
        self._patience = patience
        self._stop = AsyncPulse()
        self.begun = False
        self.closed = False
        self.unreachable_since: float | None = None
        self.beginnings = 0
        """Attempts in a row to begin that ended with a history that is gone, or with another cluster."""

    def forget(self) -> None:
        """In a forked child: closed; the parent's pulse is left alone."""
        self.closed = True
        self._stop = AsyncPulse()
        self._stop.set()

    def close(self) -> None:
        """End pauses at once; from any thread."""
        self.closed = True
        self._stop.set()

    async def may_begin_again(self) -> bool:
        """Whether to try another beginning: not without pauses, and not without end where nothing has begun yet."""
        self.beginnings += 1
        if self.begun and self.beginnings > 1:
            await self.pause(self.beginnings - 1)
        elif self.beginnings > 1:  # its user waits
            await self._stop.wait(BEGIN_AGAIN_SECONDS * self.beginnings)
        return self.begun or self.beginnings < MOST_BEGINNINGS

    async def pause(self, failures: int) -> None:
        """Longer after each failure, with jitter."""
        await self._stop.wait(backoff(failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS))

    async def endure(self, attempt: Callable[[], Awaitable[R]]) -> R | None:
        """What `attempt` returns at last, None when closed. Raises its error when that lasts or `patience` is over."""
        since = time.monotonic()
        deadline = Deadline.after(self._patience, since)
        failures = 0
        while not self.closed:
            try:
                result = await attempt()
            except (ClusterUnavailable, StaleRead, UnexpectedAnswer) as error:
                if self.closed:
                    return None
                lasting = isinstance(error, UnexpectedAnswer) and error.status < 500
                if lasting or not self.begun or time.monotonic() >= deadline:
                    raise

                failures += 1
                if self.unreachable_since is None:
                    self.unreachable_since = since
                    logger.warning("watch of %s is interrupted: %s", self._key, error)
                pause = backoff(failures, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
                await self._stop.wait(deadline.cut(pause, time.monotonic()))
                continue

            if self.unreachable_since is not None:  # perhaps from a call before, which ended with a loss
                self.unreachable_since = None
                logger.info("watch of %s goes on", self._key)
            return result
        return None
