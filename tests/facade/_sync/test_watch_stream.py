# Derived from tests/facade/_async/test_watch_stream.py by scripts/unasync.py: change that file, make generate.
"""Watches in a burst: a stream takes over from the polls, and dies in every way that a stream can; nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import ClusterChanged, Event
from etcdv2._core.watch.renewal import State
from etcdv2._runtime.primitives import Worker, sleep
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import Peer
from tests.tools.leftovers import workers
from tests.tools.scripted_store import DeafPoll, Poll, ScriptedStore, chunk, line, silent
from tests.tools.waiting import PATIENT, SOON

SELDOM = 10 * SOON
"""Seconds between two looks that would come too late."""
STREAM = "/v2/keys/k?wait=true&stream=true"


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


def indexes(watcher: Any, until: int, within: float = SOON) -> list[int]:
    """Indexes of the next events, up to `until`."""
    ends = time.monotonic() + within
    found: list[int] = []
    while not found or found[-1] < until:
        left = ends - time.monotonic()
        event = watcher.next(timeout=left) if left > 0 else None
        assert event is not None, f"{until} has not come, only {found[-3:]}"
        found.append(event.index)
    return found


def streaming(store: ScriptedStore, watcher: Any, key: str = "k") -> int:
    """Make events until the watch reads from a stream; the index of the last one, all are taken."""
    first = store.index
    store.happen(count=30)
    ends = time.monotonic() + SOON
    while not any("stream=true" in target and f"/{key}?" in target for target in store.asked):
        assert time.monotonic() < ends, store.asked
        store.happen()
        sleep(0.002)
    while watcher._feed._polls._renewal.state is not State.STREAMING:
        assert time.monotonic() < ends, store.asked
        store.happen()
        sleep(0.002)
    assert indexes(watcher, store.index) == list(range(first + 1, store.index + 1))
    return store.index


def registered(store: ScriptedStore, then: Any) -> Poll:
    """A watch that is registered as usual, and goes on as `then` does, which is given the index of that moment."""

    def act(peer: Peer) -> bool:
        index = store.index
        peer.send(store.head())
        return bool(then(peer, index))

    return act


def test_polls_come_back_when_the_burst_is_over(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        last = streaming(store, watcher)
        ends = time.monotonic() + SOON
        while store.asked[-1] != f"/v2/keys/k?wait=true&waitIndex={last + 1}" or store.watching > 1:
            assert time.monotonic() < ends, (store.asked[-3:], store.watching)
            sleep(0.02)
        store.happen()
        assert indexes(watcher, last + 1) == [last + 1]


def test_stream_that_dies_in_silence_is_found_and_the_hole_filled(connect: Connect, store: ScriptedStore) -> None:
    def dies(peer: Peer, index: int) -> bool:
        while not (found := store.lines(index)):
            time.sleep(0.005)
        peer.send(chunk(found[0]))
        return silent(peer)

    store.streams.append(registered(store, dies))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        first = store.index
        reach_stream(store)
        store.happen(count=50)
        last = store.index
        assert indexes(watcher, last) == list(range(first + 1, last + 1))


def reach_stream(store: ScriptedStore) -> None:
    store.happen(count=30)
    ends = time.monotonic() + SOON
    while STREAM not in store.asked:
        assert time.monotonic() < ends, store.asked
        store.happen()
        sleep(0.002)
    for _ in range(20):
        store.happen()
        sleep(0.002)


def nothing_is_lost(watcher: Any, store: ScriptedStore, within: float = SOON) -> None:
    """Each event from now until the stream is there comes once, in order."""
    first = store.index
    reach_stream(store)
    last = store.index
    assert indexes(watcher, last, within) == list(range(first + 1, last + 1))


def test_dead_stream_is_found_soon_also_where_a_quiet_watch_had_made_the_looks_rare(
    connect: Connect, store: ScriptedStore
) -> None:
    def dies(peer: Peer, index: int) -> bool:
        return silent(peer)

    store.streams.append(registered(store, dies))
    client = connect(store.endpoint.url)
    with client.keys.watch("/quiet"), client.keys.watch("/k") as watcher:
        (member,) = client._monitor._members.values()
        member._interval.interval = SELDOM
        sleep(0.3)  # the wait under way
        nothing_is_lost(watcher, store)


def test_dead_stream_that_has_missed_too_much_is_no_silence(connect: Connect, store: ScriptedStore) -> None:
    """The hole cannot be filled: it is named, as a snapshot here."""

    def dies(peer: Peer, index: int) -> bool:
        return silent(peer)

    store.streams.append(registered(store, dies))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k", snapshots=True) as watcher:
        reach_stream(store)
        store.happen(foreign=1500)
        last = store.index
        ends = time.monotonic() + SOON
        item: Any = None
        while item is None or isinstance(item, Event) or item.index < last:
            item = watcher.next(timeout=SOON)
            assert item is not None
            assert time.monotonic() < ends
        store.happen()
        assert indexes(watcher, last + 1) == [last + 1]


@pytest.mark.parametrize("whole", [0, 1, 3])
def test_stream_that_is_cut_within_a_line_loses_nothing(connect: Connect, store: ScriptedStore, whole: int) -> None:
    def cut(peer: Peer, index: int) -> bool:
        while len(store.lines(index)) < 5:
            time.sleep(0.005)
        lines = store.lines(index)
        peer.send(chunk(b"".join(lines[:whole]) + lines[whole][:40]))
        time.sleep(0.05)
        return False

    store.streams.append(registered(store, cut))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        nothing_is_lost(watcher, store)


def test_line_of_a_stream_that_is_no_event_is_asked_for_again(connect: Connect, store: ScriptedStore) -> None:
    """What comes after it must not be taken for its successor."""

    def garbles(peer: Peer, index: int) -> bool:
        while len(store.lines(index)) < 8:
            time.sleep(0.005)
        lines = store.lines(index)
        lines[4] = b'{"action":"set","node":\n'
        peer.send(chunk(b"".join(lines)))
        return silent(peer)

    store.streams.append(registered(store, garbles))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        nothing_is_lost(watcher, store)


def test_lines_of_a_stream_need_not_be_chunks(connect: Connect, store: ScriptedStore) -> None:
    def odd_chunks(peer: Peer, index: int) -> bool:
        sent = 0
        while not peer.stopping.is_set():
            data = b"\n".join(store.lines(index))[sent:]
            for at in range(0, len(data), 33):
                peer.send(chunk(data[at : at + 33]))
            sent += len(data)
            time.sleep(0.005)
        return False

    store.streams.append(registered(store, odd_chunks))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        nothing_is_lost(watcher, store)
        assert watcher._feed._polls._renewal.state is State.STREAMING


def test_stream_that_begins_too_late_is_not_trusted(connect: Connect, store: ScriptedStore) -> None:
    """What happens between the last poll and the stream's registration comes by a poll."""
    client = connect(store.endpoint.url)
    first = store.index

    def late(peer: Peer) -> bool:
        store.happen(count=10)
        return store.watch(peer, 0, stream=True)

    store.streams.append(late)
    with client.keys.watch("/k") as watcher:
        last = streaming(store, watcher)
        assert last > first + 40


