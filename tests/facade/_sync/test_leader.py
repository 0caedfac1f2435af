# Derived from tests/facade/_async/test_leader.py by scripts/unasync.py: change that file, make generate.
"""`prefer_leader`: who is asked for the leader, how often, and what that may cost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import etcdv2
from etcdv2 import Client, Timeout
from etcdv2.testing import Cluster
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import FaultServer, answer, close, stall
from tests.tools.waiting import SOON

HERE = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"}
NODE = {"key": "/a", "value": "1", "modifiedIndex": 7, "createdIndex": 7}
GOT = answer(200, HERE, json.dumps({"action": "get", "node": NODE}).encode())
QUICK = Timeout(connect=0.5, attempt=0.6, commit=0.6, total=5)
LEADER = "/v2/members/leader"
KEY = "/v2/keys/a"


def leads(server: FaultServer, cluster: str = "aa") -> Any:
    """The answer that names this server as the leader."""
    member = {"id": "1", "name": "one", "peerURLs": [], "clientURLs": ["unix://x", server.endpoint.url]}
    return answer(200, {**HERE, "X-Etcd-Cluster-Id": cluster}, json.dumps(member).encode())


def asked(server: FaultServer) -> list[str]:
    return [request.target for request in server.requests]


def first_at(client: Client, server: FaultServer) -> None:
    client._dispatcher.prefer(server.endpoint)


def test_leader_is_asked_for_once_and_then_talked_to(connect: Connect) -> None:
    with FaultServer() as one, FaultServer(default=GOT) as two:
        one.script.append(leads(two))
        client = connect([one.endpoint.url, two.endpoint.url], timeout=QUICK, prefer_leader=True)
        first_at(client, one)
        for _ in range(3):
            client.keys.get("/a")
        assert asked(one) == [LEADER]
        assert asked(two) == [KEY, KEY, KEY]


@pytest.mark.parametrize(
    "fault",
    [close(), stall(), answer(404, {}, b"404 page not found\n"), answer(503, HERE, b'{"message":"election"}')],
    ids=["closes", "stalls", "no-v2", "no-leader"],
)
def test_next_endpoint_is_asked_for_the_leader_when_the_first_does_not_know(connect: Connect, fault: Any) -> None:
    with FaultServer(default=fault) as bad, FaultServer(default=GOT) as good:
        good.script.append(leads(good))
        client = connect([bad.endpoint.url, good.endpoint.url], timeout=QUICK, prefer_leader=True)
        first_at(client, bad)
        assert (client.keys.get("/a")).value == "1"
        assert asked(good) == [LEADER, KEY]
        assert asked(bad) == [LEADER]


def test_leader_that_is_no_endpoint_changes_nothing_and_is_not_asked_for_again_at_once(connect: Connect) -> None:
    with FaultServer(default=GOT) as one, FaultServer() as elsewhere:
        one.script.append(leads(elsewhere))
        client = connect(one.endpoint.url, timeout=QUICK, prefer_leader=True)
        client.keys.get("/a")
        client.keys.get("/a")
        assert asked(one) == [LEADER, KEY, KEY]
        assert asked(elsewhere) == []


def test_leader_of_another_cluster_is_not_preferred(connect: Connect) -> None:
    with FaultServer(default=GOT) as ours, FaultServer() as foreign:
        client = connect([ours.endpoint.url, foreign.endpoint.url], timeout=QUICK)
        first_at(client, ours)
        client.keys.get("/a")
        foreign.script.append(leads(foreign, "bb"))
        ours.script.append(leads(ours))
        first_at(client, foreign)
        prefers = connect([ours.endpoint.url, foreign.endpoint.url], timeout=QUICK, prefer_leader=True)
        prefers._dispatcher.view = client._dispatcher.view
        first_at(prefers, foreign)
        assert (prefers.keys.get("/a")).value == "1"
        assert asked(ours)[1:] == [LEADER, KEY]


def test_looking_for_the_leader_is_within_the_time_of_the_call(connect: Connect) -> None:
    with FaultServer(default=stall()) as one, FaultServer(default=stall()) as two:
        client = connect([one.endpoint.url, two.endpoint.url], timeout=Timeout(attempt=2), prefer_leader=True)
        start = time.monotonic()
        with pytest.raises(etcdv2.DeadlineExceeded):
            client.keys.get("/a", timeout=0.6)
        assert 0.5 < time.monotonic() - start < 1.5


def test_closed_client_asks_nobody(connect: Connect) -> None:
    with FaultServer(default=GOT) as one:
        client = connect(one.endpoint.url, prefer_leader=True)
        client.close()
        with pytest.raises(ValueError, match="closed"):
            client.keys.get("/a")
        assert asked(one) == []


def test_new_leader_is_found_when_the_old_one_is_gone(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints, prefer_leader=True)
    client.keys.set("/a", "1")
    old = etcd_cluster.leader()
    assert client._dispatcher.current.url == old.url
    old.kill()
    try:
        deadline = time.monotonic() + SOON
        while client._dispatcher.current.url == old.url and time.monotonic() < deadline:
            client.keys.get("/a")
        assert client._dispatcher.current.url != old.url
        assert (client.keys.get("/a", quorum=True, timeout=SOON)).value == "1"
    finally:
        old.start()
