# Derived from etcdv2/_async/watch/reconnect.py by scripts/unasync.py: change that file, make generate.
"""How a watch endures a cluster that is away: again and again with pauses, as long as its user's patience lasts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from etcdv2._runtime.primitives import Pulse
from etcdv2._types.call_errors import ClusterUnavailable, StaleRead, UnexpectedAnswer

logger = logging.getLogger("etcdv2")
R = TypeVar("R")

LONGEST_BACKOFF = 5.0
MOST_BEGINNINGS = 8
BEGIN_AGAIN = 0.02


class Reconnect:
    """One per watch. `patience`: seconds, None for ever; before the watch has `begun` there is none."""

    def __init__(self, key: str, patience: float | None) -> None:
        self._key = key
        self._patience = patience
        self._stop = Pulse()
        self.begun = False
        self.closed = False
        self.unreachable_since: float | None = None
        self.beginnings = 0
        """Attempts in a row to begin that ended with a history that is gone, or with another cluster."""

    def forget(self) -> None:
        """In a forked child: closed; the parent's pulse is left alone."""
        self.closed = True
        self._stop = Pulse()
        self._stop.set()

    def close(self) -> None:
        """End pauses at once; from any thread."""
        self.closed = True
        self._stop.set()

    def may_begin_again(self) -> bool:
        """Whether to try another beginning: not without pauses, and not without end where nothing has begun yet."""
        self.beginnings += 1
        if self.begun and self.beginnings > 1:
            self.pause(self.beginnings - 1)
        elif self.beginnings > 1:  # its user waits
            self._stop.wait(BEGIN_AGAIN * self.beginnings)
        return self.begun or self.beginnings < MOST_BEGINNINGS

    def pause(self, failures: int) -> None:
        """Longer after each failure, with jitter."""
        self._stop.wait(_backoff(failures))

    def endure(self, attempt: Callable[[], R]) -> R | None:
        """What `attempt` returns at last, None when closed. Raises its error when that lasts or patience is over."""
        since = time.monotonic()
        failures = 0
        while not self.closed:
            try:
                result = attempt()
            except (ClusterUnavailable, StaleRead, UnexpectedAnswer) as error:
                if self.closed:
                    return None
                lasting = isinstance(error, UnexpectedAnswer) and error.status < 500
                left = None if self._patience is None else self._patience - (time.monotonic() - since)
                if lasting or not self.begun or (left is not None and left <= 0):
                    raise
                failures += 1
                if self.unreachable_since is None:
                    self.unreachable_since = since
                    logger.warning("watch of %s is interrupted: %s", self._key, error)
                pause = _backoff(failures)
                self._stop.wait(pause if left is None else min(pause, left))
                continue
            if self.unreachable_since is not None:  # perhaps from a call before, which ended with a loss
                self.unreachable_since = None
                logger.info("watch of %s goes on", self._key)
            return result
        return None


def _backoff(failures: int) -> float:
    return min(LONGEST_BACKOFF, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)
