"""Members of a real cluster: announced, changed and removed; and how each is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etcdv2.testing import Cluster
from tests.cli.running import CommandLine, Ran, start
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON, until


@pytest.mark.load
@FIRST_VERSION
def test_members_come_change_and_go(etcd_binary: Path) -> None:
    with Cluster(3, etcd_binary) as cluster:
        cli = CommandLine(",".join(cluster.endpoints))
        rows = [line.split() for line in cli.out("member", "list").splitlines()]
        assert {row[1] for row in rows} == {"m1", "m2", "m3"}
        assert sorted(row[3] for row in rows) == ["follower", "follower", "leader"]

        # 1. A member is announced: stdout is what it is started with. Its URL cannot be another one's.
        tried: list[Ran] = []

        def add(name: str) -> bool:
            """etcd says 500 until all members have been connected for 5 s."""
            tried.append(cli("member", "add", name, "http://127.0.0.1:1"))
            return tried[-1].code != 9

        until(lambda: add("m4"))
        ran = tried[-1]
        assert ran.code == 0, ran
        assert ran.lines[0] == 'ETCD_NAME="m4"'
        assert "m4=http://127.0.0.1:1" in ran.lines[1]
        assert ran.lines[2] == 'ETCD_INITIAL_CLUSTER_STATE="existing"'
        until(lambda: add("m5"))
        ran = tried[-1]
        assert (ran.code, ran.out) == (5, "")
        assert "is a peer URL of" in ran.err

        # 2. It is known by its id, moved, and removed.
        [new] = [one for one in json.loads(cli.out("member", "list", "-o", "json"))["members"] if not one["name"]]
        assert cli.out("member", "update", new["id"], "http://127.0.0.1:2").startswith(f"updated {new['id']}")
        assert "http://127.0.0.1:2" in cli.out("member", "list")
        assert cli.out("member", "remove", new["id"]).startswith(f"removed {new['id']}")
        assert cli("member", "remove", new["id"]).code == 3
        assert len(cli.out("member", "list").splitlines()) == 3

        # 3. Looked at again and again, a member that goes is seen.
        with start(cli.url, "health", "--watch", "100ms", "-o", "json") as watcher:
            assert watcher.stdout is not None
            assert json.loads(watcher.stdout.readline())["healthy"] is True
            cluster.followers()[0].stop()
            while (seen := json.loads(watcher.stdout.readline()))["healthy"]:
                assert len(seen["members"]) == 3
            assert sum(one["healthy"] for one in seen["members"]) == 2
            watcher.terminate()
            assert watcher.wait(SOON) == 143
