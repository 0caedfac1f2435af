"""Who may use a connection to one endpoint, among threads, which a signal handler can interrupt anywhere.

Owns the queue, its lock, and the waiting. A place is an object that its caller holds, and the queue
knows it weakly: a call that is interrupted at whatever line gives its place up with its frame.
"""

from __future__ import annotations

import _socket
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar
from weakref import ref

from etcdv2._core.endpoints import Endpoint
from etcdv2._transport.idle import HasAge, IdleConnections

C = TypeVar("C", bound=HasAge)

RECHECK_SECONDS = 1.0
"""Seconds after which a caller who waits looks for itself: nobody wakes it when a place falls free
that was given up by an interruption.
"""


class HasSocket(Protocol):
    """A connection."""

    @property
    def opened(self) -> list[socket.socket]:
        """Its socket, as long as it is open."""
        ...


S = TypeVar("S", bound=HasSocket)


class Place:
    """Of one call; good for nothing until it was admitted."""

    __slots__ = ("__weakref__", "gate")

    gate: threading.Lock
    """Of a caller who waits: released when it is admitted."""


class _Living(ref[S]):
    __slots__ = ("closes",)

    closes: ref[S]


def living(connection: S, lost: Callable[[ref[S]], object]) -> ref[S]:
    """Knows a connection; closes its socket when that is lost, because its call was interrupted, and calls `lost`.

    All in C: a handler's exception within a finalizer of Python would be lost.
    """
    made = _Living(connection, lost)
    made.closes = ref(connection, partial(next, map(_socket.socket.close, connection.opened)))
    return made


class HeldConnections(IdleConnections[C]):
    """And who uses one now (`holders`), and who waits."""

    __slots__ = ("_lock", "holders", "waiting")

    def __init__(self, endpoint: Endpoint, limit: int) -> None:
        super().__init__(endpoint, limit)
        self._lock = threading.Lock()
        self.holders: set[ref[Place]] = set()
        self.waiting: deque[ref[Place]] = deque()

    def __repr__(self) -> str:
        return (
            f"<IdleConnections to {self.endpoint}: {len(self.idle)} idle,"
            f" {len(self.holders)} of {self.limit} in use, {len(self.waiting)} waiting>"
        )

    def enter(self, place: Place) -> bool:
        """Whether it is admitted at once; else `wait` has to follow."""
        # A place that is gone leaves the holders by itself, without a frame of Python, which a handler could interrupt.
        mine = ref(place, self.holders.discard)
        with self._lock:
            if not self.waiting and len(self.holders) < self.limit:
                self.holders.add(mine)
                return True
            hash(mine)  # it remembers that: `discard` needs it when the place is gone
            place.gate = threading.Lock()
            place.gate.acquire()
            self.waiting.append(mine)
            admitted = self._admit()
        _wake(admitted)
        return place in admitted

    def wait(self, place: Place, ends: float) -> bool:
        """Whether it is admitted until then; `let_go` wakes it, too."""
        while True:
            left = ends - monotonic()
            if place.gate.acquire(timeout=min(max(left, 0), RECHECK_SECONDS)):
                return True
            with self._lock:
                admitted = self._admit()
                mine = ref(place) in self.holders
            _wake(admitted)
            if mine or left <= 0:
                return mine

    def leave(self, place: Place) -> None:
        """Give it up, or stop waiting for it."""
        mine = ref(place)
        with self._lock:
            self.holders.discard(mine)
            if not self.waiting:
                return
            if mine in self.waiting:
                self.waiting.remove(mine)
            admitted = self._admit()
        _wake(admitted)

    def let_go(self) -> None:
        """Wake all who wait: the transport is closed."""
        while self.waiting:
            place = self.waiting.popleft()()
            if place is not None:
                place.gate.release()

    def _admit(self) -> list[Place]:
        """Those first in the queue for whom there is room now."""
        admitted: list[Place] = []
        while self.waiting and len(self.holders) < self.limit:
            mine = self.waiting.popleft()
            place = mine()
            if place is not None:
                self.holders.add(mine)
                admitted.append(place)
        return admitted


def _wake(places: list[Place]) -> None:
    for place in places:
        place.gate.release()
