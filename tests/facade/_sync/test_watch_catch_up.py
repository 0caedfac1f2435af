# Derived from tests/facade/_async/test_watch_catch_up.py by scripts/unasync.py: change that file, make generate.
"""A follower that the leader catches up by a snapshot tells its open polls nothing of what that brought.

What a watch and a mirror make of it when they know no other member: all events in order, or the loss is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Event, HistoryCleared
from etcdv2.testing import Cluster, Server
from tests.facade._sync.conftest import Connect
from tests.tools.waiting import SOON, until
from tests.tools.writers import foreign_writes

pytestmark = pytest.mark.load

MISSED = 7000
"""Entries; a leader keeps 5,000 behind its last snapshot."""


@pytest.fixture
def followed(etcd_binary: Path) -> Iterator[tuple[Server, Server]]:
    """A leader and a follower of three that make a snapshot every 100 entries."""
    with Cluster(3, etcd_binary, fsync=False, args=["--snapshot-count=100"]) as cluster:
        yield cluster.leader(), cluster.followers()[0]


def test_event_that_came_by_a_snapshot_is_told_or_its_loss_is_named(
    connect: Connect, followed: tuple[Server, Server]
) -> None:
    leader, follower = followed
    through, beside = connect(follower.url), connect(leader.url)
    told = list[str | None]()
    with through.keys.watch("/app", recursive=True) as watcher:
        beside.keys.set("/app/k", "first")
        assert watcher.next(timeout=SOON) is not None
        follower.pause()
        foreign_writes(leader, MISSED // 2)
        beside.keys.set("/app/k", "missed")
        foreign_writes(leader, MISSED // 2)
        follower.resume()
        until(lambda: "snapshot" in follower.log_file.read_text(errors="replace"), lambda: "no snapshot")
        last = (beside.keys.set("/app/k", "next")).index

        try:
            while told[-1:] != ["next"]:
                event = watcher.next(timeout=SOON)
                assert event is not None, f"silent before index {last}, told {told}"
                told.append(event.value)
        except HistoryCleared:
            told.append("HistoryCleared")
    assert told in (["missed", "next"], ["HistoryCleared"], ["missed", "HistoryCleared"])


def test_mirror_of_such_a_follower_is_the_tree_again(connect: Connect, followed: tuple[Server, Server]) -> None:
    leader, follower = followed
    through, beside = connect(follower.url), connect(leader.url)
    beside.keys.set("/app/gone", "x")
    with through.keys.mirror("/app") as mirror:
        assert mirror.wait_for(lambda state: "/app/gone" in state, timeout=SOON)
        follower.pause()
        foreign_writes(leader, MISSED)
        beside.keys.delete("/app/gone")
        beside.keys.set("/app/new", "y")
        follower.resume()
        beside.keys.set("/app/next", "z")

        seen = mirror.wait_for(lambda state: "/app/next" in state, timeout=60)
        assert seen
        assert set(mirror.state) == {"/app/new", "/app/next"}


def test_foreign_writes_of_a_healthy_member_are_no_snapshot(connect: Connect, etcd: Server) -> None:
    """The raft index goes on by more than a snapshot would make it, step by step."""
    client = connect(etcd.url)
    with client.keys.watch("/quiet") as watcher:
        foreign_writes(etcd, 2 * MISSED, connections=2, followed_by=[watcher])
        client.keys.set("/quiet", "told")
        event = watcher.next(timeout=SOON)
        assert isinstance(event, Event)
        assert event.value == "told"
