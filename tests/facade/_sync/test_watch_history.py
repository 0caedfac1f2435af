# Derived from tests/facade/_async/test_watch_history.py by scripts/unasync.py: change that file, make generate.
"""Watches against writers who know what they did, in bursts and beside thousands of others: exactly that, by index.

Paced tests demand completeness; unpaced ones that a hole is named. Members that die and come back meanwhile are in
`test_watch_long`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import Client, Snapshot, Timeout
from etcdv2._runtime.primitives import sleep
from etcdv2.testing import Cluster, Server
from tests.chaos.links import Arena
from tests.facade._sync.conftest import Connect
from tests.tools.waiting import PATIENT, SOON, until
from tests.tools.writers import BUSY, Write, Writing, delete, foreign_writes, put

TIMES = Timeout(connect=0.5, attempt=1, commit=4, total=10)


@pytest.fixture
def transport() -> str:
    """A server's faults look the same from both transports."""
    return "fast"


@pytest.mark.load
def test_quiet_key_under_foreign_writes_that_it_can_follow(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=TIMES)
    with client.keys.watch("/quiet") as watcher, client.keys.watch("/quiet", snapshots=True) as other:
        assert other.next(timeout=SOON) is not None
        foreign_writes(etcd, 10_000, connections=2, followed_by=(watcher, other))
        client.keys.set("/quiet", "1")
        for one in (watcher, other):
            event: Any = one.next(timeout=SOON)
            assert event.value == "1"
        foreign_writes(etcd, 5_000, connections=2, followed_by=(watcher, other))
        etcd.kill()
        etcd.start()
        client.keys.set("/quiet", "2")
        event = watcher.next(timeout=SOON)
        assert event.value == "2"

        # Where another process has taken over, the state is read again: it shows the change, or the event follows.
        item: Any = other.next(timeout=SOON)
        while isinstance(item, Snapshot) and (item.node is None or item.node.value != "2"):
            item = other.next(timeout=SOON)
        assert (item.node.value if isinstance(item, Snapshot) else item.value) == "2"


@pytest.mark.load
def test_thousands_that_expire_in_one_moment_are_told_or_the_hole_is_named(connect: Connect, etcd: Server) -> None:
    """They are one entry of the log: neither the history of 1,000 nor a stream's 100 can hold them."""
    client = connect(etcd.url)
    writing = Writing(etcd.port, [put(f"/t/{n}", f"{n}", ttl="2") for n in range(3000)])
    assert len(writing.done) == 3000
    with client.keys.watch("/t", recursive=True, snapshots=True) as watcher:
        there: Any = watcher.next(timeout=SOON)
        left = {node.key for node in there.leaves()}
        assert left
        holes = 0
        while left:
            item: Any = watcher.next(timeout=SOON)
            assert item is not None, f"{len(left)} are left"
            if getattr(item, "action", "") == "expire":
                left.remove(item.key)
            else:
                holes += 1
                left = {node.key for node in item.leaves()}


@pytest.mark.load
def test_member_that_is_cut_off_from_the_others_is_left(connect: Connect, etcd_binary: Path) -> None:
    with Arena(etcd_binary) as arena:
        client = connect(arena.direct)
        alone = arena.cluster.followers()[0]
        client._dispatcher.pool.prefer(next(one for one in client._dispatcher.pool.endpoints if one.url == alone.url))
        direct = connect([member.url for member in arena.members if member is not alone])
        with client.keys.watch("/k") as watcher:
            direct.keys.set("/k", "before")
            event: Any = watcher.next(timeout=SOON)
            assert event.value == "before"
            arena.cut_off(alone)
            direct.keys.set("/k", "after")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "after"


def block_everything() -> None:
    """As a consumer does that computes for a while, or calls what it should not."""
    time.sleep(0.6)


def note_streams(client: Client) -> list[str]:
    """Targets of the streams that the client opens from now on."""
    targets: list[str] = []
    transport: Any = client._dispatcher._transport
    usual = transport.open

    def noting(endpoint: Any, request: Any, limits: Any) -> Any:
        if "stream=true" in request.target:
            targets.append(request.target)
        return usual(endpoint, request, limits)

    transport.open = noting
    return targets


