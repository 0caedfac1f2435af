"""A watch whose place has left the server's history: a key that was not touched since shows that nothing is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterChanged, Event, HistoryCleared, Snapshot
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import TcpProxy
from tests.tools.scripted_store import DeafPoll, ScriptedStore
from tests.tools.waiting import PATIENT, SOON, async_until
from tests.tools.writers import async_foreign_writes

FORGOTTEN = 1100
"""Events; the server keeps 1,000."""


async def nothing(client: AsyncClient) -> None:
    del client


async def changed(client: AsyncClient) -> None:
    await client.keys.set("/k", "2")


async def changed_back(client: AsyncClient) -> None:
    await client.keys.set("/k", "2")
    await client.keys.set("/k", "1")


async def deleted(client: AsyncClient) -> None:
    await client.keys.delete("/k")


async def recreated(client: AsyncClient) -> None:
    await client.keys.delete("/k")
    await client.keys.create("/k", "1")


async def replaced_by_a_directory(client: AsyncClient) -> None:
    await client.keys.delete("/k")
    await client.keys.make_dir("/k")


async def was_a_directory(client: AsyncClient) -> None:
    await replaced_by_a_directory(client)
    await client.keys.set("/k/below", "1")
    await client.keys.delete("/k", recursive=True)
    await client.keys.create("/k", "1")


async def refreshed(client: AsyncClient) -> None:
    """Nothing that a watcher is sent; but the node's index does not say that it was no more than that."""
    await client.keys.set("/k", "1", ttl=60)
    await client.keys.refresh("/k", 60)


TOUCHED = [changed, changed_back, deleted, recreated, replaced_by_a_directory, refreshed]


async def away_while(etcd: Server, proxy: TcpProxy, happens: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Cut off until the server has forgotten where the watch was."""
    proxy.refusing = True
    proxy.cut()
    async with AsyncClient(etcd.url) as beside:
        await happens(beside)
        await async_foreign_writes(etcd, FORGOTTEN)
    proxy.refusing = False


@pytest.mark.parametrize("recursive", [False, True], ids=["key", "recursive"])
async def test_key_that_was_not_touched_goes_on_and_its_next_event_comes(
    connect: Connect, etcd: Server, recursive: bool
) -> None:
    """A file has nothing below it, so a recursive watch of it is one of a key."""
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client = connect(proxy.endpoint.url)
        await client.keys.set("/k", "1")
        async with client.keys.watch("/k", recursive=recursive) as watcher:
            polls: Any = watcher._feed._polls
            before = polls.settled
            await away_while(etcd, proxy, nothing)
            await async_until(lambda: polls.settled >= before + FORGOTTEN, lambda: polls)
            await client.keys.set("/k", "2")
            event = await watcher.next(timeout=SOON)
            assert isinstance(event, Event)
            assert (event.value, event.prev_node and event.prev_node.value) == ("2", "1")


@pytest.mark.parametrize(
    ("happens", "recursive"),
    [pytest.param(one, False, id=one.__name__) for one in TOUCHED]
    + [pytest.param(one, True, id=f"{one.__name__}, recursive") for one in (recreated, was_a_directory)],
)
async def test_key_that_may_have_been_touched_names_the_loss(
    connect: Connect, etcd: Server, happens: Callable[[AsyncClient], Awaitable[None]], recursive: bool
) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client = connect(proxy.endpoint.url)
        await client.keys.set("/k", "1")
        async with client.keys.watch("/k", recursive=recursive) as watcher:
            await away_while(etcd, proxy, happens)
            with pytest.raises(HistoryCleared):
                await watcher.next(timeout=SOON)


async def test_what_is_not_there_names_the_loss(connect: Connect, etcd: Server) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client = connect(proxy.endpoint.url)
        async with client.keys.watch("/k") as watcher:
            await away_while(etcd, proxy, nothing)
            with pytest.raises(HistoryCleared):
                await watcher.next(timeout=SOON)


async def test_below_a_directory_anything_may_have_happened(connect: Connect, etcd: Server) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client = connect(proxy.endpoint.url)
        await client.keys.set("/d/k", "1")
        async with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
            assert isinstance(await watcher.next(timeout=SOON), Snapshot)
            await away_while(etcd, proxy, nothing)
            assert isinstance(await watcher.next(timeout=SOON), Snapshot)


async def test_poll_that_lives_is_not_ended_where_the_history_has_gone_on_beside_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was stopped while thousands wrote: its poll is as good as before."""
    monkeypatch.setattr("etcdv2._core.watch.renewal.END_SECONDS", 10 * SOON)
    with ScriptedStore() as store:
        store.happen()
        deaf = DeafPoll(store)
        store.polls.append(deaf)
        client = connect(store.endpoint.url, timeout=PATIENT)
        async with client.keys.watch("/k") as watcher:
            store.happen(count=0, foreign=2000)
            polls: Any = watcher._feed._polls
            await async_until(lambda: polls.settled == store.index, lambda: polls)
            assert polls._first is not None
            store.happen(count=0, foreign=500)
            await async_until(lambda: polls._second is not None, lambda: polls)
        deaf.released.set()


async def test_loss_is_named_at_a_member_that_lagged_behind_the_last_event(connect: Connect) -> None:
    """It could not prove its history as its poll was registered; by now that has left the place of the watch."""
    with ScriptedStore() as store:
        client = connect(store.endpoint.url, timeout=PATIENT)
        async with client.keys.watch("/k") as watcher:
            polls: Any = watcher._feed._polls
            store.streams.append(lambda peer: False)
            store.happen()
            event = await watcher.next(timeout=SOON)
            assert isinstance(event, Event)
            assert event.index == 101
            await async_until(lambda: polls._first is not None and polls._first.since == 102, lambda: polls)

            # 1. A member takes over that is not as far, and its poll brings nothing.
            deaf = DeafPoll(store)
            store.polls.append(deaf)
            store.quorum_index = 101
            store.restore(100)
            store.restart()
            await async_until(lambda: polls._first is not None and polls._first.at.index == 100, lambda: polls)
            assert not store.polls

            # 2. It has caught up, and has forgotten what was missed.
            store.quorum_index = None
            store.happen(foreign=2000)
            with pytest.raises(HistoryCleared):
                await watcher.next(timeout=SOON)
        deaf.released.set()


@pytest.mark.parametrize("cluster", [None, "bb"])
async def test_key_of_a_store_that_was_put_back_or_replaced_shows_nothing(
    connect: Connect, cluster: str | None
) -> None:
    """It has not changed for long, in either."""
    with ScriptedStore() as store:
        store.happen()
        client = connect(store.endpoint.url)
        async with client.keys.watch("/k") as watcher:
            store.happen(count=0, foreign=500)
            polls: Any = watcher._feed._polls
            await async_until(lambda: polls._cursor.seen >= 500, lambda: polls)
            store.restore(200, cluster)
            store.hang_up()
            with pytest.raises((HistoryCleared, ClusterChanged)):
                await watcher.next(timeout=SOON)
