"""A follower that the leader catches up by a snapshot tells its open polls nothing of what that brought.

What a watch and a mirror make of it when they know no other member: all events in order, or the loss is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Event, HistoryCleared
from etcdv2.testing import Cluster, Server
from tests.facade._async.conftest import Connect
from tests.tools.waiting import SOON, async_until
from tests.tools.writers import async_foreign_writes

pytestmark = pytest.mark.load

MISSED = 7000
"""Entries; a leader keeps 5,000 behind its last snapshot."""


@pytest.fixture
def followed(etcd_binary: Path) -> Iterator[tuple[Server, Server]]:
    """A leader and a follower of three that make a snapshot every 100 entries."""
    with Cluster(3, etcd_binary, fsync=False, args=["--snapshot-count=100"]) as cluster:
        yield cluster.leader(), cluster.followers()[0]


async def test_event_that_came_by_a_snapshot_is_told_or_its_loss_is_named(
    connect: Connect, followed: tuple[Server, Server]
) -> None:
    leader, follower = followed
    through, beside = connect(follower.url), connect(leader.url)
    told = list[str | None]()
    async with through.keys.watch("/app", recursive=True) as watcher:
        await beside.keys.set("/app/k", "first")
        assert await watcher.next(timeout=SOON) is not None
        follower.pause()
        await async_foreign_writes(leader, MISSED // 2)
        await beside.keys.set("/app/k", "missed")
        await async_foreign_writes(leader, MISSED // 2)
        follower.resume()
        await async_until(lambda: "snapshot" in follower.log_file.read_text(errors="replace"), lambda: "no snapshot")
        last = (await beside.keys.set("/app/k", "next")).index

        try:
            while told[-1:] != ["next"]:
                event = await watcher.next(timeout=SOON)
                assert event is not None, f"silent before index {last}, told {told}"
                told.append(event.value)
        except HistoryCleared:
            told.append("HistoryCleared")
    assert told in (["missed", "next"], ["HistoryCleared"], ["missed", "HistoryCleared"])


async def test_mirror_of_such_a_follower_is_the_tree_again(connect: Connect, followed: tuple[Server, Server]) -> None:
    leader, follower = followed
    through, beside = connect(follower.url), connect(leader.url)
    await beside.keys.set("/app/gone", "x")
    async with through.keys.mirror("/app") as mirror:
        assert await mirror.wait_for(lambda state: "/app/gone" in state, timeout=SOON)
        follower.pause()
        await async_foreign_writes(leader, MISSED)
        await beside.keys.delete("/app/gone")
        await beside.keys.set("/app/new", "y")
        follower.resume()
        await beside.keys.set("/app/next", "z")

        seen = await mirror.wait_for(lambda state: "/app/next" in state, timeout=60)
        assert seen
        assert set(mirror.state) == {"/app/new", "/app/next"}


async def test_foreign_writes_of_a_healthy_member_are_no_snapshot(connect: Connect, etcd: Server) -> None:
    """The raft index goes on by more than a snapshot would make it, step by step."""
    client = connect(etcd.url)
    async with client.keys.watch("/quiet") as watcher:
        await async_foreign_writes(etcd, 2 * MISSED, connections=2, followed_by=[watcher])
        await client.keys.set("/quiet", "told")
        event = await watcher.next(timeout=SOON)
        assert isinstance(event, Event)
        assert event.value == "told"
