"""Watches against writers who know what they did, while members die, sleep, lag and come back: exactly that, by index.

Paced tests demand completeness; unpaced ones that a hole is named.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import AsyncClient, HistoryCleared, Snapshot, Timeout
from etcdv2._runtime.primitives import AsyncWorker, async_sleep
from etcdv2.testing import Cluster, Server
from tests.chaos.links import Arena
from tests.facade._async.conftest import Connect
from tests.tools.authors import Author, Story, check
from tests.tools.foreign import async_foreign_writes
from tests.tools.written import BUSY, Write, Writing, delete, put

SOON = 10.0
"""Seconds within which an event must come, elections included."""
END = "the end"
TIMES = Timeout(connect=0.5, attempt=1, commit=4, total=10)


@pytest.fixture
def lane() -> str:
    """A server's faults look the same from both lanes."""
    return "fast"


def has_end(item: Any, key: str) -> bool:
    """Whether it is the end, or a state with it."""
    if not isinstance(item, Snapshot):
        return bool(item.value == END)
    return any(node.value == END and node.key in {key, f"{key.rstrip('/')}/{END}"} for node in item.leaves())


class IndexMonitor:
    """Takes what a watch tells until the end is told, `rest` seconds now and then."""

    def __init__(self, watcher: Any, recursive: bool, rest: float = 0.0) -> None:
        self.watcher = watcher
        self.recursive = recursive
        self.items: list[Any] = []
        self.error: BaseException | None = None
        self.ended = False
        self._rest = rest
        self.start = 0

    async def begin(self) -> None:
        await self.watcher.__aenter__()
        self.start = self.watcher.index
        self._worker = AsyncWorker(self._run, "follower")

    async def close(self) -> None:
        await self.watcher.close()
        await self._worker.join(2)

    async def _run(self) -> None:
        try:
            async for item in self.watcher:
                self.items.append(item)
                if has_end(item, self.watcher.key):
                    break
                if self._rest and len(self.items) % 50 == 0:
                    await async_sleep(self._rest)
        except Exception as error:
            self.error = error
        self.ended = True


async def until(condition: Any, within: float, why: str) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, why
        await async_sleep(0.02)


async def follow_all(client: Any) -> list[IndexMonitor]:
    """Every kind of watch of what the authors "a" and "b" do."""
    keys = client.keys
    followers = [
        IndexMonitor(keys.watch("/", recursive=True), True),
        IndexMonitor(keys.watch("/story", recursive=True, snapshots=True), True),
        IndexMonitor(keys.watch("/story/a", recursive=True, buffer=10), True, rest=0.3),
        IndexMonitor(keys.watch("/story/a/k0.0"), False),
        IndexMonitor(keys.watch("/story/b/k1.0", snapshots=True), False),
        IndexMonitor(keys.watch("/story/a/d0", recursive=True), True),
        IndexMonitor(keys.watch("/story/b/d0/x"), False),
        IndexMonitor(keys.watch("/story/b/_hidden", recursive=True), True),
    ]
    for follower in followers:
        await follower.begin()
    return followers


async def finish(story: Story, followers: list[IndexMonitor], client: Any, holes: bool = False) -> None:
    """Tell everybody the end, and compare."""
    try:
        await async_sleep(1.6)  # what was left to expire is gone
        for follower in followers:
            key = follower.watcher.key.rstrip("/")
            story.add(await client.keys.set(f"{key}/{END}" if follower.recursive else key, END))
        for follower in followers:
            await until(
                lambda one=follower: one.ended,
                SOON,
                f"{follower.watcher!r} has not told the end: {len(follower.items)}",
            )
            if follower.error is not None:
                raise follower.error
            key, items = follower.watcher.key, follower.items
            end = items[-1].index
            found = check(story, key, items, follower.start, recursive=follower.recursive, end=end)
            assert holes or not found, f"{follower.watcher!r}: {found} holes"
    finally:
        for follower in followers:
            await follower.close()


async def written(authors: list[Author]) -> None:
    for author in authors:
        await until(lambda one=author: one.ended, 40, f"{author.home} does not end")
        if author.failure is not None:
            raise author.failure


@pytest.mark.load
async def test_every_kind_of_watch_tells_the_story_of_a_single_server_that_restarts(
    connect: Connect, etcd: Server
) -> None:
    client, story = connect(etcd.url, timeout=TIMES), Story()
    followers = await follow_all(client)
    authors = [Author(etcd.url, story, name, 700, 0.002) for name in ("a", "b")]
    await async_sleep(0.7)
    etcd.kill()
    etcd.start()
    await async_sleep(0.7)
    etcd.pause()
    await async_sleep(1.3)
    etcd.resume()
    await written(authors)
    await finish(story, followers, client)
    assert len(story.told) > 700