def test_stream_on_a_member_that_lags_brings_nothing_back(connect: Connect, store: ScriptedStore) -> None:
    def lagging(peer: Peer, index: int) -> bool:
        for data in store.lines(index - 20):
            peer.send(chunk(data))
        while not peer.stopping.is_set():
            peer.send(chunk(b"".join(store.lines(index - 20))))
            time.sleep(0.05)
        return False

    store.streams.append(registered(store, lagging))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        nothing_is_lost(watcher, store)
        assert watcher.next(timeout=0.2) is None


def test_what_a_stream_has_passed_over_is_not_cleared_by_another_cluster(
    connect: Connect, store: ScriptedStore
) -> None:
    """Its member was caught up by a snapshot, sent one event more, and was replaced before it was asked about that."""
    caught_up = threading.Event()

    def passes_over(peer: Peer, index: int) -> bool:
        while not caught_up.wait(0.002):
            for data in store.lines(index):
                peer.send(chunk(data))
                index = json.loads(data)["node"]["modifiedIndex"]
        store.restore(index + 3, "bb")
        peer.send(chunk(line(index + 20)))
        return silent(peer)

    store.streams.append(registered(store, passes_over))
    with connect(store.endpoint.url).keys.watch("/k") as watcher:
        streaming(store, watcher)
        caught_up.set()
        with pytest.raises(ClusterChanged):
            watcher.next(timeout=SOON)


