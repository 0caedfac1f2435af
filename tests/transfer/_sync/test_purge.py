# Derived from tests/transfer/_async/test_purge.py by scripts/unasync.py: change that file, make generate.
"""A cluster is looked at over HTTP, and emptied, with either face. The way to 3.6 is in `tests.transfer.test_purge`."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from etcdv2.transfer import NotPurged, check_cluster, compare, purge, read_dump, read_tree
from tests.tools.waiting import PATIENT


def test_a_purge_says_what_it_would_delete_and_then_deletes_it(etcd: Server, tmp_path: Path) -> None:
    with Client(etcd.url, timeout=PATIENT) as client:
        client.keys.set_many({f"/app/{number}": "x" for number in range(3)})
        client.keys.set("/kept/a", "x")
        client.keys.set("/s", "x", ttl=1000)
        client.keys.set("/h/_hidden/x", "secret")
        seen = check_cluster(client, observe=0.01)
        assert (seen.etcd, seen.nodes, seen.expiring, seen.written, seen.empty) == (etcd.version, 8, 1, 0, False)
        whole = read_tree(client, hidden=["/h/_hidden", "/_nothing"])

        cluster_id, dump = whole.source["cluster_id"], tmp_path / "all.jsonl.gz"
        with pytest.raises(NotPurged, match="and not"):
            purge(client, cluster_id="1", dump=None, observe=0)
        would = purge(client, cluster_id=cluster_id, dump=None, keep=["kept"], observe=0.01)
        assert (would.keys, would.dry_run) == (("/app", "/h", "/s"), True)
        assert client.keys.exists("/app/0")

        done = purge(
            client,
            cluster_id=cluster_id,
            dump=dump,
            keep=["/kept"],
            hidden=["/h/_hidden"],
            dry_run=False,
            observe=0.01,
        )
        assert (done.keys, done.dry_run) == (would.keys, False)
        assert list(compare(whole, read_dump(dump), indexes=True)) == []
        assert [node.key for node in read_tree(client)] == ["/kept", "/kept/a"]
