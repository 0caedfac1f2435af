"""How long a watch or a mirror waits: for its beginning, for what comes next, and through refusals and outages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from etcdv2 import ClusterUnavailable, Event, StaleRead, Timeout, Unauthorized
from etcdv2._async.watch.reconnect import AsyncOutage, AsyncReconnect
from etcdv2._runtime.primitives import async_sleep
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import FaultServer, Peer, TcpProxy, answer_bytes, close, stall
from tests.tools.scripted_store import ScriptedStore
from tests.tools.waiting import PATIENT, SOON, async_until

SHORT = 0.2
"""Seconds to wait for what does not come."""
DENIED = b'{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials"}'


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


async def next_of(watcher: Any) -> Any:
    item = await watcher.next(timeout=SOON)
    assert item is not None, f"nothing from {watcher!r}"
    return item


def refuse(peer: Peer) -> bool:
    headers = {"Content-Type": "application/json", "X-Etcd-Cluster-Id": "aa"}
    peer.send(answer_bytes(401, headers, DENIED))
    return True


def page(peer: Peer) -> bool:
    peer.send(answer_bytes(403, {"Content-Type": "text/html"}, b"<h1>Forbidden</h1>"))
    return True


# --- the beginning ----------------------------------------------------------------------------------------------------


async def test_timeout_of_next_bounds_the_beginning_which_goes_on(connect: Connect, store: ScriptedStore) -> None:
    store.stalled = True
    watcher = connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k")
    assert await watcher.next(timeout=SHORT) is None
    assert await watcher.next(timeout=0) is None
    store.stalled = False
    store.hang_up()
    await async_until(lambda: store.watching, lambda: repr(watcher))
    store.happen()
    assert (await next_of(watcher)).index == 101
    await watcher.close()


async def test_beginning_that_fails_after_the_time_of_next_is_raised_by_the_next_one(
    connect: Connect, store: ScriptedStore
) -> None:
    store.stalled = True
    watcher = connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k")
    assert await watcher.next(timeout=SHORT) is None
    store.away = True
    store.hang_up()
    for _ in range(2):
        with pytest.raises(ClusterUnavailable):
            await next_of(watcher)


async def test_with_waits_for_a_beginning_that_a_next_has_left(connect: Connect, store: ScriptedStore) -> None:
    store.stalled = True
    watcher = connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k")
    assert await watcher.next(timeout=SHORT) is None
    store.stalled = False
    timer = threading.Timer(SHORT, store.hang_up)
    timer.start()
    async with watcher:
        timer.join()
        store.happen()
        assert (await next_of(watcher)).index == 101


@pytest.mark.parametrize("kind", ["watch", "mirror"])
async def test_patience_bounds_a_beginning_that_nobody_answers(connect: Connect, kind: str) -> None:
    with FaultServer(default=stall()) as one, FaultServer(default=stall()) as other:
        client = connect([one.endpoint.url, other.endpoint.url], timeout=PATIENT)
        making: Any = getattr(client.keys, kind)
        began = time.monotonic()
        with pytest.raises(ClusterUnavailable):
            async with making("/k", patience=1):
                pass
        assert 1 <= time.monotonic() - began < SOON


async def test_patience_bounds_the_way_back_to_a_cluster_that_falls_silent(
    connect: Connect, store: ScriptedStore
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k", patience=1) as watcher:
        store.stalled = True
        store.hang_up()
        with pytest.raises(ClusterUnavailable):
            await next_of(watcher)


@pytest.mark.parametrize("kind", ["watch", "mirror"])
async def test_patience_holds_from_the_first_try_on(connect: Connect, etcd: Server, kind: str) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        proxy.refusing = True
        client = connect(proxy.endpoint.url)

        def come_back() -> None:
            proxy.refusing = False

        timer = threading.Timer(1, come_back)
        timer.start()
        making: Any = getattr(client.keys, kind)
        async with making("/k", patience=SOON) as begun:
            assert not begun.closed
        timer.join()


async def test_without_patience_the_first_try_raises(connect: Connect) -> None:
    with FaultServer(default=close()) as server:
        with pytest.raises(ClusterUnavailable):
            async with connect(server.endpoint.url, timeout=Timeout(total=1)).keys.watch("/k"):
                pass


async def test_member_that_is_being_caught_up_is_asked_again_at_a_beginning() -> None:
    reconnect, behind = AsyncReconnect("/k", None, SOON, AsyncOutage(), steadfast=False), [StaleRead(101, 100)] * 2

    async def attempt(_: float) -> str:
        if behind:
            raise behind.pop()
        return "begun"

    assert await reconnect.endure(attempt) == "begun"


async def test_member_that_is_not_caught_up_within_the_time_of_a_call_ends_a_beginning() -> None:
    reconnect, tries = AsyncReconnect("/k", None, 1.0, AsyncOutage(), steadfast=False), []

    async def attempt(_: float) -> None:
        tries.append(time.monotonic())
        raise StaleRead(101, 100)

    with pytest.raises(StaleRead):
        await reconnect.endure(attempt)
    assert tries[-1] - tries[0] >= 1.0


# --- what is there ----------------------------------------------------------------------------------------------------


async def test_timeout_0_takes_what_is_there(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    async with client.keys.watch("/k") as watcher, client.keys.mirror("/k") as mirror:
        changes = mirror.changes()
        assert await watcher.next(timeout=0) is None
        assert await changes.next(timeout=0) is None
        assert not await mirror.wait_for(lambda state: len(state) > 0, timeout=0)

        store.happen(count=3)
        await async_until(lambda: mirror.state.index == 103, lambda: repr(mirror))
        await async_until(lambda: len(watcher._feed.items._items) == 3, lambda: repr(watcher))
        found = [await watcher.next(timeout=0) for _ in range(4)]
        assert [event and event.index for event in found] == [101, 102, 103, None]
        found_changes = [await changes.next(timeout=0) for _ in range(4)]
        assert [change and change.index for change in found_changes] == [101, 102, 103, None]
        assert await mirror.wait_for(len, timeout=0) == 1


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, False, "0"])
async def test_what_is_no_time_is_refused(connect: Connect, store: ScriptedStore, wrong: Any) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    with pytest.raises((TypeError, ValueError), match="timeout"):
        await client.keys.watch("/k").next(timeout=wrong)
    async with client.keys.mirror("/k") as mirror:
        with pytest.raises((TypeError, ValueError), match="timeout"):
            await mirror.wait_for(len, timeout=wrong)
        with pytest.raises((TypeError, ValueError), match="timeout"):
            await mirror.changes().next(timeout=wrong)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer_no", [refuse, page])
async def test_mirror_endures_refusals_and_says_so(
    connect: Connect, store: ScriptedStore, caplog: pytest.LogCaptureFixture, answer_no: Any
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.mirror("/k") as mirror:
        await async_until(lambda: store.watching, lambda: repr(mirror))
        store.polls.extend([answer_no] * 5)
        with caplog.at_level(logging.WARNING, "etcdv2"):
            store.hang_up()
            await async_until(lambda: mirror.stale_for is not None, lambda: repr(mirror))
        assert "watch of /k is interrupted" in caplog.text
        assert not mirror.closed
        await async_until(lambda: mirror.synced, lambda: repr(store.polls))
        store.happen()
        assert await mirror.wait_for(lambda state: state.index == 101, timeout=SOON)


@pytest.mark.parametrize("answer_no", [refuse, page])
async def test_watch_endures_a_refusal_now_and_then(connect: Connect, store: ScriptedStore, answer_no: Any) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        for number in range(3):
            await async_until(lambda: store.watching, lambda: repr(watcher))
            store.polls.extend([answer_no] * 3)
            store.hang_up()
            await async_until(lambda: not store.polls and store.watching, lambda: repr(watcher))
            store.happen()
            assert (await next_of(watcher)).index == 101 + number


async def test_watch_that_is_refused_for_good_ends(connect: Connect, store: ScriptedStore) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k") as watcher:
        store.polls.extend([refuse] * 100)
        store.hang_up()
        with pytest.raises(Unauthorized):
            await next_of(watcher)
        assert len(store.polls) == 96


async def test_refusal_of_a_beginning_is_raised_at_once(connect: Connect, store: ScriptedStore) -> None:
    store.polls.append(refuse)
    with pytest.raises(Unauthorized):
        async with connect(store.endpoint.url, timeout=PATIENT).keys.watch("/k", patience=SOON):
            pass


async def test_mirror_that_has_ended_by_an_error_says_so(
    connect: Connect, store: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(store.endpoint.url, timeout=PATIENT).keys.mirror("/k", patience=0.5) as mirror:
        with caplog.at_level(logging.WARNING, "etcdv2"):
            store.away = True
            store.hang_up()
            await async_until(lambda: mirror.closed, lambda: repr(mirror))
        assert "the mirror of /k has ended" in caplog.text


# --- outages ----------------------------------------------------------------------------------------------------------


async def test_watches_of_a_client_take_turns_while_nobody_answers(connect: Connect, store: ScriptedStore) -> None:
    tries: list[int] = []
    client = connect(
        store.endpoint.url,
        timeout=PATIENT,
        before_attempt=lambda info: tries.append(1),
        after_attempt=lambda info: tries.append(-1),
    )
    watchers = [client.keys.watch("/k") for _ in range(20)]
    for watcher in watchers:
        await watcher.__aenter__()
    store.away = True
    store.hang_up()
    await async_until(lambda: all(one.unreachable_since for one in watchers), lambda: repr(watchers))
    await async_until(lambda: sum(tries) == 0)
    del tries[:]
    await async_sleep(2)
    seen = list(tries)
    assert max((sum(seen[:end]) for end in range(len(seen) + 1)), default=0) <= 1
    assert sum(one > 0 for one in seen) <= 20  # each of them alone would have tried several times

    store.away = False
    store.happen()
    for watcher in watchers:
        event = await next_of(watcher)
        assert isinstance(event, Event)
        await watcher.close()


async def test_watch_that_is_closed_while_it_waits_for_its_turn_leaves_the_others_theirs(
    connect: Connect, store: ScriptedStore
) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    watchers = [client.keys.watch("/k") for _ in range(4)]
    for watcher in watchers:
        await watcher.__aenter__()
    store.away = True
    store.hang_up()
    await async_until(lambda: all(one.unreachable_since for one in watchers), lambda: repr(watchers))
    store.away, store.stalled = False, True
    await async_sleep(1)  # one of them waits for an answer, the others for it
    for watcher in watchers[:3]:
        await watcher.close()
    store.stalled = False
    store.hang_up()
    store.happen()
    assert (await next_of(watchers[3])).index == 101
    await watchers[3].close()


async def test_quiet_poll_that_is_cut_leaves_the_current_endpoint(connect: Connect, store: ScriptedStore) -> None:
    """Balancers cut what is quiet; whether the endpoint answers, the next poll shows."""
    with ScriptedStore() as other:
        client = connect([store.endpoint.url, other.endpoint.url], timeout=PATIENT)
        async with client.keys.watch("/k") as watcher:
            current = client._dispatcher.current
            at = store if current.port == store.port else other
            for _ in range(2):
                await async_until(lambda: at.watching, lambda: repr(watcher))
                await async_sleep(1.2)
                at.hang_up()
                await async_sleep(SHORT)
            await async_until(lambda: at.watching, lambda: repr(watcher))
            assert client._dispatcher.current == current
            assert watcher.unreachable_since is None


async def test_poll_that_is_cut_at_once_is_blamed_on_its_endpoint(connect: Connect, store: ScriptedStore) -> None:
    """Else a watch would stay where it is cut for ever."""

    def cut(peer: Peer) -> bool:
        peer.send(store.head())
        return False

    with ScriptedStore() as other:
        client = connect([store.endpoint.url, other.endpoint.url], timeout=replace(PATIENT, total=None))
        at, elsewhere = (store, other) if client._dispatcher.current.port == store.port else (other, store)
        async with client.keys.watch("/k") as watcher:
            at.polls.extend([cut] * 100)
            at.hang_up()
            await async_until(lambda: elsewhere.watching, lambda: repr(watcher))