def test_event_of_a_connection_that_died_in_silence_comes_by_the_renewal(
    connect: Connect, store: ScriptedStore
) -> None:
    """A firewall forgets an idle connection: the server's event goes nowhere, and no error comes."""
    store.polls.append(registered(store, lambda peer, index: silent(peer)))
    client = connect(store.endpoint.url)
    with client.keys.watch("/k") as watcher:
        store.happen()
        lost = store.index
        store.happen(count=0, foreign=500)
        assert indexes(watcher, lost) == [lost]
        store.happen()
        assert indexes(watcher, store.index) == [store.index]


@pytest.mark.parametrize("asked", ["observed", "compared"])
def test_stalled_other_member_does_not_hold_up_the_finding_of_a_dead_stream(connect: Connect, asked: str) -> None:
    with ScriptedStore() as store, ScriptedStore() as stalled:
        stalled.stalled = True
        client = connect([store.endpoint.url, stalled.endpoint.url], timeout=PATIENT)
        client._dispatcher.pool.prefer(store.endpoint)

        def dies(peer: Peer, index: int) -> bool:
            return silent(peer)

        store.streams.append(registered(store, dies))
        with client.keys.watch("/quiet"), client.keys.watch("/k") as watcher:
            (member,) = client._monitor._members.values()
            if asked == "compared":
                member._others._compared_at -= 60.0
            ends = time.monotonic() + SOON
            while not stalled.connections:
                assert time.monotonic() < ends
                sleep(0.01)
            nothing_is_lost(watcher, store)


@pytest.mark.parametrize("how", ["streaming", "renewing", "polling", "away"])
def test_closing_leaves_no_worker_and_no_connection(
    connect: Connect, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a request of its client may take, and whoever does not answer."""
    before = workers()
    with ScriptedStore() as store:
        deaf = DeafPoll(store)
        if how == "renewing":  # else the second poll is the first one in a moment
            monkeypatch.setattr("etcdv2._core.watch.renewal.END_SECONDS", SELDOM)
            store.polls.append(deaf)
        client = connect(store.endpoint.url, timeout=PATIENT)
        with client.keys.watch("/k") as watcher:
            if how == "streaming":
                streaming(store, watcher)
            elif how == "renewing":
                store.happen(count=0, foreign=500)
                ends = time.monotonic() + SOON
                while watcher._feed._polls._second is None:
                    assert time.monotonic() < ends
                    sleep(0.005)
                assert not deaf.released.is_set()
            elif how == "away":
                store.away = True
                store.hang_up()
                ends = time.monotonic() + SOON
                while watcher.unreachable_since is None:
                    assert time.monotonic() < ends
                    sleep(0.005)
            assert workers() != before
            began = time.monotonic()
        assert time.monotonic() - began < SOON
        deaf.released.set()
        ends = time.monotonic() + SOON
        while workers() != before or store.watching:
            assert time.monotonic() < ends, (workers(), store.watching)
            sleep(0.01)
        client.close()
        while store.open_connections:
            assert time.monotonic() < ends, store.open_connections
            sleep(0.01)


def test_close_from_elsewhere_ends_a_stream_at_once(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    with client.keys.watch("/k") as watcher:
        streaming(store, watcher)
        closed: list[float] = []

        def closer() -> None:
            sleep(0.1)
            closed.append(time.monotonic())
            watcher.close()

        worker = Worker(closer, "closer")
        for _ in watcher:
            pytest.fail("no event was due")
        assert time.monotonic() - closed[0] < SOON
        worker.join(2)
