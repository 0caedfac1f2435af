"""What clients may leave behind in this process: sockets, threads, tasks; and waiting until something is so.

Owns counting. Knows no client.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DESCRIPTORS = Path("/proc/self/fd")
WITHIN = 5.0


class Held(NamedTuple):
    """How many of each there are now; an event loop's own are among them."""

    sockets: int
    threads: int
    tasks: int


def sockets() -> set[str]:
    """Which sockets this process has, whoever opened them."""
    found: set[str] = set()
    for entry in DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            found.add(entry.readlink().name)
    return {name for name in found if name.startswith("socket:")}


def held() -> Held:
    tasks = 0
    with contextlib.suppress(RuntimeError):  # no loop runs
        tasks = len(asyncio.all_tasks())
    return Held(len(sockets()), threading.active_count(), tasks)


def never() -> str:
    return "it never came true"


def until(condition: Callable[[], object], what: Callable[[], object] = never, within: float = WITHIN) -> None:
    """Waits for it, not for ever; `what` is shown when it does not come."""
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, what()
        time.sleep(0.005)


async def async_until(condition: Callable[[], object], what: Callable[[], object], within: float = WITHIN) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, what()
        await asyncio.sleep(0.002)


def nothing_left(before: Held) -> None:
    """Fails when there is more than before, for long."""
    until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), lambda: (held(), before))


async def async_nothing_left(before: Held) -> None:
    await async_until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)), lambda: (held(), before)
    )
