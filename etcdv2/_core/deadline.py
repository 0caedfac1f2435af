"""The arithmetic of time: by when something must have ended, and how long to pause between tries.

Has no clock of its own: `now` comes in, on the clock of `time.monotonic`. Every layer may import
it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from typing import Final


class Deadline(float):
    """The moment by which something must have ended, on the clock of `time.monotonic`.

    `NEVER` for no limit. As it is a float, `now >= deadline` and `min` of two mean what they say.
    Where seconds are meant None is no limit, as in `Timeout` and wherever something waits.
    """

    __slots__ = ()

    @classmethod
    def after(cls, seconds: float | None, now: float) -> Deadline:
        """The one that many seconds from now."""
        return NEVER if seconds is None else cls(now + seconds)

    def left(self, now: float) -> float | None:
        """Seconds until then, not less than 0."""
        return None if self == inf else max(0.0, self - now)

    def cut(self, seconds: float | None, now: float) -> float | None:
        """`seconds`, but not more than are left."""
        return shorter(seconds, self.left(now))

    def share(self, among: int, now: float) -> float | None:
        """What is left for each of `among` tries, one after the other."""
        return None if self == inf else max(0.0, (self - now) / among)


NEVER: Final = Deadline(inf)


def shorter(one: float | None, other: float | None) -> float | None:
    """The shorter one of two times."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def backoff(
    failures: int,
    first: float,
    longest: float,
    *,
    least: float = 0.5,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds to pause after so many failures in a row, from 1 on.

    `first`, doubled by each further failure up to `longest`; then jittered, so that those who
    failed together do not come back together: `least` is the smallest part that remains.
    """
    doublings = min(failures - 1, 60)  # beyond that a float has no more to give
    return min(longest, first * 2.0**doublings) * uniform(least, 1.0)
