# Derived from tests/facade/_async/test_failover.py by scripts/unasync.py: change that file, make generate.
"""What happens when endpoints die, stall, answer nonsense or belong to another cluster: faults and real clusters."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

import etcdv2
from etcdv2 import Client, Timeout
from etcdv2.testing import Cluster, Server
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import FaultServer, answer, before_reading, close, raw, reset, stall
from tests.tools.waiting import PATIENT, SOON

HERE = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"}
NODE = {"key": "/a", "value": "1", "modifiedIndex": 7, "createdIndex": 7}
QUICK = Timeout(connect=0.5, attempt=0.3, commit=0.4, total=3)


def fine(action: str = "get", **headers: str) -> Any:
    return answer(200, {**HERE, **headers}, json.dumps({"action": action, "node": NODE}).encode())


def raft(code: int = 300, cause: str = "etcdserver: request timed out") -> Any:
    body = {"errorCode": code, "message": "Raft Internal Error", "cause": cause, "index": 0}
    return answer(500, HERE, json.dumps(body).encode())


def page(status: int) -> Any:
    return answer(status, {"Content-Type": "text/plain"}, b"404 page not found\n")


def in_order(client: Client, servers: Sequence[FaultServer]) -> None:
    """Ask the first one first."""
    client._dispatcher.pool.prefer(servers[0].endpoint)


def urls(servers: Sequence[FaultServer]) -> list[str]:
    return [server.endpoint.url for server in servers]


@pytest.mark.parametrize(
    "fault",
    [
        close(),
        reset(),
        before_reading(close()),
        stall(),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", cut=True),
        raft(),
        page(502),
    ],
    ids=["closes", "resets", "closes-unread", "stalls", "cuts", "no-leader", "bad-gateway"],
)
def test_read_goes_to_the_next_endpoint(connect: Connect, fault: Any) -> None:
    with FaultServer(default=fault) as bad, FaultServer(default=fine()) as good:
        client = connect(urls([bad, good]), timeout=QUICK)
        in_order(client, [bad, good])
        assert (client.keys.get("/a")).value == "1"
        assert client._dispatcher.pool.first == good.endpoint


@pytest.mark.parametrize(
    "fault",
    [close(), reset(), stall(), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", cut=True), raft(), page(502)],
    ids=["closes", "resets", "stalls", "cuts", "raft-error", "bad-gateway"],
)
@pytest.mark.parametrize("method", ["set", "create", "create_in_order", "update", "delete", "refresh"])
def test_write_whose_answer_is_lost_is_sent_once_and_unknown(connect: Connect, fault: Any, method: str) -> None:
    arguments: dict[str, list[Any]] = {"delete": ["/a"], "refresh": ["/a", 5]}
    with FaultServer(default=fault) as bad, FaultServer(default=fine("set")) as good:
        client = connect(urls([bad, good]), timeout=QUICK)
        in_order(client, [bad, good])
        with pytest.raises(etcdv2.OutcomeUnknown) as caught:
            getattr(client.keys, method)(*arguments.get(method, ["/a", "1"]))
        assert caught.value.endpoint == bad.endpoint.url
        assert caught.value.call.path.startswith("/v2/keys/a")
        assert (len(bad.requests), len(good.requests)) == (1, 0)


def test_stalled_write_is_a_timeout_within_commit(connect: Connect) -> None:
    with FaultServer(default=stall()) as bad:
        client = connect(bad.endpoint.url, timeout=Timeout(connect=600, attempt=600, commit=0.4, total=600))
        started = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            client.keys.set("/a", "1")
        assert isinstance(caught.value, etcdv2.OutcomeUnknownTimeout)
        assert 0.3 < time.monotonic() - started < SOON


def test_repeat_writes_sends_again_until_it_is_answered(connect: Connect) -> None:
    with FaultServer(default=close()) as bad, FaultServer(default=fine("set")) as good:
        client = connect(urls([bad, good]), timeout=QUICK, repeat_writes=True)
        in_order(client, [bad, good])
        assert (client.keys.set("/a", "1")).value == "1"
        assert (len(bad.requests), len(good.requests)) == (1, 1)


def test_write_to_refusing_endpoint_goes_to_the_next(connect: Connect) -> None:
    with FaultServer(default=fine()) as gone:
        dead = gone.endpoint
    with FaultServer(default=fine("set")) as good:
        client = connect([dead.url, good.endpoint.url], timeout=QUICK)
        client._dispatcher.pool.prefer(dead)
        assert (client.keys.set("/a", "1")).value == "1"
        assert len(good.requests) == 1


def test_all_refused_is_reported_after_two_rounds_with_every_cause(connect: Connect) -> None:
    with FaultServer(default=fine()) as one, FaultServer(default=fine()) as two:
        dead = urls([one, two])
    client = connect(dead, timeout=600)
    started = time.monotonic()
    with pytest.raises(etcdv2.ClusterUnavailable) as caught:
        client.keys.set("/a", "1")
    assert time.monotonic() - started < SOON
    assert not isinstance(caught.value, TimeoutError)
    assert {attempt.endpoint for attempt in caught.value.attempts} == set(dead)
    assert len(caught.value.attempts) == 4
    assert {attempt.phase for attempt in caught.value.attempts} == {"connect"}
    assert all(url in str(caught.value) for url in dead)


def test_endpoints_are_never_used_up(connect: Connect) -> None:
    with FaultServer(close(), close(), close(), close(), fine()) as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        for _ in range(2):
            with pytest.raises(etcdv2.ClusterUnavailable):
                client.keys.get("/a")
        assert (client.keys.get("/a")).value == "1"
        assert client.endpoints == (server.endpoint.url,)


def test_total_holds_over_all_attempts(connect: Connect) -> None:
    with (
        FaultServer(default=stall()) as one,
        FaultServer(default=stall()) as two,
        FaultServer(default=stall()) as three,
    ):
        client = connect(urls([one, two, three]), timeout=Timeout(connect=600, attempt=600, commit=600, total=0.9))
        started = time.monotonic()
        with pytest.raises(etcdv2.DeadlineExceeded) as caught:
            client.keys.get("/a")
        assert time.monotonic() - started < SOON
        assert len({attempt.endpoint for attempt in caught.value.attempts}) == 3


def test_read_waits_for_a_leader_until_the_total_time(connect: Connect) -> None:
    with FaultServer(raft(), raft(), raft(), fine()) as server:
        client = connect(server.endpoint.url, timeout=Timeout(total=8))
        assert (client.keys.get("/a", quorum=True)).value == "1"
        assert len(server.requests) == 4


def test_deterministic_raft_error_of_3_5_is_reported_as_such(connect: Connect) -> None:
    with FaultServer(default=raft(cause="nodePath /1/d : Not a file ()")) as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        with pytest.raises(etcdv2.RaftInternal):
            client.keys.set("/a", "1", ttl=5)
        assert len(server.requests) == 1


def test_member_without_v2_is_skipped_also_by_writes(connect: Connect) -> None:
    with FaultServer(default=page(404)) as bad, FaultServer(default=fine("set")) as good:
        client = connect(urls([bad, good]), timeout=QUICK)
        in_order(client, [bad, good])
        assert (client.keys.set("/a", "1")).value == "1"


@pytest.mark.parametrize("status", [301, 307, 405, 418])
def test_redirects_and_foreign_answers_are_unexpected_and_not_followed(connect: Connect, status: int) -> None:
    with FaultServer(default=fine()) as other:
        moved = answer(status, {"Location": f"{other.endpoint.url}/v2/keys/a", "Content-Type": "text/html"}, b"<a>")
        with FaultServer(default=moved) as server:
            client = connect(server.endpoint.url, timeout=QUICK, username="u", password="p")
            with pytest.raises(etcdv2.UnexpectedAnswer) as caught:
                client.keys.set("/a", "1")
            assert (caught.value.status, caught.value.content_type, caught.value.body) == (status, "text/html", b"<a>")
            assert not other.requests


def test_another_cluster_is_reported_once_and_then_used(connect: Connect) -> None:
    first, second = fine(), fine(**{"X-Etcd-Cluster-Id": "bb"})
    with FaultServer(first, second, second, second) as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        client.keys.get("/a")
        with pytest.raises(etcdv2.ClusterChanged) as caught:
            client.keys.get("/a")
        assert (caught.value.old, caught.value.new, caught.value.response) == ("aa", "bb", None)
        assert (client.keys.get("/a")).cluster_id == "bb"


def test_one_endpoint_of_another_cluster_is_set_aside(connect: Connect) -> None:
    with FaultServer(default=fine()) as good, FaultServer(default=fine(**{"X-Etcd-Cluster-Id": "bb"})) as foreign:
        client = connect(urls([good, foreign]), timeout=QUICK)
        in_order(client, [good])
        client.keys.get("/a")
        in_order(client, [foreign])
        assert (client.keys.get("/a")).cluster_id == "aa"
        assert (client.keys.get("/a")).cluster_id == "aa"
        assert len(foreign.requests) == 1


def test_write_applied_in_another_cluster_carries_its_response(connect: Connect) -> None:
    with FaultServer(fine(), fine("set", **{"X-Etcd-Cluster-Id": "bb"})) as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        client.keys.get("/a")
        with pytest.raises(etcdv2.ClusterChanged) as caught:
            client.keys.set("/a", "1")
        assert caught.value.response is not None
        assert caught.value.response.index == 7


def test_session_read_refuses_an_older_state(connect: Connect) -> None:
    old, new = fine(**{"X-Etcd-Index": "5"}), fine(**{"X-Etcd-Index": "9"})
    with FaultServer(new, old, new, new) as server:
        client = connect(server.endpoint.url, timeout=Timeout(total=5), consistency="session")
        assert (client.keys.get("/a")).index == 9
        assert (client.keys.get("/a")).index == 9
        assert ["quorum=true" in request.target for request in server.requests] == [False, False, True, False]
    with FaultServer(new, *[old, new] * 30) as server:
        client = connect(server.endpoint.url, timeout=Timeout(total=1), consistency="session")
        client.keys.get("/a")
        with pytest.raises(etcdv2.StaleRead) as caught:
            client.keys.get("/a")
        assert (caught.value.wanted, caught.value.found) == (9, 5)
    with FaultServer(new, old, old, old) as server:
        client = connect(server.endpoint.url, timeout=PATIENT, consistency="session")
        client.keys.get("/a")
        with pytest.raises(etcdv2.ClusterChanged, match=r"index 9 .* has index 5"):
            client.keys.get("/a")
        assert (client.keys.get("/a")).index == 5


def test_v2_switched_off_everywhere_is_reported_with_the_version(connect: Connect, etcd_binary: Any) -> None:
    with Server(etcd_binary, v2=False) as server:
        client = connect(server.url)
        with pytest.raises(etcdv2.V2ApiDisabled) as caught:
            client.keys.set("/a", "1")
        assert caught.value.server_version == server.version
        assert "--enable-v2" in str(caught.value)
        assert (client.version()).etcdserver == server.version


def test_peer_port_is_told_from_a_member_without_v2(connect: Connect, etcd: Server) -> None:
    with pytest.raises(etcdv2.V2ApiDisabled, match="peer port") as caught:
        connect(etcd.peer_url).keys.set("/a", "1")
    assert caught.value.peer_of == (etcd.url,)
    assert str(caught.value).endswith(f"give the client URL: {etcd.url}")
    assert "--enable-v2" not in str(caught.value)


def test_wrong_path_before_v2_is_asked_for(connect: Connect) -> None:
    with FaultServer(default=answer(404, {}, b"404 page not found")) as server:
        with pytest.raises(etcdv2.V2ApiDisabled, match="is that path right") as caught:
            connect(f"{server.endpoint.url}/cluster/one").keys.get("/a")
    assert caught.value.path == "/cluster/one"
    assert "--enable-v2" not in str(caught.value)


def test_other_server_is_asked_whether_it_is_etcd(connect: Connect) -> None:
    with FaultServer(default=answer(404, {}, b"no such page")) as server:
        with pytest.raises(etcdv2.V2ApiDisabled, match=r"is it etcd's client port.*--listen-client-http-urls"):
            connect(server.endpoint.url).keys.get("/a")


def test_port_for_grpc_only_is_named(connect: Connect) -> None:
    """As of an etcd with --listen-client-http-urls, seen on 3.5.30: it sends its SETTINGS and ends the connection."""
    settings = bytes.fromhex("000006040000000000000500004000")
    with FaultServer(default=raw(settings)) as server:
        with pytest.raises(etcdv2.ClusterUnavailable, match="--listen-client-http-urls"):
            connect(server.endpoint.url).keys.get("/a")


def at(client: Client, member: Server) -> None:
    """Let the client talk to this member first."""
    client._dispatcher.pool.prefer(next(e for e in client._dispatcher.pool.endpoints if e.url == member.url))


class TestCluster:
    """Three real members."""

    def test_killed_member_is_survived_by_reads_and_writes(self, connect: Connect, etcd_cluster: Cluster) -> None:
        client = connect(etcd_cluster.endpoints)
        victim = etcd_cluster.followers()[0]
        at(client, victim)
        client.keys.set("/n", "0")
        victim.kill()
        assert (client.keys.get("/n", quorum=True)).value == "0"
        assert client._dispatcher.pool.first.url != victim.url
        client.keys.set("/n", "1")
        victim.start()

    def test_paused_member_costs_a_read_one_attempt_then_nothing(self, connect: Connect, etcd_cluster: Cluster) -> None:
        asked: list[str] = []
        client = connect(
            etcd_cluster.endpoints,
            timeout=Timeout(connect=5, attempt=0.5, commit=SOON, total=SOON),
            before_attempt=lambda info: asked.append(info.endpoint),
        )
        paused = etcd_cluster.followers()[0]
        at(client, paused)
        client.keys.set("/n", "0")
        paused.pause()
        try:
            asked.clear()
            started = time.monotonic()
            assert (client.keys.get("/n")).value == "0"
            assert time.monotonic() - started > 0.4
            assert asked[0] == paused.url
            assert paused.url not in asked[1:]
            asked.clear()
            assert (client.keys.get("/n")).value == "0"
            assert paused.url not in asked
        finally:
            paused.resume()

    def test_watch_goes_on_at_another_member(self, connect: Connect, etcd_cluster: Cluster) -> None:
        client = connect(etcd_cluster.endpoints)
        writer = connect(etcd_cluster.endpoints)
        victim, other = etcd_cluster.followers()
        at(client, victim)
        at(writer, other)
        with client.keys.watch("/w", recursive=True) as watcher:
            writer.keys.set("/w/1", "1")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "1"
            victim.kill()
            for number in range(2, 6):
                writer.keys.set(f"/w/{number}", str(number))
            seen = []
            for _ in range(4):
                event = watcher.next(timeout=SOON)
                assert event is not None
                seen.append(event.value)
            assert seen == ["2", "3", "4", "5"]
        victim.start()

    def test_watch_leaves_a_paused_member(self, connect: Connect, etcd_cluster: Cluster) -> None:
        client = connect(etcd_cluster.endpoints, timeout=Timeout(connect=0.5, attempt=0.5, commit=8, total=10))
        writer = connect(etcd_cluster.endpoints)
        paused, other = etcd_cluster.followers()
        at(client, paused)
        at(writer, other)
        with client.keys.watch("/w") as watcher:
            paused.pause()
            try:
                writer.keys.set("/w", "1")
                event = watcher.next(timeout=SOON)
                assert event is not None
                assert event.value == "1"
            finally:
                paused.resume()

    def test_sync_adds_answering_members_and_keeps_the_configured_one(
        self, connect: Connect, etcd_cluster: Cluster
    ) -> None:
        client = connect(etcd_cluster.endpoints[0])
        victim = etcd_cluster.members[2]
        victim.kill()
        found = client.sync()
        assert found[0] == etcd_cluster.endpoints[0]
        assert set(found) == set(etcd_cluster.endpoints[:2])
        victim.start()

    def test_leader_is_preferred_where_wanted(self, connect: Connect, etcd_cluster: Cluster) -> None:
        leader = etcd_cluster.leader().url
        client = connect(etcd_cluster.endpoints, prefer_leader=True)
        at(client, etcd_cluster.followers()[0])
        client.keys.set("/a", "1")
        assert client._dispatcher.pool.first.url == leader

    def test_health_names_each_endpoint(self, connect: Connect, etcd_cluster: Cluster) -> None:
        client = connect(etcd_cluster.endpoints)
        assert (client.health()).healthy
        follower = etcd_cluster.followers()[0]
        follower.kill()
        health = client.health()
        assert health.healthy
        assert health.degraded
        assert [one.endpoint for one in health.endpoints if not one.healthy] == [follower.url]
        follower.start()


class TestWatchFaults:
    """A proxy or a bad server before the watch."""

    def test_patience_ends_a_watch_of_a_dead_cluster(self, connect: Connect, etcd_binary: Any) -> None:
        with Server(etcd_binary) as server:
            client = connect(server.url, timeout=QUICK)
            with client.keys.watch("/a", patience=1.5) as watcher:
                server.kill()
                started = time.monotonic()
                with pytest.raises(etcdv2.ClusterUnavailable):
                    watcher.next(timeout=SOON)
                assert 1 < time.monotonic() - started < SOON

    def test_watch_survives_a_restart_and_misses_nothing(self, connect: Connect, etcd_binary: Any) -> None:
        with Server(etcd_binary) as server:
            client = connect(server.url)
            with client.keys.watch("/a") as watcher:
                server.kill()
                server.start()
                client.keys.set("/a", "1")
                client.keys.set("/a", "2")
                first, second = watcher.next(timeout=SOON), watcher.next(timeout=SOON)
                assert first is not None
                assert second is not None
                assert (first.value, second.value) == ("1", "2")

    def test_empty_answers_are_polled_again_with_pauses(self, connect: Connect) -> None:
        with FaultServer(default=answer(200, HERE, b"")) as server:
            client = connect(server.endpoint.url, timeout=QUICK)
            with client.keys.watch("/a") as watcher:
                began, polls = time.monotonic(), list[str]()
                while len(polls) < 4:
                    assert watcher.next(timeout=0.1) is None
                    polls = [received.target for received in server.requests if "wait=true" in received.target]
                assert time.monotonic() - began > 0.1 * len(polls)
            assert "waitIndex=8" in polls[-1]
