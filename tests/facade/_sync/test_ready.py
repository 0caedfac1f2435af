# Derived from tests/facade/_async/test_ready.py by scripts/unasync.py: change that file, make generate.
"""`ready`, whether a client can work, and `health`, what the members say: all endpoints at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from etcdv2 import Client, Readiness
from etcdv2.testing import Cluster, Server
from tests.conftest import FIRST_VERSION
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer, answer_bytes
from tests.tools.waiting import PATIENT, SOON

LEADER = b'{"id":"2e1259d415f2a040","name":"m1","peerURLs":["http://p:1"],"clientURLs":["http://c:1"]}\n'
ETCD = {"Content-Type": "application/json", "X-Etcd-Cluster-Id": "48276a8f75b6a87"}
HEALTHY = b'{"health":"true"}'


def when_all_are_there(barrier: threading.Barrier, status: int, body: bytes) -> Behaviour:
    """The answer comes when as many have asked as the barrier is for."""

    def act(peer: Peer) -> bool:
        barrier.wait(SOON)
        peer.send(answer_bytes(status, ETCD, body))
        return True

    return Behaviour(act)


def test_a_client_of_a_working_server_is_ready(client: Client, etcd: Server) -> None:
    ready = client.ready()
    assert isinstance(ready, Readiness)
    assert ready
    assert (ready.ready, ready.reason) == (True, "")
    assert [(one.endpoint, one.healthy, one.reason) for one in ready.endpoints] == [(etcd.url, True, "")]


def test_asking_costs_no_raft_entry_and_health_costs_one(client: Client) -> None:
    before = (client.keys.get("/")).raft_index
    for _ in range(3):
        assert client.ready(key="/a")
    assert (client.keys.get("/")).raft_index == before
    client.health()
    assert (client.keys.get("/")).raft_index == before + 1


def test_a_server_whose_v2_api_is_off_is_healthy_and_of_no_use(connect: Connect, etcd_binary: Path) -> None:
    with Server(etcd_binary, v2=False, fsync=False) as server:
        client = connect(server.url)
        assert (client.health()).healthy
        ready = client.ready()
        assert not ready
        assert ready.reason == (
            f"{server.url}: this server has no v2 API, or it is off (etcd 3.4 and 3.5 need --enable-v2)"
        )


def use_up_the_space(server: Server) -> None:
    """By one write of v3 that is larger than the quota: an alarm, from which on v3 takes no writes."""
    asked = httpx.post(f"{server.url}/v3/kv/put", json={"key": "YQ==", "value": "eHh4" * 15_000}, timeout=SOON)
    assert "database space exceeded" in asked.text


def test_a_server_without_space_for_v3_is_unhealthy_and_serves_v2(connect: Connect, etcd_binary: Path) -> None:
    with Server(etcd_binary, fsync=False, args=["--quota-backend-bytes=30000"]) as server:
        client = connect(server.url)
        use_up_the_space(server)
        assert not (client.health()).healthy
        assert client.ready(key="/a")
        client.keys.set("/a", "1")
        assert (client.keys.get("/a", consistency="quorum")).value == "1"


def test_a_key_shows_whether_the_user_may_read_it(connect: Connect, etcd_binary: Path) -> None:
    with Server(etcd_binary, auth=("root", "secret"), fsync=False) as server:
        root = connect(server.url, username="root", password="secret")
        root.auth.roles.create("shop", read="/shop/*")
        root.auth.users.create("ada", "hers", roles=["shop"])
        root.auth.roles.revoke("guest", read="/*", write="/*")

        ada = connect(server.url, username="ada", password="hers")
        assert ada.ready(key="/shop/nothing-is-there")
        refused = ada.ready(key="/other")
        assert not refused
        assert "The request requires user authentication (error 110)" in refused.reason

        stranger = connect(server.url, username="ada", password="wrong")
        assert stranger.ready()
        assert not stranger.ready(key="/shop/a")
        assert "wrong" not in (stranger.ready(key="/shop/a")).reason


def test_without_a_majority_no_client_is_ready(connect: Connect, etcd_cluster: Cluster) -> None:
    leader, others = etcd_cluster.leader(), etcd_cluster.followers()
    client = connect(leader.url)
    assert client.ready()
    for other in others:
        other.kill()
    while client.ready():  # until it has noticed
        pass
    assert (client.ready()).reason == f"{leader.url}: no leader: During election"
    assert (client.keys.get("/")).node.dir


def test_one_endpoint_is_enough_and_silent_ones_are_not_waited_for(connect: Connect, etcd: Server) -> None:
    asked = threading.Event()

    def say_nothing(peer: Peer) -> bool:
        asked.set()
        peer.stopping.wait()
        return False

    def after_them(peer: Peer) -> bool:
        assert asked.wait(SOON)
        peer.send(answer_bytes(200, ETCD, LEADER))
        return True

    with FaultServer(Behaviour(say_nothing)) as silent, FaultServer(Behaviour(after_them)) as good:
        client = connect([silent.endpoint.url, good.endpoint.url, "http://127.0.0.1:1"], timeout=PATIENT)
        ready = client.ready()
        assert ready
        assert good.endpoint.url in [one.endpoint for one in ready.endpoints if one.healthy]
        assert silent.endpoint.url not in [one.endpoint for one in ready.endpoints]
        client.close()


@pytest.mark.parametrize("question", ["ready", "health"])
def test_all_endpoints_are_asked_at_once(connect: Connect, question: str) -> None:
    """Three answer only when all three have been asked; none of them well, so all are waited for."""
    barrier = threading.Barrier(3)
    late = when_all_are_there(barrier, 503, b'{"message":"During election"}')
    with FaultServer(late) as one, FaultServer(late) as two, FaultServer(late) as three:
        urls = [server.endpoint.url for server in (one, two, three)]
        client = connect(urls, timeout=PATIENT)
        found: Any = client.ready() if question == "ready" else client.health()
        assert [(each.endpoint, each.healthy) for each in found.endpoints] == [(url, False) for url in client.endpoints]
        assert all("During election" in each.reason for each in found.endpoints)


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (503, ETCD, b'{"message":"During election"}', "no leader: During election"),
        (404, {"Content-Type": "text/plain"}, b"404 page not found\n", "no v2 API"),
        (404, {"Content-Type": "text/html"}, b"<html>nothing here</html>", "nothing here"),
        (502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>", "bad gateway"),
        (200, {"Content-Type": "text/html"}, b"<html>welcome</html>", "welcome"),
        (401, {"Content-Type": "application/json"}, b'{"message":"not you"}', "not you"),
    ],
)
def test_what_is_in_the_way_is_named(
    connect: Connect, status: int, headers: dict[str, str], body: bytes, reason: str
) -> None:
    with FaultServer(answer(status, headers, body)) as server:
        ready = connect(server.endpoint.url).ready()
        assert not ready
        assert reason in ready.reason


def test_a_member_of_another_cluster_is_not_ready(connect: Connect, etcd: Server) -> None:
    with FaultServer(default=answer(200, ETCD, LEADER)) as other:
        client = connect([other.endpoint.url, etcd.url])
        (known,) = [one for one in client._dispatcher.endpoints if one.url == etcd.url]
        client._dispatcher.prefer(known)
        client.keys.get("/")
        reason = "timed out"
        while reason == "timed out":  # or the other one was quicker
            found = {one.endpoint: one.reason for one in (client.ready()).endpoints}
            reason = found.get(other.endpoint.url, reason)
        assert reason == "it belongs to another cluster"


@FIRST_VERSION
def test_a_dead_cluster_raises_nothing_and_a_closed_client_does(connect: Connect, etcd: Server) -> None:
    client = connect(["http://127.0.0.1:1", "http://127.0.0.1:2"])
    ready = client.ready()
    assert not ready
    assert ready.reason.count("http://127.0.0.1:") >= 2
    with pytest.raises(ValueError, match="not a name"):
        client.ready(key="/a//b")
    with pytest.raises(ValueError, match="timeout"):
        client.ready(timeout=-1)
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.ready()
