"""Reads that do not go back in time: session consistency beside a member that lags, and a cluster that was replaced."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from etcdv2 import AsyncClient, ClusterChanged, StaleRead, Timeout
from etcdv2._types.settings import Consistency
from tests.chaos.links import Arena
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import FaultServer, answer, raw
from tests.tools.waiting import PATIENT, SOON

HEADERS = {"Content-Type": "application/json", "X-Etcd-Index": "7", "X-Raft-Term": "2"}
NODE = b'{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":7,"createdIndex":7}}'
OURS = answer(200, {**HEADERS, "X-Etcd-Cluster-Id": "aa"}, NODE)
ENDLESS = raw(
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: bb\r\nX-Etcd-Index: 9\r\n"
    b"Content-Length: 1000000\r\n\r\n{",
    stall=True,
)


@pytest.fixture
async def lagging(etcd_binary: Path) -> AsyncIterator[Arena]:
    """Three members; the third is cut off from the others, has lost its leader, and still answers local reads."""
    with Arena(etcd_binary) as arena:
        last = arena.members[2]
        if arena.cluster.leader() is last:
            last.pause()
            arena.cluster.leader()
            last.resume()
        async with AsyncClient(arena.direct) as client, AsyncClient(last.url) as behind:
            await client.keys.set("/a", "old")
            # Read through the log: when it answers, this member itself has what was written before.
            assert (await behind.keys.get("/a", quorum=True)).value == "old"
        arena.cut_off(last)
        yield arena


def ask_first(client: AsyncClient, url: str) -> None:
    pool = client._dispatcher.pool
    pool.prefer(next(endpoint for endpoint in pool.endpoints if endpoint.url == url))


async def seen(client: AsyncClient, consistency: Consistency, writer: AsyncClient, arena: Arena) -> list[str]:
    """Values of one key, each read from a good member and then again, now from the member behind first."""
    values: list[str] = []
    for number in range(5):
        await writer.keys.set("/a", str(number))
        ask_first(client, arena.endpoints[0])
        assert (await client.keys.get("/a", consistency="session")).value == str(number)
        ask_first(client, arena.endpoints[2])
        values.append((await client.keys.get("/a", consistency=consistency)).value)
    return values


async def test_session_never_goes_back_beside_a_member_that_lags(connect: Connect, lagging: Arena) -> None:
    writer = connect(lagging.endpoints[0])
    client = connect(lagging.endpoints, timeout=Timeout(total=10))
    assert await seen(client, "session", writer, lagging) == ["0", "1", "2", "3", "4"]
    # A client that does not look at the index takes what the member behind has.
    assert await seen(client, "local", writer, lagging) == ["old"] * 5


async def test_session_reads_what_it_has_written_or_says_that_it_cannot(connect: Connect, lagging: Arena) -> None:
    client = connect(lagging.endpoints, consistency="session", timeout=Timeout(total=2, attempt=1))
    ask_first(client, lagging.endpoints[0])
    written = await client.keys.set("/mine", "1")
    for number, link in enumerate(lagging.links):
        if number < 2:
            link.close_door()
    began = time.monotonic()
    with pytest.raises(StaleRead) as caught:
        await client.keys.get("/mine")
    assert time.monotonic() - began < SOON
    assert caught.value.wanted >= written.index > caught.value.found
    lagging.mend()
    assert (await client.keys.get("/mine", timeout=20)).value == "1"


@pytest.mark.parametrize("call", ["get", "tree", "session", "quorum"])
async def test_body_of_a_replaced_cluster_is_not_waited_for(connect: Connect, call: str) -> None:
    with FaultServer(OURS, default=ENDLESS) as server:
        client = connect(server.endpoint.url, timeout=PATIENT)
        await client.keys.get("/a")
        began = time.monotonic()
        consistency: Consistency | None = "session" if call == "session" else None
        with pytest.raises(ClusterChanged) as caught:
            await client.keys.get("/a", recursive=call == "tree", consistency=consistency, quorum=call == "quorum")
        assert time.monotonic() - began < SOON
        assert (caught.value.old, caught.value.new) == ("aa", "bb")
        assert server.open_connections <= 1


async def test_watch_in_a_replaced_cluster_is_not_waited_for(connect: Connect) -> None:
    with FaultServer(OURS, default=ENDLESS) as server:
        client = connect(server.endpoint.url, timeout=PATIENT)
        await client.keys.get("/a")
        began = time.monotonic()
        with pytest.raises(ClusterChanged):
            async with client.keys.watch("/a") as watcher:
                await watcher.next(timeout=SOON)
        assert time.monotonic() - began < SOON
