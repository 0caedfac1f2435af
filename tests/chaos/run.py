"""One chaos run: clients, threads and tasks around a schedule, and in the end the checks and the summary."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter as Multiset
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import etcdv2
from tests.chaos.book import KINDS, Book
from tests.chaos.links import Arena
from tests.chaos.mirrored import Mirrored
from tests.chaos.schedule import Schedule
from tests.chaos.watched import Watched
from tests.chaos.workers import TIMES, Worker, drive, drive_async
from tests.chaos.workloads import Counter, Entries, Register, Session

EACH = 2
"""Threads, and as many tasks, of each workload, each half of them on links and half directly on the members."""
ENDS_WITHIN = 30.0


@dataclass
class Report:
    """What a run came to."""

    seed: int
    version: str
    seconds: float
    faults: Multiset[str]
    events: int
    """Told to followers."""
    holes: int
    """Named by HistoryCleared."""
    book: Book

    @property
    def sound(self) -> bool:
        return self.book.sound

    def __str__(self) -> str:
        rows = [("workload", "calls", "confirmed", "unknown", "refused", *KINDS, "latest")]
        for name, page in self.book.pages.items():
            counts = (page.calls, page.confirmed, page.unknown, page.refused)
            complaints = (page.complaints[kind] for kind in KINDS)
            rows.append((name, *map(str, counts), *map(str, complaints), f"{page.latest:+.2f} s"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        pages = self.book.pages.values()
        calls, unknown = sum(page.calls for page in pages), sum(page.unknown for page in pages)
        totals = [f"calls {calls}", f"faults {sum(self.faults.values())}", f"unknown {unknown}"]
        totals += [f"{kind} {self.book.total(kind)}" for kind in KINDS] + [
            f"events {self.events}",
            f"named holes {self.holes}",
        ]
        return "\n".join(
            [
                f"etcd {self.version}, seed {self.seed}, {self.seconds:.0f} s",
                "faults: " + ", ".join(f"{name} {times}" for name, times in sorted(self.faults.items())),
                *table,
                ", ".join(totals),
                *(f"{times} x {text}" for text, times in self.book.texts.items()),
            ]
        )


class Run:
    """`carry_out` returns the report. The arena is whole before and after.

    With `repeat_writes` the clients do what the promises are not given for, and the report should not be sound.
    """

    def __init__(
        self, arena: Arena, seed: int, tell: Callable[[str], None] = print, *, repeat_writes: bool = False
    ) -> None:
        self._settings: dict[str, Any] = {"timeout": TIMES, "repeat_writes": repeat_writes}
        self._arena, self._seed = arena, seed
        self._book = Book()
        self._schedule = Schedule(arena, seed, tell)
        self._stop = threading.Event()
        self._writers: list[threading.Event] = []
        self._threads: list[threading.Thread] = []
        self._coroutines: list[Callable[[Any, Any], Any]] = []

    def carry_out(self, seconds: float) -> Report:
        book, arena = self._book, self._arena
        arena.heal()
        began = time.monotonic()
        watches = [Watched(book), Watched(book, "rare", pace=2.0)]
        mirrored = Mirrored(book, watches[0])
        workloads: list[Any] = [Counter(book), Entries(book), Register(book, self._seed), Session(book), *watches]
        with contextlib.ExitStack() as stack:
            final = stack.enter_context(etcdv2.Client(arena.direct))
            after = final.keys.set("/chaos/begun", "1").index
            clients = [
                stack.enter_context(etcdv2.Client(urls, **self._settings)) for urls in (arena.endpoints, arena.direct)
            ]
            for number in range(EACH):
                keys = clients[number % 2].keys
                for workload in workloads:
                    self._writer(workload, f"thread{number}", keys)
                    self._writer(workload, f"task{number}", None, linked=number % 2 == 0)
                for watched in watches:
                    self._follower(watched, f"thread{number}", keys, after)
                    self._follower(watched, f"task{number}", None, after, linked=number % 2 == 0)
                self._follower(mirrored, f"thread{number}", keys)
                self._follower(mirrored, f"task{number}", None, linked=number % 2 == 0)
            self._thread(lambda done: asyncio.run(self._tasks()))
            stack.callback(self._give_up, watches)
            self._schedule.run(began + seconds)
            self._stop.set()
            arena.heal()
            self._await_writers()
            for watched in watches:
                watched.finish(final.keys)
            self._await_threads()
            for workload in [*workloads, mirrored]:
                workload.check(final.keys)
            final.keys.delete("/chaos", recursive=True)
        book.judge_doubts(self._schedule.windows)
        followed = [one for watched in watches for one in watched.followed]
        events, holes = sum(len(one.told) for one in followed), sum(len(one.holes) for one in followed)
        seconds = time.monotonic() - began
        return Report(self._seed, arena.version, seconds, self._schedule.done, events, holes, book)

    def _give_up(self, watches: list[Watched]) -> None:
        """All workers end soon, whatever went wrong."""
        self._stop.set()
        for watched in watches:
            watched.give_up = 0.0
        self._await_threads()

    def _turns(self) -> Iterator[None]:
        while not self._stop.is_set():
            yield

    def _writer(self, workload: Any, name: str, keys: Any, *, linked: bool = False) -> None:
        worker = workload.worker(name, self._turns())
        done = threading.Event()
        self._writers.append(done)
        if keys is None:
            self._task(worker, workload.name, done, linked=linked)
        else:
            self._thread(lambda _: drive(worker, keys, self._book, workload.name), done)

    def _follower(self, work: Any, name: str, keys: Any, *start: int, linked: bool = False) -> None:
        follower = work.follower(name, *start)
        if keys is None:
            self._task(follower, work.name, None, linked=linked)
        else:
            self._thread(lambda _: drive(follower, keys, self._book, work.name))

    def _thread(self, body: Callable[[Any], None], done: threading.Event | None = None) -> None:
        def run() -> None:
            try:
                body(done)
            finally:
                if done is not None:
                    done.set()

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def _task(self, worker: Worker, workload: str, done: threading.Event | None, *, linked: bool) -> None:
        async def run(on_links: Any, on_members: Any) -> None:
            try:
                await drive_async(worker, (on_links if linked else on_members).keys, self._book, workload)
            finally:
                if done is not None:
                    done.set()

        self._coroutines.append(run)

    async def _tasks(self) -> None:
        async with (
            etcdv2.AsyncClient(self._arena.endpoints, **self._settings) as on_links,
            etcdv2.AsyncClient(self._arena.direct, **self._settings) as on_members,
        ):
            async with asyncio.TaskGroup() as group:
                for run in self._coroutines:
                    group.create_task(run(on_links, on_members))

    def _await_writers(self) -> None:
        by = time.monotonic() + ENDS_WITHIN
        hanging = sum(not done.wait(max(0.0, by - time.monotonic())) for done in self._writers)
        if hanging:
            self._book.complain("all", "late", f"{hanging} workers have not ended {ENDS_WITHIN} s after the run")

    def _await_threads(self) -> None:
        for thread in self._threads:
            thread.join(ENDS_WITHIN)
            if thread.is_alive():
                self._book.complain("all", "late", f"a thread has not ended {ENDS_WITHIN} s after the run")
