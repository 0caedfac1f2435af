"""For each check of watchers and mirrors one that is broken and is caught; a single server, whose writers are quick."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

import etcdv2
from etcdv2.testing import Server
from tests.chaos import broken
from tests.chaos.book import Book
from tests.chaos.mirrored import Mirrored, OpenMirror, standard_mirror
from tests.chaos.watched import OpenWatch, Watched, standard_watch
from tests.chaos.workers import drive
from tests.tools.waiting import SOON, until

pytestmark = pytest.mark.load

LOOKS = 12
"""At a mirror, while somebody writes."""


@pytest.fixture
def sound(etcd: Server) -> Iterator[etcdv2.Client]:
    """A client that no fault hits."""
    with etcdv2.Client(etcd.url) as client:
        yield client


def followed(sound: etcdv2.Client, open_watch: OpenWatch) -> tuple[dict[str, int], Watched]:
    """A follower beside a quick writer."""
    watched = Watched(book := Book(), pace=0.002)
    after = sound.keys.set("/chaos/begun", "1").index
    writer = threading.Thread(
        target=lambda: drive(watched.worker("one", range(60)), sound.keys, book, watched.name), daemon=True
    )
    follower = threading.Thread(
        target=lambda: drive(watched.follower("two", after, open_watch), sound.keys, book, watched.name), daemon=True
    )
    follower.start()
    writer.start()
    writer.join(SOON)
    assert not writer.is_alive()
    time.sleep(0.1)
    watched.finish(sound.keys)
    watched.give_up = time.monotonic() + SOON / 2
    follower.join(SOON)
    watched.check(sound.keys)
    return book.found, watched


def test_follower_gets_everything_once_and_in_order(sound: etcdv2.Client) -> None:
    found, watched = followed(sound, standard_watch)
    assert found == {}
    assert len(watched.followed[0].delivered) == 61


def test_watcher_that_resumes_from_now_is_caught(sound: etcdv2.Client) -> None:
    found, _ = followed(sound, broken.WatchFromNow)
    assert found.pop("lost") > 0
    assert found == {}


def test_watcher_that_resumes_too_early_is_caught(sound: etcdv2.Client) -> None:
    found, _ = followed(sound, broken.WatchTwice)
    assert found.pop("doubled") >= 60
    assert found == {}


def test_watcher_that_changes_the_order_is_caught(sound: etcdv2.Client) -> None:
    found, _ = followed(sound, broken.WatchOutOfOrder)
    assert found.pop("strange") > 10
    assert found == {}


@pytest.mark.parametrize(
    ("open_watch", "expected", "holes"), [(standard_watch, {}, 1), (broken.WatchSilently, {"lost": 3}, 0)]
)
def test_events_that_the_server_has_forgotten(
    sound: etcdv2.Client, open_watch: OpenWatch, expected: dict[str, int], holes: int
) -> None:
    watched = Watched(book := Book(), pace=0)
    after = sound.keys.set("/chaos/begun", "1").index
    drive(watched.worker("one", range(3)), sound.keys, book, watched.name)

    def noise(name: str) -> None:
        for _ in range(260):
            sound.keys.set(f"/chaos/noise-{name}", "1", no_value_on_success=True)

    threads = [threading.Thread(target=noise, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page = book.page(watched.name)
    known = page.calls

    def end_later() -> None:
        until(lambda: page.calls > known + 1, lambda: book.texts)  # its watch has begun, in whatever way
        watched.finish(sound.keys)

    end = threading.Thread(target=end_later)
    end.start()
    drive(watched.follower("two", after, open_watch), sound.keys, book, watched.name)
    end.join()
    watched.check(sound.keys)
    assert book.found == expected, book.texts
    assert len(watched.followed[0].holes) == holes


@pytest.mark.parametrize(
    ("open_mirror", "expected"),
    [
        (standard_mirror, set[str]()),
        (broken.MirrorStandsStill, {"lost"}),
        (broken.MirrorMissesAChange, {"lost"}),
        (broken.MirrorGoesBack, {"stale"}),
        (broken.MirrorInvents, {"strange", "lost"}),
        (broken.MirrorNeverSynced, {"strange"}),
    ],
)
def test_mirror_shows_what_was_written(sound: etcdv2.Client, open_mirror: OpenMirror, expected: set[str]) -> None:
    watched = Watched(book := Book(), pace=0.01)
    mirrored = Mirrored(book, watched)
    drive(watched.worker("one", range(3)), sound.keys, book, watched.name)
    follower = threading.Thread(
        target=lambda: drive(mirrored.follower("two", open_mirror), sound.keys, book, mirrored.name), daemon=True
    )
    follower.start()
    page = book.page(mirrored.name)

    def turns() -> Iterator[None]:
        while page.calls < LOOKS:
            yield

    drive(watched.worker("one", turns()), sound.keys, book, watched.name)
    watched.finish(sound.keys)
    watched.give_up = time.monotonic() + (SOON if open_mirror is standard_mirror else 1)
    follower.join(2 * SOON)
    mirrored.check(sound.keys)
    assert set(book.found) == expected, book.texts
