"""A store that was put back to a copy of its data, under the same cluster id: watches, mirrors and session reads."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterChanged, HistoryCleared, Snapshot, Timeout
from etcdv2._runtime.primitives import async_sleep
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools import boxes
from tests.tools.fault_server import TcpProxy
from tests.tools.waiting import PATIENT, SOON, async_until
from tests.tools.writers import async_foreign_writes

QUICK = Timeout(connect=5, attempt=2, commit=20, total=40)


@pytest.fixture
def transport() -> str:
    """What is another history is decided behind the transports."""
    return "fast"


class Restorable:
    """A server behind a door, and copies of its data. Its clients see it only while the door is open."""

    def __init__(self, server: Server, proxy: TcpProxy, directory: Path) -> None:
        self.server = server
        self.proxy = proxy
        self._copy = directory / "copy"

    @property
    def url(self) -> str:
        return self.proxy.endpoint.url

    def shut(self) -> None:
        self.proxy.refusing = True
        self.proxy.cut()

    def open(self) -> None:
        self.proxy.refusing = False

    def back_up(self) -> None:
        self.server.stop()
        shutil.copytree(self.server.data_dir, self._copy)
        self.server.start()

    def restore(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.data_dir)
        shutil.copytree(self._copy, self.server.data_dir)
        self.server.start()


@pytest.fixture
def store(etcd_binary: Path, tmp_path: Path) -> Iterator[Restorable]:
    with Server(etcd_binary, fsync=False) as server, TcpProxy("127.0.0.1", server.port) as proxy:
        yield Restorable(server, proxy, tmp_path)


async def next_of(watcher: Any) -> Any:
    item = await watcher.next(timeout=SOON)
    assert item is not None, f"nothing from {watcher!r}"
    return item


async def quietly(watcher: Any, server: Server, past: int) -> int:
    """Foreign writes until silence is proved up to the index `past`. Returns up to where it is."""
    polls = watcher._feed._polls
    index, ends = polls.registered, time.monotonic() + SOON
    while polls.settled < past:
        assert time.monotonic() < ends, repr(polls)
        if index < polls.registered + 310:  # else its next poll is on the way
            await async_foreign_writes(server, 50)
            index += 50
        await async_sleep(0.02)
    return int(polls.settled)


async def registered(watcher: Any, index: int) -> None:
    """Until its poll is no older than that."""
    polls = watcher._feed._polls
    await async_until(lambda: polls.registered >= index, lambda: repr(polls))


async def tree_of(client: AsyncClient) -> dict[str, str | None]:
    found = await client.keys.get("/d", recursive=True)
    return {node.key: node.value for node in found.leaves()}


# --- watches ----------------------------------------------------------------------------------------------------------


async def test_watch_names_the_loss_of_a_restored_store_that_has_grown_past_the_old_index(
    connect: Connect, store: Restorable
) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.watch("/d", recursive=True) as watcher:
        told = await direct.keys.set("/d/ghost", "gone by the restore")
        assert (await next_of(watcher)).index == told.index

        store.shut()
        store.restore()
        missed = await direct.keys.set("/d/missed", "1")
        assert missed.index <= told.index + 2  # the restart has taken an index or two
        await async_foreign_writes(store.server, 50)
        await direct.keys.set("/d/later", "1")
        store.open()
        with pytest.raises(HistoryCleared, match=f"has not the event of index {told.index}") as caught:
            await next_of(watcher)
        assert caught.value.index > told.index
        assert watcher.index == told.index


async def test_watch_names_the_loss_where_the_restored_store_has_no_later_event_of_it(
    connect: Connect, store: Restorable
) -> None:
    """The server cannot say that an event is not there: it stays silent."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.watch("/d", recursive=True) as watcher:
        told = await direct.keys.set("/d/ghost", "gone by the restore")
        assert (await next_of(watcher)).index == told.index
        store.shut()
        store.restore()
        await async_foreign_writes(store.server, 50)
        store.open()
        with pytest.raises(HistoryCleared, match=f"has not the event of index {told.index}"):
            await next_of(watcher)


