"""Two thousand events in a moment, against a consumer that sleeps: in a process of its own, as users have it.

Within this process each answer is checked against the description, which takes longer than etcd needs for many writes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from etcdv2.testing import Server
from tests.tools.writers import AT_ONCE, Writing, put

BLOCKING = """
import sys, time
from etcdv2 import Client
with Client(sys.argv[1]) as client, client.keys.watch("/b", recursive=True) as watcher:
    print("ready", flush=True)
    time.sleep(0.5)
    for _ in range(2000):
        print(watcher.next(timeout=10).index)
"""
ASYNC = """
import asyncio, sys
from etcdv2 import AsyncClient
async def main():
    async with AsyncClient(sys.argv[1]) as client, client.keys.watch("/b", recursive=True) as watcher:
        print("ready", flush=True)
        await asyncio.sleep(0.5)
        for _ in range(2000):
            print((await watcher.next(timeout=10)).index)
asyncio.run(main())
"""


@pytest.mark.load
@pytest.mark.parametrize("code", [BLOCKING, ASYNC], ids=["sync", "async"])
def test_two_thousand_events_in_a_moment_are_delivered(etcd_binary: Path, code: str) -> None:
    """A server that writes to its disk, some 10,000 events a second; without that it is 40,000, which is too much."""
    with Server(etcd_binary) as server:
        command = [sys.executable, "-c", code, server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            assert watching.stdout.readline() == "ready\n"
            writing = Writing(server.port, [put(f"/b/{n}", f"{n}") for n in range(2000)], **AT_ONCE)
            delivered = [int(line) for line in watching.stdout]
        assert watching.returncode == 0
        assert delivered == [done.index for done in writing.done]
