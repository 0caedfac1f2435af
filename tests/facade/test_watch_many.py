"""A thousand watches in one process, and tasks that are cancelled in the middle of one: async only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import AsyncClient, Event
from etcdv2._core.watch.renewal import State
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.tools.leftovers import workers
from tests.tools.scripted_store import DeafPoll, ScriptedStore
from tests.tools.waiting import PATIENT, SOON, async_until
from tests.tools.writers import FOLLOWED_EVENTS, async_foreign_writes

MANY = 1000
DESCRIPTORS = Path("/proc/self/fd")


def descriptors() -> int:
    return sum(1 for _ in DESCRIPTORS.iterdir()) if DESCRIPTORS.is_dir() else 0


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


@pytest.mark.load
async def test_a_thousand_watches_of_one_member_each_get_their_own(etcd: Server) -> None:
    before, opened = workers(), descriptors()
    async with AsyncClient(etcd.url, timeout=PATIENT) as client:
        watchers = [client.keys.watch(f"/many/{n}") for n in range(MANY)]
        await asyncio.gather(*(watcher.__aenter__() for watcher in watchers))
        assert (await client.stats.store()).watchers >= MANY
        assert workers().count("etcdv2-index") == before.count("etcdv2-index") + 1
        for round_ in ("first", "second"):
            await asyncio.gather(*(client.keys.set(f"/many/{n}", f"{round_} {n}") for n in range(MANY)))
            events = await asyncio.gather(*(watcher.next(timeout=SOON) for watcher in watchers))
            assert [event and event.value for event in events] == [f"{round_} {n}" for n in range(MANY)]
        last = max(event.index for event in events if event)
        await async_until(lambda: all(last - one._feed._polls.settled < FOLLOWED_EVENTS for one in watchers))
        await async_foreign_writes(etcd, 1500, connections=2, followed_by=watchers)
        await client.keys.set("/many/7", "after the renewal")
        event = await watchers[7].next(timeout=SOON)
        assert event is not None
        assert event.value == "after the renewal"
        assert await watchers[8].next(timeout=0.05) is None
        await asyncio.gather(*(watcher.close() for watcher in watchers))
        await async_until(lambda: workers() == before, workers)
    await async_until(lambda: descriptors() <= opened, descriptors)


@pytest.mark.load
async def test_renewals_over_a_slow_link_do_not_wait_for_each_other(etcd: Server) -> None:
    """One after the other they would take 300 round trips of 50 ms, and the last watches would be too old by then."""
    with Link(etcd.port) as link:
        async with AsyncClient(link.endpoint.url, timeout=PATIENT) as client:
            watchers = [client.keys.watch(f"/many/{n}") for n in range(300)]
            await asyncio.gather(*(watcher.__aenter__() for watcher in watchers))
            link.delay = 0.025
            await async_foreign_writes(etcd, 450, connections=1)
            begun = time.monotonic()
            opened = [watcher._feed._polls._renewal for watcher in watchers]
            await async_until(
                lambda: all(renewal.first is not None and renewal.first.index >= 300 for renewal in opened),
                lambda: opened,
            )
            assert time.monotonic() - begun < 300 * 2 * link.delay, "they wait for each other"
            await client.keys.set("/many/299", "1")
            event = await watchers[299].next(timeout=SOON)
            assert event is not None
            assert event.value == "1"


async def test_cancelled_wait_loses_no_event_and_the_watch_goes_on(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client, client.keys.watch("/k") as watcher:
        seen: list[str | None] = []
        for n in range(200):
            waiting = asyncio.create_task(watcher.next(timeout=SOON))
            await asyncio.sleep(0)
            await client.keys.set("/k", f"{n}")
            waiting.cancel()
            try:
                event: Event | None = await waiting
            except asyncio.CancelledError:
                event = await watcher.next(timeout=SOON)
            assert event is not None
            seen.append(event.value)
        assert seen == [f"{n}" for n in range(200)]


@pytest.mark.parametrize("how", ["polling", "streaming", "renewing", "away", "beginning"])
async def test_cancelled_task_leaves_nothing(store: ScriptedStore, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = DeafPoll(store)
    if how == "renewing":  # else the second poll is the first one in a moment
        monkeypatch.setattr("etcdv2._core.watch.renewal.END_SECONDS", 10 * SOON)
        store.polls.append(deaf)
    before, opened = workers(), descriptors()
    client = AsyncClient(store.endpoint.url, timeout=PATIENT)
    began = asyncio.Event()
    watchers: list[Any] = []
    if how == "beginning":
        store.stalled = True

    async def consume() -> None:
        began.set()
        async with client.keys.watch("/k") as watcher:
            watchers.append(watcher)
            async for _ in watcher:
                pass

    task = asyncio.create_task(consume())
    await began.wait()
    if how != "beginning":
        await async_until(lambda: store.watching and watchers, lambda: "no watch")
    if how == "streaming":
        for _ in range(600):
            store.happen(count=3)
            await asyncio.sleep(0.002)
            if watchers[0]._feed._polls._renewal.state is State.STREAMING:
                break
        assert watchers[0]._feed._polls._renewal.state is State.STREAMING
    elif how == "renewing":
        store.happen(count=0, foreign=500)
        await async_until(lambda: watchers[0]._feed._polls._second is not None, lambda: "no renewal")
    elif how == "away":
        store.away = True
        store.hang_up()
        await async_until(lambda: watchers[0].unreachable_since is not None, lambda: "not away")
    else:
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, SOON)
    deaf.released.set()
    await async_until(lambda: workers() == before, workers)
    await async_until(lambda: store.watching == 0, lambda: store.watching)
    await client.close()
    await async_until(lambda: store.open_connections == 0, lambda: store.open_connections)
    await async_until(lambda: descriptors() <= opened, descriptors)
