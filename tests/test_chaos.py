"""A short chaos run, and for each of its checks a client that breaks the promise and is caught."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import etcdv2
from etcdv2._endpoints import parse_endpoint
from tests.chaos import broken
from tests.chaos.book import KINDS, Book
from tests.chaos.linearizable import NEVER, check
from tests.chaos.links import Arena
from tests.chaos.mirrored import Mirrored, OpenMirror, standard_mirror
from tests.chaos.run import Run
from tests.chaos.schedule import FAULTS, Window, plan
from tests.chaos.watched import OpenWatch, Watched, standard_watch
from tests.chaos.workers import TIMES, Ask, Worker, drive
from tests.chaos.workloads import Counter, Entries, Register, Session

SECONDS = 22.0
QUICK = etcdv2.Timeout(connect=0.5, attempt=0.5, commit=0.5, total=8)
Keys = Callable[[Any, Any], Any]


@pytest.fixture(scope="module")
def session_arena(etcd_binary: Path) -> Iterator[Arena]:
    with Arena(etcd_binary) as arena:
        yield arena


@pytest.fixture
def arena(session_arena: Arena) -> Arena:
    session_arena.heal()
    with etcdv2.Client(session_arena.direct) as client:
        if client.keys.exists("/chaos", quorum=True):
            client.keys.delete("/chaos", recursive=True)
    return session_arena


@pytest.fixture
def sound(arena: Arena) -> Iterator[etcdv2.Client]:
    """A client that no fault of the links hits."""
    with etcdv2.Client(arena.direct) as client:
        yield client


@pytest.fixture
def linked(arena: Arena) -> Iterator[etcdv2.Client]:
    with etcdv2.Client(arena.endpoints, timeout=TIMES) as client:
        yield client


def complaints(book: Book) -> dict[str, int]:
    return {kind: book.total(kind) for kind in KINDS if book.total(kind)}


# --- the real client -------------------------------------------------------------------------------------------------


def test_promises_hold_under_a_schedule_of_faults(arena: Arena) -> None:
    """`CHAOS_SEED` repeats a schedule; the report, with its seed, is the message of the failure."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
    steps: list[str] = []
    report = Run(arena, seed, steps.append).carry_out(SECONDS)
    told = "\n".join([str(report), *steps])
    assert report.sound, told
    assert sum(report.faults.values()) >= 3, told
    confirmed, calls = (
        sum(getattr(page, what) for page in report.book.pages.values()) for what in ("confirmed", "calls")
    )
    assert confirmed > 0.5 * calls > 250, told


def test_plan_depends_on_the_seed_only_and_leaves_no_fault_out() -> None:
    one, same, other = (list(itertools.islice(plan(seed), len(FAULTS))) for seed in (1, 1, 2))
    assert one == same != other
    assert {name for step in one for name in step.faults} == set(FAULTS)


# --- lost answers ----------------------------------------------------------------------------------------------------


def as_it_is(keys: Any, sound: Any) -> Any:
    return keys


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (as_it_is, {}),
        (broken.RepeatsLostWrites, {"doubled": 4}),
        (broken.TakesLostForRefused, {"doubled": 4}),
    ],
)
@pytest.mark.parametrize("workload", [Counter, Entries])
def test_write_whose_answer_is_lost(
    arena: Arena,
    sound: etcdv2.Client,
    linked: etcdv2.Client,
    workload: Callable[..., Any],
    variant: Keys,
    expected: dict[str, int],
) -> None:
    book = Book()
    work = workload(book, pace=0)
    for link in arena.links:
        link.lose_answers = True
    drive(work.worker("one", range(4)), variant(linked.keys, sound.keys), book, work.name)
    work.check(sound.keys)
    assert complaints(book) == expected, book.texts


