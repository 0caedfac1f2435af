"""What clients may leave behind in this process: sockets, threads, tasks.

Owns counting. Knows no client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

from tests.tools.waiting import async_until, until

DESCRIPTORS = Path("/proc/self/fd")


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


def nothing_left(before: Held) -> None:
    """Fails when there is more than before, for long."""
    until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), lambda: (held(), before))


async def async_nothing_left(before: Held) -> None:
    await async_until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)), lambda: (held(), before)
    )


def collect_lost_by_anyio(transport: str) -> None:
    """Over httpx: anyio (4.16) drops a connection that is made just as its caller is cancelled, unclosed.

    The garbage collector closes it, with a warning that is not about this library.
    """
    if transport == "httpx":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def workers() -> list[str]:
    """Names of the background tasks and threads of watches that still run. Look-ups are nobody's: they serve all."""
    names = [thread.name for thread in threading.enumerate()]
    with contextlib.suppress(RuntimeError):  # no loop runs: the sync tests
        names += [task.get_name() for task in asyncio.all_tasks()]
    return sorted(name for name in names if name.startswith("etcdv2-") and name != "etcdv2-lookup")
