"""One chaos run: clients, threads and tasks around a schedule, and in the end the checks and the summary."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
import traceback
from collections import Counter as Multiset
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import etcdv2
from tests.chaos.book import KINDS, Book
from tests.chaos.ground import Ground
from tests.chaos.journal import Journal
from tests.chaos.mirrored import Mirrored
from tests.chaos.plain import PlainClients
from tests.chaos.schedule import Schedule
from tests.chaos.unique import Unique
from tests.chaos.watched import Watched
from tests.chaos.workers import TIMES, Worker, drive, drive_async
from tests.chaos.workloads import Addresses, Counter, Entries, Register, Session
from tests.tools.stalls import Stalls
from tests.tools.waiting import SOON

EACH = 2
"""Threads, and as many tasks, of each workload: one with a client on the links, which finds those of members that moved
by `sync`, and one with a client directly on the members, whose own ports stay."""
ENDS_WITHIN = 2 * SOON
"""Seconds for all together: only what hangs takes as long."""
PROGRESS = 60.0
"""Seconds between two lines that say how it stands."""
TransportChoice = Literal["fast", "httpx", "mixed"]


class Seat(NamedTuple):
    """Which of the run's clients a worker uses."""

    kind: Literal["thread", "task"]
    number: int

    @property
    def on_links(self) -> bool:
        return self.number % 2 == 0

    def transport_name(self, transport_name: TransportChoice, seed: int) -> TransportChoice:
        """Of mixed transports each has two of the four clients; the seed says which."""
        odd = (self.number + (self.kind == "task") + seed) % 2 == 1
        return ("httpx" if odd else "fast") if transport_name == "mixed" else transport_name

    def __str__(self) -> str:
        return f"{self.kind}{self.number}"