@pytest.mark.boxes
@pytest.mark.parametrize("grown", [50, 1100])
async def test_restored_store_behind_a_proxy_that_holds_headers_back_is_found_out(
    connect: Connect, store: Restorable, grown: int
) -> None:
    """There nothing says that the last event is not there: the proxy is silent until there is one."""
    direct = connect(store.server.url)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    with boxes.nginx([store.server]) as box:
        client = connect(box.url, timeout=Timeout(connect=1, attempt=0.5, commit=20, total=40))
        async with client.keys.watch("/d", recursive=True) as watcher, client.keys.mirror("/d") as mirror:
            ghost = await direct.keys.set("/d/ghost", "gone by the restore")
            assert (await next_of(watcher)).index == ghost.index
            assert await mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
            box.stop()
            store.restore()
            await async_foreign_writes(store.server, grown)
            box.start()
            with pytest.raises(HistoryCleared):
                await next_of(watcher)
            assert await mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
            await direct.keys.set("/d/later", "1")
            assert await mirror.wait_for(lambda state: "/d/later" in state, timeout=SOON)


async def test_mirror_of_a_restored_store_is_the_tree_again(connect: Connect, store: Restorable) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.mirror("/d") as mirror:
        await direct.keys.set("/d/ghost", "gone by the restore")
        assert await mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
        store.shut()
        store.restore()
        await direct.keys.set("/d/missed", "1")
        await async_foreign_writes(store.server, 50)
        store.open()
        assert await mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
        await direct.keys.set("/d/later", "1")
        assert await mirror.wait_for(lambda state: "/d/later" in state, timeout=SOON)
        assert {key: node.value for key, node in mirror.state.items()} == await tree_of(direct)
        assert mirror.synced


@pytest.mark.load
async def test_mirror_reads_the_tree_again_where_the_last_event_has_left_the_history(
    connect: Connect, store: Restorable
) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        assert isinstance(await next_of(watcher), Snapshot)
        old = await direct.keys.set("/d/ghost", "gone by the restore")
        assert (await next_of(watcher)).index == old.index
        await quietly(watcher, store.server, old.index + 1000)
        last = await direct.keys.set("/other", "1")

        store.shut()
        store.restore()
        await direct.keys.set("/d/missed", "1")
        await async_foreign_writes(store.server, last.index - old.index + 100)
        store.open()
        again = await next_of(watcher)
        assert isinstance(again, Snapshot)
        assert {node.key: node.value for node in again.leaves()} == {"/d/a": "1", "/d/missed": "1"}
        await direct.keys.set("/d/later", "1")
        assert (await next_of(watcher)).key == "/d/later"


