"""Many events in a moment, against a consumer that sleeps: in a process of its own, as users have it.

Within this process each answer is checked against the description, which takes longer than etcd needs for many writes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etcdv2.testing import Server
from tests.tools.waiting import SOON
from tests.tools.writers import AT_ONCE, Writing, put

KEPT = 1000
"""Events that a server remembers: who is no further behind than that gets all of them, however slow."""
BLOCKING = """
import sys, time
from etcdv2 import Client, HistoryCleared
with Client(sys.argv[1]) as client, client.keys.watch("/b", recursive=True) as watcher:
    print("ready", flush=True)
    time.sleep(0.5)
    for _ in range(2000):
        try:
            print(watcher.next(timeout=60).index, flush=True)
        except HistoryCleared:
            print("named", flush=True)
            break
"""
ASYNC = """
import asyncio, sys
from etcdv2 import AsyncClient, HistoryCleared
async def main():
    async with AsyncClient(sys.argv[1]) as client, client.keys.watch("/b", recursive=True) as watcher:
        print("ready", flush=True)
        await asyncio.sleep(0.5)
        for _ in range(2000):
            try:
                print((await watcher.next(timeout=60)).index, flush=True)
            except HistoryCleared:
                print("named", flush=True)
                break
asyncio.run(main())
"""

pytestmark = [pytest.mark.load, pytest.mark.parametrize("code", [BLOCKING, ASYNC], ids=["sync", "async"])]


@contextmanager
def consumer(server: Server, code: str) -> Iterator[Iterator[str]]:
    """The lines that it prints once it watches, until it ends."""
    with subprocess.Popen([sys.executable, "-c", code, server.url], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "ready\n"
        try:
            yield (line.strip() for line in watching.stdout)
            watching.wait(SOON)
        finally:
            watching.kill()
    assert watching.returncode == 0


def test_bursts_that_the_server_remembers_are_delivered(etcd_binary: Path, code: str) -> None:
    """As fast as the server takes them; the next one when the consumer has had the one before."""
    with Server(etcd_binary, fsync=False) as server, consumer(server, code) as lines:
        for burst in range(2):
            done = Writing(server.port, [put(f"/b/{n}", f"{burst}") for n in range(KEPT)], **AT_ONCE).done
            assert [int(next(lines)) for _ in range(KEPT)] == [one.index for one in done]


def test_two_thousand_events_in_a_moment_are_delivered_or_the_loss_is_named(etcd_binary: Path, code: str) -> None:
    """Whether a client keeps up with some 10,000 a second is the machine's matter (`make bench`)."""
    with Server(etcd_binary) as server, consumer(server, code) as lines:
        writing = Writing(server.port, [put(f"/b/{n}", f"{n}") for n in range(2 * KEPT)], **AT_ONCE)
        delivered = list(lines)
        written = [f"{done.index}" for done in writing.done]
        named = delivered[-1] == "named"
        assert delivered == ([*written[: len(delivered) - 1], "named"] if named else written)
