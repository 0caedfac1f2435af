"""Threads that wait until something has changed, where a signal handler may raise at any line.

Owns the waiting; what has changed is its users'. The classes of `threading` that wait are written in Python, with locks
that such an exception leaves taken: whoever comes next would wait for ever.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from time import monotonic
from weakref import ref

from etcdv2._runtime.signals import longest_wait


class Waiters:
    """Takes no lock, so `wake` may be called from anywhere, by the garbage collector too."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: list[ref[threading.Lock]] = []
        """One for each who waits. They leave with its frame, in C: a finalizer in Python could be interrupted."""

    def __repr__(self) -> str:
        return f"<Waiters: {len(self._gates)}>"

    def wake(self) -> None:
        """Have all look, who wait, whether it is what they wait for."""
        for one in self._gates.copy():
            gate = one()
            if gate is not None:
                with contextlib.suppress(RuntimeError):  # it was woken already
                    gate.release()

    def wait_for(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Until `ready`, which is made true before `wake` is called; `timeout` seconds at the most. Whether it is."""
        ends = None if timeout is None else monotonic() + timeout
        while not ready():
            # 1. Others can wake it from here on, so it looks once more.
            gate = threading.Lock()
            gate.acquire()
            mine = ref(gate, self._gates.remove)
            self._gates.append(mine)
            if ready():
                return True

            # 2. It waits until it is woken. The handlers of signals have their turn in between.
            longest = min(longest_wait(), threading.TIMEOUT_MAX)
            left = longest if ends is None else min(max(ends - monotonic(), 0.0), longest)
            if not gate.acquire(timeout=left) and ends is not None and monotonic() >= ends:
                return ready()
        return True
