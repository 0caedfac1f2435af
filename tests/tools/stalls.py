"""How long this process stood still: what nobody in it could do in time is not laid to the library's charge."""

from __future__ import annotations

import threading
import time
from typing import Self

EACH_SECONDS = 0.05
NOTED_SECONDS = 0.05
"""A sleep that lasts so much longer than it should is a stall."""


class Stalls:
    """A thread that sleeps shortly, again and again, and notes when it was late to wake."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._noted: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(EACH_SECONDS):
            now = time.monotonic()
            if now - began > EACH_SECONDS + NOTED_SECONDS:
                self._noted.append((began + EACH_SECONDS, now))
            began = now

    def within(self, since: float, until: float) -> float:
        """Seconds of stalls between these monotonic times."""
        return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in self._noted)
