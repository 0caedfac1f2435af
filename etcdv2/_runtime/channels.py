"""A bounded queue with an end, between a worker that fills it and one reader: for asyncio and for threads.

Each class stands twice, `AsyncX` first. Owns no rule of etcd.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from etcdv2._runtime.errors import fresh
from etcdv2._runtime.lazy_asyncio import lazy_asyncio
from etcdv2._runtime.waiters import Waiters

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

Item = TypeVar("Item")


class AsyncChannel(Generic[Item]):
    """A bounded queue with an end: items first, then the error it was ended with, if any."""

    def __init__(self, size: int) -> None:
        self._items: deque[Item] = deque()
        self._size = size
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Whether it has ended and everything was read."""
        return self._ended and not self._items

    @property
    def error(self) -> BaseException | None:
        """What it was ended with."""
        return self._error

    async def put(self, item: Item) -> None:
        """Waits while the queue is full; drops the item when the queue has ended."""
        while not self._ended and len(self._items) >= self._size:
            self._writable.clear()
            await self._writable.wait()
        if not self._ended:
            self._items.append(item)
            self._readable.set()

    def __len__(self) -> int:
        return len(self._items)

    async def fill(self, count: int | None, timeout: float | None) -> None:
        """Wait until so many items are there, or no more can come: it is full, or has ended. Takes none."""
        count = self._size if count is None else min(count, self._size)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while len(self._items) < count and not self._ended:
                    self._readable.clear()
                    await self._readable.wait()

    def take(self, count: int | None) -> list[Item]:
        """At most so many of the items that are there, None for all."""
        items = self._items
        taken = [items.popleft() for _ in range(len(items) if count is None else min(count, len(items)))]
        if taken:
            self._writable.set()
        return taken

    async def get(self, timeout: float | None) -> Item | None:
        """The next item; None after `timeout` seconds, or at the end. Raises a copy of the error it was ended with."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._items and not self._ended:
                    self._readable.clear()
                    await self._readable.wait()
        if self._items:
            self._writable.set()
            return self._items.popleft()
        if self._ended and self._error is not None:
            raise fresh(self._error)
        return None

    def end(self, error: BaseException | None = None) -> None:
        """No more items: what is queued can still be read."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._readable.set()
            self._writable.set()

    def discard(self) -> None:
        """End it and forget what is queued."""
        self._items.clear()
        self.end()


class Channel(Generic[Item]):
    def __init__(self, size: int) -> None:
        self._items: deque[Item] = deque()
        self._size = size
        self._lock = threading.RLock()
        """Reentrant, as the garbage collector ends forgotten watches. Only ever held by a `with` of its own: no
        exception of a signal handler leaves it taken.
        """
        self._waiters = Waiters()
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def exhausted(self) -> bool:
        """Whether it has ended and everything was read."""
        return self._ended and not self._items

    @property
    def error(self) -> BaseException | None:
        """What it was ended with."""
        return self._error

    def put(self, item: Item) -> None:
        while not self._ended:
            self._waiters.wait_for(lambda: self._ended or len(self._items) < self._size, None)
            with self._lock:
                if self._ended or len(self._items) >= self._size:
                    continue
                self._items.append(item)
            self._waiters.wake()
            return

    def __len__(self) -> int:
        return len(self._items)

    def fill(self, count: int | None, timeout: float | None) -> None:
        """Wait until so many items are there, or no more can come: it is full, or has ended. Takes none."""
        count = self._size if count is None else min(count, self._size)
        self._waiters.wait_for(lambda: len(self._items) >= count or self._ended, timeout)

    def take(self, count: int | None) -> list[Item]:
        """At most so many of the items that are there, None for all."""
        with self._lock:
            items = self._items
            taken = [items.popleft() for _ in range(len(items) if count is None else min(count, len(items)))]
        if taken:
            self._waiters.wake()
        return taken

    def get(self, timeout: float | None) -> Item | None:
        self._waiters.wait_for(lambda: self._ended or bool(self._items), timeout)
        with self._lock:
            item = self._items.popleft() if self._items else None
        if item is not None:
            self._waiters.wake()
        elif self._error is not None:
            raise fresh(self._error)
        return item

    def end(self, error: BaseException | None = None) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                self._error = error
        self._waiters.wake()

    def discard(self) -> None:
        with self._lock:
            self._items.clear()
        self.end()
