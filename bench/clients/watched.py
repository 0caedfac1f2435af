"""What a Python driver has seen in a watch: numbers, delays, and how it ended. Knows no client and no server."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

from .measure import Figures, Meter

TRIES = 3
"""A client that does not go on by itself after an error is called again where it stood, so often in a row."""
AGAIN = 0.05
"""Seconds before that."""


class Record:
    """Of one measurement, which begins with it. Values are `number nanoseconds`; a number below 0 ends it."""

    def __init__(self, events: int) -> None:
        """`events`: how many end it; 0 for none."""
        self._events = events
        self._seen: list[int] = []
        self._delays: list[float] = []
        self._meter = Meter()

    def take(self, value: str | None) -> bool:
        """Whether that was the last one."""
        now = time.monotonic_ns()
        number, _, stamp = (value or "").partition(" ")
        if number.startswith("-"):
            return True
        self._seen.append(int(number))
        self._delays.append((now - int(stamp)) / 1e9)
        return len(self._seen) == self._events

    def figures(self, error: BaseException | None = None) -> Figures:
        """With the words of the error that the client ended the watch with, or none."""
        words: Any = error.args[0] if error is not None and error.args else error
        if isinstance(words, dict):  # k3etcd's errors carry the whole answer
            words = cast("dict[str, Any]", words).get("message")
        text = "" if error is None else f"{type(error).__name__}: {words}".partition("\n")[0]
        return self._meter.stop(len(self._seen), seen=self._seen, delays=self._delays, said=text)


def resident() -> int:
    """Bytes of this process in memory, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