async def test_event_behind_the_copy_is_found_where_only_silence_went_past_it(
    connect: Connect, store: Restorable
) -> None:
    """The last event is in the copy; what silence has proved behind it holds for the old history alone."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    async with client.keys.watch("/d", recursive=True) as watcher:
        told = await direct.keys.set("/d/a", "1")
        assert (await next_of(watcher)).index == told.index
        store.back_up()
        last = await quietly(watcher, store.server, told.index + 100)

        store.shut()
        store.restore()
        missed = await direct.keys.set("/d/missed", "1")
        assert missed.index < last
        await async_foreign_writes(store.server, 950)
        store.open()
        event = await next_of(watcher)
        assert (event.key, event.index) == ("/d/missed", missed.index)
        later = await direct.keys.set("/d/later", "1")
        assert (await next_of(watcher)).index == later.index


@pytest.mark.load
async def test_raft_index_that_went_back_while_the_store_grew_is_another_history(
    connect: Connect, store: Restorable
) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url, timeout=PATIENT)
    await direct.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.watch("/d", recursive=True) as watcher:
        # No event at all, so nothing to compare; and many raft entries that are no events.
        for _ in range(1200):
            await direct.keys.get("/d/a", quorum=True)
        await async_foreign_writes(store.server, 350)
        seen = (await direct.keys.get("/d/a")).index
        await registered(watcher, seen - 300)

        store.shut()
        store.restore()
        await direct.keys.set("/d/missed", "1")
        await async_foreign_writes(store.server, 400)
        store.open()
        with pytest.raises(HistoryCleared, match=r"raft index [0-9]+ after [0-9]+"):
            await next_of(watcher)


@pytest.mark.load
@pytest.mark.parametrize("snapshots", [True, False])
async def test_restart_of_a_store_is_no_loss(connect: Connect, store: Restorable, snapshots: bool) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    untyped: Any = client.keys
    async with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
        if snapshots:
            assert isinstance(await next_of(watcher), Snapshot)
        for number in range(3):
            told = [
                (await direct.keys.set(f"/d/{name}", f"{number}", ttl=ttl)).index
                for name, ttl in (("a", 100), ("b", None))
            ]
            told.append((await direct.keys.delete("/d/a")).index)
            assert [(await next_of(watcher)).index for _ in told] == told
            store.server.restart()
            between = await direct.keys.set("/d/b", "after it")
            assert (await next_of(watcher)).index == between.index


async def test_cut_connection_of_a_quiet_mirror_is_not_read_again(connect: Connect, store: Restorable) -> None:
    """Where the same process answers it is the same history, however old the last event is."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    async with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        assert isinstance(await next_of(watcher), Snapshot)
        for _ in range(3):
            store.shut()
            beside = await direct.keys.set("/other", "1")
            store.open()
            await registered(watcher, beside.index)
        event = await direct.keys.set("/d/a", "1")
        assert (await next_of(watcher)).index == event.index


# --- session reads ----------------------------------------------------------------------------------------------------


async def test_session_read_of_a_restored_store_says_so_once_and_goes_on(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    await client.keys.set("/d/a", "1")
    store.back_up()
    for number in range(20):
        seen = await client.keys.set("/d/a", f"{number}")
    store.restore()
    began = time.monotonic()
    with pytest.raises(ClusterChanged, match=r"put back to an older state.*read it again") as caught:
        await client.keys.get("/d/a")
    assert time.monotonic() - began < SOON / 2  # not the whole total
    assert caught.value.old == caught.value.new == seen.cluster_id
    assert f"index {seen.index} " in str(caught.value)
    assert (await client.keys.get("/d/a")).value == "1"
    assert await client.keys.get("/d/none", default=None) is None


async def test_session_read_of_a_missing_key_in_a_restored_store_says_so(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    store.back_up()
    for number in range(20):
        await client.keys.set("/d/a", f"{number}")
    store.restore()
    with pytest.raises(ClusterChanged, match="put back to an older state"):
        await client.keys.get("/d/a")
    assert await client.keys.get("/d/a", default=None) is None


async def test_session_read_refuses_an_older_raft_term_and_says_why(connect: Connect, store: Restorable) -> None:
    """The restored store has grown past the old index: its term alone shows that it is another history."""
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    written = await client.keys.set("/d/a", "old")
    store.back_up()
    for _ in range(3):
        store.server.restart()  # an election each
    seen = await client.keys.set("/d/a", "newer")
    assert seen.raft_term > written.raft_term + 1
    store.restore()
    direct = connect(store.server.url)
    await async_foreign_writes(store.server, 50)
    now = await direct.keys.get("/d/a")
    assert (now.value, now.index > seen.index, now.raft_term < seen.raft_term) == ("old", True, True)
    with pytest.raises(ClusterChanged, match=f"raft term {now.raft_term}"):
        await client.keys.get("/d/a")
    assert (await client.keys.get("/d/a")).value == "old"


async def test_session_is_told_of_a_restore_that_a_mirror_has_found_first(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    await client.keys.set("/d/a", "1")
    store.back_up()
    async with client.keys.mirror("/d") as mirror:
        for number in range(20):
            await client.keys.set("/d/ghost", f"{number}")
        assert await mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
        store.restore()
        assert await mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
        with pytest.raises(ClusterChanged, match="put back"):
            await client.keys.get("/d/a")
        assert (await client.keys.get("/d/a")).value == "1"
