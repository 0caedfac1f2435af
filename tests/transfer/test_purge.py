"""A cluster of three is emptied, the recipe is carried out, and its members start without v2."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from etcdv2 import AttemptInfo, Client
from etcdv2.testing import Cluster, Server
from etcdv2.transfer import (
    NotPurged,
    check_cluster,
    purge,
    read_dump,
)
from tests.tools.waiting import PATIENT
from tests.transfer.members import all_of_v3, carry_out_the_recipe, check, restart, set_up, v3


def restart_with_auth(server: Server) -> None:
    with Client(server.url, timeout=PATIENT) as client:
        client.auth.roles.create("r1", read=["/a"])
        client.auth.users.create("u1", "password", ["r1"])
    restart(server, ["--snapshot-count=1"])
    server.stop()


def test_users_are_in_the_way_and_what_they_leave_too(etcd_binary: Path) -> None:
    with Server(etcd_binary) as server:
        restart_with_auth(server)
        found = check(server)
        assert (found.auth, found.auth_used, found.ready) == (True, True, False)
        assert "users or roles" in str(found)

        # Deleted, the directories stay.
        set_up(server, v2=True)
        server.start()
        with Client(server.url, timeout=PATIENT) as client:
            cluster_id = client.keys.get("/").cluster_id
            done = purge(client, cluster_id=cluster_id, dump=None, auth=True, dry_run=False, observe=0.1)
            assert (done.users, set(done.roles) - {"guest"}) == (("u1",), {"r1"})
        restart(server, ["--snapshot-count=1"])
        server.stop()
        found = check(server)
        assert (found.auth, found.auth_used, found.ready_for_earlier) == (False, True, False)
        assert found.ready or asks_itself(server)
        assert "v2 auth was used" in str(found)


def test_what_is_in_the_log_and_hidden_is_named(etcd_binary: Path) -> None:
    with Server(etcd_binary) as server:
        with Client(server.url, timeout=PATIENT) as client:
            client.keys.set("/a", "x")
            client.keys.set("/_h/x", "x")
            client.keys.delete("/a")
            with pytest.raises(NotPurged, match="somebody writes"):
                purge_while_somebody_writes(client)
        found = check(server)
        assert found.requests["DELETE"].count == 1
        assert not found.ready
        assert "would panic" in str(found)

        restart(server, ["--snapshot-count=1"])
        server.stop()
        found = check(server)
        assert (found.hidden, found.keys) == (("/_h",), ())
        assert found.ready or asks_itself(server)
        assert "etcd does not see: /_h" in str(found)


def asks_itself(server: Server) -> bool:
    """Whether `/health` writes a v2 request with v2 off, too (spec/protocol.md section 15): the way out is by 3.5."""
    return server.version_info < (3, 5)


def purge_while_somebody_writes(client: Client) -> None:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.01):
            client.keys.set("/_h/x", "y")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        purge(client, cluster_id=client.keys.get("/").cluster_id, dump=None, dry_run=False, observe=1)
    finally:
        ended.set()
        writer.join()


def test_a_write_between_the_dump_and_a_deletion_ends_the_purge(etcd_binary: Path, tmp_path: Path) -> None:
    """It would go without being in the dump."""
    with Server(etcd_binary) as server, Client(server.url, timeout=PATIENT) as other:
        other.keys.set("/a/x", "1")
        other.keys.set("/b/x", "1")

        def write(info: AttemptInfo) -> None:
            if info.method == "DELETE" and info.path.endswith("/b"):
                other.keys.set("/b/new", "1")

        with Client(server.url, timeout=PATIENT, before_attempt=write) as client:
            cluster_id, dump = other.keys.get("/").cluster_id, tmp_path / "all.jsonl"
            with pytest.raises(NotPurged, match="when /b was deleted"):
                purge(client, cluster_id=cluster_id, dump=dump, dry_run=False, observe=0.1)
        assert [node.key for node in read_dump(dump)] == ["/a", "/a/x", "/b", "/b/x"]


@pytest.mark.load
def test_after_purge_and_recipe_every_member_starts_without_v2(etcd_binary: Path, tmp_path: Path) -> None:
    with Cluster(3, etcd_binary) as cluster:
        if cluster.version_info < (3, 5):
            assert check(cluster.members[0]).keys == ()
            return

        # 1. Keys, one that expires, hidden ones.
        with Client(cluster.endpoints, timeout=PATIENT) as client:
            client.keys.set_many({f"/app/{number}": "x" for number in range(30)})
            client.keys.set("/s", "x", ttl=10_000)
            client.keys.set("/_h/x", "secret")
            v3(cluster.members[0], "put", key=b"k", value=b"v")
            cluster_id = client.cluster_id or client.keys.get("/").cluster_id
            seen = check_cluster(client, observe=0.1)
            assert (seen.nodes, seen.expiring, seen.auth_used, seen.written, seen.empty) == (32, 1, False, 0, False)
            assert not check(cluster.members[0]).ready

            # 2. The purge: first only said, then done.
            with pytest.raises(NotPurged, match="and not"):
                purge(client, cluster_id="1", dump=None, observe=0)
            would = purge(client, cluster_id=cluster_id, dump=None, hidden=["/_h"], observe=0.1)
            assert (would.keys, would.dry_run) == (("/_h", "/app", "/s"), True)
            assert client.keys.exists("/app")
            dump = tmp_path / "dump.jsonl"
            purge(client, cluster_id=cluster_id, dump=dump, hidden=["/_h"], dry_run=False, observe=0.1)
            assert len(read_dump(dump)) == 34
            assert check_cluster(client, observe=0).empty

        # 3. The recipe.
        carry_out_the_recipe(cluster)
        found = [check(server) for server in cluster.members]
        assert [(str(one), one.ready, one.ready_for_earlier) for one in found] == [("ready", True, True)] * 3

        # 4. All of them start.
        for server in cluster.members:
            set_up(server, ["--v2-deprecation=write-only"])
            server.start(wait=False)
        for server in cluster.members:
            server.wait_ready()
        assert all_of_v3(cluster.members[0]) == [(b"k", b"v")]
