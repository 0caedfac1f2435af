# Derived from tests/facade/_async/test_boxes_members.py by scripts/unasync.py: change that file, make generate.
"""Balancers of HTTP send each request of one connection where they like: what a watch then knows of its member.

The member that answers `/v2/stats/self` on a connection need not be the one that its poll waits at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import HistoryCleared
from etcdv2._runtime.primitives import sleep
from etcdv2.testing import Cluster
from tests.facade._sync.conftest import Connect
from tests.tools import boxes
from tests.tools.waiting import SOON
from tests.tools.writers import entries

pytestmark = [pytest.mark.boxes, pytest.mark.load]

MISSED = 7000
"""Entries; a leader keeps 5,000 behind its last snapshot."""


@pytest.fixture
def cluster(etcd_binary: Path) -> Iterator[Cluster]:
    """Three that make a snapshot every 100 entries."""
    with Cluster(3, etcd_binary, fsync=False, args=["--snapshot-count=100"]) as cluster:
        yield cluster


def test_poll_at_another_member_than_its_connection_names_does_not_pass_over_a_snapshot(
    connect: Connect, cluster: Cluster
) -> None:
    """The follower's polls are silent of what a snapshot brings, and the leader, which is asked, has had none."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    with boxes.nginx_by_path(follower, leader, "/v2/stats", "/v2/keys/k/_etcdv2") as box:
        through, beside, at_follower = connect(box.url), connect(leader.url), connect(follower.url)
        found: list[Any] = []
        with through.keys.watch("/k") as watcher:
            follower.pause()
            entries(leader, MISSED)
            beside.keys.set("/k", "missed")
            follower.resume()
            while at_follower.keys.get("/k", default=None) is None:  # the snapshot is there
                sleep(0.05)
            beside.keys.set("/other", "")
            beside.keys.set("/k", "next")

            try:
                while found[-1:] != ["next"]:
                    event = watcher.next(timeout=SOON)
                    assert event is not None, f"silent, found {found}"
                    found.append(event.value)
            except HistoryCleared:
                found.append("HistoryCleared")
        assert found in (["missed", "next"], ["HistoryCleared"], ["missed", "HistoryCleared"])
