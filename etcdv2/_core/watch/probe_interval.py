"""How often to look at a store's index so that a watch is renewed in time. No I/O, no clock of its own.

A matter of pace: a look that comes late costs a named loss at the worst, never a silent one
(`renewal` has the grounds).
"""

from __future__ import annotations

EVENTS_PER_PROBE = 150
"""Events of the store between two looks, at the measured rate."""
FASTEST_PROBE_SECONDS = 0.02
SLOWEST_PROBE_SECONDS = 5.0


class ProbeInterval:
    """Measures the write rate from what each look shows and says when to look next."""

    __slots__ = ("_index", "_rate", "_seen_at", "interval")

    def __init__(self) -> None:
        self._index = 0
        self._seen_at = 0.0
        self._rate = 0.0
        self.interval = FASTEST_PROBE_SECONDS
        """Seconds until the next look."""

    def resumed(self, index: int, now: float) -> None:
        """A poll was registered at `index`, where nobody looked before: as good as a look, if one is due."""
        if now - self._seen_at >= self.interval:
            self.saw(index, now)

    def saw(self, index: int, now: float) -> None:
        """A look at `now` found the store at `index`; 0 when that is not known."""
        if not index:
            self.interval = min(SLOWEST_PROBE_SECONDS, 2 * self.interval)
            return
        if self._index and index >= self._index and now > self._seen_at:
            rate = (index - self._index) / (now - self._seen_at)
            # Up at once, down slowly: a lull within a burst must not make the next look late.
            self._rate = rate if rate > self._rate else (self._rate + rate) / 2
            wanted = EVENTS_PER_PROBE / self._rate if self._rate else SLOWEST_PROBE_SECONDS
            self.interval = min(SLOWEST_PROBE_SECONDS, max(FASTEST_PROBE_SECONDS, min(wanted, 2 * self.interval)))
        self._index = index
        self._seen_at = now
