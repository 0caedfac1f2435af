# Derived from tests/facade/_async/test_raw.py by scripts/unasync.py: change that file, make generate.
"""`client.raw`: requests of one's own, etcd's answers as they came, and one long poll at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from etcdv2 import Client, ClusterChanged, OutcomeUnknown, RawAnswer, UnexpectedAnswer, V2ApiDisabled
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.recipes._sync.background import Background
from tests.tools.fault_server import FaultServer, answer, close
from tests.tools.scripted_store import ScriptedStore
from tests.tools.waiting import PATIENT, SOON, until
from tests.tools.writers import foreign_writes

HEADERS = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "X-Raft-Index": "9", "X-Raft-Term": "2"}
NO_LEADER = b'{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: no leader","index":7}'


def test_answers_and_refusals_come_as_etcd_gave_them(client: Client, etcd: Server) -> None:
    raw = client.raw
    made = raw.send("PUT", "/v2/keys/a%20b", form=[("value", "1 & 2")])
    assert (made.status, json.loads(made.body)["node"]["key"]) == (201, "/a b")
    assert (made.endpoint, made.cluster_id, made.index > 0, made.raft_term > 0) == (
        etcd.url,
        client.cluster_id,
        True,
        True,
    )
    assert (client.keys.get("/a b")).value == "1 & 2"

    read = raw.send("GET", "/v2/keys/a b", query=[("quorum", "true")])
    assert (read.status, json.loads(read.body)["action"]) == (200, "get")

    missing = raw.send("GET", "/v2/keys/none")
    assert (missing.status, json.loads(missing.body)["errorCode"], missing.index) == (404, 100, made.index)
    assert (raw.send("DELETE", "/v2/auth/users/nobody")).status == 404
    assert b"etcdserver" in (raw.send("GET", "/version")).body


def test_poll_gives_an_event_of_the_past_one_to_come_or_none(client: Client, etcd: Server) -> None:
    first = client.keys.set("/a/b", "1")
    query = [("recursive", "true"), ("waitIndex", str(first.index))]
    past = client.raw.poll("/v2/keys/a", query=query, timeout=SOON)
    assert past is not None
    assert json.loads(past.body)["node"]["value"] == "1"
    assert client.raw.poll("/v2/keys/a", timeout=0.2) is None

    waiting = Background[Any](lambda: client.raw.poll("/v2/keys/c", timeout=None))
    while not waiting.done():
        client.keys.set("/c", "2")
    found = waiting.result()
    assert json.loads(found.body)["node"]["value"] == "2"

    foreign_writes(etcd, 1001)
    old = client.raw.poll("/v2/keys/a", query=query, timeout=SOON)
    assert old is not None
    assert (old.status, json.loads(old.body)["errorCode"]) == (400, 401)


def test_poll_goes_on_behind_the_first_one_where_its_connection_broke(connect: Connect) -> None:
    with ScriptedStore() as store:
        client = connect(store.endpoint.url, timeout=PATIENT)
        waiting = Background[Any](lambda: client.raw.poll("/v2/keys/k", timeout=None))
        until(lambda: client.cluster_id)  # it has the headers
        store.hang_up()
        store.happen()
        found: RawAnswer = waiting.result()
        assert json.loads(found.body)["node"]["modifiedIndex"] == 101
        assert store.asked == ["/v2/keys/k?wait=true", "/v2/keys/k?wait=true&waitIndex=101"]


@pytest.mark.parametrize("transport", ["fast"])
def test_poll_leaves_a_member_that_is_silent(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etcdv2._async.raw.SILENCE_SECONDS", 0.1)
    with ScriptedStore() as silent, ScriptedStore() as well:
        client = connect([silent.endpoint.url, well.endpoint.url], timeout=replace(PATIENT, attempt=0.5))
        client.raw.prefer(silent.endpoint.url)
        assert client.raw.endpoint == silent.endpoint.url
        waiting = Background[Any](lambda: client.raw.poll("/v2/keys/k", timeout=None))
        until(lambda: silent.watching == 1)
        silent.stalled = True
        until(lambda: any("waitIndex=101" in target for target in well.asked))
        well.happen()
        assert (waiting.result()).endpoint == well.endpoint.url


def test_missing_leader_is_said_at_once_and_the_next_call_goes_elsewhere(connect: Connect) -> None:
    no_leader = answer(500, HEADERS, NO_LEADER)
    with FaultServer(default=no_leader) as one, FaultServer(default=answer(200, HEADERS, b'{"action":"get"}')) as two:
        for method in ("GET", "PUT"):
            client = connect([one.endpoint.url, two.endpoint.url], timeout=PATIENT)
            client.raw.prefer(one.endpoint.url)
            refused = client.raw.send(method, "/v2/keys/a", query=[("quorum", "true")])
            assert (refused.status, refused.body, refused.endpoint) == (500, NO_LEADER, one.endpoint.url)
            assert (client.raw.send("GET", "/v2/keys/a")).endpoint == two.endpoint.url
        assert len(one.requests) == 2


def test_write_is_sent_once_and_what_no_etcd_says_is_an_error(connect: Connect) -> None:
    with FaultServer(close(), default=answer(200, HEADERS, b"<html>")) as server:
        client = connect(server.endpoint.url, timeout=PATIENT)
        with pytest.raises(OutcomeUnknown):
            client.raw.send("PUT", "/v2/keys/a", form=[("value", "1")])
        with pytest.raises(UnexpectedAnswer):
            client.raw.send("GET", "/v2/keys/a")
        server.default = answer(404, {}, b"404 page not found\n")
        with pytest.raises(V2ApiDisabled):
            client.raw.send("GET", "/v2/keys/a")
        assert [one.method for one in server.requests].count("PUT") == 1


def test_another_cluster_than_the_expected_one_is_said_once(connect: Connect) -> None:
    with FaultServer(default=answer(200, HEADERS, b'{"action":"get"}')) as server:
        client = connect(server.endpoint.url, timeout=PATIENT)
        client.raw.expect_cluster("bb")
        with pytest.raises(ClusterChanged) as caught:
            client.raw.send("GET", "/v2/keys/a")
        assert (caught.value.old, caught.value.new) == ("bb", "aa")
        assert (client.raw.send("GET", "/v2/keys/a")).cluster_id == "aa"

        client.raw.expect_cluster("bb")
        client.raw.expect_cluster("")
        assert (client.raw.send("GET", "/v2/keys/a")).cluster_id == client.cluster_id == "aa"


def test_what_is_no_request_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="method"):
        client.raw.send("PATCH", "/v2/keys/a")
    with pytest.raises(ValueError, match="slash"):
        client.raw.send("GET", "v2/keys/a")
    with pytest.raises(ValueError, match="one body"):
        client.raw.send("PUT", "/v2/keys/a", form=[], json={})
    with pytest.raises(ValueError, match="poll"):
        client.raw.send("GET", "/v2/keys/a", query=[("wait", "true")])