@pytest.mark.parametrize(("variant", "expected"), [(as_it_is, {}), (broken.TakesLostForDone, {"lost": 4})])
@pytest.mark.parametrize("workload", [Counter, Entries])
def test_write_that_is_lost_itself(
    arena: Arena,
    sound: etcdv2.Client,
    linked: etcdv2.Client,
    workload: Callable[..., Any],
    variant: Keys,
    expected: dict[str, int],
) -> None:
    book = Book()
    work = workload(book, pace=0)
    for link in arena.links:
        link.lose_requests = True
    drive(work.worker("one", range(4)), variant(linked.keys, sound.keys), book, work.name)
    work.check(sound.keys)
    found = complaints(book)
    if workload is Counter and found:
        assert found.pop("lost") >= 4
        expected = {}
    assert found == expected, book.texts


def test_unknown_outcome_without_a_fault_is_noticed(arena: Arena, sound: etcdv2.Client, linked: etcdv2.Client) -> None:
    book = Book()
    counter = Counter(book, pace=0)
    since = time.monotonic()
    for link in arena.links:
        link.lose_answers = True
    drive(counter.worker("one", range(2)), linked.keys, book, counter.name)
    window = Window(since, time.monotonic(), "answers lost")
    book.judge_doubts([window])
    assert book.sound
    book.judge_doubts([window._replace(since=window.until + 1, until=window.until + 2)])
    assert complaints(book) == {"unfounded": 2}


# --- deadlines and errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "expected"),
    [(as_it_is, {}), (broken.IgnoresTheDeadline, {"late": 1}), (broken.LeaksForeignErrors, {"strange": 1})],
)
def test_call_to_stalled_members(
    arena: Arena, linked: etcdv2.Client, sound: etcdv2.Client, variant: type[Any], expected: dict[str, int]
) -> None:
    def one_read() -> Worker:
        yield Ask("get", lambda keys: keys.get("/chaos", timeout=0.5), writes=False, within=0.5)

    book = Book(margin=0.8)
    for link in arena.links:
        link.stall()
    drive(one_read(), variant(linked.keys, sound.keys), book, "read")
    assert complaints(book) == expected, book.texts


# --- the order of reads and writes -----------------------------------------------------------------------------------


def paused_leader_round(arena: Arena, register: Register, book: Book, key: str, *, repeat: bool) -> bool:
    """One client sets A while the leader is paused, another sets B, the leader goes on: is there an order left?"""
    leader = arena.cluster.leader()
    others = [member.url for member in arena.members if member is not leader]
    with (
        etcdv2.Client([leader.url, *others], timeout=QUICK, repeat_writes=repeat) as one,
        etcdv2.Client(others, timeout=TIMES) as two,
    ):
        drive(register.write("two", key, "before"), two.keys, book, register.name)
        one._caller.pool.prefer(parse_endpoint(leader.url))
        leader.pause()
        try:
            drive(register.write("one", key, "A"), one.keys, book, register.name)
            for number in range(6):
                drive(register.write("two", key, f"B{number}"), two.keys, book, register.name)
                if register.histories[key][-1].ended != NEVER:
                    break
        finally:
            leader.resume()
        for _ in range(10):
            drive(register.read("two", key), two.keys, book, register.name)
            time.sleep(0.1)
    arena.heal()
    return check(register.histories[key]).linearizable


def test_repeated_set_overwrites_a_later_one_and_the_checker_sees_it(arena: Arena) -> None:
    register = Register(book := Book(margin=5), 0)
    rounds = (paused_leader_round(arena, register, book, f"/chaos/twice-{n}", repeat=True) for n in range(10))
    assert not all(rounds)
    register.check(None)
    assert complaints(book) == {"stale": 1}, book.texts


def test_set_that_is_not_repeated_stays_linearizable_under_a_paused_leader(arena: Arena) -> None:
    register = Register(book := Book(margin=5), 0)
    assert all(paused_leader_round(arena, register, book, f"/chaos/once-{n}", repeat=False) for n in range(2))
    assert book.pages["register"].unknown >= 2
    assert complaints(book) == {}, book.texts


