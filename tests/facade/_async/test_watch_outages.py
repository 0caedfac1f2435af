"""What a watch asks after an outage, and what follows: one small request, and a loss where the history is another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from etcdv2 import HistoryCleared, Snapshot
from etcdv2._runtime.primitives import async_sleep
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import Peer
from tests.tools.scripted_store import END, ScriptedStore, line, silent
from tests.tools.waiting import PATIENT, SOON, async_until

SHORT = replace(PATIENT, attempt=0.5)
"""Where an answer that does not come has to be given up."""
QUIET = 0.5
"""Seconds to wait for one that must not come."""


@pytest.fixture
def transport() -> str:
    """What is asked is decided behind the transports."""
    return "fast"


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


async def next_of(watcher: Any) -> Any:
    item = await watcher.next(timeout=SOON)
    assert item is not None, f"nothing from {watcher!r}"
    return item


async def seen(store: ScriptedStore, watcher: Any) -> int:
    """One event, and the poll behind it: the index of the event."""
    store.happen()
    index = (await next_of(watcher)).index
    await waits_behind(store, watcher, index)
    assert index == store.index
    store.asked.clear()
    return int(index)


def asked(store: ScriptedStore) -> list[str]:
    """The polls of the key, but for streams and looks at the index."""
    return [target for target in store.asked if "/k?" in target and "stream" not in target]


def poll(wait_index: int) -> str:
    return f"/v2/keys/k?wait=true&waitIndex={wait_index}"


async def waits_behind(store: ScriptedStore, watcher: Any, index: int) -> None:
    """Until the poll behind that event is the watch's."""
    polls = watcher._feed._polls
    await async_until(lambda: poll(index + 1) in store.asked and polls.first is not None, lambda: repr(store.asked))


async def test_one_request_compares_the_last_event_after_an_outage(connect: Connect, store: ScriptedStore) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        index = await seen(store, watcher)
        for _ in range(3):
            store.hang_up()
            await async_until(lambda: len(asked(store)) >= 2, lambda: repr(store.asked))
            assert sorted(asked(store)) == [poll(index), poll(index + 1)]
            store.asked.clear()
            store.happen(foreign=5, count=0)
        store.happen()
        assert (await next_of(watcher)).index == index + 16


async def test_events_without_an_outage_are_not_compared(connect: Connect, store: ScriptedStore) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        for _ in range(5):
            index = await seen(store, watcher)
            await async_sleep(0.05)
            assert poll(index) not in store.asked


async def test_restart_between_two_polls_is_noticed_by_the_process(connect: Connect, store: ScriptedStore) -> None:
    """The connection has ended after the event, and nobody was waiting on it."""

    def event_and_end(peer: Peer) -> bool:
        store.polls.clear()
        peer.send(store.head())
        while not (found := store.lines(101)):
            if peer.stopping.wait(0.01):
                return False
        peer.send(b"%x\r\n%s\r\n" % (len(found[0]), found[0]) + END)
        store.started += 1
        return False

    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        store.polls.append(lambda peer: store.watch(peer, 0, stream=False))
        store.polls.append(event_and_end)
        store.streams.append(lambda peer: False)
        store.happen()
        assert (await next_of(watcher)).index == 101
        await waits_behind(store, watcher, 101)
        store.happen()
        assert (await next_of(watcher)).index == 102
        await async_until(lambda: poll(102) in asked(store)[2:], lambda: repr(store.asked))
        store.happen()
        assert (await next_of(watcher)).index == 103


