# Derived from tests/facade/_async/test_boxes.py by scripts/unasync.py: change that file, make generate.
"""Watches, mirrors and writes through real middle boxes: nginx as it comes and set up, haproxy for TCP and for HTTP."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2 import Client, HistoryCleared, MirrorState, OutcomeUnknown, Timeout
from etcdv2._runtime.primitives import sleep
from etcdv2.testing import Cluster, Server
from tests.facade._sync.conftest import Connect
from tests.tools import boxes
from tests.tools.boxes import UNBUFFERED, Box, Relay
from tests.tools.fault_server import Peer, TcpProxy
from tests.tools.waiting import PATIENT, SOON, until
from tests.tools.writers import foreign_writes

pytestmark = [pytest.mark.boxes, pytest.mark.thorough(versions=True)]

QUICK = Timeout(connect=1, attempt=0.5, commit=2, total=10)
HOLDS_BACK = "nginx as it comes"
PATHS: dict[str, Callable[[list[Any]], Box]] = {
    HOLDS_BACK: boxes.nginx,
    "nginx set up": lambda servers: boxes.nginx(servers, *UNBUFFERED),
    "haproxy for TCP": lambda servers: boxes.haproxy(servers, "tcp"),
    "haproxy for HTTP": lambda servers: boxes.haproxy(servers, "http"),
}
through_each = pytest.mark.parametrize("path", PATHS)
follows = pytest.mark.parametrize("path", [path for path in PATHS if path != HOLDS_BACK])
"""Where the headers of a poll come when it is registered, so that a watch can be renewed."""


@pytest.fixture
def box(etcd: Server, path: str) -> Iterator[Box]:
    """Before one server."""
    with PATHS[path]([etcd]) as box:
        yield box


def next_of(watcher: Any, within: float = SOON) -> Any:
    item = watcher.next(timeout=within)
    assert item is not None, f"nothing from {watcher!r}"
    return item


def values_of(watcher: Any, count: int) -> list[str]:
    return [(next_of(watcher)).value for _ in range(count)]


def settled(watcher: Any) -> int:
    """Up to here nothing is missing."""
    return int(watcher._feed._polls.settled)


def values(state: MirrorState) -> dict[str, str | None]:
    return {key: node.value for key, node in state.items()}


# --- watches ---------------------------------------------------------------------------------------------------------


@through_each
def test_events_come_through_complete_and_in_order(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    with client.keys.watch("/k", recursive=True) as watcher:
        for number in range(100):  # alone, in a row, and with others between
            direct.keys.set(f"/k/{number % 3}", f"{number}")
            if number % 10 == 0:
                direct.keys.set("/other", f"{number}")
                assert (next_of(watcher)).value == f"{number}"
            elif number % 10 == 9:
                assert values_of(watcher, 9) == [f"{one}" for one in range(number - 8, number + 1)]


@through_each
def test_quiet_watch_is_there_when_its_event_comes(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    with client.keys.watch("/k") as watcher:
        assert watcher.next(timeout=3 * 0.5) is None  # for longer than an attempt may take
        direct.keys.set("/k", "1")
        assert (next_of(watcher)).value == "1"
        assert watcher.unreachable_since is None
        assert watcher.next(timeout=3 * 0.5) is None
        direct.keys.delete("/k")
        assert (next_of(watcher)).deleted


@pytest.mark.parametrize("path", [HOLDS_BACK])
def test_headers_that_are_held_back_are_found_out_and_said_once(
    connect: Connect, etcd: Server, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(box.url, timeout=QUICK)
    with caplog.at_level(logging.INFO, "etcdv2"):
        with client.keys.watch("/k") as watcher, client.keys.watch("/l"), client.keys.mirror("/m"):
            assert watcher.next(timeout=3 * 0.5) is None
            known, (endpoint,) = watcher._feed._polls._monitor.paths, client._dispatcher.endpoints
            assert known.holds_back(endpoint)
    said = [record for record in caplog.records if "a proxy may hold headers back" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING"]
    assert "passes the headers of watches on" not in caplog.text


@pytest.mark.load
@follows
def test_quiet_watch_is_renewed_while_others_write_more_than_the_server_remembers(
    connect: Connect, etcd: Server, box: Box
) -> None:
    client, direct = connect(box.url), connect(etcd.url)
    with client.keys.watch("/k") as watcher:
        for number in range(3):
            foreign_writes(etcd, 1200, connections=1, followed_by=[watcher])
            direct.keys.set("/k", f"{number}")
            assert (next_of(watcher)).value == f"{number}"


@through_each
def test_watch_goes_on_after_the_box_was_restarted(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    with client.keys.watch("/k") as watcher:
        direct.keys.set("/k", "before")
        assert (next_of(watcher)).value == "before"
        box.stop()
        direct.keys.set("/k", "meanwhile")
        direct.keys.set("/k", "and again")
        box.start()
        assert values_of(watcher, 2) == ["meanwhile", "and again"]
        direct.keys.set("/k", "after")
        assert (next_of(watcher)).value == "after"


@through_each
def test_watch_goes_on_after_the_box_stood_still(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    with client.keys.watch("/k") as watcher:
        box.pause()
        direct.keys.set("/k", "meanwhile")
        assert watcher.next(timeout=1.5) is None
        box.resume()
        direct.keys.set("/k", "after")
        assert values_of(watcher, 2) == ["meanwhile", "after"]


@pytest.mark.load
@through_each
def test_flow_behind_the_box_that_dies_silently_loses_nothing_silently(
    connect: Connect, etcd: Server, path: str
) -> None:
    """The box's health checks and new connections get through, so nothing breaks; only what is open is forgotten."""
    with TcpProxy("127.0.0.1", etcd.port) as flows, PATHS[path]([flows]) as box:
        client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
        with client.keys.watch("/k") as watcher:
            direct.keys.set("/k", "before")
            assert (next_of(watcher)).value == "before"
            sleep(0.3)  # the next poll waits
            flows.forget()
            direct.keys.set("/k", "meanwhile")
            foreign_writes(etcd, 700, connections=1)
            assert (next_of(watcher)).value == "meanwhile"
            direct.keys.set("/k", "after")
            assert (next_of(watcher)).value == "after"


