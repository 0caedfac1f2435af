"""How often to look at a store's index so that a watch is renewed in time. No I/O, no clock of its own.

The server keeps the last 1,000 events of the whole store; a poll that breaks when its index is older cannot be resumed
(PROTOCOL section 11, same on 2.3 to 3.5). While it lasts it loses nothing, so a late look costs nothing by itself.
"""

from __future__ import annotations

RENEW_AFTER = 400
"""Events after which a waiting poll is renewed from its header index."""
LOOK_EVERY = 150
"""Events between two looks, at the measured rate."""
SURELY_QUIET = 0.25
"""Seconds to let an old poll run beside the new one: what was on its way by the old one has then come."""
SURELY_CAME = 2.0
"""Seconds within which an event of the past has come, where it cannot be asked for a second time."""
YOUNG = 20.0
"""Seconds for which no firewall on the way forgets a silent connection."""
SURELY_ALIVE = 45.0
"""Seconds after which the kernel has given up a connection whose other end is gone (`_loops.sockets`)."""
SURELY_KEPT = 900
"""Events back to which the server surely still goes: it keeps 1,000, and some come while one asks."""
FASTEST = 0.02
SLOWEST = 5.0


class PollTrust:
    """Whether a silent poll, whose events the server may have forgotten by now, would have told them."""

    __slots__ = ("_doubted_since", "_since")

    def __init__(self, since: float) -> None:
        """`since`: when it was opened."""
        self._since = since
        self._doubted_since: float | None = None

    def given(self, asks_for_past: bool, now: float) -> bool:
        """A young one is trusted. An old one has to last until the kernel would have found its other end gone."""
        if now - self._since < YOUNG:
            return not asks_for_past or now - self._since > SURELY_CAME
        if self._doubted_since is None:
            self._doubted_since = now
        return now - self._doubted_since > SURELY_ALIVE


class ProbeInterval:
    """Measures the write rate from what each look shows and says when to look next."""

    __slots__ = ("_index", "_rate", "_seen_at", "interval")

    def __init__(self) -> None:
        self._index = 0
        self._seen_at = 0.0
        self._rate = 0.0
        self.interval = FASTEST
        """Seconds until the next look."""

    def saw(self, index: int, now: float) -> None:
        """A look at `now` found the store at `index`; 0 when it could not be told."""
        if not index:
            self.interval = min(SLOWEST, 2 * self.interval)
            return
        if self._index and index >= self._index and now > self._seen_at:
            rate = (index - self._index) / (now - self._seen_at)
            # Up at once, down slowly: a lull within a burst must not make the next look late.
            self._rate = rate if rate > self._rate else (self._rate + rate) / 2
            wanted = LOOK_EVERY / self._rate if self._rate else SLOWEST
            self.interval = min(SLOWEST, max(FASTEST, min(wanted, 2 * self.interval)))
        self._index = index
        self._seen_at = now