@pytest.mark.load
async def test_every_kind_of_watch_tells_the_story_of_a_cluster_in_trouble(
    connect: Connect, etcd_cluster: Cluster
) -> None:
    client, story = connect(etcd_cluster.endpoints, timeout=TIMES), Story()
    followers = await follow_all(client)
    authors = [Author(etcd_cluster.endpoints, story, name, 700, 0.006) for name in ("a", "b")]
    for member in etcd_cluster.members:
        member.pause()
        await async_sleep(1.1)
        member.resume()
        await async_sleep(0.2)
        member.kill()
        await async_sleep(0.2)
        member.start(wait=False)
        await async_sleep(0.7)
    await written(authors)
    etcd_cluster.heal()
    await finish(story, followers, client)
    assert len(story.told) > 500


@pytest.mark.load
async def test_unpaced_writers_are_followed_or_the_hole_is_named(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url)
    followers = [
        IndexMonitor(client.keys.watch("/w", recursive=True, snapshots=True), True),
        IndexMonitor(client.keys.watch("/w", recursive=True, snapshots=True, buffer=20), True, rest=0.005),
        IndexMonitor(client.keys.watch("/w/0/7", snapshots=True), False),
    ]
    for follower in followers:
        await follower.begin()
    plain: Any = client.keys.watch("/w", recursive=True)
    await plain.next(timeout=0.01)
    writers = [Writing(etcd.port, [put(f"/w/{w}/{n % 10}", f"{n}") for n in range(2500)]) for w in range(8)]
    taken: list[Any] = []
    cleared: HistoryCleared | None = None
    try:
        while not taken or len(taken) < 20_000:
            item = await plain.next(timeout=2)
            if item is None:
                break
            taken.append(item)
    except HistoryCleared as error:
        cleared = error
    story = Story()
    for writer in writers:
        await until(lambda one=writer: one.ended, 30, "the writer does not end")
        for done in writer.done:
            story.tell(done)
    assert len(story.told) == 20_000
    indexes = sorted(story.told)
    assert [item.index for item in taken] == indexes[: len(taken)]
    if cleared is None:
        assert len(taken) == 20_000
    else:
        assert plain.index == (taken[-1].index if taken else followers[0].start)
        assert cleared.index > plain.index + 1000
    await plain.close()
    await finish(story, followers, client, holes=True)


@pytest.mark.load
async def test_quiet_key_under_thousands_of_foreign_writes_per_second(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=TIMES)
    async with client.keys.watch("/quiet") as watcher, client.keys.watch("/quiet", snapshots=True) as other:
        assert await other.next(timeout=SOON) is not None
        await async_foreign_writes(etcd, 10_000, pause=0.08)
        await client.keys.set("/quiet", "1")
        for one in (watcher, other):
            event: Any = await one.next(timeout=SOON)
            assert event.value == "1"
        await async_foreign_writes(etcd, 5_000, pause=0.08)
        await async_sleep(0.8)
        await async_foreign_writes(etcd, 500)
        etcd.kill()
        etcd.start()
        await client.keys.set("/quiet", "2")
        for one in (watcher, other):
            event = await one.next(timeout=SOON)
            assert event.value == "2"


@pytest.mark.load
async def test_thousands_that_expire_in_one_moment_are_told_or_the_hole_is_named(
    connect: Connect, etcd: Server
) -> None:
    """They are one entry of the log: neither the history of 1,000 nor a stream's 100 can hold them."""
    client = connect(etcd.url)
    writing = Writing(etcd.port, [put(f"/t/{n}", f"{n}", ttl="2") for n in range(3000)])
    assert len(writing.done) == 3000
    async with client.keys.watch("/t", recursive=True, snapshots=True) as watcher:
        there: Any = await watcher.next(timeout=SOON)
        left = {node.key for node in there.leaves()}
        assert left
        holes = 0
        while left:
            item: Any = await watcher.next(timeout=SOON)
            assert item is not None, f"{len(left)} are left"
            if getattr(item, "action", "") == "expire":
                left.remove(item.key)
            else:
                holes += 1
                left = {node.key for node in item.leaves()}


