"""What python-etcd does wrong on real servers, and this does not; one member, three, killed and paused."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import etcdv2
from etcdv2 import OutcomeUnknown
from etcdv2.compat import python_etcd as etcd
from etcdv2.testing import Cluster, Server
from tests.compat.conftest import Connect
from tests.tools.fault_server import FaultServer, TcpProxy, answer, close
from tests.tools.scripted_store import ScriptedStore
from tests.tools.waiting import SOON, until

HEADERS = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "X-Raft-Index": "9"}
NO_LEADER = b'{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: no leader","index":7}'


def ports(cluster: Cluster) -> tuple[tuple[str, int], ...]:
    return tuple(("127.0.0.1", member.port) for member in cluster.members)


def test_write_whose_answer_is_lost_is_sent_once() -> None:
    with FaultServer(default=close()) as one, FaultServer(default=close()) as two:
        hosts = (("127.0.0.1", one.port), ("127.0.0.1", two.port))
        client = etcd.Client(host=hosts, allow_reconnect=True, use_proxies=True, read_timeout=SOON)
        for write in (lambda: client.write("/a", "1", prevExist=False), lambda: client.delete("/a")):
            with pytest.raises(etcd.EtcdConnectionFailed) as caught:
                write()
            assert isinstance(caught.value.cause, OutcomeUnknown)
        assert sorted(len(server.requests) for server in (one, two)) == [1, 1]


def test_missing_leader_is_said_at_once_with_the_servers_own_words() -> None:
    with FaultServer(default=answer(500, HEADERS, NO_LEADER)) as server:
        client = etcd.Client(port=server.port)
        for call in (lambda: client.write("/a", "1"), lambda: client.read("/a", quorum=True)):
            with pytest.raises(etcd.EtcdException) as caught:
                call()
            assert type(caught.value) is etcd.EtcdException
            assert caught.value.payload == {
                "errorCode": 300,
                "message": "Raft Internal Error",
                "cause": "etcdserver: no leader",
                "index": 7,
                "status": 500,
            }
        assert len(server.requests) == 2


def test_what_is_no_answer_of_etcd_is_an_etcd_exception() -> None:
    with FaultServer(default=answer(502, {}, b"<html>gateway</html>")) as server:
        with pytest.raises(etcd.EtcdException, match="Bad response : <html>gateway"):
            etcd.Client(port=server.port).read("/a")
        server.default = answer(404, {}, b"404 page not found\n")
        with pytest.raises(etcd.EtcdException, match="v2 API") as caught:
            etcd.Client(port=server.port).read("/a")
        assert not isinstance(caught.value, etcd.EtcdKeyNotFound)


def test_another_cluster_is_said_once(etcd: Server) -> None:
    from etcdv2.compat import python_etcd

    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client = python_etcd.Client(port=proxy.port, expected_cluster_id="abc")
        assert client.expected_cluster_id == "abc"
        with pytest.raises(python_etcd.EtcdClusterIdChanged, match="changed from abc to"):
            client.read("/")
        own = client.expected_cluster_id
        assert client.read("/").dir
        client.expected_cluster_id = "abd"
        with pytest.raises(python_etcd.EtcdClusterIdChanged):
            client.watch("/", timeout=SOON)
        assert client.expected_cluster_id == own


def test_watch_without_index_loses_no_event_when_its_connection_breaks() -> None:
    with ScriptedStore() as store:
        client = etcd.Client(port=store.port)
        found: list[Any] = []
        watch = threading.Thread(target=lambda: found.append(client.watch("/k", timeout=0)))
        watch.start()
        until(lambda: client.expected_cluster_id)  # it has the headers
        store.hang_up()
        store.happen(count=2)
        watch.join(SOON)
        assert found[0].modifiedIndex == 101


@pytest.mark.load
def test_client_outlives_all_members_being_away(etcd_cluster: Cluster) -> None:
    cluster = etcd_cluster
    client = etcd.Client(host=ports(cluster)[:1], allow_reconnect=True, read_timeout=SOON)
    assert len(client._machines_cache) == 2
    client.write("/a", "1")
    for member in cluster.members:
        member.kill()
    for _ in range(3):
        with pytest.raises(etcd.EtcdConnectionFailed):
            client.read("/a")
    assert len({client.base_uri, *client._machines_cache}) == 3
    cluster.heal()
    assert client.read("/a").value == "1"


@pytest.mark.load
def test_killed_and_paused_members_are_left_for_others(etcd_cluster: Cluster) -> None:
    cluster = etcd_cluster
    client = etcd.Client(host=ports(cluster), allow_reconnect=True, read_timeout=SOON)
    client.write("/a", "1")
    first = next(member for member in cluster.members if member.url == client.base_uri)
    first.kill()
    assert client.read("/a").value == "1"
    assert client.base_uri != first.url
    first.restart()
    cluster.heal()

    # A silent one costs one try of a read, and a watch that waits there goes on elsewhere.
    second = next(member for member in cluster.members if member.url == client.base_uri)
    found: list[Any] = []
    watch = threading.Thread(target=lambda: found.append(client.watch("/b", timeout=0)))
    with etcdv2.Client(second.url) as beside:
        watch.start()
        until(lambda: beside.stats.store().watchers == 1)
    second.pause()
    began = time.monotonic()
    assert client.read("/a").value == "1"
    assert time.monotonic() - began < SOON / 2
    assert client.base_uri != second.url
    writer = etcd.Client(host=ports(cluster), allow_reconnect=True, use_proxies=True, read_timeout=SOON)
    # Written until it is seen: the pause may have come before the headers, and a watch begins with those.
    until(lambda: _written(writer) and not watch.is_alive())
    second.resume()
    assert found
    assert found[0].key == "/b"


def _written(client: etcd.Client) -> bool:
    try:
        client.write("/b", "1")
    except etcd.EtcdException:  # an election, or an answer that is lost
        return False
    return True


def test_first_given_member_that_is_away_does_not_hinder_the_start(connect: Connect, etcd: Server) -> None:
    client = connect(host=(("127.0.0.1", 1), ("127.0.0.1", etcd.port)), allow_reconnect=True)
    assert client.machines == [etcd.url]
    with pytest.raises(Exception, match="Could not get the list of servers"):
        connect(host=(("127.0.0.1", 1),), allow_reconnect=True)
