"""Mirrors on real servers: what is in them, that they are the server's tree, waiting, outages and losses, their end."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from etcdv2 import ApiError, AsyncClient, Change, ClusterUnavailable, KeyNotFound, Node
from etcdv2._runtime.primitives import AsyncWorker, async_sleep
from etcdv2.testing import Server
from etcdv2_api import operations
from tests.facade._async.conftest import Connect
from tests.facade._async.test_watch import ended
from tests.tools.fault_server import TcpProxy
from tests.tools.leftovers import workers
from tests.tools.waiting import SOON, async_until
from tests.tools.writers import async_foreign_writes

Plain = dict[str, tuple[Any, ...]]


def plain(nodes: Iterable[Node]) -> Plain:
    """What is the same in two reads of the same state: all but the TTL, which counts down."""
    return {node.key: (node.value, node.expiration, node.modified_index, node.created_index) for node in nodes}


async def read(client: AsyncClient, key: str) -> tuple[Plain, int]:
    """The files on the server, and the index that they are of."""
    try:
        answer = await client.keys.get(key, recursive=True, quorum=True)
    except KeyNotFound as error:
        return {}, error.index
    return plain(answer.leaves()), answer.index


def carry_out(files: Plain, change: Change) -> None:
    """Does to `files` what the change says; it has to fit."""
    before = files.pop(change.key, None)
    assert before == (None if change.prev_node is None else plain([change.prev_node])[change.key]), change
    assert (change.kind, change.prev_node is None, change.node is None) in [
        ("added", True, False),
        ("changed", False, False),
        ("removed", False, True),
    ]
    if change.node is not None:
        files |= plain([change.node])


async def change_something(client: AsyncClient, luck: random.Random) -> None:
    """One random write, which the server may refuse."""
    keys = client.keys
    key = "/m/" + "/".join(luck.choices(["a", "b", "c", "d-", "_h"], [9, 9, 9, 9, 1], k=luck.randint(1, 3)))
    value = str(luck.random())
    kind = luck.choice(["set"] * 9 + ["delete", "tree", "ttl", "order", "cas", "cad", "dir", "over", "update", "else"])
    with contextlib.suppress(ApiError):
        if kind == "set":
            await keys.set(key, value)
        elif kind == "delete":
            await keys.delete(key)
        elif kind == "tree":
            await keys.delete(key, recursive=True)
        elif kind == "ttl":
            await keys.set(key, value, ttl=1)
        elif kind == "order":
            await keys.create_in_order(key, value)
        elif kind == "cas":
            await keys.set(key, value, prev_value=(await keys.get(key)).value)
        elif kind == "cad":
            await keys.delete(key, prev_index=(await keys.get(key)).node.modified_index)
        elif kind == "dir":
            await keys.make_dir(key, ttl=luck.choice([None, 1]))
        elif kind == "over":
            await client.send(operations.put_key(key, dir=True))
        elif kind == "update":
            await keys.update(key, value)
        else:
            await keys.set(f"/mm{key}", value)


async def test_mirror_reads_the_tree_and_follows_it(client: AsyncClient) -> None:
    keys = client.keys
    first = await keys.set("/m/b/c", "1")
    await keys.set("/m/a", "2")
    await keys.set("/m/_hidden", "no")
    await keys.set("/ma", "no")
    async with keys.mirror("/m") as mirror:
        assert list(mirror) == ["/m/a", "/m/b/c"]
        assert [node.value for node in mirror.values()] == ["2", "1"]
        assert mirror["/m/b/c"] == first.node
        assert mirror == dict(mirror.items())
        assert mirror.get("/m/b") is None
        assert "/m/_hidden" not in mirror
        assert [(node.key, node.dir) for node in mirror.children("/m")] == [("/m/a", False), ("/m/b", True)]
        assert mirror.node("/m/b") is not None
        assert (mirror.key, mirror.synced, mirror.stale_for, mirror.error) == ("/m", True, None, None)
        before = mirror.state
        made = await keys.set("/m/b/d", "3")
        assert await mirror.wait_for(lambda state: "/m/b/d" in state, SOON)
        assert (mirror.index, len(mirror), len(before)) == (made.index, 3, 2)
        removed = await keys.delete("/m/b", recursive=True)
        assert await mirror.wait_for(lambda state: state.index == removed.index, SOON)
        assert list(mirror.keys()) == ["/m/a"]
        with pytest.raises(KeyError):
            mirror["/m/b/c"]
    assert (mirror.closed, mirror.synced, mirror.error) == (True, False, None)
    assert mirror["/m/a"].value == "2"
    assert mirror.stale_for is not None


async def test_mirror_of_what_is_not_there_is_empty_until_it_is(client: AsyncClient) -> None:
    async with client.keys.at("app").mirror("") as mirror:
        assert (len(mirror), mirror.children(), mirror.key) == (0, (), "/app")
        await client.keys.set("/app/x", "1")
        assert await mirror.wait_for(lambda state: state.get("/app/x"), SOON)


async def test_ttl_and_expiry_of_a_directory_above_are_reflected(client: AsyncClient) -> None:
    await client.keys.make_dir("/up", ttl=1)
    await client.keys.set("/up/m/a", "1")
    await client.keys.set("/up/m/b", "1", ttl=100)
    async with client.keys.mirror("/up/m") as mirror:
        assert mirror["/up/m/b"].expiration is not None
        assert await mirror.wait_for(lambda state: not state, SOON)
        assert mirror.node("/up/m") is None
        await client.keys.set("/up/m/c", "1")
        assert await mirror.wait_for(lambda state: list(state) == ["/up/m/c"], SOON)


async def test_random_changes_leave_the_mirror_as_the_server_has_it(connect: Connect, etcd: Server) -> None:
    seed = random.randrange(10**6)
    luck = random.Random(seed)
    client = connect(etcd.url)
    await client.keys.set("/m/a", "0")
    async with client.keys.mirror("/m") as mirror:
        changes = mirror.changes(existing=True, buffer=100_000)
        slow = mirror.changes(existing=True, buffer=5)
        slow_files: Plain = {}
        sampled: dict[int, Plain] = {}
        for number in range(400):
            await change_something(client, luck)
            if number % 25 == 0:
                files, index = await read(client, "/m")
                sampled[index] = files
            if number % 100 == 0 and (change := await slow.next(timeout=SOON)):
                carry_out(slow_files, change)
        ends = time.monotonic() + SOON
        while any(expiration for _, expiration, *_ in (await read(client, "/m"))[0].values()):
            assert time.monotonic() < ends
            await async_sleep(0.1)
        await async_sleep(0.1)
        last = await client.keys.set("/m/last", "1")
        assert await mirror.wait_for(lambda state: state.index == last.index, SOON), seed
        assert plain(mirror.values()) == (await read(client, "/m"))[0], seed
        answer = await client.keys.get("/m", recursive=True, sorted=True)
        assert list(mirror) == [node.key for node in answer.leaves()], seed
        for node in answer.walk():
            if node.dir and not any(below.key.rpartition("/")[2].startswith("_") for below in node.children):
                files_below = [child.key for child in mirror.children(node.key) if not child.dir]
                assert files_below == [child.key for child in node.children if not child.dir], seed
        folded: Plain = {}
        indexes = sorted(sampled)
        while change := await changes.next(timeout=0.05):
            while indexes and indexes[0] < change.index:
                checked = indexes.pop(0)
                assert folded == sampled[checked], (seed, checked)
            carry_out(folded, change)
        while change := await slow.next(timeout=0.05):
            carry_out(slow_files, change)
        assert folded == slow_files == plain(mirror.values()), seed
        assert not indexes


async def test_wait_for_returns_the_predicates_value_or_the_last_at_the_timeout(client: AsyncClient) -> None:
    async with client.keys.mirror("/m") as mirror:
        assert await mirror.wait_for(lambda state: state.get("/m/a"), 0.05) is None
        assert await mirror.wait_for(lambda state: 7) == 7
        made = await client.keys.set("/m/a", "1")
        assert await mirror.wait_for(lambda state: state.get("/m/a"), SOON) == made.node
        with pytest.raises(ZeroDivisionError):
            await mirror.wait_for(lambda state: 1 // 0)
        with pytest.raises(ValueError, match="timeout"):
            await mirror.wait_for(bool, -1)


async def test_iterators_of_changes_are_independent(client: AsyncClient) -> None:
    await client.keys.set("/m/a", "1")
    async with client.keys.mirror("/m") as mirror:
        one, two = mirror.changes(), mirror.changes(existing=True)
        await client.keys.set("/m/a", "2")
        await client.keys.set("/m/b", "1")
        assert await mirror.wait_for(lambda state: "/m/b" in state, SOON)
        late = mirror.changes()
        await client.keys.delete("/m/a")
        seen = []
        async for change in one:
            seen.append((change.kind, change.key, change.node and change.node.value))
            if change.kind == "removed":
                break
        assert seen == [("changed", "/m/a", "2"), ("added", "/m/b", "1"), ("removed", "/m/a", None)]
        got = await late.next(timeout=SOON)
        assert got is not None
        assert (got.kind, got.prev_node and got.prev_node.value, got.index) == ("removed", "2", mirror.index)
        added = await two.next(timeout=SOON)
        assert added is not None
        assert added.kind == "added"
        assert await one.next(timeout=0.01) is None


async def test_mirror_is_readable_while_the_server_is_away_and_says_how_stale(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=1)
    await client.keys.set("/m/a", "1")
    async with client.keys.mirror("/m") as mirror:
        etcd.kill()
        await async_until(lambda: not mirror.synced)
        assert mirror["/m/a"].value == "1"
        first = mirror.stale_for
        await async_sleep(0.02)
        assert first is not None
        assert first + 0.02 <= (mirror.stale_for or 0) < SOON
        etcd.start()
        await client.keys.set("/m/a", "2")
        assert await mirror.wait_for(lambda state: state["/m/a"].value == "2", SOON)
        await async_until(lambda: mirror.synced)
        assert mirror.stale_for is None


async def test_history_cleared_while_disconnected_gives_the_differences(connect: Connect, etcd: Server) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        beside = connect(etcd.url)
        client = connect(proxy.endpoint.url, timeout=1)
        for name in "abc":
            await beside.keys.set(f"/m/{name}", "1")
        async with client.keys.mirror("/m") as mirror:
            changes = mirror.changes()
            proxy.refusing = True
            proxy.cut()
            await beside.keys.delete("/m/a")
            await beside.keys.set("/m/b", "2")
            await beside.keys.set("/m/d", "1")
            await async_foreign_writes(etcd, 1200)
            proxy.refusing = False
            assert await mirror.wait_for(lambda state: "/m/d" in state, SOON)
            seen = [await changes.next(timeout=SOON) for _ in range(3)]
            assert [(one.kind, one.key) for one in seen if one] == [
                ("removed", "/m/a"),
                ("changed", "/m/b"),
                ("added", "/m/d"),
            ]
            assert plain(mirror.values()) == (await read(beside, "/m"))[0]
            await beside.keys.set("/m/e", "1")
            after = await changes.next(timeout=SOON)
            assert after is not None
            assert after.key == "/m/e"


async def test_cluster_rebuilt_on_the_same_port_is_mirrored_as_it_is_now(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=1)
    await client.keys.set("/m/old", "1")
    async with client.keys.mirror("/m") as mirror:
        changes = mirror.changes()
        old = mirror.index
        etcd.kill()
        etcd.wipe()
        etcd.start()
        beside = connect(etcd.url)
        await beside.keys.set("/m/new", "1")
        assert await mirror.wait_for(lambda state: list(state) == ["/m/new"], SOON)
        assert mirror.index < old
        assert plain(mirror.values()) == (await read(beside, "/m"))[0]
        await beside.keys.delete("/m/new")
        assert await mirror.wait_for(lambda state: not state, SOON)
        seen: dict[str, str] = {}
        while change := await changes.next(timeout=0.05):
            seen[change.key] = change.kind
        assert seen == {"/m/old": "removed", "/m/new": "removed"}


async def test_what_ends_the_watch_is_raised_by_all_that_wait(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=10)
    await client.keys.set("/m/a", "1")
    async with client.keys.mirror("/m", patience=3) as mirror:
        changes = mirror.changes()
        await client.keys.set("/m/b", "1")
        assert await mirror.wait_for(lambda state: len(state) == 2, SOON)
        etcd.kill()
        with pytest.raises(ClusterUnavailable):
            await mirror.wait_for(lambda state: False, SOON)
        assert await changes.next() is not None
        with pytest.raises(ClusterUnavailable):
            await changes.next()
        assert isinstance(mirror.error, ClusterUnavailable)
        assert (mirror.closed, mirror.synced, len(mirror)) == (True, False, 2)


async def test_entering_raises_what_prevents_it_and_leaves_nothing(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=10)
    etcd.kill()
    mirror = client.keys.mirror("/m")
    with pytest.raises(ClusterUnavailable):
        await mirror.__aenter__()
    await ended([])
    with pytest.raises(ValueError, match="not begun"):
        len(mirror)
    assert (mirror.synced, mirror.stale_for) == (False, None)


async def test_reads_before_the_mirror_was_entered_are_refused(client: AsyncClient) -> None:
    mirror = client.keys.mirror("/m")
    for attempt in (lambda: mirror.get("/m/a"), lambda: mirror.index, mirror.changes, mirror.children):
        with pytest.raises(ValueError, match="not begun"):
            attempt()
    await mirror.close()
    with pytest.raises(ValueError, match="closed"):
        await mirror.__aenter__()


@pytest.mark.parametrize("what", ["mirror", "client"])
async def test_close_ends_whoever_waits_and_leaves_nothing(connect: Connect, etcd: Server, what: str) -> None:
    client = connect(etcd.url)
    got: list[object] = []
    mirror = client.keys.mirror("/m")
    await mirror.__aenter__()
    changes = mirror.changes()

    async def wait() -> None:
        got.append(await mirror.wait_for(lambda state: False))

    async def take() -> None:
        got.append(await changes.next())

    waiting = [AsyncWorker(wait, "test-wait"), AsyncWorker(take, "test-take")]
    await async_sleep(0.05)
    assert workers()
    began = time.monotonic()
    await (mirror if what == "mirror" else client).close()
    for worker in waiting:
        await worker.join(SOON)
    assert time.monotonic() - began < SOON
    assert sorted(map(repr, got)) == ["False", "None"]
    await ended([])
    beside = connect(etcd.url)
    ends = time.monotonic() + SOON
    while (await beside.stats.store()).watchers:
        assert time.monotonic() < ends
        await async_sleep(0.02)


async def test_reads_from_other_threads_see_whole_states(client: AsyncClient) -> None:
    """`b` is written after `a` and goes with it, by the deletion of their directory: never is `b` there alone."""
    await client.keys.set("/m/d/a", "1")
    wrong: list[object] = []
    stop = threading.Event()
    async with client.keys.mirror("/m") as mirror:

        def look() -> None:
            while not stop.is_set():
                try:
                    state = mirror.state
                    if len(list(state)) != len(state) or ("/m/d/b" in state and "/m/d/a" not in state):
                        wrong.append(list(state))
                    list(mirror.items())
                except Exception as error:
                    wrong.append(error)
                stop.wait(0.0005)  # or the threads keep each other from running

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(100):
                await client.keys.set("/m/d/a", "1")
                await client.keys.set("/m/d/b", "1")
                last = await client.keys.delete("/m/d", recursive=True)
            assert await mirror.wait_for(lambda state: state.index == last.index, SOON)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not wrong
