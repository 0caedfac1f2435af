"""How many of a session enter their contests at the same time.

Owns the order of those who come later. A thousand creates at once would hold up the renewals of the
same session, on its event loop and at the server, until leases are lost: renewals never wait here.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from etcdv2._runtime.primitives import AsyncPulse

AT_ONCE = 32
"""So many creates of one session."""


class AsyncSleeper(Protocol):
    """See `AsyncWait`."""

    def check(self) -> None: ...

    async def sleep_on(self, pulse: AsyncPulse) -> None: ...


class AsyncGate:
    """Lets so many in, the others one after the other in the order of their coming."""

    def __init__(self) -> None:
        self._inside = 0
        self._outside: deque[AsyncPulse] = deque()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._inside} inside, {len(self._outside)} wait>"

    async def enter(self, wait: AsyncSleeper) -> None:
        """Whoever was let in calls `leave`. Raises what `check` of the wait raises, and is not in then."""
        with self._lock:
            if self._inside < AT_ONCE:
                self._inside += 1
                return
            turn = AsyncPulse()
            self._outside.append(turn)

        try:
            while True:
                await wait.sleep_on(turn)
                with self._lock:
                    if turn not in self._outside:  # it was let in
                        return
                wait.check()
        except BaseException:
            with self._lock:
                was_let_in = turn not in self._outside
                if not was_let_in:
                    self._outside.remove(turn)
            if was_let_in:
                self.leave()
            raise

    def leave(self) -> None:
        """The next one comes in."""
        with self._lock:
            following = self._outside.popleft() if self._outside else None
            self._inside -= following is None
        if following is not None:
            following.set()
