# Derived from tests/facade/_async/test_admin.py by scripts/unasync.py: change that file, make generate.
"""Members, statistics, machines, version and health on real servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import BadRequest, Client, Conflict, Gone, NotFound
from etcdv2.testing import Cluster, Server
from etcdv2_api import operations
from tests.facade._sync.conftest import Connect


def test_members_list_shows_the_one_member(client: Client, etcd: Server) -> None:
    (member,) = client.members.list()
    assert (member.name, member.client_urls, member.peer_urls) == (etcd.name, (etcd.url,), (etcd.peer_url,))
    assert int(member.id, 16) > 0
    assert client.members.leader() == member


def test_machines_are_the_members_client_urls(client: Client, etcd: Server) -> None:
    assert client.machines() == (etcd.url,)


def test_version_is_that_of_the_server(client: Client, etcd: Server) -> None:
    version = client.version()
    assert version.etcdserver == etcd.version
    assert version.etcdcluster.rpartition(".")[0] == etcd.version.rpartition(".")[0]


def test_health_of_a_healthy_server(client: Client, etcd: Server) -> None:
    health = client.health()
    (one,) = health.endpoints
    assert (health.healthy, health.degraded) == (True, False)
    assert (one.endpoint, one.healthy, one.reason) == (etcd.url, True, "")
    assert 0 < one.elapsed < 60


def test_health_with_a_dead_endpoint_is_degraded(connect: Connect, etcd: Server) -> None:
    client = connect([etcd.url, "http://127.0.0.1:1"])
    health = client.health()
    assert (health.healthy, health.degraded) == (True, True)
    (dead,) = [one for one in health.endpoints if not one.healthy]
    assert dead.endpoint == "http://127.0.0.1:1"
    assert dead.reason


def test_health_of_a_dead_cluster_raises_nothing(connect: Connect) -> None:
    health = connect("http://127.0.0.1:1").health()
    assert (health.healthy, health.degraded, len(health.endpoints)) == (False, False, 1)


def test_store_stats_count_what_was_done(client: Client) -> None:
    before = client.stats.store()
    client.keys.set("/a", "1")
    client.keys.set("/a", "2", prev_value="1")
    client.keys.delete("/a", prev_value="2")
    client.keys.get("/a", default=None)
    after = client.stats.store()
    assert after.sets_success == before.sets_success + 1
    assert after.compare_and_swap_success == before.compare_and_swap_success + 1
    assert after.compare_and_delete_success == before.compare_and_delete_success + 1
    assert after.gets_fail > before.gets_fail


def test_self_and_leader_stats_name_the_member(client: Client, etcd: Server) -> None:
    (member,) = client.members.list()
    own = client.stats.self_()
    assert (own.name, own.id, own.state) == (etcd.name, member.id, "StateLeader")
    assert own.leader_info.leader == member.id
    assert own.start_time.tzinfo is not None
    leading = client.stats.leader()
    assert (leading.leader, dict(leading.followers)) == (member.id, {})


def test_leader_stats_are_asked_until_the_leader_answers(connect: Connect, etcd_cluster: Cluster) -> None:
    leader = etcd_cluster.leader()
    own = connect(leader.url).stats.self_()
    for _ in range(4):  # the first endpoint is random
        stats = connect(etcd_cluster.endpoints).stats.leader()
        assert stats.leader == own.id
        assert len(stats.followers) == 2


def test_members_of_a_cluster_and_its_leader(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints)
    members = client.members.list()
    assert sorted(member.name for member in members) == ["m1", "m2", "m3"]
    leader = client.members.leader()
    assert leader.client_urls == (etcd_cluster.leader().url,)
    assert sorted(client.machines()) == sorted(etcd_cluster.endpoints)
    health = client.health()
    assert [one.healthy for one in health.endpoints] == [True] * 3


def test_member_errors_come_by_status(client: Client, etcd: Server) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: client.members.remove("abcdef"),
        lambda: client.members.update("abcdef", "http://127.0.0.1:9"),
    ]
    for change in changes:
        with pytest.raises(NotFound, match="abcdef") as caught:
            change()
        assert (caught.value.status, caught.value.code, caught.value.endpoint) == (404, 0, etcd.url)


def test_bad_and_taken_peer_urls_are_refused(client: Client, etcd: Server) -> None:
    for url in ("not a url", "http://127.0.0.1:9/path", "http://127.0.0.1"):
        with pytest.raises(BadRequest) as caught:
            client.members.add(url)
        assert caught.value.status == 400
    with pytest.raises(Conflict) as taken:
        client.members.add(etcd.peer_url)
    assert taken.value.status == 409
    assert len(client.members.list()) == 1


def test_member_is_added_updated_and_removed_for_good(connect: Connect, etcd_binary: Path) -> None:
    # The check refuses changes in the first 5 s of a member.
    quick: dict[str, Any] = {
        "fsync": False,
        "heartbeat_interval": 50,
        "election_timeout": 500,
        "args": ["--strict-reconfig-check=false"],
    }
    with Cluster(3, etcd_binary, **quick) as cluster:
        client = connect(cluster.endpoints)
        added = client.members.add(["http://127.0.0.1:9", "http://127.0.0.1:10"])
        assert (added.name, added.client_urls) == ("", ())
        assert sorted(added.peer_urls) == ["http://127.0.0.1:10", "http://127.0.0.1:9"]
        client.members.update(added.id, "http://127.0.0.1:11")
        listed = {member.id: member.peer_urls for member in client.members.list()}
        assert listed[added.id] == ("http://127.0.0.1:11",)
        client.members.remove(added.id)
        assert len(client.members.list()) == 3
        with pytest.raises(Gone) as caught:
            client.members.remove(added.id)
        assert caught.value.status == 410


def test_sync_adds_the_members_that_answer(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints[0])
    found = client.sync()
    assert sorted(found) == sorted(client.endpoints) == sorted(etcd_cluster.endpoints)
    assert (client.keys.set("/a", "1")).value == "1"


def test_send_raises_the_errors_of_the_tree(client: Client) -> None:
    with pytest.raises(NotFound):
        client.send(operations.get_role("nobody"))
    answer = client.send(operations.get_key("/", quorum=True))
    assert answer.action == "get"
