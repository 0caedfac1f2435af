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
from tests.cli.running import Ran, run
from tests.tools.newer import last_3_5, newer
from tests.tools.waiting import PATIENT
from tests.transfer.members import all_of_v3, carry_out_the_recipe, check, restart, set_up, v3

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

        carry_out_the_recipe(cluster)
        members = compare_members(DataDirectory(server.data_dir, all_entries=True) for server in cluster.members)
        assert members.equal, str(members)
        for server in cluster.members:
            assert check(server).ready, str(check(server))

        # 6. Each starts without v2 as 3.5, then one after the other as 3.6, and after its snapshots as 3.7.
        for server in cluster.members:
            set_up(server, ["--v2-deprecation=write-only"])
            server.start(wait=False)
        cluster_is_well(cluster, kept_v3)
        for wanted in ("3.6", "3.7"):
            for server in cluster.members:
                restart(server, ["--snapshot-count=1"], binary=newer(wanted))
            cluster_is_well(cluster, kept_v3)


def test_the_same_way_by_the_command_line(tmp_path: Path) -> None:
    disk, online = str(tmp_path / "disk.jsonl.gz"), str(tmp_path / "http.jsonl")
    with Cluster(3, last_3_5()) as cluster, Server(last_3_5()) as target:
        fill(cluster)
        kept_v3 = all_of_v3(cluster.members[0])
        here = ",".join(cluster.endpoints)

        # 1. A look around, and what is in the way.
        assert "/app/config/" in etcdv2(here, "ls", "-r", "/app").out
        assert "not ready" in etcdv2(here, "check", "--observe", "0.1", code=1).out

        # 2. Both dumps. What HTTP does not show, the difference names; with these names both are equal.
        stopped = cluster.followers()[0]
        assert etcdv2(here, "get", "/app/session").out == "x\n"
        stopped.stop()
        directory = ("--data-dir", str(stopped.data_dir))
        etcdv2(here, "dump", *directory, "--all-entries", "--auth", "--secrets", "--out", disk)
        etcdv2(here, "dump", "--auth", "--out", online)
        lines = etcdv2(here, "diff", online, disk, code=1).out.splitlines()
        assert lines == ["+ /_top", "+ /app/_hidden", "+ /app/_hidden/token"]
        hidden = ("--hidden", "/_top", "--hidden", "/app/_hidden")
        etcdv2(here, "dump", *hidden, "--auth", "--out", online)
        assert etcdv2(here, "diff", "--indexes", online, disk).out == ""

        # 3. Into another cluster, and proof.
        etcdv2(target.url, "load", disk)
        assert etcdv2(target.url, "diff", *hidden, disk, target.url).out == ""

        # 4. The first one is emptied.
        stopped.start()
        purge = ("purge", "--observe", "0.1", "--hidden-from", disk, "--auth")
        would = etcdv2(here, *purge)
        assert "would delete /app" in would.out
        cluster_id = read_dump(disk).source["cluster_id"]
        done = etcdv2(here, *purge, "--yes-delete-everything-of", cluster_id, "--out", str(tmp_path / "all.jsonl"))
        assert done.out == would.out.replace("would delete", "deleted")
        assert "--snapshot-count=1" in done.err
        assert etcdv2(here, "diff", disk, str(tmp_path / "all.jsonl")).out == ""

        # 5. What it says is done, and each is ready for 3.6, and starts as that.
        carry_out_the_recipe(cluster)
        directories = [word for server in cluster.members for word in ("--data-dir", str(server.data_dir))]
        assert etcdv2(here, "check", *directories).out.splitlines()[-1] == "ready"
        for server in cluster.members:
            set_up(server, binary=newer("3.6"))
            server.start(wait=False)
        cluster_is_well(cluster, kept_v3)


def etcdv2(endpoints: str, *words: str, code: int = 0) -> Ran:
    """The command, as root, whose password is in the environment."""
    environ = {"ETCDV2_ENDPOINTS": endpoints, "ETCDV2_USERNAME": ROOT[0], "ETCDV2_PASSWORD": ROOT[1]}
    done = run(words, environ=environ)
    assert done.code == code, (words, done)
    return done


def cluster_is_well(cluster: Cluster, expected: list[tuple[bytes, bytes]]) -> None:
    """Every member has every key of v3."""
    for server in cluster.members:
        server.wait_ready()
    for server in cluster.members:
        assert all_of_v3(server) == expected
