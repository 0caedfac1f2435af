"""How far the clocks of members are apart, by the expiries that their answers name.

Owns the comparison; no I/O and no clock. A member sets the expiry of a key by its own clock when it
takes the write (spec/protocol.md section 7). So each acknowledged write shows its clock, against that
of this program, within the time that the write took. Two writes whose times do not overlap were
taken by clocks that differ by at least the gap. This program's clock is one that is never set, and
only what was seen in the last minutes is compared, so that a slow drift of it proves nothing.
"""

from __future__ import annotations

import threading
from collections import deque

EACH_SECONDS = 30.0
"""What is seen within so many seconds is kept as one."""
KEPT = 20
"""So many of these."""


class MemberClocks:
    """What the writes of the last minutes have shown. For any number of threads."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        """Since when; by how much a member's clock is ahead of ours: at least the most, and at most the least."""
        self._lock = threading.Lock()
        self.warned = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.apart:.3f} s apart>"

    @property
    def apart(self) -> float:
        """Seconds by which two members' clocks differ for certain; 0 when they may be the same."""
        with self._lock:
            seen = tuple(self._seen)
        if not seen:
            return 0.0
        return max(0.0, max(least for _, least, _ in seen) - min(most for _, _, most in seen))

    def note(self, sent: float, answered: float, expires: float, ttl: int) -> None:
        """A write was taken between these moments of our clock; `expires` is the expiry in its answer."""
        taken = expires - ttl
        least, most = taken - answered, taken - sent
        with self._lock:
            if self._seen and answered - self._seen[-1][0] < EACH_SECONDS:
                since, other_least, other_most = self._seen.pop()
                self._seen.append((since, max(least, other_least), min(most, other_most)))
            else:
                self._seen.append((answered, least, most))
            while self._seen[0][0] < answered - KEPT * EACH_SECONDS:
                self._seen.popleft()

    def after_fork(self) -> None:
        """In a forked child: the lock may be held by a thread that is not there."""
        self._lock = threading.Lock()
