"""Watches on real servers: which events come, in what order, from where on, and how a watch ends."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterUnavailable, Event, HistoryCleared
from etcdv2._runtime.primitives import AsyncWorker, async_sleep
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.leftovers import workers
from tests.tools.waiting import SOON, async_until
from tests.tools.writers import async_foreign_writes

QUIET = 0.15
"""Seconds to wait for one that must not come."""


async def taken(watcher: Any, count: int) -> list[Event]:
    """The next `count` events."""
    events: list[Event] = []
    while len(events) < count:
        event = await watcher.next(timeout=SOON)
        assert event is not None, f"only {events}"
        events.append(event)
    return events


async def ended(names: list[str]) -> None:
    """Waits until no more background work runs than these."""
    ends = time.monotonic() + SOON
    while workers() != names:
        assert time.monotonic() < ends, workers()
        await async_sleep(0.01)


async def watchers_of(client: AsyncClient) -> int:
    return (await client.stats.store()).watchers


async def test_watch_of_a_key_gives_each_change_of_it_in_order(client: AsyncClient) -> None:
    async with client.keys.watch("/a") as watcher:
        await client.keys.set("/a", "1")
        await client.keys.set("/b", "no")
        await client.keys.set("/a", "2", prev_value="1")
        await client.keys.update("/a", "3")
        await client.keys.delete("/a", prev_value="3")
        await client.keys.create("/a", "4")
        await client.keys.delete("/a")
        events = await taken(watcher, 6)
    assert [(event.action, event.value) for event in events] == [
        ("set", "1"),
        ("compareAndSwap", "2"),
        ("update", "3"),
        ("compareAndDelete", None),
        ("create", "4"),
        ("delete", None),
    ]
    assert {event.key for event in events} == {"/a"}
    assert [event.deleted for event in events] == [False, False, False, True, False, True]
    assert [event.index for event in events] == sorted({event.index for event in events})
    previous = [event.prev_node.value if event.prev_node else None for event in events]
    assert previous == [None, "1", "2", "3", None, "4"]
    assert not any(event.ancestor for event in events)


async def test_watch_of_a_tree_gives_what_happens_below_it(client: AsyncClient) -> None:
    async with client.keys.watch("/t", recursive=True) as watcher:
        await client.keys.set("/t/a", "1")
        await client.keys.set("/tree", "no")
        await client.keys.make_dir("/t/d/e")
        queued = await client.keys.create_in_order("/t/q", "job")
        await client.keys.delete("/t/d", recursive=True)
        events = await taken(watcher, 4)
    assert [(event.action, event.key, event.value) for event in events] == [
        ("set", "/t/a", "1"),
        ("create", "/t/d/e", None),
        ("create", queued.node.key, "job"),
        ("delete", "/t/d", None),
    ]
    assert events[1].node.dir


async def test_watch_of_the_root_gives_everything_that_is_not_hidden(client: AsyncClient) -> None:
    async with client.keys.watch("/", recursive=True) as watcher:
        await client.keys.set("/d/_hidden", "no")
        await client.keys.set("/a", "1")
        await client.keys.set("/b/c", "2")
        events = await taken(watcher, 2)
    assert [event.key for event in events] == ["/a", "/b/c"]


async def test_watch_begins_when_it_is_entered(client: AsyncClient) -> None:
    watcher = client.keys.watch("/a")
    await client.keys.set("/a", "before")
    async with watcher:
        await client.keys.set("/a", "after")
        (event,) = await taken(watcher, 1)
    assert event.value == "after"


async def test_watch_without_with_begins_at_the_first_next(client: AsyncClient) -> None:
    watcher = client.keys.watch("/a")
    assert await watcher.next(timeout=0.01) is None
    await async_until(lambda: watcher._feed.registered)  # it goes on beginning meanwhile
    await client.keys.set("/a", "1")
    (event,) = await taken(watcher, 1)
    assert event.value == "1"
    await watcher.close()


async def test_after_index_gives_what_came_later_and_goes_on_live(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    second = await client.keys.set("/a", "2")
    await client.keys.set("/a", "3")
    async with client.keys.watch("/a", after_index=second.index) as watcher:
        await client.keys.set("/a", "4")
        events = await taken(watcher, 2)
    assert [event.value for event in events] == ["3", "4"]


async def test_after_index_zero_gives_the_oldest_events_that_there_are(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url)
    await async_foreign_writes(etcd, 1200)
    made = await client.keys.set("/a", "1")
    async with client.keys.watch("/", recursive=True, after_index=0) as watcher:
        first = (await taken(watcher, 1))[0]
    assert made.index - 1000 <= first.index <= made.index - 900
    async with client.keys.watch("/a", after_index=0) as watcher:
        assert [event.value for event in await taken(watcher, 1)] == ["1"]


async def test_index_too_old_raises_history_cleared(client: AsyncClient, etcd: Server) -> None:
    old = await client.keys.set("/a", "1")
    await async_foreign_writes(etcd, 1200)
    watcher = client.keys.watch("/a", after_index=old.index)
    with pytest.raises(HistoryCleared) as caught:
        async with watcher:
            pass
    error = caught.value
    assert (error.code, error.status) == (401, 400)
    assert error.index >= old.index + 1200
    assert watcher.closed
    async with client.keys.watch("/a", after_index=error.index) as again:
        await client.keys.set("/a", "2")
        assert [event.value for event in await taken(again, 1)] == ["2"]


async def test_new_watch_after_the_index_of_the_last_one_goes_on_without_gap_or_double(client: AsyncClient) -> None:
    async with client.keys.watch("/q", recursive=True) as watcher:
        assert watcher.index > 0
        for n in range(10):
            await client.keys.set(f"/q/{n}", "")
        seen = [event.key for event in await taken(watcher, 4)]
        index = watcher.index
    for n in range(10, 15):
        await client.keys.set(f"/q/{n}", "")
    async with client.keys.watch("/q", recursive=True, after_index=index) as watcher:
        seen += [event.key for event in await taken(watcher, 11)]
    assert seen == [f"/q/{n}" for n in range(15)]


async def test_index_of_a_fresh_watch_is_where_it_began(client: AsyncClient) -> None:
    before = await client.keys.set("/b", "1")
    async with client.keys.watch("/a") as watcher:
        assert watcher.index == before.index
    async with client.keys.watch("/a", after_index=before.index - 1) as watcher:
        assert watcher.index == before.index - 1


async def test_history_of_hidden_keys_below_is_left_out(client: AsyncClient) -> None:
    start = (await client.keys.set("/d/_h/a", "hidden")).index - 1
    await client.keys.set("/d/_f", "hidden")
    await client.keys.set("/d/a", "seen")
    await client.keys.set("/d/_f", "hidden")
    await client.keys.set("/d/b", "seen")
    async with client.keys.watch("/d", recursive=True, after_index=start) as watcher:
        assert [event.key for event in await taken(watcher, 2)] == ["/d/a", "/d/b"]
        assert await watcher.next(timeout=QUIET) is None


async def test_hidden_keys_are_seen_by_a_watch_within_their_directory(client: AsyncClient) -> None:
    start = (await client.keys.set("/d/_h/a", "1")).index - 1
    async with client.keys.watch("/d/_h", recursive=True, after_index=start) as watcher:
        await client.keys.set("/d/_h/b", "2")
        assert [event.key for event in await taken(watcher, 2)] == ["/d/_h/a", "/d/_h/b"]
    async with client.keys.watch("/d/_h/a", after_index=start) as watcher:
        assert [event.value for event in await taken(watcher, 1)] == ["1"]


async def test_deletion_of_a_directory_is_not_reported_to_a_longer_name(client: AsyncClient) -> None:
    start = (await client.keys.set("/foo/a", "1")).index
    await client.keys.set("/foobar/a", "1")
    await client.keys.delete("/foo", recursive=True)
    await client.keys.set("/foobar/a", "2")
    for key, recursive in (("/foobar", True), ("/foobar/a", False)):
        async with client.keys.watch(key, recursive=recursive, after_index=start) as watcher:
            events = await taken(watcher, 2)
            assert [(event.action, event.value) for event in events] == [("set", "1"), ("set", "2")]
            assert await watcher.next(timeout=QUIET) is None


@pytest.mark.parametrize("recursive", [False, True])
async def test_deletion_of_a_directory_above_takes_the_watched_key_along(client: AsyncClient, recursive: bool) -> None:
    await client.keys.set("/d/e/a", "1")
    async with client.keys.watch("/d/e", recursive=recursive) as watcher:
        await client.keys.delete("/d", recursive=True)
        await client.keys.make_dir("/d/e")
        gone, made = await taken(watcher, 2)
    assert (gone.action, gone.key, gone.ancestor, gone.deleted, gone.value) == ("delete", "/d", True, True, None)
    assert (made.action, made.key, made.ancestor) == ("create", "/d/e", False)


async def test_expiry_of_a_directory_above_takes_the_watched_key_along(client: AsyncClient) -> None:
    await client.keys.make_dir("/d", ttl=1)
    await client.keys.set("/d/a", "1")
    async with client.keys.watch("/d/a") as watcher:
        (event,) = await taken(watcher, 1)
    assert (event.action, event.key, event.ancestor, event.deleted) == ("expire", "/d", True, True)


async def test_expiry_is_an_event_with_the_old_value(client: AsyncClient) -> None:
    async with client.keys.watch("/a") as watcher:
        await client.keys.set("/a", "1", ttl=1)
        made, gone = await taken(watcher, 2)
    assert (made.value, made.node.ttl) == ("1", 1)
    assert (gone.action, gone.value, gone.deleted, gone.ancestor) == ("expire", None, True, False)
    assert gone.prev_node is not None
    assert gone.prev_node.value == "1"


async def test_refresh_notifies_no_watcher(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1", ttl=50)
    async with client.keys.watch("/a") as live:
        await client.keys.refresh("/a", 100)
        assert await live.next(timeout=QUIET) is None
        await client.keys.set("/a", "2")
        assert [event.value for event in await taken(live, 1)] == ["2"]
    async with client.keys.watch("/a", after_index=made.index) as past:
        assert [event.value for event in await taken(past, 1)] == ["2"]


async def test_watch_of_a_directory_without_recursive_sees_nothing_below(client: AsyncClient) -> None:
    await client.keys.set("/d/a", "1")
    async with client.keys.watch("/d") as watcher:
        await client.keys.set("/d/a", "2")
        assert await watcher.next(timeout=QUIET) is None
        await client.keys.delete("/d", recursive=True)
        assert [event.action for event in await taken(watcher, 1)] == ["delete"]


async def test_writers_no_value_on_success_changes_nothing_for_watchers(client: AsyncClient) -> None:
    async with client.keys.watch("/a") as watcher:
        await client.keys.set("/a", "1", no_value_on_success=True)
        assert [event.value for event in await taken(watcher, 1)] == ["1"]


async def test_trailing_slash_of_the_watched_key_changes_nothing(client: AsyncClient) -> None:
    async with client.keys.watch("/d/", recursive=True) as watcher:
        await client.keys.set("/d/a", "1")
        assert [event.key for event in await taken(watcher, 1)] == ["/d/a"]


async def test_next_returns_none_in_time_and_later_events_still_come(client: AsyncClient) -> None:
    async with client.keys.watch("/a") as watcher:
        began = time.monotonic()
        for _ in range(3):
            assert await watcher.next(timeout=0.05) is None
        assert 0.1 < time.monotonic() - began < SOON
        await client.keys.set("/a", "1")
        assert [event.value for event in await taken(watcher, 1)] == ["1"]
        assert await watcher.next(timeout=0.01) is None
    await async_until(lambda: watcher._feed.registered)  # it goes on beginning meanwhile


async def test_close_from_elsewhere_ends_the_iteration_at_once(client: AsyncClient) -> None:
    closed: list[float] = []
    async with client.keys.watch("/a") as watcher:

        async def closer() -> None:
            await async_sleep(0.1)
            closed.append(time.monotonic())
            await watcher.close()

        worker = AsyncWorker(closer, "closer")
        async for _ in watcher:
            pytest.fail("no event was due")
        assert time.monotonic() - closed[0] < SOON
        await worker.join(2)
    assert watcher.closed


async def test_breaking_out_and_closing_leaks_nothing(client: AsyncClient) -> None:
    before = workers()
    open_before = await watchers_of(client)
    async with client.keys.watch("/a", recursive=True) as watcher:
        await client.keys.set("/a", "1")
        await client.keys.set("/a", "2")
        async for event in watcher:
            assert event.value == "1"
            break
        assert workers() != before
    await ended(before)
    ends = time.monotonic() + SOON
    while await watchers_of(client) > open_before:
        assert time.monotonic() < ends
        await async_sleep(0.02)


async def test_forgotten_watch_stops_its_background_work(client: AsyncClient) -> None:
    before = workers()
    watcher = client.keys.watch("/a")
    assert await watcher.next(timeout=0.01) is None
    assert workers() != before
    del watcher
    gc.collect()
    await ended(before)


async def test_closing_the_client_ends_its_watches(connect: Connect, etcd: Server) -> None:
    before = workers()
    client = connect(etcd.url)
    first, second = client.keys.watch("/a"), client.keys.watch("/b", recursive=True)
    assert await first.next(timeout=0.01) is None
    assert await second.next(timeout=0.01) is None
    await client.close()
    assert first.closed
    with pytest.raises(ValueError, match="the watch of /b is closed"):
        await second.next(timeout=SOON)
    await ended(before)


async def test_watch_on_a_dead_cluster_raises_within_the_total_time(connect: Connect) -> None:
    client = connect(["127.0.0.1:1", "127.0.0.1:2"], timeout=1.5)
    began = time.monotonic()
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:2"):
        async with client.keys.watch("/a"):
            pass
    assert time.monotonic() - began < SOON
    assert workers() == []


async def test_quiet_key_survives_thousands_of_foreign_writes(client: AsyncClient, etcd: Server) -> None:
    async with client.keys.watch("/quiet") as watcher:
        start = watcher.index
        await async_foreign_writes(etcd, 2400, connections=2, followed_by=[watcher])
        await client.keys.set("/quiet", "still here")
        (event,) = await taken(watcher, 1)
    assert event.value == "still here"
    assert event.index > start + 2400


async def test_events_wait_in_the_buffer_and_none_is_lost_when_it_is_full(client: AsyncClient) -> None:
    async with client.keys.watch("/q", recursive=True, buffer=2) as watcher:
        for n in range(30):
            await client.keys.set(f"/q/{n}", str(n))
        assert [event.value for event in await taken(watcher, 30)] == [str(n) for n in range(30)]


async def test_call_after_a_closed_watch_gets_its_own_answer(client: AsyncClient) -> None:
    start = (await client.keys.set("/q/first", "0")).index
    for n in range(30):
        await client.keys.set(f"/q/{n}", "")
    for _ in range(60):  # it is a matter of chance what has arrived when the watch is closed
        async with client.keys.watch("/q", recursive=True, after_index=start) as watcher:
            assert [event.key for event in await taken(watcher, 1)] == ["/q/0"]
        assert (await client.keys.get("/q/first")).value == "0"


async def test_two_watches_of_one_client_see_the_same(client: AsyncClient) -> None:
    async with client.keys.watch("/a") as one, client.keys.watch("/", recursive=True) as all_:
        await client.keys.set("/a", "1")
        assert [event.key for event in await taken(one, 1)] == ["/a"]
        assert [event.key for event in await taken(all_, 1)] == ["/a"]


async def test_watch_shows_its_key_and_position(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1")
    async with client.keys.watch("a") as watcher:
        assert watcher.key == "/a"
        assert f"of /a after {made.index}" in repr(watcher)
        await client.keys.set("/a", "2")
        (event,) = await taken(watcher, 1)
        assert watcher.index == event.index