@pytest.mark.parametrize(("variant", "expected"), [(as_it_is, {}), (broken.ReadsLocally, {"stale": 1})])
def test_register_read_at_a_member_that_is_cut_off(
    arena: Arena, sound: etcdv2.Client, variant: Keys, expected: dict[str, int]
) -> None:
    register = Register(book := Book(), 0)
    behind = arena.cluster.followers()[0]
    drive(register.write("one", "/chaos/a", "old"), sound.keys, book, register.name)
    with etcdv2.Client(behind.url, timeout=TIMES) as client:
        client.keys.get("/chaos/a", quorum=True)  # it has the old value
        arena.cut_off(behind)
        sound._caller.pool.prefer(parse_endpoint(arena.cluster.members[arena.members.index(behind) - 1].url))
        drive(register.write("one", "/chaos/a", "new"), sound.keys, book, register.name)
        drive(register.read("two", "/chaos/a"), variant(client.keys, None), book, register.name)
    register.check(None)
    assert complaints(book) == expected, book.texts


@pytest.mark.parametrize("broken_one", [False, True])
def test_session_read_at_a_member_that_is_cut_off(arena: Arena, sound: etcdv2.Client, broken_one: bool) -> None:
    session = Session(book := Book(), pace=0)
    behind = arena.cluster.followers()[0]
    others = [member.url for member in arena.members if member is not behind]
    with etcdv2.Client([behind.url, *others], timeout=TIMES) as client:
        drive(session.worker("one", range(2)), client.keys, book, session.name)
        client.keys.get("/chaos", quorum=True)
        arena.cut_off(behind)
        keys = AsksBehindForReads(client, behind.url, others[0])
        drive(session.worker("one", range(4)), broken.ReadsLocally(keys) if broken_one else keys, book, session.name)
    found = complaints(book)
    assert (found.pop("stale", 0) > 0) == broken_one, book.texts
    assert found == {}


class AsksBehindForReads(broken.StandIn):
    """Not broken: reads go to the one that is behind first, writes to another."""

    def __init__(self, client: etcdv2.Client, behind: str, other: str) -> None:
        super().__init__(client.keys)
        self._pool = client._caller.pool
        self._behind, self._other = parse_endpoint(behind), parse_endpoint(other)

    def get(self, key: str, **options: Any) -> Any:
        self._pool.prefer(self._behind)
        return self._keys.get(key, **options)

    def set(self, key: str, value: str) -> Any:
        self._pool.prefer(self._other)
        return self._keys.set(key, value)


# --- watchers --------------------------------------------------------------------------------------------------------


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
    writer.join(20)
    assert not writer.is_alive()
    time.sleep(0.1)
    watched.finish(sound.keys)
    watched.give_up = time.monotonic() + 2
    follower.join(20)
    watched.check(sound.keys)
    return complaints(book), watched


def test_follower_is_told_everything_once_and_in_order(sound: etcdv2.Client) -> None:
    found, watched = followed(sound, standard_watch)
    assert found == {}
    assert len(watched.followed[0].told) == 61


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
    follower = watched.follower("two", after, open_watch)
    end = threading.Timer(1.0, watched.finish, (sound.keys,))
    end.start()
    drive(follower, sound.keys, book, watched.name)
    end.join()
    watched.check(sound.keys)
    assert complaints(book) == expected, book.texts
    assert len(watched.followed[0].holes) == holes


@pytest.mark.parametrize(
    ("open_mirror", "expected"),
    [
        (standard_mirror, set[str]()),
        (broken.MirrorStandsStill, {"lost"}),
        (broken.MirrorMissesAChange, {"lost"}),
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
    time.sleep(0.1)
    drive(watched.worker("one", range(20)), sound.keys, book, watched.name)
    watched.finish(sound.keys)
    watched.give_up = time.monotonic() + 1
    follower.join(20)
    mirrored.check(sound.keys)
    assert set(complaints(book)) == expected, book.texts