@pytest.mark.load
@pytest.mark.parametrize("path", [HOLDS_BACK])
def test_place_that_has_left_the_history_is_a_named_loss_where_headers_are_held_back(
    connect: Connect, etcd: Server, box: Box
) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    direct.keys.set("/d/one", "untouched")
    with (
        client.keys.watch("/d", recursive=True) as tree,
        client.keys.watch("/d/one") as one,
        client.keys.mirror("/d") as mirror,
    ):
        foreign_writes(etcd, 1100)
        gone = (direct.keys.set("/d/two", "2")).index
        with pytest.raises(HistoryCleared):
            tree.next(timeout=SOON)
        assert mirror.wait_for(lambda state: "/d/two" in state, timeout=SOON)
        until(lambda: settled(one) >= gone, lambda: one)  # its key shows that nothing has happened
        direct.keys.set("/d/one", "touched")
        assert (next_of(one)).value == "touched"


@pytest.mark.load
@through_each
def test_mirror_comes_to_the_index_of_a_write_elsewhere(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    with client.keys.mirror("/m") as mirror:
        for number in range(2):
            direct.keys.set("/m/a", f"{number}")
            elsewhere = (direct.keys.set("/other", "")).index
            assert mirror.wait_for_index(elsewhere, timeout=SOON)
            assert values(mirror.state) == {"/m/a": f"{number}"}


# --- three members behind a balancer ----------------------------------------------------------------------------------


@pytest.mark.load
@through_each
def test_watch_and_mirror_through_a_balancer_while_a_member_is_away(
    connect: Connect, etcd_cluster: Cluster, path: str
) -> None:
    """Each request may go to another member, by turns."""
    with PATHS[path](etcd_cluster.members) as box:
        client, direct = connect(box.url), connect(etcd_cluster.endpoints)
        away = etcd_cluster.followers()[0]
        with client.keys.watch("/k", recursive=True) as watcher, client.keys.mirror("/k") as mirror:
            for number in range(60):
                if number == 20:
                    away.kill()
                elif number == 40:
                    away.start()
                direct.keys.set("/k/a", f"{number}", repeat_writes=True)
                direct.keys.set("/other", f"{number}", repeat_writes=True)
                if number % 10 == 0:
                    sleep(0.2)

            found = [(next_of(watcher)).value]
            while found[-1] != "59":
                found.append((next_of(watcher)).value)
            assert list(dict.fromkeys(found)) == [f"{number}" for number in range(60)]  # a write may be repeated
            assert mirror.wait_for(lambda state: state["/k/a"].value == "59", timeout=SOON)


@pytest.mark.load
@follows
@pytest.mark.parametrize("has_seen_an_event", [False, True])
def test_quiet_watch_through_a_balancer_is_renewed(
    connect: Connect, etcd_cluster: Cluster, path: str, has_seen_an_event: bool
) -> None:
    """Each of its polls may wait at another member than the one before."""
    with PATHS[path](etcd_cluster.members) as box:
        client, direct = connect(box.url), connect(etcd_cluster.endpoints)
        with client.keys.watch("/k", recursive=True) as watcher:
            for number in range(has_seen_an_event):
                direct.keys.set("/k", f"before {number}")
                assert (next_of(watcher)).value == f"before {number}"
            for number in range(2):
                foreign_writes(etcd_cluster.leader(), 1200, connections=1, followed_by=[watcher])
                direct.keys.set("/k", f"{number}")
                assert (next_of(watcher)).value == f"{number}"


# --- mirrors ---------------------------------------------------------------------------------------------------------


@through_each
def test_mirror_follows_through_a_box_that_is_restarted(connect: Connect, etcd: Server, box: Box) -> None:
    client, direct = connect(box.url, timeout=QUICK), connect(etcd.url)
    direct.keys.set("/d/a", "1")
    with client.keys.mirror("/d") as mirror:
        assert mirror["/d/a"].value == "1"
        assert mirror.synced
        assert not mirror.wait_for(lambda state: len(state) > 1, timeout=1.5)
        assert mirror.synced
        direct.keys.set("/d/b", "2")
        assert mirror.wait_for(lambda state: "/d/b" in state, timeout=SOON)

        box.stop()
        direct.keys.delete("/d/a")
        foreign_writes(etcd, 1100)  # more than the server remembers: the state is read again
        direct.keys.set("/d/b", "3")
        box.start()
        assert mirror.wait_for(lambda state: values(state) == {"/d/b": "3"}, timeout=SOON)
        until(lambda: mirror.synced, lambda: mirror)
        direct.keys.set("/d/c", "4")
        assert mirror.wait_for(lambda state: "/d/c" in state, timeout=SOON)


# --- writes ----------------------------------------------------------------------------------------------------------


@through_each
def test_writes_through_a_box(connect: Connect, box: Box) -> None:
    client = connect(box.url)
    assert (client.keys.create("/k", "1")).node.value == "1"
    assert (client.keys.set("/k", "2", prev_value="1")).action == "compareAndSwap"
    assert (client.keys.set("/k", "ü" * 100_000)).node.value == "ü" * 100_000
    assert (client.keys.get("/k")).value == "ü" * 100_000
    assert (client.keys.delete("/k")).action == "delete"
    assert client.keys.get("/k", default=None) is None


@through_each
def test_write_whose_box_dies_before_it_answers_is_unknown_and_done_once(
    connect: Connect, etcd: Server, path: str
) -> None:
    writes: list[Callable[[Client], Any]] = [
        lambda client: client.keys.create("/k", "1"),
        lambda client: client.keys.set("/k", "2"),
        lambda client: client.keys.delete("/k"),
    ]
    instead: deque[Callable[[Peer], object]] = deque()
    with Relay(etcd.port, instead) as relay, PATHS[path]([relay]) as box:
        client = connect(box.url)
        for number, write in enumerate(writes, 1):
            client.keys.exists("/k")  # so that it has seen the store's index
            instead.append(lambda _: box.stop())
            with pytest.raises(OutcomeUnknown) as caught:
                write(client)
            assert relay.writes == number
            box.start()
            assert (client.keys.resolve(caught.value)).state == ("unknown" if number == 3 else "applied")
            assert relay.writes == number


@pytest.mark.parametrize("repeats", [True, False])
def test_nginx_repeats_a_put_at_its_next_server_unless_that_is_off(
    connect: Connect, etcd: Server, repeats: bool
) -> None:
    """The client sends it once. It can neither know of the second time nor prevent it: docs/how-to/proxy.md."""
    options = ["proxy_read_timeout 1s;", *([] if repeats else ["proxy_next_upstream off;"])]
    instead: deque[Callable[[Peer], object]] = deque([lambda peer: peer.stopping.wait(SOON)])
    with (
        Relay(etcd.port, instead) as one,
        Relay(etcd.port, instead) as other,
        boxes.nginx([one, other], *options) as box,
    ):
        client = connect(box.url, timeout=PATIENT)
        if repeats:
            client.keys.set("/k", "1")
        else:
            with pytest.raises(OutcomeUnknown, match="504"):
                client.keys.set("/k", "1")
        assert one.writes + other.writes == (2 if repeats else 1)
