"""What a signal does not cut in half: a thread of its own does it, and the main thread waits for it.

Owns that waiting. A handler may raise between any two steps of Python, and the classes of `threading` that wait are
written in it: now and then that leaves their lock taken, and whoever comes next waits for ever. So this is a bare lock.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

TICK_SECONDS = 0.2
"""So late may the handler of a signal be that came in the moment before a wait."""
REQUEST_SECONDS = 1.0
"""For what is under way when a signal comes: that of one request."""

R = TypeVar("R")


class Once:
    """What comes once."""

    def __init__(self) -> None:
        self._came = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def come(self) -> None:
        """By one thread, once."""
        self._came = True
        self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """For at most `timeout` seconds. Whether it has come."""
        ends = None if timeout is None else monotonic() + timeout
        while not self._came:
            left = TICK_SECONDS if ends is None else min(ends - monotonic(), TICK_SECONDS)
            if left <= 0:
                break
            self._gate.acquire(timeout=left)  # whoever gets it keeps it: it has come then
        return self._came


def apart(call: Callable[[], R], interrupted: Callable[[], object] = lambda: None) -> R:
    """What it returns or raises. A signal that comes meanwhile interrupts nothing half-way.

    What is under way then has some time to end, after `interrupted` was called.
    """
    got: list[R] = []
    failed: list[BaseException] = []
    ended = Once()

    def work() -> None:
        try:
            got.append(call())
        except BaseException as error:
            failed.append(error)
        finally:
            ended.come()

    try:
        _thread.start_new_thread(work, ())  # the `start` of `threading.Thread` waits, in Python
        ended.wait()
    except BaseException:
        interrupted()
        ended.wait(REQUEST_SECONDS)
        raise
    if failed:
        raise failed[0]
    return got[0]
