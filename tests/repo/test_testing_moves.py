"""etcdv2.testing: servers and members that come back at another address."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcdv2.testing import Cluster, Server, StartFailed
from etcdv2.testing._http import ask
from tests.repo.test_testing import get, put, soon


def test_restart_with_a_new_address_keeps_the_data_and_leaves_nobody_at_the_old_one(etcd_binary: Path) -> None:
    with Server(etcd_binary, fsync=False) as server:
        used, peer_url = {server.url}, server.peer_url
        put(server, "/a", "kept")
        for end in (server.stop, server.kill, lambda: None):
            end()
            old = server.door
            server.restart(new_address=True)
            assert server.url not in used
            assert server.peer_url == peer_url
            assert get(server, "/a") == "kept"
            assert advertised(server) == [server.url]
            with pytest.raises(ConnectionRefusedError):
                ask(old, "/version")
            used.add(server.url)


def test_advertised_address_is_what_the_cluster_advertises_and_can_be_set_again(etcd_binary: Path) -> None:
    with Server(etcd_binary, fsync=False, advertise="http://127.0.0.1:1") as server:
        assert advertised(server) == ["http://127.0.0.1:1"]
        server.advertise = "http://127.0.0.1:2"
        server.restart()
        assert advertised(server) == ["http://127.0.0.1:2"]


def advertised(server: Server, kind: str = "clientURLs") -> list[str]:
    """The addresses of all members, as this one knows them."""
    members = sorted(ask(server.door, "/v2/members")[1]["members"], key=lambda member: str(member["name"]))
    return [url for member in members for url in member[kind]]


def knows_all(cluster: Cluster, member: Server) -> bool:
    peer_urls = [one.peer_url for one in cluster.members]
    return advertised(member) == cluster.endpoints and advertised(member, "peerURLs") == peer_urls


def test_all_members_move_and_the_cluster_goes_on_and_can_start_again(etcd_binary: Path) -> None:
    with Cluster(3, etcd_binary, fsync=False, heartbeat_interval=50, election_timeout=500) as cluster:
        before = {url for member in cluster.members for url in (member.url, member.peer_url)}
        put(cluster.members[0], "/a", "kept")
        for member in cluster.members:
            cluster.move(member)
            assert put(member, f"/{member.name}") == 201
        assert before.isdisjoint(url for member in cluster.members for url in (member.url, member.peer_url))
        assert soon(lambda: all(knows_all(cluster, member) for member in cluster.members))
        assert soon(lambda: all(get(member, "/a") == "kept" for member in cluster.members))
        for member in cluster.members:
            member.kill()
            member.wipe()
        cluster.start()
        assert [get(member, "/a") for member in cluster.members] == [None] * 3
        assert soon(lambda: all(knows_all(cluster, member) for member in cluster.members))


def test_move_without_a_majority_is_refused_and_changes_nothing(etcd_cluster: Cluster) -> None:
    first, second = etcd_cluster.followers()
    for member in (first, second):
        member.kill()
    before = first.url, first.peer_url
    with pytest.raises(StartFailed, match="only 1 of 3"):
        etcd_cluster.move(first)
    assert (first.url, first.peer_url) == before
    etcd_cluster.heal()
    assert knows_all(etcd_cluster, first)
