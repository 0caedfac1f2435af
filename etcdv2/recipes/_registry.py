"""Objects that are counted as long as somebody else holds them: what a session has to end, who holds a lock.

Owns nothing of what they are.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class Registry(Generic[T]):
    """A weak set for any number of threads."""

    def __init__(self) -> None:
        self._members: WeakSet[T] = WeakSet()
        self._lock = threading.RLock()  # the garbage collector may end a member in the thread that adds another

    def add(self, one: T) -> None:
        with self._lock:
            self._members.add(one)

    def all(self) -> tuple[T, ...]:
        """Those that are there at the moment."""
        with self._lock:
            return tuple(self._members)

    def after_fork(self) -> None:
        """In a forked child: the lock may be held by a thread that is not there."""
        self._lock = threading.RLock()
