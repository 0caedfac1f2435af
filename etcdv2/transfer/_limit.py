"""The time that several calls, and the pauses between them, may take together.

Owns the arithmetic, and what is raised when nothing is left.
"""

from __future__ import annotations

import time
from typing import Any

from etcdv2 import DeadlineExceeded


class Limit:
    """So many seconds from now on; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        """Raises ValueError unless it is more than 0."""
        if seconds is not None and not 0 < seconds < float("inf"):
            raise ValueError(f"timeout {seconds}: must be more than 0 seconds; None means no limit")
        self._seconds = seconds
        self._ends = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds, more than 0; None for no limit. Raises DeadlineExceeded where it is over."""
        if self._ends is None:
            return None
        left = self._ends - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"the {self._seconds:.3g} s for all of it are over")
        return left

    def call(self) -> dict[str, Any]:
        """Arguments of the next call: all that is left, or the client's own times. Raises DeadlineExceeded."""
        left = self.left
        return {} if left is None else {"timeout": left}

    def cut(self, pause: float) -> float:
        """A pause, not longer than what is left. Raises DeadlineExceeded."""
        left = self.left
        return pause if left is None else min(pause, left)
