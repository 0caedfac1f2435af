"""A cluster is looked at over HTTP, and emptied, with either face. The way to 3.6 is in `tests.transfer.test_purge`."""

from __future__ import annotations

from pathlib import Path

import pytest

from etcdv2 import AsyncClient
from etcdv2.testing import Server
from etcdv2.transfer import NotPurged, async_check_cluster, async_purge, async_read_tree, compare, read_dump
from tests.tools.waiting import PATIENT


async def test_a_purge_says_what_it_would_delete_and_then_deletes_it(etcd: Server, tmp_path: Path) -> None:
    async with AsyncClient(etcd.url, timeout=PATIENT) as client:
        await client.keys.set_many({f"/app/{number}": "x" for number in range(3)})
        await client.keys.set("/kept/a", "x")
        await client.keys.set("/s", "x", ttl=1000)
        await client.keys.set("/h/_hidden/x", "secret")
        seen = await async_check_cluster(client, observe=0.01)
        assert (seen.etcd, seen.nodes, seen.expiring, seen.written, seen.empty) == (etcd.version, 8, 1, 0, False)
        whole = await async_read_tree(client, hidden=["/h/_hidden", "/_nothing"])

        cluster_id, dump = whole.source["cluster_id"], tmp_path / "all.jsonl.gz"
        with pytest.raises(NotPurged, match="and not"):
            await async_purge(client, cluster_id="1", dump=None, observe=0)
        would = await async_purge(client, cluster_id=cluster_id, dump=None, keep=["kept"], observe=0.01)
        assert (would.keys, would.dry_run) == (("/app", "/h", "/s"), True)
        assert await client.keys.exists("/app/0")

        done = await async_purge(
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
        assert [node.key for node in await async_read_tree(client)] == ["/kept", "/kept/a"]