@pytest.mark.load
async def test_member_that_is_cut_off_from_the_others_is_left(connect: Connect, etcd_binary: Path) -> None:
    with Arena(etcd_binary) as arena:
        client = connect(arena.direct)
        alone = arena.cluster.followers()[0]
        client._dispatcher.pool.prefer(next(one for one in client._dispatcher.pool.endpoints if one.url == alone.url))
        direct = connect([member.url for member in arena.members if member is not alone])
        async with client.keys.watch("/k") as watcher:
            await direct.keys.set("/k", "before")
            event: Any = await watcher.next(timeout=SOON)
            assert event.value == "before"
            arena.cut_off(alone)
            await direct.keys.set("/k", "after")
            written_at = time.monotonic()
            event = await watcher.next(timeout=15)
            assert event is not None
            assert event.value == "after"
            assert time.monotonic() - written_at < 8


def block_everything() -> None:
    """As a consumer does that computes for a while, or calls what it should not."""
    time.sleep(0.6)


def note_streams(client: AsyncClient) -> list[str]:
    """Targets of the streams that the client opens from now on."""
    targets: list[str] = []
    transport: Any = client._dispatcher._transport
    usual = transport.open

    async def noting(endpoint: Any, request: Any, limits: Any) -> Any:
        if "stream=true" in request.target:
            targets.append(request.target)
        return await usual(endpoint, request, limits)

    transport.open = noting
    return targets


@pytest.mark.load
async def test_burst_is_read_from_a_stream_and_comes_complete(client: AsyncClient, etcd: Server) -> None:
    streams = note_streams(client)
    async with client.keys.watch("/b", recursive=True) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n % 50}", f"{n}") for n in range(4000)], **BUSY)
        seen: list[tuple[int, str | None]] = []
        while len(seen) < 4000:
            event: Any = await watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)} of {len(writing.done)}"
            seen.append((event.index, event.value))
        assert seen == [(done.index, done.value) for done in writing.done]
    assert streams
    assert set(streams) == {"/v2/keys/b?recursive=true&wait=true&stream=true"}


async def test_events_that_a_stream_brings_twice_are_told_once(client: AsyncClient, etcd: Server) -> None:
    """etcd streams a deletion of the very key twice, of whatever kind (seen on 2.3.8, 3.4.23, 3.5.1)."""
    streams = note_streams(client)
    writes: list[Write] = []
    for n in range(300):
        writes += [put("/k", f"{n}"), delete("/k"), put("/k", f"{n}"), delete("/k", prevValue=f"{n}")]
    async with client.keys.watch("/k") as watcher:
        writing = Writing(etcd.port, writes, **BUSY)
        seen: list[tuple[int, str, str | None]] = []
        while len(seen) < len(writes):
            event: Any = await watcher.next(timeout=SOON)
            assert event is not None
            seen.append((event.index, event.action, event.value))
        assert seen == [(done.index, done.action, done.value) for done in writing.done]
        assert await watcher.next(timeout=0.3) is None
    assert streams


@pytest.mark.load
async def test_small_buffer_and_a_slow_consumer_lose_nothing_within_the_history(
    client: AsyncClient, etcd: Server
) -> None:
    """Large values, so that the server's own buffer of 100 events overflows: it then drops the stream in silence."""
    value = "v" * 30_000
    async with client.keys.watch("/b", recursive=True, buffer=5) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n}", f"{n} {value}") for n in range(900)])
        seen: list[int] = []
        while len(seen) < 900:
            event: Any = await watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)}"
            seen.append(event.index)
            if len(seen) in (40, 200):
                await async_sleep(0.7)
        assert seen == [done.index for done in writing.done]


@pytest.mark.load
async def test_two_thousand_events_at_once_against_a_consumer_that_sleeps(client: AsyncClient, etcd: Server) -> None:
    async with client.keys.watch("/b", recursive=True) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n}", f"{n}") for n in range(2000)], **BUSY)
        await async_sleep(0.5)
        seen: list[int] = []
        while len(seen) < 2000:
            event: Any = await watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)}"
            seen.append(event.index)
            if len(seen) % 100 == 0:
                await async_sleep(0.02)
        assert seen == [done.index for done in writing.done]


@pytest.mark.load
async def test_consumer_that_blocks_everything_for_a_moment_loses_nothing(client: AsyncClient, etcd: Server) -> None:
    async with client.keys.watch("/b", recursive=True, buffer=10_000) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n % 50}", f"{n}") for n in range(5000)], **BUSY)
        seen: list[int] = []
        while len(seen) < 5000:
            event: Any = await watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)}"
            seen.append(event.index)
            if len(seen) == 1500:
                block_everything()
        assert seen == [done.index for done in writing.done]
