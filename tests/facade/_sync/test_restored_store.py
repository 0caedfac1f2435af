# Derived from tests/facade/_async/test_restored_store.py by scripts/unasync.py: change that file, make generate.
"""A store that was put back to a copy of its data, under the same cluster id: watches, mirrors and session reads."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import Client, ClusterChanged, HistoryCleared, Snapshot, Timeout
from etcdv2._runtime.primitives import sleep
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools import boxes
from tests.tools.fault_server import TcpProxy
from tests.tools.waiting import PATIENT, SOON, until
from tests.tools.writers import foreign_writes

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


def next_of(watcher: Any) -> Any:
    item = watcher.next(timeout=SOON)
    assert item is not None, f"nothing from {watcher!r}"
    return item


def quietly(watcher: Any, server: Server, past: int) -> int:
    """Foreign writes until silence is proved up to the index `past`. Returns up to where it is."""
    polls = watcher._feed._polls
    index, ends = polls.registered, time.monotonic() + SOON
    while polls.settled < past:
        assert time.monotonic() < ends, repr(polls)
        if index < polls.registered + 310:  # else its next poll is on the way
            foreign_writes(server, 50)
            index += 50
        sleep(0.02)
    return int(polls.settled)


def registered(watcher: Any, index: int) -> None:
    """Until its poll is no older than that."""
    polls = watcher._feed._polls
    until(lambda: polls.registered >= index, lambda: repr(polls))


def tree_of(client: Client) -> dict[str, str | None]:
    found = client.keys.get("/d", recursive=True)
    return {node.key: node.value for node in found.leaves()}


# --- watches ----------------------------------------------------------------------------------------------------------


def test_watch_names_the_loss_of_a_restored_store_that_has_grown_past_the_old_index(
    connect: Connect, store: Restorable
) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.watch("/d", recursive=True) as watcher:
        told = direct.keys.set("/d/ghost", "gone by the restore")
        assert (next_of(watcher)).index == told.index

        store.shut()
        store.restore()
        missed = direct.keys.set("/d/missed", "1")
        assert missed.index <= told.index + 2  # the restart has taken an index or two
        foreign_writes(store.server, 50)
        direct.keys.set("/d/later", "1")
        store.open()
        with pytest.raises(HistoryCleared, match=f"has not the event of index {told.index}") as caught:
            next_of(watcher)
        assert caught.value.index > told.index
        assert watcher.index == told.index


def test_watch_names_the_loss_where_the_restored_store_has_no_later_event_of_it(
    connect: Connect, store: Restorable
) -> None:
    """The server cannot say that an event is not there: it stays silent."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.watch("/d", recursive=True) as watcher:
        told = direct.keys.set("/d/ghost", "gone by the restore")
        assert (next_of(watcher)).index == told.index
        store.shut()
        store.restore()
        foreign_writes(store.server, 50)
        store.open()
        with pytest.raises(HistoryCleared, match=f"has not the event of index {told.index}"):
            next_of(watcher)


@pytest.mark.boxes
@pytest.mark.parametrize("grown", [50, 1100])
def test_restored_store_behind_a_proxy_that_holds_headers_back_is_found_out(
    connect: Connect, store: Restorable, grown: int
) -> None:
    """There nothing says that the last event is not there: the proxy is silent until there is one."""
    direct = connect(store.server.url)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with boxes.nginx([store.server]) as box:
        client = connect(box.url, timeout=Timeout(connect=1, attempt=0.5, commit=20, total=40))
        with client.keys.watch("/d", recursive=True) as watcher, client.keys.mirror("/d") as mirror:
            ghost = direct.keys.set("/d/ghost", "gone by the restore")
            assert (next_of(watcher)).index == ghost.index
            assert mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
            box.stop()
            store.restore()
            foreign_writes(store.server, grown)
            box.start()
            with pytest.raises(HistoryCleared):
                next_of(watcher)
            assert mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
            direct.keys.set("/d/later", "1")
            assert mirror.wait_for(lambda state: "/d/later" in state, timeout=SOON)


def test_mirror_of_a_restored_store_is_the_tree_again(connect: Connect, store: Restorable) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.mirror("/d") as mirror:
        direct.keys.set("/d/ghost", "gone by the restore")
        assert mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
        store.shut()
        store.restore()
        direct.keys.set("/d/missed", "1")
        foreign_writes(store.server, 50)
        store.open()
        assert mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
        direct.keys.set("/d/later", "1")
        assert mirror.wait_for(lambda state: "/d/later" in state, timeout=SOON)
        assert {key: node.value for key, node in mirror.state.items()} == tree_of(direct)
        assert mirror.synced


@pytest.mark.load
def test_mirror_reads_the_tree_again_where_the_last_event_has_left_the_history(
    connect: Connect, store: Restorable
) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        assert isinstance(next_of(watcher), Snapshot)
        old = direct.keys.set("/d/ghost", "gone by the restore")
        assert (next_of(watcher)).index == old.index
        quietly(watcher, store.server, old.index + 1000)
        last = direct.keys.set("/other", "1")

        store.shut()
        store.restore()
        direct.keys.set("/d/missed", "1")
        foreign_writes(store.server, last.index - old.index + 100)
        store.open()
        again = next_of(watcher)
        assert isinstance(again, Snapshot)
        assert {node.key: node.value for node in again.leaves()} == {"/d/a": "1", "/d/missed": "1"}
        direct.keys.set("/d/later", "1")
        assert (next_of(watcher)).key == "/d/later"