@dataclass
class Report:
    """What a run came to."""

    seed: int
    version: str
    seconds: float
    faults: Multiset[str]
    events: int
    """Delivered to followers."""
    holes: int
    """Named by HistoryCleared."""
    book: Book
    ground: str = "proxies"
    kept: Path | None = None
    """Where to look into it, when it is not sound."""

    @property
    def sound(self) -> bool:
        return self.book.sound

    def __str__(self) -> str:
        rows = [("workload", "calls", "confirmed", "unknown", "refused", *KINDS, "latest")]
        for name, page in sorted(self.book.pages.items()):
            counts = (page.calls, page.confirmed, page.unknown, page.refused)
            complaints = (page.complaints[kind] for kind in KINDS)
            rows.append((name, *map(str, counts), *map(str, complaints), f"{page.latest:+.2f} s"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(
            [
                f"etcd {self.version}, seed {self.seed}, {self.seconds:.0f} s, ground {self.ground}",
                "faults: " + ", ".join(f"{name} {times}" for name, times in sorted(self.faults.items())),
                *table,
                f"events {self.events}, named holes {self.holes}",
                self.book.summary(sum(self.faults.values())),
                *(f"{times} x {text}" for text, times in self.book.texts.items()),
                *([] if self.kept is None else [f"the calls, the steps and the members' logs are in {self.kept}"]),
            ]
        )


class Run:
    """`carry_out` returns the report. The arena is whole before and after.

    With `repeat_writes` the clients do what the promises are not given for, and the report should not be sound.
    """

    def __init__(
        self,
        arena: Ground,
        seed: int,
        report: Callable[[str], None] = print,
        *,
        transport_name: TransportChoice = "mixed",
        repeat_writes: bool = False,
        new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._settings: dict[str, Any] = {"timeout": TIMES, "repeat_writes": repeat_writes}
        self._arena, self._seed, self._transport_name, self._out = arena, seed, transport_name, report
        self._new_loop = new_loop
        self._journal = Journal()
        self._stalls = Stalls()
        self._book = Book(journal=self._journal, stalls=self._stalls)
        self._schedule = Schedule(arena, seed, self._say, self._await_progress)
        self._next_progress = math.inf
        self._stop = threading.Event()
        self._writers: dict[tuple[str, str], threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._seats = [Seat(kind, number) for kind in ("thread", "task") for number in range(EACH)]
        self._clients: dict[Seat, Any] = {}
        self._coroutines: list[Callable[[], Any]] = []

    def carry_out(self, seconds: float = 0.0, faults: int = 0) -> Report:
        """So many seconds, and so many faults, whatever comes later."""
        try:
            with self._stalls:
                report = self._carry_out(seconds, faults)
        except BaseException as error:
            kept = self._journal.keep(f"{error!r}\n{self._book.texts}", self._arena.members)
            self._out(f"the run broke off; the calls, the steps and the members' logs are in {kept}")
            raise
        if report.sound:
            self._journal.drop()
        else:
            report.kept = self._journal.keep(str(report), self._arena.members)
        return report

    def _carry_out(self, seconds: float, faults: int) -> Report:
        book, arena = self._book, self._arena
        arena.heal()
        began = time.monotonic()
        self._next_progress = began + PROGRESS
        watches = [Watched(book), Watched(book, "rare", pace=2.0)]
        mirrored = Mirrored(book, watches[0])
        unique = Unique(book)
        workloads: list[Any] = [
            Counter(book),
            Entries(book),
            Register(book, self._seed),
            Session(book),
            unique,
            *watches,
        ]
        addresses = Addresses(book)
        with contextlib.ExitStack() as stack:
            with etcdv2.Client(arena.direct) as first:
                after = first.keys.set("/chaos/begun", "1").index
            for seat in self._seats:
                self._open(seat, stack)
            for seat in self._seats:
                for workload in workloads:
                    self._writer(workload.worker(str(seat), self._turns()), workload.name, seat)
                for watched in watches:
                    self._monitor(watched.follower(str(seat), after), watched.name, seat)
                self._monitor(mirrored.follower(str(seat)), mirrored.name, seat)
                if seat.on_links:
                    looking = addresses.worker(str(seat), self._clients[seat].endpoints, self._turns())
                    self._writer(looking, addresses.name, seat, keys=False)
            self._thread(self._run_loop)
            stack.callback(self._give_up, watches)
            plain = stack.enter_context(PlainClients(arena.direct))
            self._schedule.run(began + seconds, faults)
            self._stop.set()
            arena.heal()
            self._await_writers()
            final = stack.enter_context(etcdv2.Client(arena.direct))
            for watched in watches:
                watched.finish(final.keys)
            self._await_threads()
            for workload in [*workloads, mirrored]:
                workload.check(final.keys)
            final.keys.delete("/chaos", recursive=True)
        book.judge_doubts([*self._schedule.windows, *plain.slow])
        followed = [one for watched in watches for one in watched.followed]
        events, holes = sum(len(one.delivered) for one in followed), sum(len(one.holes) for one in followed)
        seconds = time.monotonic() - began
        self._out(f"{unique}")
        return Report(self._seed, arena.version, seconds, self._schedule.done, events, holes, book, arena.name)

    def _say(self, text: str) -> None:
        self._journal.step(text)
        self._out(text)
        if time.monotonic() >= self._next_progress:
            self._next_progress += PROGRESS
            self._out(f"so far: {self._book.summary(sum(self._schedule.done.values()))}")

    def _open(self, seat: Seat, stack: contextlib.ExitStack) -> None:
        """An async client does nothing before its first call, which is in the loop that closes it."""
        urls = self._arena.endpoints if seat.on_links else self._arena.direct
        transport: Any = "httpx" if seat.transport_name(self._transport_name, self._seed) == "httpx" else None
        if seat.kind == "task":
            self._clients[seat] = etcdv2.AsyncClient(urls, transport=transport, **self._settings)
        else:
            self._clients[seat] = stack.enter_context(etcdv2.Client(urls, transport=transport, **self._settings))

    def _give_up(self, watches: list[Watched]) -> None:
        """All workers end soon, whatever went wrong."""
        self._stop.set()
        for watched in watches:
            watched.give_up = 0.0
        self._await_threads()

    def _turns(self) -> Iterator[None]:
        while not self._stop.is_set():
            yield

    def _writer(self, worker: Worker, workload: str, seat: Seat, *, keys: bool = True) -> None:
        done = self._writers[workload, self._by(seat)] = threading.Event()
        self._start(worker, workload, seat, done, keys=keys)

    def _monitor(self, worker: Worker, workload: str, seat: Seat) -> None:
        self._start(worker, workload, seat, threading.Event())

    def _start(self, worker: Worker, workload: str, seat: Seat, done: threading.Event, *, keys: bool = True) -> None:
        client = self._clients[seat]
        api, by = client.keys if keys else client, self._by(seat)

        def body() -> None:
            try:
                drive(worker, api, self._book, workload, by)
            finally:
                done.set()

        async def task() -> None:
            try:
                await drive_async(worker, api, self._book, workload, by)
            finally:
                done.set()

        if seat.kind == "task":
            self._coroutines.append(task)
        else:
            self._thread(body)

    def _by(self, seat: Seat) -> str:
        return f"{seat} ({seat.transport_name(self._transport_name, self._seed)})"

    def _thread(self, body: Callable[[], None]) -> None:
        def run() -> None:
            try:
                body()
            except Exception as error:
                self._journal.step(traceback.format_exc())
                self._book.complain("all", "strange", f"a worker broke: {error!r}")

        # A daemon: a call that never ends is a finding, and must not keep the process.
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._tasks())

    async def _tasks(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for seat, client in self._clients.items():
                if seat.kind == "task":
                    await stack.enter_async_context(client)
            await stack.enter_async_context(self._stalls.of_loop())
            async with asyncio.TaskGroup() as group:
                for task in self._coroutines:
                    group.create_task(task())

    def _await_progress(self) -> None:
        """After a fault, and at the start, each client gets something done, and something of each workload is done."""
        before, began = self._book.confirmed.copy(), time.monotonic()

        def waiting() -> set[str]:
            gone_on = {who for who in self._writers if self._book.confirmed[who] > before[who]}
            return {name for who in self._writers for name in who} - {name for who in gone_on for name in who}

        while waiting():
            now = time.monotonic()
            if now - began > ENDS_WITHIN + self._stalls.within(began, now, in_loop=True):
                self._book.complain("all", "late", f"{sorted(waiting())} got nothing done for {now - began:.0f} s")
                return
            time.sleep(0.05)

    def _await_writers(self) -> None:
        by = time.monotonic() + ENDS_WITHIN
        hanging = [who for who, done in self._writers.items() if not done.wait(max(0.0, by - time.monotonic()))]
        if hanging:
            self._book.complain("all", "late", f"{hanging} have not ended {ENDS_WITHIN} s after the run")

    def _await_threads(self) -> None:
        by = time.monotonic() + ENDS_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, by - time.monotonic()))
            if thread.is_alive():
                self._book.complain("all", "late", f"a thread has not ended {ENDS_WITHIN} s after the run")
