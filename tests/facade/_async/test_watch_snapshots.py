"""Watches that lose their place: what says so, without snapshots and with them, and where they go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterChanged, Event, HistoryCleared, Snapshot, Timeout
from etcdv2._runtime.primitives import async_sleep
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import Peer, TcpProxy
from tests.tools.scripted_store import END, ScriptedStore
from tests.tools.waiting import SOON, async_until
from tests.tools.writers import async_foreign_writes

QUIET = 0.15
"""Seconds to wait for one that must not come."""
QUICK = Timeout(connect=0.5, attempt=0.3, commit=0.5, total=2)


@pytest.fixture
def transport() -> str:
    """What is lost and what says so is decided behind the transports."""
    return "fast"


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


async def next_of(watcher: Any, within: float = SOON) -> Any:
    item = await watcher.next(timeout=within)
    assert item is not None, f"nothing from {watcher!r}"
    return item


def leaves(snapshot: Any) -> dict[str, str | None]:
    assert isinstance(snapshot, Snapshot), snapshot
    return {node.key: node.value for node in snapshot.leaves()}


async def waiting(store: ScriptedStore, polls: int) -> None:
    """Until so many watches have come in."""
    ends = time.monotonic() + SOON
    while len(store.asked) < polls:
        assert time.monotonic() < ends, store.asked
        await async_sleep(0.01)


async def test_first_item_is_the_state_then_only_later_events_come(client: AsyncClient) -> None:
    await client.keys.set("/d/a", "1")
    last = await client.keys.set("/d/b/c", "2")
    await client.keys.set("/other", "no")
    async with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        await client.keys.set("/d/a", "3")
        await client.keys.delete("/d/b", recursive=True)
        first = await next_of(watcher)
        assert leaves(first) == {"/d/a": "1", "/d/b/c": "2"}
        assert first.index == last.index + 1
        assert watcher.index == first.index
        events = [await next_of(watcher), await next_of(watcher)]
        assert [(event.action, event.key, event.value) for event in events] == [
            ("set", "/d/a", "3"),
            ("delete", "/d/b", None),
        ]
        assert await watcher.next(timeout=QUIET) is None


async def test_writes_between_the_state_and_the_first_poll_are_not_missed(client: AsyncClient) -> None:
    for n in range(20):
        await client.keys.set("/k", f"{n}")
        async with client.keys.watch("/k", snapshots=True) as watcher:
            await client.keys.set("/k", f"{n} again")
            first: Any = await next_of(watcher)
            assert first.node.value == f"{n}"
            assert (await next_of(watcher)).value == f"{n} again"


async def test_snapshot_of_a_key_that_is_not_there_has_no_node(client: AsyncClient) -> None:
    other = await client.keys.set("/other", "1")
    async with client.keys.watch("/none", snapshots=True) as watcher:
        first = await next_of(watcher)
        assert (first.node, first.index, list(first.leaves())) == (None, other.index, [])
        await client.keys.set("/none", "1")
        assert (await next_of(watcher)).value == "1"


async def test_snapshot_of_a_path_below_a_file_has_no_node(client: AsyncClient) -> None:
    await client.keys.set("/file", "1")
    async with client.keys.watch("/file/below", snapshots=True) as watcher:
        assert (await next_of(watcher)).node is None
        await client.keys.delete("/file")
        await client.keys.set("/file/below", "2")
        while (item := await next_of(watcher)).key != "/file/below":
            assert item.ancestor
        assert item.value == "2"


async def test_snapshot_of_the_root_and_of_a_single_file(client: AsyncClient) -> None:
    await client.keys.set("/d/a", "1")
    async with client.keys.watch("/", recursive=True, snapshots=True) as watcher:
        assert leaves(await next_of(watcher)) == {"/d/a": "1"}
    async with client.keys.watch("/d/a", snapshots=True) as watcher:
        assert leaves(await next_of(watcher)) == {"/d/a": "1"}


async def test_after_index_with_snapshots_is_refused(client: AsyncClient) -> None:
    untyped: Any = client.keys
    with pytest.raises(ValueError, match="after_index"):
        untyped.watch("/a", snapshots=True, after_index=1)


@pytest.mark.parametrize("snapshots", [True, False])
async def test_history_cleared_while_disconnected(connect: Connect, etcd: Server, snapshots: bool) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client, direct = connect(proxy.endpoint.url, timeout=QUICK), connect(etcd.url)
        await direct.keys.set("/d/a", "1")
        untyped: Any = client.keys
        async with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
            if snapshots:
                assert leaves(await next_of(watcher)) == {"/d/a": "1"}
            await direct.keys.set("/d/a", "2")
            seen = await next_of(watcher)
            assert seen.value == "2"
            proxy.refusing = True
            proxy.cut()
            missed = await direct.keys.set("/d/b", "missed")
            await async_foreign_writes(etcd, 1100)
            proxy.refusing = False
            if not snapshots:
                with pytest.raises(HistoryCleared) as caught:
                    await watcher.next(timeout=SOON)
                assert caught.value.index >= missed.index + 1100
                assert watcher.index == seen.index
                return
            again = await next_of(watcher)
            assert leaves(again) == {"/d/a": "2", "/d/b": "missed"}
            assert again.index >= missed.index + 1100
            await direct.keys.set("/d/a", "3")
            assert (await next_of(watcher)).value == "3"


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("token", ["same", "other"])
async def test_cluster_that_was_wiped_and_built_again_on_the_same_ports(
    connect: Connect, etcd_binary: Any, token: str, snapshots: bool
) -> None:
    """Its id is a hash of the members and the token: where those are the same, only its index shows the difference."""
    first = Server(etcd_binary, fsync=False, args=["--initial-cluster-token=same"])
    with first:
        ports = first.port, int(first.peer_url.rpartition(":")[2])
        client = connect(first.url, timeout=QUICK)
        old: Any = None
        for n in range(30):
            old = await client.keys.set("/d/a", f"old {n}")
        untyped: Any = client.keys
        async with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
            if snapshots:
                assert leaves(await next_of(watcher)) == {"/d/a": "old 29"}
            first.kill()
            args = [f"--initial-cluster-token={token}"]
            with Server(etcd_binary, fsync=False, port=ports[0], peer_port=ports[1], args=args) as second:
                writer = connect(second.url)
                made = await writer.keys.set("/d/b", "new")
                assert made.index < old.index
                assert (made.cluster_id == old.cluster_id) == (token == "same")
                if not snapshots:
                    with pytest.raises(HistoryCleared if token == "same" else ClusterChanged):
                        await watcher.next(timeout=SOON)
                    return
                again = await next_of(watcher)
                assert isinstance(again, Snapshot)
                assert again.index <= made.index
                if again.index < made.index:
                    assert leaves(again) == {}
                    assert (await next_of(watcher)).value == "new"
                else:
                    assert leaves(again) == {"/d/b": "new"}
                await writer.keys.set("/d/b", "newer")
                assert (await next_of(watcher)).value == "newer"


@pytest.mark.parametrize("snapshots", [True, False])
async def test_store_put_back_to_an_older_state_is_reported(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    await lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=True)


@pytest.mark.parametrize("snapshots", [True, False])
async def test_store_put_back_behind_a_connection_that_stays_is_reported(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    """As a load balancer does that keeps the way to the client open."""
    await lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=False)


@pytest.mark.parametrize("snapshots", [True, False])
async def test_store_put_back_is_reported_also_when_the_quorum_answers_late(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    async def recover() -> None:
        await async_sleep(1.0)
        store.quorum_index = None

    client = connect(store.endpoint.url, timeout=Timeout(connect=0.5, attempt=0.3, commit=0.3, total=0.4))
    await lost_by_a_restore(client, store, snapshots, hang_up=True, quorum_index=0, then=recover)


@pytest.mark.parametrize("snapshots", [True, False])
async def test_store_put_back_is_reported_to_a_user_who_may_read_only_the_watched_key(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    store.refused.add("/k/_etcdv2")
    await lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=True)


async def lost_by_a_restore(
    client: AsyncClient,
    store: ScriptedStore,
    snapshots: bool,
    *,
    hang_up: bool,
    quorum_index: int | None = None,
    then: Any = None,
) -> None:
    """Index 5000 is seen, then the store is at 4000 again, in the same cluster."""
    store.index = 4998
    untyped: Any = client.keys
    async with untyped.watch("/k", snapshots=snapshots) as watcher:
        if snapshots:
            assert (await next_of(watcher)).index == 4998
        store.happen(count=2)
        assert [(await next_of(watcher)).index for _ in range(2)] == [4999, 5000]
        await waiting(store, 3)
        store.quorum_index = quorum_index
        store.restore(4000)
        if hang_up:
            store.hang_up()
        if then is not None:
            await then()
        if not snapshots:
            with pytest.raises(HistoryCleared) as caught:
                await next_of(watcher)
            assert caught.value.index == 4000
            return
        again = await next_of(watcher)
        assert isinstance(again, Snapshot)
        assert again.index == 4000
        store.happen()
        event = await next_of(watcher)
        assert isinstance(event, Event)
        assert event.index == 4001


async def test_cluster_replaced_behind_a_connection_that_stays_is_reported(
    connect: Connect, store: ScriptedStore
) -> None:
    client = connect(store.endpoint.url, timeout=QUICK)
    store.index = 5000
    async with client.keys.watch("/k") as watcher:
        store.restore(10, cluster="bb")
        with pytest.raises(ClusterChanged):
            await next_of(watcher)


async def test_lagging_member_is_no_loss(connect: Connect, store: ScriptedStore) -> None:
    """It is behind, the quorum is not: the watch waits there until the member has caught up."""
    client = connect(store.endpoint.url, timeout=QUICK)
    async with client.keys.watch("/k") as watcher:
        store.happen()
        assert (await next_of(watcher)).index == 101
        await waiting(store, 2)
        store.index = 90
        store.quorum_index = 101
        store.hang_up()
        assert await watcher.next(timeout=3 * QUIET) is None
        store.index = 101
        store.happen()
        assert (await next_of(watcher)).index == 102


async def test_poll_that_ends_cleanly_with_nothing_is_asked_again(connect: Connect, store: ScriptedStore) -> None:
    """Proxies do that; it must cost no event, and not be done in a hot loop."""

    def nothing(peer: Peer) -> bool:
        peer.send(store.head() + END)
        return True

    store.polls.extend([nothing] * 3)
    client = connect(store.endpoint.url, timeout=QUICK)
    began = time.monotonic()
    async with client.keys.watch("/k") as watcher:
        await waiting(store, 3)
        store.happen(count=3)
        assert [(await next_of(watcher)).index for _ in range(3)] == [101, 102, 103]
    assert time.monotonic() - began > 0.3


async def test_events_before_an_error_come_before_it(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=QUICK)
    async with client.keys.watch("/k") as watcher:
        for _ in range(3):
            store.happen()
        await async_until(lambda: any("waitIndex=104" in one for one in store.asked), lambda: store.asked)
        store.refused.add("/k")  # so the key itself shows nothing
        store.happen(count=0, foreign=2000)
        store.hang_up()
        assert [(await next_of(watcher)).index for _ in range(3)] == [101, 102, 103]
        with pytest.raises(HistoryCleared):
            await next_of(watcher)
        with pytest.raises(HistoryCleared):
            await watcher.next(timeout=QUIET)