@pytest.mark.parametrize(
    "other",
    [
        line(102).replace(b'"value": "102"', b'"value": "another"'),
        line(102).replace(b'"createdIndex": 102', b'"createdIndex": 55'),
        line(102, action="delete"),
    ],
    ids=["value", "createdIndex", "action"],
)
async def test_another_event_at_the_same_index_is_another_history(
    connect: Connect, store: ScriptedStore, other: bytes
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        await seen(store, watcher)
        assert await seen(store, watcher) == 102
        store.replace(102, other)
        store.happen(count=0, foreign=10)
        store.hang_up()
        with pytest.raises(HistoryCleared, match="has not the event of index 102"):
            await next_of(watcher)


async def test_ttl_that_a_restart_has_counted_again_is_the_same_event(connect: Connect, store: ScriptedStore) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        index = await seen(store, watcher)
        store.replace(index, line(index).replace(b'"key"', b'"ttl": 7, "expiration": "2030-01-01T00:00:00Z", "key"'))
        store.restart()
        await async_until(lambda: poll(index) in store.asked, lambda: repr(store.asked))
        store.happen()
        assert (await next_of(watcher)).index == index + 1


async def test_event_that_is_late_in_the_history_is_waited_for(connect: Connect, store: ScriptedStore) -> None:
    """Silence behind the headers proves nothing; a poll that ends properly and empty, twice, does."""
    compared = 0

    def act(peer: Peer) -> bool:
        nonlocal compared
        assert peer.received is not None
        if peer.received.target != poll(101):
            return store.watch(peer, 102, stream=False)
        compared += 1
        if compared == 3:
            return store.watch(peer, 101, stream=False)
        peer.send(store.head())
        silent(peer)
        peer.send(END)
        return False

    async with connect(store.endpoint.url, timeout=SHORT).keys.watch("/k") as watcher:
        assert await seen(store, watcher) == 101
        store.polls.extend([act] * 4)
        store.hang_up()
        await async_until(lambda: compared == 3, lambda: repr(store.asked))
        store.polls.clear()
        store.happen()
        assert (await next_of(watcher)).index == 102


async def test_end_that_is_late_says_nothing_where_polls_end(connect: Connect, store: ScriptedStore) -> None:
    """A member that stands still sends neither the event nor the end: that is asked again, and no loss is named."""
    compared = 0

    def act(peer: Peer) -> bool:
        nonlocal compared
        assert peer.received is not None
        if peer.received.target != poll(101):
            return store.watch(peer, 102, stream=False)
        compared += 1
        if compared > 4:
            return store.watch(peer, 101, stream=False)
        peer.send(store.head())
        while not peer.stopping.wait(0.02):
            pass
        return False

    async with connect(store.endpoint.url, timeout=SHORT).keys.watch("/k") as watcher:
        assert await seen(store, watcher) == 101
        store.polls.extend([act] * 100)
        store.hang_up()
        await async_until(lambda: compared == 5, lambda: repr(store.asked))
        store.polls.clear()
        store.happen()
        assert (await next_of(watcher)).index == 102


async def test_refused_comparison_is_asked_again(connect: Connect, store: ScriptedStore) -> None:
    def refuse(peer: Peer) -> bool:
        peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return True

    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        index = await seen(store, watcher)
        store.polls.extend([lambda peer: store.watch(peer, index + 1, stream=False), refuse])
        store.hang_up()
        await async_until(lambda: asked(store).count(poll(index)) == 2, lambda: repr(store.asked))
        store.happen()
        assert (await next_of(watcher)).index == index + 1


async def test_member_that_lags_behind_the_last_event_is_asked_when_it_brings_one(
    connect: Connect, store: ScriptedStore
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        index = await seen(store, watcher)
        store.index, store.quorum_index = index - 5, index + 20
        store.hang_up()
        await waits_behind(store, watcher, index)
        assert await watcher.next(timeout=QUIET) is None
        assert poll(index) not in store.asked  # it would wait there for what it has not got yet

        # It catches up with another history.
        store.replace(index, line(index).replace(b'"value"', b'"prev": 1, "value"').replace(b': "101"', b': "other"'))
        store.index = index + 9
        store.happen()
        with pytest.raises(HistoryCleared, match=f"has not the event of index {index}"):
            await next_of(watcher)


async def test_history_that_has_left_the_last_event_is_asked_from_where_silence_came_to(
    connect: Connect, store: ScriptedStore
) -> None:
    """A watch without snapshots goes on, and one refused request is all that it costs."""
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        index = await seen(store, watcher)
        polls = watcher._feed._polls
        ends = time.monotonic() + SOON
        while polls.settled < index + 100:
            assert time.monotonic() < ends, repr(polls)
            if store.index < polls.registered + 310:  # else its next poll is on the way
                store.happen(count=0, foreign=50)
            await async_sleep(0.02)
        settled = polls.settled
        store.index = index + 1001
        store.asked.clear()
        store.restart()
        await async_until(lambda: poll(settled + 1) in asked(store), lambda: repr(store.asked))
        assert poll(index) not in asked(store)
        store.happen()
        assert (await next_of(watcher)).index == index + 1002


@pytest.mark.parametrize("restart", [True, False])
async def test_watch_with_snapshots_that_cannot_compare_reads_the_state_at_another_process_only(
    connect: Connect, store: ScriptedStore, restart: bool
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k", snapshots=True) as watcher:
        assert isinstance(await next_of(watcher), Snapshot)
        for _ in range(2):
            await async_until(lambda: watcher._feed._polls.first is not None, lambda: repr(watcher._feed))
            store.asked.clear()
            if restart:
                store.restart()
                assert isinstance(await next_of(watcher), Snapshot)
            else:
                store.hang_up()
        await async_until(lambda: watcher._feed._polls.first is not None, lambda: repr(watcher._feed))
        store.happen()
        assert (await next_of(watcher)).index == 101


RAFT = b"X-Raft-Index: %d\r\nX-Raft-Term: %d\r\n"


@pytest.mark.parametrize("older", [(499, 5), (600, 4)], ids=["raft index", "term"])
async def test_raft_that_went_back_is_another_history_when_the_quorum_has_answered(
    connect: Connect, store: ScriptedStore, older: tuple[int, int]
) -> None:
    store.raft_headers = RAFT % (500, 5)
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        store.raft_headers = RAFT % older
        store.happen(count=0, foreign=10)
        store.restart()
        with pytest.raises(HistoryCleared, match="after a read with quorum it has raft"):
            await next_of(watcher)


async def test_member_whose_raft_lags_is_no_loss(connect: Connect, store: ScriptedStore) -> None:
    def caught_up() -> None:
        store.raft_headers = RAFT % (501, 5)

    store.raft_headers = RAFT % (500, 5)
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        store.raft_headers = RAFT % (499, 5)
        store.quorum_read = caught_up
        store.restart()
        await async_until(lambda: poll(101) in store.asked and store.watching > 0, lambda: repr(store.asked))
        store.happen()
        assert (await next_of(watcher)).index == 101


@pytest.mark.parametrize("same", [True, False])
async def test_key_that_is_as_the_last_event_has_left_it_was_not_touched_in_the_same_history(
    connect: Connect, store: ScriptedStore, same: bool
) -> None:
    """Where the history has left the place of the watch, the key itself is compared."""
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        await seen(store, watcher)
        index = await seen(store, watcher)
        if not same:  # as after a restore: the event before was the last one of this key
            store.restore(index - 1)
        store.index = index + 5000
        store.restart()
        if not same:
            with pytest.raises(HistoryCleared, match="cleared"):
                await next_of(watcher)
            return
        await async_until(lambda: poll(index + 5001) in store.asked, lambda: repr(store.asked))
        store.happen()
        assert (await next_of(watcher)).index == index + 5001
