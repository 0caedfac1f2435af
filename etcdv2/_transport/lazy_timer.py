"""A timer of an event loop that costs nothing to set again.

Owns one handle of the loop, and when it fires; knows nothing of what ends then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic


class LazyTimer:
    """Calls back when the moment in `expires` has passed.

    A caller that moves it later only writes that down; the timer that then fires too early is set
    again. So it does `timer.expires = moment`, and `timer.set(moment)` only `if moment <
    timer.fires`.
    """

    __slots__ = ("_call", "_handle", "_loop", "expires", "fires")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self.expires = inf
        self.fires = inf
        self._loop = loop
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def set(self, moment: float) -> None:
        """Fire then."""
        if self._handle is not None:
            self._handle.cancel()
        self.fires = moment
        self._handle = self._loop.call_at(moment, self._on_time)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self.fires = inf

    def _on_time(self) -> None:
        self._handle = None
        self.fires = inf
        if self.expires <= monotonic():
            self._call()
        elif self.expires < inf:
            self.set(self.expires)
