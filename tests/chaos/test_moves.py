"""Members that come back at other addresses, one after another, until none is where the client looked at first."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import etcdv2
from etcdv2.testing import Cluster
from tests.chaos import broken
from tests.chaos.book import Book
from tests.chaos.schedule import GRACE, Window
from tests.chaos.watched import Watched
from tests.chaos.workers import TIMES, drive
from tests.chaos.workloads import Addresses, Counter
from tests.tools.waiting import SOON

pytestmark = pytest.mark.load


@contextlib.contextmanager
def cluster_of_its_own(binary: Path | None = None) -> Iterator[Cluster]:
    with Cluster(3, binary, fsync=False, heartbeat_interval=50, election_timeout=500) as made:
        yield made


def until(ended: threading.Event) -> Iterator[None]:
    while not ended.is_set():
        yield


def as_it_is(client: etcdv2.Client) -> Any:
    return client


def moved_one_by_one(
    cluster: Cluster, variant: Callable[[etcdv2.Client], Any], transport: str
) -> tuple[Book, tuple[str, ...]]:
    """Two writers and a follower of one client, which syncs after each move."""
    book, ended = Book(), threading.Event()
    watched, counter, addresses = Watched(book, pace=0.02), Counter(book, pace=0.02), Addresses(book, pace=0)
    windows: list[Window] = []
    threads: list[threading.Thread] = []

    def begin(worker: Any, workload: str, keys: Any) -> None:
        threads.append(threading.Thread(target=drive, args=(worker, keys, book, workload), daemon=True))
        threads[-1].start()

    with etcdv2.Client(cluster.endpoints, timeout=TIMES, transport="httpx" if transport == "httpx" else None) as client:
        one, configured = variant(client), client.endpoints
        after = client.keys.set("/chaos/begun", "1").index
        begin(watched.follower("follower", after), watched.name, one.keys)
        begin(watched.worker("writer", until(ended)), watched.name, one.keys)
        begin(counter.worker("counting", until(ended)), counter.name, one.keys)
        for member in cluster.members:
            since = time.monotonic()
            cluster.move(member)
            drive(addresses.worker("syncing", configured, range(1)), one, book, addresses.name)
            windows.append(Window(since, time.monotonic() + GRACE, f"{member.name} moves"))
            wait_a_turn(book, counter.name)
        ended.set()
        for writer in threads[1:]:
            writer.join(SOON)
        with etcdv2.Client(cluster.endpoints) as sound:
            watched.finish(sound.keys)
            if variant is not as_it_is:
                watched.give_up = time.monotonic() + 2
            threads[0].join(3 * SOON)
            for work in (watched, counter):
                work.check(sound.keys)
        book.judge_doubts(windows)
        return book, client.endpoints


def wait_a_turn(book: Book, workload: str) -> None:
    """Until some more calls have ended, well or not, that the move no longer excuses."""
    time.sleep(GRACE)
    page, by = book.page(workload), time.monotonic() + SOON
    target = page.calls + 3
    while page.calls < target and time.monotonic() < by:
        time.sleep(0.02)


def test_client_that_syncs_follows_all_members_to_new_addresses(etcd_binary: Path, transport: str) -> None:
    with cluster_of_its_own(etcd_binary) as cluster:
        configured = set(cluster.endpoints)
        book, endpoints = moved_one_by_one(cluster, as_it_is, transport)
        assert book.found == {}, book.texts
        assert configured.isdisjoint(cluster.endpoints)
        assert set(endpoints) == configured | set(cluster.endpoints)


@pytest.mark.parametrize(
    ("variant", "expected"), [(broken.NeverLooksAgain, {"lost", "unfounded"}), (broken.ForgetsConfigured, {"lost"})]
)
def test_client_that_does_not_follow_is_caught(
    variant: Callable[[etcdv2.Client], Any], expected: Iterable[str]
) -> None:
    """With one etcd version: it is the check that is tested."""
    with cluster_of_its_own() as cluster:
        book, _ = moved_one_by_one(cluster, variant, "fast")
        assert set(book.found) == expected, book.texts