def test_event_behind_the_copy_is_found_where_only_silence_went_past_it(connect: Connect, store: Restorable) -> None:
    """The last event is in the copy; what silence has proved behind it holds for the old history alone."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    with client.keys.watch("/d", recursive=True) as watcher:
        told = direct.keys.set("/d/a", "1")
        assert (next_of(watcher)).index == told.index
        store.back_up()
        last = quietly(watcher, store.server, told.index + 100)

        store.shut()
        store.restore()
        missed = direct.keys.set("/d/missed", "1")
        assert missed.index < last
        foreign_writes(store.server, 950)
        store.open()
        event = next_of(watcher)
        assert (event.key, event.index) == ("/d/missed", missed.index)
        later = direct.keys.set("/d/later", "1")
        assert (next_of(watcher)).index == later.index


@pytest.mark.load
def test_raft_index_that_went_back_while_the_store_grew_is_another_history(connect: Connect, store: Restorable) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url, timeout=PATIENT)
    direct.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.watch("/d", recursive=True) as watcher:
        # No event at all, so nothing to compare; and many raft entries that are no events.
        for _ in range(1200):
            direct.keys.get("/d/a", quorum=True)
        foreign_writes(store.server, 350)
        seen = (direct.keys.get("/d/a")).index
        registered(watcher, seen - 300)

        store.shut()
        store.restore()
        direct.keys.set("/d/missed", "1")
        foreign_writes(store.server, 400)
        store.open()
        with pytest.raises(HistoryCleared, match=r"raft index [0-9]+ after [0-9]+"):
            next_of(watcher)


@pytest.mark.load
@pytest.mark.parametrize("snapshots", [True, False])
def test_restart_of_a_store_is_no_loss(connect: Connect, store: Restorable, snapshots: bool) -> None:
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    untyped: Any = client.keys
    with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
        if snapshots:
            assert isinstance(next_of(watcher), Snapshot)
        for number in range(3):
            told = [
                (direct.keys.set(f"/d/{name}", f"{number}", ttl=ttl)).index for name, ttl in (("a", 100), ("b", None))
            ]
            told.append((direct.keys.delete("/d/a")).index)
            assert [(next_of(watcher)).index for _ in told] == told
            store.server.restart()
            between = direct.keys.set("/d/b", "after it")
            assert (next_of(watcher)).index == between.index


def test_cut_connection_of_a_quiet_mirror_is_not_read_again(connect: Connect, store: Restorable) -> None:
    """Where the same process answers it is the same history, however old the last event is."""
    client, direct = connect(store.url, timeout=QUICK), connect(store.server.url)
    with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        assert isinstance(next_of(watcher), Snapshot)
        for _ in range(3):
            store.shut()
            beside = direct.keys.set("/other", "1")
            store.open()
            registered(watcher, beside.index)
        event = direct.keys.set("/d/a", "1")
        assert (next_of(watcher)).index == event.index


# --- session reads ----------------------------------------------------------------------------------------------------


def test_session_read_of_a_restored_store_says_so_once_and_goes_on(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    client.keys.set("/d/a", "1")
    store.back_up()
    for number in range(20):
        seen = client.keys.set("/d/a", f"{number}")
    store.restore()
    began = time.monotonic()
    with pytest.raises(ClusterChanged, match=r"put back to an older state.*read it again") as caught:
        client.keys.get("/d/a")
    assert time.monotonic() - began < SOON / 2  # not the whole total
    assert caught.value.old == caught.value.new == seen.cluster_id
    assert f"index {seen.index} " in str(caught.value)
    assert (client.keys.get("/d/a")).value == "1"
    assert client.keys.get("/d/none", default=None) is None


def test_session_read_of_a_missing_key_in_a_restored_store_says_so(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    store.back_up()
    for number in range(20):
        client.keys.set("/d/a", f"{number}")
    store.restore()
    with pytest.raises(ClusterChanged, match="put back to an older state"):
        client.keys.get("/d/a")
    assert client.keys.get("/d/a", default=None) is None


def test_session_read_refuses_an_older_raft_term_and_says_why(connect: Connect, store: Restorable) -> None:
    """The restored store has grown past the old index: its term alone shows that it is another history."""
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    written = client.keys.set("/d/a", "old")
    store.back_up()
    for _ in range(3):
        store.server.restart()  # an election each
    seen = client.keys.set("/d/a", "newer")
    assert seen.raft_term > written.raft_term + 1
    store.restore()
    direct = connect(store.server.url)
    foreign_writes(store.server, 50)
    now = direct.keys.get("/d/a")
    assert (now.value, now.index > seen.index, now.raft_term < seen.raft_term) == ("old", True, True)
    with pytest.raises(ClusterChanged, match=f"raft term {now.raft_term}"):
        client.keys.get("/d/a")
    assert (client.keys.get("/d/a")).value == "old"


def test_session_is_told_of_a_restore_that_a_mirror_has_found_first(connect: Connect, store: Restorable) -> None:
    client = connect(store.server.url, consistency="session", timeout=Timeout(total=SOON))
    client.keys.set("/d/a", "1")
    store.back_up()
    with client.keys.mirror("/d") as mirror:
        for number in range(20):
            client.keys.set("/d/ghost", f"{number}")
        assert mirror.wait_for(lambda state: "/d/ghost" in state, timeout=SOON)
        store.restore()
        assert mirror.wait_for(lambda state: "/d/ghost" not in state, timeout=SOON)
        with pytest.raises(ClusterChanged, match="put back"):
            client.keys.get("/d/a")
        assert (client.keys.get("/d/a")).value == "1"
