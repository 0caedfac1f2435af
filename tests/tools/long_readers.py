"""Those who follow a watch, as threads and as tasks, and begin it again where it raised HistoryCleared.

Owns no idea of what a watch should deliver.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from etcdv2 import AsyncClient, AttemptInfo, Client, ClusterUnavailable, Event, HistoryCleared, Snapshot, Timeout
from tests.tools.history import Cleared, Item
from tests.tools.waiting import SOON, until

TIMES = Timeout(connect=0.5, attempt=1, commit=4, total=10)
END = "end"


class Status(NamedTuple):
    """How far a watch is."""

    start: int
    reached: int
    settled: int
    ended: bool
    failure: str


class Reader:
    """One watch, begun again after each HistoryCleared, until it has delivered the end; `rest` seconds now and then."""

    def __init__(
        self, key: str, *, recursive: bool = True, snapshots: bool = False, buffer: int = 1000, rest: float = 0.0
    ) -> None:
        self.key, self.recursive = key, recursive
        self.rest = rest
        self.items: list[Item] = []
        self.start = -1
        self.ended = False
        self.failure: BaseException | None = None
        self._settings: dict[str, Any] = {"recursive": recursive, "buffer": buffer}
        self.snapshots = snapshots
        self._begins = True
        self._watcher: Any = None
        self.elsewhere: Status | None = None
        """What another process, where it reads, has said of it last."""

    def __repr__(self) -> str:
        failure = repr(self.failure) if self.elsewhere is None else self.elsewhere.failure
        return f"the watch of {self.key} at {self.reached} with {len(self.items)} items, {failure}"

    @property
    def reached(self) -> int:
        if self.elsewhere is not None:
            return self.elsewhere.reached
        return self.items[-1].index if self.items else self.start

    @property
    def status(self) -> Status:
        return Status(self.start, self.reached, self.settled, self.ended, repr(self.failure))

    @property
    def holes(self) -> int:
        return sum(not isinstance(item, Event) for item in self.items[1:])

    @property
    def settled(self) -> int:
        """Up to here its watch need not ask the server again."""
        if self.elsewhere is not None:
            return self.elsewhere.settled
        return self.reached if self._watcher is None else self._watcher._feed._polls.settled

    def end(self) -> str:
        """The key whose change this watch takes for the end."""
        return f"{self.key.rstrip('/')}/{END}" if self.recursive else self.key

    def open(self, keys: Any) -> Any:
        self._begins = True
        settings = {"snapshots": True} if self.snapshots else {"after_index": self.reached if self.items else None}
        return keys.watch(self.key, **self._settings, **settings)

    def began(self, watcher: Any) -> None:
        self._begins = False
        self._watcher = watcher
        if self.start < 0:
            self.start = watcher.index

    def take(self, item: Any) -> float:
        """How long to rest now."""
        self.items.append(item)
        if isinstance(item, Snapshot):
            self.ended = any(node.key == self.end() and node.value == END for node in item.leaves())
        else:
            self.ended = item.key == self.end() and item.value == END
        return self.rest if len(self.items) % 20 == 0 else 0.0

    def interrupted(self, watcher: Any, error: HistoryCleared | ClusterUnavailable) -> None:
        if isinstance(error, HistoryCleared):
            self.items.append(Cleared(watcher.index, error.index, str(error)))
        elif not (self._begins and self.items):  # only one that begins again says that nobody is there
            raise error

    def read(self, keys: Any) -> None:
        try:
            while not self.ended:
                watcher = self.open(keys)
                try:
                    with watcher:
                        self.began(watcher)
                        for item in watcher:
                            time.sleep(self.take(item))
                            if self.ended:
                                break
                except (HistoryCleared, ClusterUnavailable) as error:
                    self.interrupted(watcher, error)
        except BaseException as error:
            self.failure = error

    async def read_async(self, keys: Any) -> None:
        try:
            while not self.ended:
                watcher = self.open(keys)
                try:
                    async with watcher:
                        self.began(watcher)
                        async for item in watcher:
                            await asyncio.sleep(self.take(item))
                            if self.ended:
                                break
                except (HistoryCleared, ClusterUnavailable) as error:
                    self.interrupted(watcher, error)
        except Exception as error:
            self.failure = error


@contextlib.contextmanager
def reading(sync: Any, readers: list[Reader], other: Any, readers_async: list[Reader]) -> Iterator[Counter[str]]:
    """All of them begun: some as threads of a sync client, some as tasks of an async one; all ended afterwards.

    Counts the requests for each path.
    """
    opened: Counter[str] = Counter()

    def count(attempt: AttemptInfo) -> None:
        opened[attempt.path] += 1

    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def tasks() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        async with AsyncClient(other, timeout=TIMES, after_attempt=count) as client:
            running = [asyncio.create_task(reader.read_async(client.keys)) for reader in readers_async]
            await stop.wait()
        await asyncio.gather(*running)

    everybody = [*readers, *readers_async]
    with Client(sync, timeout=TIMES, after_attempt=count) as client:
        threads = [threading.Thread(target=reader.read, args=(client.keys,)) for reader in readers]
        threads.append(threading.Thread(target=lambda: asyncio.run(tasks())))
        for thread in threads:
            thread.start()
        try:
            until(lambda: all(reader.start >= 0 for reader in everybody), lambda: everybody, SOON)
            yield opened
        finally:
            for reader in everybody:
                reader.ended = True
            client.close()
            for loop, stop in loops:
                loop.call_soon_threadsafe(stop.set)
            for thread in threads:
                thread.join()


# --- in a process of their own ---------------------------------------------------------------------------------------

STATUS_SECONDS = 0.01


def _read_elsewhere(
    pipe: Connection, sync: Any, readers: list[Reader], other: Any, readers_async: list[Reader]
) -> None:
    """Runs in that process."""
    everybody = [*readers, *readers_async]
    with reading(sync, readers, other, readers_async) as opened:
        while not pipe.poll(STATUS_SECONDS):
            pipe.send([one.status for one in everybody])
    pipe.send([one.items for one in everybody])
    pipe.send(opened)


@contextlib.contextmanager
def reading_elsewhere(
    sync: Any, readers: list[Reader], other: Any, readers_async: list[Reader]
) -> Iterator[Counter[str]]:
    """As `reading`, with both clients in another process, which says every moment how far its readers are.

    What they have delivered, and what it yields, is known at the end.
    """
    everybody, opened = [*readers, *readers_async], Counter[str]()
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_read_elsewhere, args=(theirs, sync, readers, other, readers_async))
    process.start()
    theirs.close()

    def follow() -> None:
        while not isinstance(received := pipe.recv(), Counter):
            for one, known in zip(everybody, received, strict=True):
                if isinstance(known, Status):
                    one.elsewhere, one.start, one.ended = known, known.start, known.ended
                else:
                    one.items = known
        opened.update(received)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        until(lambda: all(one.start >= 0 for one in everybody), lambda: everybody, 10 * SOON)
        yield opened
    finally:
        pipe.send("end")
        thread.join(SOON)
        process.join(SOON)
        process.close()
        pipe.close()
