"""Measurements of watches: what is written while the clients watch, and what became of it. Knows no client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from .cases import Case
from .drivers import Driver, Failed
from .target import MANY, QUIET, Etcd

Figures = dict[str, Any]
EARLY = 5
"""Events that are not counted: the watch may not have been registered when they were written."""
REGISTER = 0.15
"""Seconds for a watch to be registered."""
SETTLE = 0.7
"""Seconds for a thousand watches."""
LOOK = 0.02
"""Seconds between two looks at how many watches the server has."""
PAUSE = 0.005
"""Seconds between two writes, longer than any client takes for an event."""
END = -1
"""The number that ends a watch."""
LIMIT_SECONDS = 10.0
"""For an event to reach a watcher."""
NEVER = f"no event within {LIMIT_SECONDS:.0f} s"


def measure(case: Case, driver: Driver, etcd: Etcd) -> Figures:
    """One measurement of one client. Raises Failed."""
    match case.kind:
        # One write at a time, each when the one before it has been seen.
        case "delay":
            driver.begin({"after": etcd.index(), "events": case.events + EARLY})
            time.sleep(REGISTER)
            etcd.events(case.events + EARLY, PAUSE)
            figures = driver.result()
            figures["delays"] = figures["delays"][EARLY:]

        # All the writes are over before the watch begins. How old an event is says nothing then.
        case "burst":
            after = etcd.index()
            etcd.events(case.events, 0)
            driver.begin({"after": after, "events": case.events})
            figures = driver.result()
            del figures["delays"]

        case "loaded":
            with etcd.others(case.rate) as others:
                before = etcd.watchers()
                driver.begin({"after": etcd.index(), "events": case.events + EARLY})
                _registered(etcd, before + 1)
                paced(etcd.happen, case.events + EARLY, 1 / PAUSE)
                figures = driver.result()
            figures["others"] = others.rate
            _judged(figures, case.events + EARLY)
            figures["delays"] = figures["delays"][EARLY:]

        # It answers twice: with its memory when the watchers are there, and with the events.
        case "many":
            driver.begin({"after": etcd.index(), "events": case.events, "settle": SETTLE})
            memory = driver.result()["bytes"] / case.workers
            paced(lambda number: etcd.happen(number, f"{MANY}/k{number % case.workers}"), case.events, case.rate)
            figures = {**driver.result(), "bytes": memory}
            _judged(figures, case.events)

        # Completeness: a client that has lost events would wait for them for ever, so the end is written too.
        case _:
            before = etcd.watchers()
            driver.begin({"after": etcd.index(), "events": 0})
            _registered(etcd, before + 1)
            seconds = paced(etcd.happen, case.events, case.rate)
            _end([driver], etcd.happen)
            figures = driver.result()
            figures["written"] = case.events / seconds
            _judged(figures, case.events)
    return figures


def _registered(etcd: Etcd, watchers: int) -> None:
    """Wait until the server has so many watches: a client that is not ready by then has failed by itself."""
    end = time.monotonic() + LIMIT_SECONDS
    while etcd.watchers() < watchers and time.monotonic() < end:
        time.sleep(LOOK)


def together(case: Case, drivers: list[Driver], etcd: Etcd) -> list[Figures | Failed]:
    """All clients watch the same quiet key, while others write; then it is written once. In the order of `drivers`."""

    def happen(number: int) -> None:
        etcd.happen(number, QUIET)

    # 1. All of them watch from after this write.
    happen(END)
    before, begun = etcd.watchers(), 0
    for driver in drivers:
        with contextlib.suppress(Failed):  # so will its result
            driver.begin({"after": etcd.index(), "events": 1})
            begun += 1
    _registered(etcd, before + begun)

    # 2. Other keys are written, and then the one.
    with etcd.others(case.rate) as others:
        time.sleep(case.seconds)
    if case.cut:
        etcd.cut()
    happen(0)

    # 3. Whoever has not got the event is ended.
    end = time.monotonic() + LIMIT_SECONDS
    for driver in drivers:
        driver.answered(end - time.monotonic())
    silent = [driver for driver in drivers if not driver.answered(0)]
    _end(silent, happen)

    # 4. What they have seen.
    found: list[Figures | Failed] = []
    for driver in drivers:
        try:
            figures = driver.result(LIMIT_SECONDS)
        except Failed as reason:
            found.append(reason)
            continue
        if driver in silent:
            figures["said"] = figures.get("said") or NEVER
        figures["others"] = others.rate
        _judged(figures, 1)
        found.append(figures)
    return found


def paced(happen: Callable[[int], None], count: int, rate: float) -> float:
    """Let it happen so often, so many times per second (0: at once), and give the seconds that it took."""
    start = time.perf_counter()
    for number in range(count):
        if rate:
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
        happen(number)
    return time.perf_counter() - start


def judge(seen: list[int], count: int) -> Figures:
    """Of events that are numbered from 0: how many came, never came, came twice, came after a later one."""
    got = len(set(seen))
    disorder = sum(later < earlier for earlier, later in pairwise(seen))
    return {"got": got, "missing": count - got, "doubled": len(seen) - got, "disorder": disorder}


def _judged(figures: Figures, count: int) -> None:
    figures.update(judge(figures.pop("seen", []), count))
    figures["said"] = figures.get("said", "")


def _end(drivers: list[Driver], happen: Callable[[int], None]) -> None:
    """Say that it was all, and again to those that do not notice: a watcher may be on its way back."""
    end = time.monotonic() + LIMIT_SECONDS
    while drivers and time.monotonic() < end:
        happen(END)
        drivers[0].answered(0.5)
        drivers = [driver for driver in drivers if not driver.answered(0)]
