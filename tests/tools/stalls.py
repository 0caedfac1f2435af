"""How long this process stood still: what nobody in it could do in time is not laid to the library's charge."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncGenerator
from typing import NamedTuple, Self

EACH_SECONDS = 0.05
NOTED_SECONDS = 0.01
"""A sleep that lasts so much longer than it should is a stall, for one of its steps: a call has several."""
LOOP_TURNS = 5
"""A loop that does several things in a row waits as many times for its turn as a thread that does one."""
RECENT_SECONDS = 3.0


class Stall(NamedTuple):
    """Between these monotonic times there was no turn."""

    since: float
    until: float


class Turns:
    """The stalls of one that sleeps for `EACH_SECONDS` again and again, the one that has not ended included."""

    def __init__(self) -> None:
        self._noted: list[Stall] = []
        self._due = math.inf
        """When it is to wake."""

    def sleep(self) -> None:
        self._due = time.monotonic() + EACH_SECONDS

    def wake(self) -> None:
        """And sleep again."""
        now = time.monotonic()
        if now > self._due + NOTED_SECONDS:
            self._noted.append(Stall(self._due, now))
        self.sleep()

    def stalls(self, since: float, until: float) -> list[Stall]:
        """Those that met this time, cut to it."""
        found: list[Stall] = []
        for stall in [Stall(self._due, time.monotonic()), *reversed(self._noted)]:  # from the latest on
            if stall.until <= since:
                break
            if stall.since < until and stall.until > stall.since + NOTED_SECONDS:
                found.append(Stall(max(stall.since, since), min(stall.until, until)))
        return found


class Stalls:
    """A thread that sleeps shortly, again and again, and notes when it was late to wake.

    `of_loop` does the same in the running loop, whose callbacks each need a turn. A loop that stood still while threads
    had their turns was blocked by somebody within it, which is no excuse.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._of_threads = Turns()
        self._of_loop = Turns()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        self._of_threads.sleep()
        while not self._ended.wait(EACH_SECONDS):
            self._of_threads.wake()

    @contextlib.asynccontextmanager
    async def of_loop(self) -> AsyncGenerator[None]:
        """The loop that runs this is observed, too."""

        async def observe() -> None:
            self._of_loop.sleep()
            while True:
                await asyncio.sleep(EACH_SECONDS)
                self._of_loop.wake()

        observing = asyncio.create_task(observe())
        try:
            yield
        finally:
            observing.cancel()

    def within(self, since: float, until: float, *, in_loop: bool = False) -> float:
        """Seconds of stalls between these monotonic times."""
        of_threads = self._of_threads.stalls(since, until)
        if not in_loop:
            return _seconds(of_threads)
        of_loop = self._of_loop.stalls(since, until)
        excused = (min(one.until - one.since, LOOP_TURNS * _seconds(self._of_threads.stalls(*one))) for one in of_loop)
        return max(_seconds(of_threads), sum(excused))

    @property
    def busy(self) -> float:
        """Which part of the last seconds, from 0 to 1, were stalls."""
        now = time.monotonic()
        return self.within(now - RECENT_SECONDS, now, in_loop=True) / RECENT_SECONDS


def _seconds(stalls: list[Stall]) -> float:
    return sum(stall.until - stall.since for stall in stalls)
