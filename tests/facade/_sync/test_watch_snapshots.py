# Derived from tests/facade/_async/test_watch_snapshots.py by scripts/unasync.py: change that file, make generate.
"""Watches that lose their place: what says so, without snapshots and with them, and where they go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import Client, ClusterChanged, Event, HistoryCleared, Snapshot, Timeout
from etcdv2._runtime.primitives import sleep
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import Peer, TcpProxy
from tests.tools.scripted_store import END, ScriptedStore
from tests.tools.waiting import SOON, until
from tests.tools.writers import foreign_writes

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


def next_of(watcher: Any, within: float = SOON) -> Any:
    item = watcher.next(timeout=within)
    assert item is not None, f"nothing from {watcher!r}"
    return item


def leaves(snapshot: Any) -> dict[str, str | None]:
    assert isinstance(snapshot, Snapshot), snapshot
    return {node.key: node.value for node in snapshot.leaves()}


def waiting(store: ScriptedStore, polls: int) -> None:
    """Until so many watches have come in."""
    ends = time.monotonic() + SOON
    while len(store.asked) < polls:
        assert time.monotonic() < ends, store.asked
        sleep(0.01)


def test_first_item_is_the_state_then_only_later_events_come(client: Client) -> None:
    client.keys.set("/d/a", "1")
    last = client.keys.set("/d/b/c", "2")
    client.keys.set("/other", "no")
    with client.keys.watch("/d", recursive=True, snapshots=True) as watcher:
        client.keys.set("/d/a", "3")
        client.keys.delete("/d/b", recursive=True)
        first = next_of(watcher)
        assert leaves(first) == {"/d/a": "1", "/d/b/c": "2"}
        assert first.index == last.index + 1
        assert watcher.index == first.index
        events = [next_of(watcher), next_of(watcher)]
        assert [(event.action, event.key, event.value) for event in events] == [
            ("set", "/d/a", "3"),
            ("delete", "/d/b", None),
        ]
        assert watcher.next(timeout=QUIET) is None


def test_writes_between_the_state_and_the_first_poll_are_not_missed(client: Client) -> None:
    for n in range(20):
        client.keys.set("/k", f"{n}")
        with client.keys.watch("/k", snapshots=True) as watcher:
            client.keys.set("/k", f"{n} again")
            first: Any = next_of(watcher)
            assert first.node.value == f"{n}"
            assert (next_of(watcher)).value == f"{n} again"


def test_snapshot_of_a_key_that_is_not_there_has_no_node(client: Client) -> None:
    other = client.keys.set("/other", "1")
    with client.keys.watch("/none", snapshots=True) as watcher:
        first = next_of(watcher)
        assert (first.node, first.index, list(first.leaves())) == (None, other.index, [])
        client.keys.set("/none", "1")
        assert (next_of(watcher)).value == "1"


def test_snapshot_of_a_path_below_a_file_has_no_node(client: Client) -> None:
    client.keys.set("/file", "1")
    with client.keys.watch("/file/below", snapshots=True) as watcher:
        assert (next_of(watcher)).node is None
        client.keys.delete("/file")
        client.keys.set("/file/below", "2")
        while (item := next_of(watcher)).key != "/file/below":
            assert item.ancestor
        assert item.value == "2"


def test_snapshot_of_the_root_and_of_a_single_file(client: Client) -> None:
    client.keys.set("/d/a", "1")
    with client.keys.watch("/", recursive=True, snapshots=True) as watcher:
        assert leaves(next_of(watcher)) == {"/d/a": "1"}
    with client.keys.watch("/d/a", snapshots=True) as watcher:
        assert leaves(next_of(watcher)) == {"/d/a": "1"}


def test_after_index_with_snapshots_is_refused(client: Client) -> None:
    untyped: Any = client.keys
    with pytest.raises(ValueError, match="after_index"):
        untyped.watch("/a", snapshots=True, after_index=1)


@pytest.mark.parametrize("snapshots", [True, False])
def test_history_cleared_while_disconnected(connect: Connect, etcd: Server, snapshots: bool) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy:
        client, direct = connect(proxy.endpoint.url, timeout=QUICK), connect(etcd.url)
        direct.keys.set("/d/a", "1")
        untyped: Any = client.keys
        with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
            if snapshots:
                assert leaves(next_of(watcher)) == {"/d/a": "1"}
            direct.keys.set("/d/a", "2")
            seen = next_of(watcher)
            assert seen.value == "2"
            proxy.refusing = True
            proxy.cut()
            missed = direct.keys.set("/d/b", "missed")
            foreign_writes(etcd, 1100)
            proxy.refusing = False
            if not snapshots:
                with pytest.raises(HistoryCleared) as caught:
                    watcher.next(timeout=SOON)
                assert caught.value.index >= missed.index + 1100
                assert watcher.index == seen.index
                return
            again = next_of(watcher)
            assert leaves(again) == {"/d/a": "2", "/d/b": "missed"}
            assert again.index >= missed.index + 1100
            direct.keys.set("/d/a", "3")
            assert (next_of(watcher)).value == "3"


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("token", ["same", "other"])
def test_cluster_that_was_wiped_and_built_again_on_the_same_ports(
    connect: Connect, etcd_binary: Any, token: str, snapshots: bool
) -> None:
    """Its id is a hash of the members and the token: where those are the same, only its index shows the difference."""
    first = Server(etcd_binary, fsync=False, args=["--initial-cluster-token=same"])
    with first:
        ports = first.port, int(first.peer_url.rpartition(":")[2])
        client = connect(first.url, timeout=QUICK)
        old: Any = None
        for n in range(30):
            old = client.keys.set("/d/a", f"old {n}")
        untyped: Any = client.keys
        with untyped.watch("/d", recursive=True, snapshots=snapshots) as watcher:
            if snapshots:
                assert leaves(next_of(watcher)) == {"/d/a": "old 29"}
            first.kill()
            args = [f"--initial-cluster-token={token}"]
            with Server(etcd_binary, fsync=False, port=ports[0], peer_port=ports[1], args=args) as second:
                writer = connect(second.url)
                made = writer.keys.set("/d/b", "new")
                assert made.index < old.index
                assert (made.cluster_id == old.cluster_id) == (token == "same")
                if not snapshots:
                    with pytest.raises(HistoryCleared if token == "same" else ClusterChanged):
                        watcher.next(timeout=SOON)
                    return
                again = next_of(watcher)
                assert isinstance(again, Snapshot)
                assert again.index <= made.index
                if again.index < made.index:
                    assert leaves(again) == {}
                    assert (next_of(watcher)).value == "new"
                else:
                    assert leaves(again) == {"/d/b": "new"}
                writer.keys.set("/d/b", "newer")
                assert (next_of(watcher)).value == "newer"


@pytest.mark.parametrize("snapshots", [True, False])
def test_store_put_back_to_an_older_state_is_reported(connect: Connect, store: ScriptedStore, snapshots: bool) -> None:
    lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=True)


@pytest.mark.parametrize("snapshots", [True, False])
def test_store_put_back_behind_a_connection_that_stays_is_reported(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    """As a load balancer does that keeps the way to the client open."""
    lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=False)


@pytest.mark.parametrize("snapshots", [True, False])
def test_store_put_back_is_reported_also_when_the_quorum_answers_late(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    def recover() -> None:
        sleep(1.0)
        store.quorum_index = None

    client = connect(store.endpoint.url, timeout=Timeout(connect=0.5, attempt=0.3, commit=0.3, total=0.4))
    lost_by_a_restore(client, store, snapshots, hang_up=True, quorum_index=0, then=recover)


@pytest.mark.parametrize("snapshots", [True, False])
def test_store_put_back_is_reported_to_a_user_who_may_read_only_the_watched_key(
    connect: Connect, store: ScriptedStore, snapshots: bool
) -> None:
    store.refused.add("/k/_etcdv2")
    lost_by_a_restore(connect(store.endpoint.url, timeout=QUICK), store, snapshots, hang_up=True)


def lost_by_a_restore(
    client: Client,
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
    with untyped.watch("/k", snapshots=snapshots) as watcher:
        if snapshots:
            assert (next_of(watcher)).index == 4998
        store.happen(count=2)
        assert [(next_of(watcher)).index for _ in range(2)] == [4999, 5000]
        waiting(store, 3)
        store.quorum_index = quorum_index
        store.restore(4000)
        if hang_up:
            store.hang_up()
        if then is not None:
            then()
        if not snapshots:
            with pytest.raises(HistoryCleared) as caught:
                next_of(watcher)
            assert caught.value.index == 4000
            return
        again = next_of(watcher)
        assert isinstance(again, Snapshot)
        assert again.index == 4000
        store.happen()
        event = next_of(watcher)
        assert isinstance(event, Event)
        assert event.index == 4001


def test_cluster_replaced_behind_a_connection_that_stays_is_reported(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=QUICK)
    store.index = 5000
    with client.keys.watch("/k") as watcher:
        store.restore(10, cluster="bb")
        with pytest.raises(ClusterChanged):
            next_of(watcher)


def test_lagging_member_is_no_loss(connect: Connect, store: ScriptedStore) -> None:
    """It is behind, the quorum is not: the watch waits there until the member has caught up."""
    client = connect(store.endpoint.url, timeout=QUICK)
    with client.keys.watch("/k") as watcher:
        store.happen()
        assert (next_of(watcher)).index == 101
        waiting(store, 2)
        store.index = 90
        store.quorum_index = 101
        store.hang_up()
        assert watcher.next(timeout=3 * QUIET) is None
        store.index = 101
        store.happen()
        assert (next_of(watcher)).index == 102


def test_poll_that_ends_cleanly_with_nothing_is_asked_again(connect: Connect, store: ScriptedStore) -> None:
    """Proxies do that; it must cost no event, and not be done in a hot loop."""

    def nothing(peer: Peer) -> bool:
        peer.send(store.head() + END)
        return True

    store.polls.extend([nothing] * 3)
    client = connect(store.endpoint.url, timeout=QUICK)
    began = time.monotonic()
    with client.keys.watch("/k") as watcher:
        waiting(store, 3)
        store.happen(count=3)
        assert [(next_of(watcher)).index for _ in range(3)] == [101, 102, 103]
    assert time.monotonic() - began > 0.3


def test_events_before_an_error_come_before_it(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=QUICK)
    with client.keys.watch("/k") as watcher:
        for _ in range(3):
            store.happen()
        until(lambda: any("waitIndex=104" in one for one in store.asked), lambda: store.asked)
        store.refused.add("/k")  # so the key itself shows nothing
        store.happen(count=0, foreign=2000)
        store.hang_up()
        assert [(next_of(watcher)).index for _ in range(3)] == [101, 102, 103]
        with pytest.raises(HistoryCleared):
            next_of(watcher)
        with pytest.raises(HistoryCleared):
            watcher.next(timeout=QUIET)
