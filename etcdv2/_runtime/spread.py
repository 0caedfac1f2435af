"""One action on each of many items, so many at a time; and work beside an event loop: for asyncio and for threads.

Owns the bound, and that an error ends it in order. No rule of etcd.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


async def async_spread(
    items: Iterable[A], count: int, act: Callable[[A], Awaitable[R]], came: Callable[[A, R], object]
) -> None:
    """Act on each item, `count` of them at a time; `came` gets each with what it gave, as they end.

    After an error no further one is begun, and those under way are waited for. Raises the first error.
    """
    work = iter(items)
    errors: list[Exception] = []

    async def body() -> None:
        for item in work:
            if errors:
                return
            try:
                came(item, await act(item))
            except Exception as error:
                errors.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(body())
    if errors:
        raise errors[0]


def spread(items: Iterable[A], count: int, act: Callable[[A], R], came: Callable[[A, R], object]) -> None:
    """In threads, one of them this; fewer where none can be started. `came` is always called here."""
    work, lock = iter(items), threading.Lock()
    answers: deque[tuple[A, R]] = deque()
    errors: list[BaseException] = []

    def acted() -> Iterator[tuple[A, R]]:
        while not errors:
            with lock:
                taken = [*islice(work, 1)]
            if not taken:
                return
            yield taken[0], act(taken[0])

    def body() -> None:
        try:
            answers.extend(acted())
        except BaseException as error:  # raised where it is waited for
            errors.append(error)

    def drain() -> None:
        while answers:
            item, answer = answers.popleft()
            try:
                came(item, answer)
            except BaseException:
                answers.clear()
                raise

    def here() -> None:
        for answer in acted():
            answers.append(answer)
            drain()

    threads: list[threading.Thread] = []
    with contextlib.suppress(RuntimeError):
        for _ in range(count - 1):
            thread = threading.Thread(target=body, name="etcdv2-spread", daemon=True)
            thread.start()
            threads.append(thread)

    # What `came` raises ends it, and an interruption here, too: what was under way is waited for.
    steps: list[Callable[[], object]] = [
        here,
        *(thread.join for thread in threads),
        drain,
    ]
    while steps:
        try:
            steps[0]()
            del steps[0]
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


async def async_aside(work: Callable[[], R]) -> R:
    """In another thread: what reads or writes files."""
    return await asyncio.to_thread(work)


def aside(work: Callable[[], R]) -> R:
    """Here."""
    return work()
