"""What the Python drivers share: how calls are repeated, timed and charged to this process, and the talk on the pipes.

A driver gets its orders as JSON in its one argument, says {"ready": true} after a warm-up, then measures once per line
on stdin and answers each with a line of JSON. Knows no client and no server.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Order:
    """What to measure. Not every case looks at every field."""

    case: str
    url: str
    host: str
    port: int
    seconds: float
    """Of one measurement."""
    warm: float
    """Seconds of warm-up."""
    key: str
    value: str
    keys: int
    workers: int
    """Threads or tasks."""
    ca: str
    """PEM file of the authority; empty on plain http."""
    options: dict[str, Any]
    calls: int | None = None
    """Exactly so many, however long they take; None: as many as there is time for."""


Figures = dict[str, Any]
Measure = Callable[[Order, dict[str, Any]], Figures]
"""One measurement. The second argument is what the line on stdin said, empty while warming up."""


class Meter:
    """Seconds and CPU seconds (user and system, of this whole process) between making it and `stop`."""

    def __init__(self) -> None:
        self._cpu = _cpu()
        self._start = time.perf_counter()

    def stop(self, calls: int, **more: Any) -> Figures:
        seconds = time.perf_counter() - self._start
        return {"calls": calls, "seconds": seconds, "cpu": _cpu() - self._cpu, **more}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def repeat(call: Callable[[], object], order: Order) -> Figures:
    """One call after the other, for the seconds or the calls that are ordered."""
    if order.calls is not None:
        meter = Meter()
        for _ in range(order.calls):
            call()
        return meter.stop(order.calls)

    # A loop of its own: what counts the calls is not to cost the timed ones anything.
    calls = 0
    clock = time.perf_counter
    meter = Meter()
    end = clock() + order.seconds
    while clock() < end:
        call()
        calls += 1
    return meter.stop(calls)


def threads(call: Callable[[], object], seconds: float, workers: int) -> Figures:
    """The same in several threads at once."""
    counts = [0] * workers
    failures: list[BaseException] = []
    clock = time.perf_counter

    def work(number: int) -> None:
        calls = 0
        try:
            while clock() < end:
                call()
                calls += 1
        except BaseException as error:
            failures.append(error)
        counts[number] = calls

    # Starting the threads is charged to them, as a program would pay for it.
    meter = Meter()
    end = clock() + seconds
    running = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    if failures:
        raise failures[0]
    return meter.stop(sum(counts))


async def tasks(call: Callable[[], Awaitable[object]], order: Order) -> Figures:
    """The same in several tasks of one loop, which share the calls."""
    clock = time.perf_counter

    async def work() -> int:
        calls = 0
        while clock() < end:
            await call()
            calls += 1
        return calls

    # A loop of its own, as in `repeat`.
    async def work_share(share: int) -> int:
        for _ in range(share):
            await call()
        return share

    meter = Meter()
    end = clock() + order.seconds
    share = None if order.calls is None else order.calls // order.workers
    counts = await asyncio.gather(*(work() if share is None else work_share(share) for _ in range(order.workers)))
    return meter.stop(sum(counts))


def load_threads(put: Callable[[str, str], object], order: Order) -> Figures:
    """Write `order.keys` keys with some threads, at most for `order.seconds`."""
    names = iter(range(order.keys))
    lock = threading.Lock()

    # One iterator for all threads: whoever is quicker takes more.
    def put_next() -> None:
        with lock:
            number = next(names, None)
        if number is None:
            raise _NoMore
        put(f"{order.key}/k{number:06}", order.value)

    def work() -> None:
        try:
            while time.perf_counter() < end:
                put_next()
                counter.append(1)
        except _NoMore:
            pass
        except BaseException as error:
            failures.append(error)

    counter: list[int] = []
    failures: list[BaseException] = []
    meter = Meter()
    end = time.perf_counter() + order.seconds
    running = [threading.Thread(target=work) for _ in range(order.workers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    if failures:
        raise failures[0]
    return meter.stop(len(counter))


async def load_tasks(put: Callable[[str, str], Awaitable[object]], order: Order) -> Figures:
    """The same with tasks."""
    names = iter(range(order.keys))

    # Tasks need no lock: nothing else runs between two keys.
    async def work() -> int:
        calls = 0
        for number in names:
            await put(f"{order.key}/k{number:06}", order.value)
            calls += 1
            if time.perf_counter() > end:
                break
        return calls

    meter = Meter()
    end = time.perf_counter() + order.seconds
    counts = await asyncio.gather(*(work() for _ in range(order.workers)))
    return meter.stop(sum(counts))


class _NoMore(Exception):
    """All keys are taken."""


def delay(stamp: str | None) -> float:
    """Seconds since a writer on this machine put `time.monotonic_ns()` into the value."""
    return (time.monotonic_ns() - int(stamp or 0)) / 1e9


def read_tree(read: Callable[[], tuple[int, int]], order: Order) -> Figures:
    """Read and walk, at least once and for `order.seconds`. `read` returns leaves and the sum of their lengths."""
    calls = 0
    meter = Meter()
    end = time.perf_counter() + order.seconds
    while not calls or time.perf_counter() < end:
        leaves, length = read()
        if leaves != order.keys or length != order.keys * len(order.value):
            raise RuntimeError(f"saw {leaves} leaves with {length} characters, not {order.keys}")
        calls += 1
    return meter.stop(calls)


def walk_json(node: dict[str, Any]) -> tuple[int, int]:
    """Leaves below a parsed node and the sum of the lengths of their values."""
    leaves = length = 0
    waiting = [node]
    while waiting:
        for child in waiting.pop().get("nodes", ()):
            if "dir" in child:
                waiting.append(child)
            else:
                leaves += 1
                length += len(child["value"])
    return leaves, length


def serve(measure: Measure, versions: dict[str, str]) -> None:
    """The talk with the program that compares: warm up, say so, then one measurement for each line."""
    order = Order(**json.loads(sys.argv[1]))
    if order.warm > 0:
        measure(replace(order, seconds=order.warm), {})
    say({"ready": True, "versions": versions})
    for line in sys.stdin:
        said = json.loads(line)
        ordered = replace(order, calls=said.get("calls"))
        say(_with_frames(measure, ordered, said) if said.get("frames") else measure(ordered, said))


def _with_frames(measure: Measure, order: Order, said: dict[str, Any]) -> Figures:
    """A measurement, and how many Python frames were entered meanwhile, but for those of the drivers' own loops.

    A coroutine counts each time it is resumed. What other threads do is not counted.
    """
    frames = 0

    def enter(frame: FrameType, event: str, _: object) -> None:
        nonlocal frames
        code = frame.f_code
        if event == "call" and code.co_filename != __file__:
            # The drivers wrap each call in a function without a name.
            frames += code.co_name != "<lambda>" or not code.co_filename.startswith(HERE)

    sys.setprofile(enter)
    try:
        figures = measure(order, said)
    finally:
        sys.setprofile(None)
    return {**figures, "frames": frames}


def say(message: Figures) -> None:
    """A line to the program that compares."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
