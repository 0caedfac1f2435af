"""How a workload's calls are made: a worker is a generator of asks and waits, driven by a thread or by a task.

So each workload is written once for the sync and the async client. Knows nothing of what the calls mean.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

import etcdv2
from tests.chaos.book import Book, Outcome

TIMES = etcdv2.Timeout(connect=0.5, attempt=0.7, commit=1.5, total=4.0)
"""Shorter than the standard: the members' own limit is 6 s here, so that many answers are not waited for."""


TOTAL = TIMES.total or 0.0
SHORT = (0.3, 0.8)
"""Deadlines that a fault outlasts."""


class Ask(NamedTuple):
    """One call: `send` makes it with the keys API it is given, `within` is the deadline that it has."""

    call: str
    send: Callable[[Any], Any]
    writes: bool = True
    within: float = TOTAL


class Wait(NamedTuple):
    seconds: float


Worker: TypeAlias = Generator[Ask | Wait, Any, None]
"""Is sent an `Outcome` for each `Ask`."""


def drive(worker: Worker, keys: Any, book: Book, workload: str, by: str = "") -> None:
    """With the keys API of a sync client. `by`: who it is, for the words of a complaint."""
    outcome: Outcome | None = None
    while True:
        try:
            step = worker.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(step, Wait):
            time.sleep(book.eased(step.seconds))
            continue
        begun = time.monotonic()
        try:
            response, error = step.send(keys), None
        except Exception as caught:
            response, error = None, caught
        outcome = Outcome(begun, time.monotonic(), response, error)
        book.enter(workload, step.call, step.within, outcome, writes=step.writes, by=by)


async def drive_async(worker: Worker, keys: Any, book: Book, workload: str, by: str = "") -> None:
    """With the keys API of an async client."""
    outcome: Outcome | None = None
    while True:
        try:
            step = worker.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(step, Wait):
            await asyncio.sleep(book.eased(step.seconds))
            continue
        begun = time.monotonic()
        response, error = None, None
        try:
            response = step.send(keys)
            if inspect.isawaitable(response):
                response = await response
        except Exception as caught:
            response, error = None, caught
        outcome = Outcome(begun, time.monotonic(), response, error)
        book.enter(workload, step.call, step.within, outcome, writes=step.writes, by=by, in_loop=True)
