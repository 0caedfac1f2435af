"""Members, statistics, machines, version and health on real servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import AsyncClient, BadRequest, Conflict, Gone, NotFound
from etcdv2.testing import Cluster, Server
from etcdv2_api import operations
from tests.facade._async.conftest import Connect


async def test_members_list_shows_the_one_member(client: AsyncClient, etcd: Server) -> None:
    (member,) = await client.members.list()
    assert (member.name, member.client_urls, member.peer_urls) == (etcd.name, (etcd.url,), (etcd.peer_url,))
    assert int(member.id, 16) > 0
    assert await client.members.leader() == member


async def test_machines_are_the_members_client_urls(client: AsyncClient, etcd: Server) -> None:
    assert await client.machines() == (etcd.url,)


async def test_version_is_that_of_the_server(client: AsyncClient, etcd: Server) -> None:
    version = await client.version()
    assert version.etcdserver == etcd.version
    assert version.etcdcluster.rpartition(".")[0] == etcd.version.rpartition(".")[0]


async def test_health_of_a_healthy_server(client: AsyncClient, etcd: Server) -> None:
    health = await client.health()
    (one,) = health.endpoints
    assert (health.healthy, health.degraded) == (True, False)
    assert (one.endpoint, one.healthy, one.reason) == (etcd.url, True, "")
    assert 0 < one.elapsed < 60


async def test_health_with_a_dead_endpoint_is_degraded(connect: Connect, etcd: Server) -> None:
    client = connect([etcd.url, "http://127.0.0.1:1"])
    health = await client.health()
    assert (health.healthy, health.degraded) == (True, True)
    (dead,) = [one for one in health.endpoints if not one.healthy]
    assert dead.endpoint == "http://127.0.0.1:1"
    assert dead.reason


async def test_health_of_a_dead_cluster_raises_nothing(connect: Connect) -> None:
    health = await connect("http://127.0.0.1:1").health()
    assert (health.healthy, health.degraded, len(health.endpoints)) == (False, False, 1)


async def test_store_stats_count_what_was_done(client: AsyncClient) -> None:
    before = await client.stats.store()
    await client.keys.set("/a", "1")
    await client.keys.set("/a", "2", prev_value="1")
    await client.keys.delete("/a", prev_value="2")
    await client.keys.get("/a", default=None)
    after = await client.stats.store()
    assert after.sets_success == before.sets_success + 1
    assert after.compare_and_swap_success == before.compare_and_swap_success + 1
    assert after.compare_and_delete_success == before.compare_and_delete_success + 1
    assert after.gets_fail > before.gets_fail


async def test_self_and_leader_stats_name_the_member(client: AsyncClient, etcd: Server) -> None:
    (member,) = await client.members.list()
    own = await client.stats.self_()
    assert (own.name, own.id, own.state) == (etcd.name, member.id, "StateLeader")
    assert own.leader_info.leader == member.id
    assert own.start_time.tzinfo is not None
    leading = await client.stats.leader()
    assert (leading.leader, dict(leading.followers)) == (member.id, {})


async def test_leader_stats_are_asked_until_the_leader_answers(connect: Connect, etcd_cluster: Cluster) -> None:
    leader = etcd_cluster.leader()
    own = await connect(leader.url).stats.self_()
    for _ in range(4):  # the first endpoint is random
        stats = await connect(etcd_cluster.endpoints).stats.leader()
        assert stats.leader == own.id
        assert len(stats.followers) == 2


async def test_members_of_a_cluster_and_its_leader(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints)
    members = await client.members.list()
    assert sorted(member.name for member in members) == ["m1", "m2", "m3"]
    leader = await client.members.leader()
    assert leader.client_urls == (etcd_cluster.leader().url,)
    assert sorted(await client.machines()) == sorted(etcd_cluster.endpoints)
    health = await client.health()
    assert [one.healthy for one in health.endpoints] == [True] * 3


async def test_member_errors_come_by_status(client: AsyncClient, etcd: Server) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: client.members.remove("abcdef"),
        lambda: client.members.update("abcdef", "http://127.0.0.1:9"),
    ]
    for change in changes:
        with pytest.raises(NotFound, match="abcdef") as caught:
            await change()
        assert (caught.value.status, caught.value.code, caught.value.endpoint) == (404, 0, etcd.url)


async def test_bad_and_taken_peer_urls_are_refused(client: AsyncClient, etcd: Server) -> None:
    for url in ("not a url", "http://127.0.0.1:9/path", "http://127.0.0.1"):
        with pytest.raises(BadRequest) as caught:
            await client.members.add(url)
        assert caught.value.status == 400
    with pytest.raises(Conflict) as taken:
        await client.members.add(etcd.peer_url)
    assert taken.value.status == 409
    assert len(await client.members.list()) == 1


async def test_member_is_added_updated_and_removed_for_good(connect: Connect, etcd_binary: Path) -> None:
    # The check refuses changes in the first 5 s of a member.
    quick: dict[str, Any] = {
        "fsync": False,
        "heartbeat_interval": 50,
        "election_timeout": 500,
        "args": ["--strict-reconfig-check=false"],
    }
    with Cluster(3, etcd_binary, **quick) as cluster:
        client = connect(cluster.endpoints)
        added = await client.members.add(["http://127.0.0.1:9", "http://127.0.0.1:10"])
        assert (added.name, added.client_urls) == ("", ())
        assert sorted(added.peer_urls) == ["http://127.0.0.1:10", "http://127.0.0.1:9"]
        await client.members.update(added.id, "http://127.0.0.1:11")
        listed = {member.id: member.peer_urls for member in await client.members.list()}
        assert listed[added.id] == ("http://127.0.0.1:11",)
        await client.members.remove(added.id)
        assert len(await client.members.list()) == 3
        with pytest.raises(Gone) as caught:
            await client.members.remove(added.id)
        assert caught.value.status == 410


async def test_sync_adds_the_members_that_answer(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints[0])
    found = await client.sync()
    assert sorted(found) == sorted(client.endpoints) == sorted(etcd_cluster.endpoints)
    assert (await client.keys.set("/a", "1")).value == "1"


async def test_send_raises_the_errors_of_the_tree(client: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await client.send(operations.get_role("nobody"))
    answer = await client.send(operations.get_key("/", quorum=True))
    assert answer.action == "get"
