"""The whole way out: a cluster of 3.5 full of v2 is read, copied, proven equal, emptied, and started as 3.6 and 3.7."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlencode

import pytest

from etcdv2 import Client
from etcdv2.testing import Cluster, Server
from etcdv2.transfer import (
    DataDirectory,
    check_cluster,
    compare,
    compare_members,
    load,
    purge,
    read_dump,
    read_tree,
    write_dump,
)
from tests.tools.newer import last_3_5, newer
from tests.tools.waiting import PATIENT
from tests.transfer.members import all_of_v3, check, restart, set_up, v3

pytestmark = [pytest.mark.load, pytest.mark.newer]

ROOT = ("root", "secret")
BINARY = b"\xff\xfe\x00abc"


def fill(cluster: Cluster) -> None:
    with Client(cluster.endpoints, timeout=PATIENT) as client:
        client.keys.set_many({f"/app/config/{number}": f"value {number} é\n" for number in range(50)})
        client.keys.make_dir("/app/empty")
        client.keys.set("/app/session", "x", ttl=10_000)
        client.keys.make_dir("/leases", ttl=20_000)
        client.keys.set("/leases/a", "1")
        client.keys.set("/app/_hidden/token", "secret")
        client.keys.set("/_top", "secret")
        for number in range(3):
            client.keys.create_in_order("/queue", str(number))
        client.keys.set("/gone", "x")
        client.keys.delete("/gone")
        client.auth.roles.create("reader", read=["/app/*"])
        client.auth.users.create("alice", "password", ["reader"])
        client.auth.users.create(*ROOT)
    line = http.client.HTTPConnection("127.0.0.1", cluster.members[0].port, timeout=60)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    line.request("PUT", "/v2/keys/bin", urlencode({"value": BINARY}), form)
    assert line.getresponse().status == 201
    line.close()
    for number in range(100):
        v3(cluster.members[0], "put", key=b"v3/%03d" % number, value=bytes([number, 255 - number]))
    with Client(cluster.endpoints, timeout=PATIENT) as client:
        client.auth.enable()


def test_an_operator_takes_a_cluster_full_of_v2_to_3_6(tmp_path: Path) -> None:
    with Cluster(3, last_3_5()) as cluster, Server(last_3_5()) as target:
        fill(cluster)
        kept_v3 = all_of_v3(cluster.members[0])
        assert len(kept_v3) == 100
        with Client(cluster.endpoints, username=ROOT[0], password=ROOT[1], timeout=PATIENT) as client:
            # 1. What is in the way.
            seen = check_cluster(client, observe=0.1)
            assert (seen.empty, seen.auth_used, seen.expiring) == (False, True, 2)

            # 2. A dump of a stopped member's disk: it alone shows hidden keys, exact bytes and hashes.
            stopped = cluster.followers()[0]
            index = client.keys.get("/", quorum=True).index
            stopped.stop()
            assert not check(stopped).ready
            on_disk = DataDirectory(stopped.data_dir, all_entries=True).tree(auth=True, secrets=True)
            write_dump(on_disk, tmp_path / "disk.jsonl.gz")
            assert on_disk.index == index
            assert on_disk.nodes["/bin"].value == BINARY.decode("utf-8", "surrogateescape")

            # 3. A dump over HTTP, with the hidden roots by the names from there. Both are equal.
            hidden = [node.key for node in on_disk if "/_" in node.key]
            write_dump(read_tree(client, hidden=hidden, auth=True), tmp_path / "http.jsonl")
            first, second = read_dump(tmp_path / "http.jsonl"), read_dump(tmp_path / "disk.jsonl.gz")
            assert [str(one) for one in compare(first, second, indexes=True)] == []
            hashes = {one.name: one.data.get("hash", "")[:4] for one in second.auth if one.kind == "user"}
            assert hashes == {"alice": "$2a$", "root": "$2a$"}
            without = {(one.kind, one.name, str(one.data.get("roles"))) for one in second.auth if one.name != "guest"}
            shown = {(one.kind, one.name, str(one.data.get("roles"))) for one in first.auth if one.name != "guest"}
            assert without - shown <= {("user", "root", "[]"), ("user", "root", "['root']")}
            assert (first.auth_enabled, second.auth_enabled) == (True, True)

            # 4. Into another cluster, and proof.
            with Client(target.url, timeout=PATIENT) as other:
                loaded = load(other, second)
                assert (loaded.skipped, loaded.raced) == ((), ())
                copied = read_tree(other, hidden=hidden)
                assert [str(one) for one in compare(second, copied)] == []

            # 5. The first one is emptied. Its members hold the same, as their disks say.
            stopped.start()
            cluster_id = second.source["cluster_id"]
            purge(client, cluster_id=cluster_id, dump=tmp_path / "all.jsonl", hidden=hidden, auth=True, dry_run=False)
            assert [str(one) for one in compare(second, read_dump(tmp_path / "all.jsonl"))] == []
        target.stop()
        exact = DataDirectory(target.data_dir, all_entries=True).tree().nodes["/bin"].value
        assert exact == BINARY.decode("utf-8", "surrogateescape")

        # 6. The recipe: all without v2, then a snapshot on each.
        for server in cluster.members:
            restart(server)
        for server in cluster.members:
            restart(server, ["--snapshot-count=1"])
        for server in cluster.members:
            server.stop()
        members = compare_members(DataDirectory(server.data_dir, all_entries=True) for server in cluster.members)
        assert members.equal, str(members)
        for server in cluster.members:
            assert check(server).ready, str(check(server))

        # 7. Each starts without v2 as 3.5, then one after the other as 3.6, and after its snapshots as 3.7.
        for server in cluster.members:
            set_up(server, ["--v2-deprecation=write-only"])
            server.start(wait=False)
        cluster_is_well(cluster, kept_v3)
        for wanted in ("3.6", "3.7"):
            for server in cluster.members:
                restart(server, ["--snapshot-count=1"], binary=newer(wanted))
            cluster_is_well(cluster, kept_v3)


def cluster_is_well(cluster: Cluster, expected: list[tuple[bytes, bytes]]) -> None:
    """Every member has every key of v3."""
    for server in cluster.members:
        server.wait_ready()
    for server in cluster.members:
        assert all_of_v3(server) == expected