@pytest.mark.load
def test_burst_is_read_from_a_stream_and_comes_complete(client: Client, etcd: Server) -> None:
    streams = note_streams(client)
    with client.keys.watch("/b", recursive=True) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n % 50}", f"{n}") for n in range(4000)], **BUSY)
        seen: list[tuple[int, str | None]] = []
        while len(seen) < 4000:
            event: Any = watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)} of {len(writing.done)}"
            seen.append((event.index, event.value))
        assert seen == [(done.index, done.value) for done in writing.done]
    assert streams
    assert set(streams) == {"/v2/keys/b?recursive=true&wait=true&stream=true"}


def test_events_that_a_stream_brings_twice_are_told_once(client: Client, etcd: Server) -> None:
    """etcd streams a deletion of the very key twice, of whatever kind (seen on 2.3.8, 3.4.23, 3.5.1)."""
    streams = note_streams(client)
    writes: list[Write] = []
    for n in range(300):
        writes += [put("/k", f"{n}"), delete("/k"), put("/k", f"{n}"), delete("/k", prevValue=f"{n}")]
    with client.keys.watch("/k") as watcher:
        writing = Writing(etcd.port, writes, **BUSY)
        seen: list[tuple[int, str, str | None]] = []
        while len(seen) < len(writes):
            event: Any = watcher.next(timeout=SOON)
            assert event is not None
            seen.append((event.index, event.action, event.value))
        assert seen == [(done.index, done.action, done.value) for done in writing.done]
        assert watcher.next(timeout=0.3) is None
    assert streams


@pytest.mark.load
def test_small_buffer_and_a_slow_consumer_lose_nothing_within_the_history(client: Client, etcd: Server) -> None:
    """Large values, so that the server's own buffer of 100 events overflows: it then drops the stream in silence."""
    value = "v" * 30_000
    with client.keys.watch("/b", recursive=True, buffer=5) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n}", f"{n} {value}") for n in range(900)])
        seen: list[int] = []
        while len(seen) < 900:
            event: Any = watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)}"
            seen.append(event.index)
            if len(seen) in (40, 200):
                sleep(0.7)
        assert seen == [done.index for done in writing.done]


@pytest.mark.load
def test_consumer_that_blocks_everything_for_a_moment_loses_nothing(client: Client, etcd: Server) -> None:
    with client.keys.watch("/b", recursive=True, buffer=10_000) as watcher:
        writing = Writing(etcd.port, [put(f"/b/{n % 50}", f"{n}") for n in range(5000)], **BUSY)
        seen: list[int] = []
        while len(seen) < 5000:
            event: Any = watcher.next(timeout=SOON)
            assert event is not None, f"only {len(seen)}"
            seen.append(event.index)
            if len(seen) == 1500:
                block_everything()
        assert seen == [done.index for done in writing.done]


@pytest.mark.load
def test_member_that_was_left_long_ago_takes_over_and_no_loss_is_named(connect: Connect, etcd_cluster: Cluster) -> None:
    """Its raft index has gone on by more than a snapshot brings; the client has seen that it went step by step."""
    client = connect(etcd_cluster.endpoints, timeout=TIMES)
    with client.keys.watch("/k") as watcher:
        for number in range(4):  # of three members, so one is met again
            at = at_member(watcher)
            beside = next(one for one in etcd_cluster.members if one.url != at)
            foreign_writes(beside, 6000, connections=2, followed_by=[watcher])
            at = at_member(watcher)
            gone = next(one for one in etcd_cluster.members if one.url == at)
            beside = next(one for one in etcd_cluster.members if one is not gone)
            gone.pause()
            connect(beside.url, timeout=PATIENT, repeat_writes=True).keys.set("/k", f"{number}")
            event: Any = None
            while event is None or event.value != f"{number}":  # one may come twice: it is written twice
                event = watcher.next(timeout=SOON)
                assert event is not None
            gone.resume()
            etcd_cluster.wait_ready()


def at_member(watcher: Any) -> str:
    """The endpoint where its poll waits."""
    polls = watcher._feed._polls
    until(lambda: polls._first is not None)
    return str(polls._first.poll.endpoint.url)
