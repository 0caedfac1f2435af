"""A short chaos run, and for each of its checks a client that breaks the promise and is caught."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import threading
import time
from collections import Counter as Multiset
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import etcdv2
from etcdv2._core.endpoints import parse_endpoint
from etcdv2.testing import StartFailed
from etcdv2.testing._process import free_port
from tests.chaos import broken
from tests.chaos.__main__ import main
from tests.chaos.book import Book
from tests.chaos.linearizable import NEVER, check
from tests.chaos.links import Arena
from tests.chaos.run import Report, Run
from tests.chaos.schedule import FAULTS, Window, plan
from tests.chaos.workers import TIMES, Ask, Worker, drive
from tests.chaos.workloads import Counter, Entries, Register, Session

pytestmark = pytest.mark.load

AT_LEAST = 4
"""Faults: a run is counted in them, however long they take. Many are with a second one."""
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


# --- the real client -------------------------------------------------------------------------------------------------


def test_promises_hold_under_a_schedule_of_faults(arena: Arena) -> None:
    """`CHAOS_SEED` repeats a schedule; the report, with its seed, is the message of the failure."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
    steps: list[str] = []
    report = Run(arena, seed, steps.append).carry_out(faults=AT_LEAST)
    text = "\n".join([str(report), *steps])
    assert report.sound, text
    assert report.faults.total() >= AT_LEAST, text
    assert all(page.confirmed >= len(steps) for page in report.book.pages.values()), text


def test_run_that_finds_something_keeps_its_history(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(arena, 1, lambda _: None)

    def one_finding(until: float, faults: int) -> None:
        run._book.complain("counter", "lost", "on purpose")
        run._thread(lambda: print(1 / 0))

    monkeypatch.setattr(run._schedule, "run", one_finding)  # and one worker that breaks
    report = run.carry_out()
    assert not report.sound
    assert report.book.found == {"lost": 1, "strange": 1}
    assert "lost 1" in str(report)
    assert "division by zero" in str(report)
    assert report.kept is not None
    assert {path.name for path in report.kept.iterdir()} == {"calls.jsonl", "report.txt", "m1.log", "m2.log", "m3.log"}
    calls = [json.loads(line) for line in (report.kept / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == sum(page.calls for page in report.book.pages.values())
    shutil.rmtree(report.kept)


def test_run_that_breaks_off_keeps_its_history_and_ends_its_workers(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    run = Run(arena, 1, lines.append)

    def break_off(until: float, faults: int) -> None:
        raise StartFailed("on purpose")

    monkeypatch.setattr(run._schedule, "run", break_off)
    with pytest.raises(StartFailed, match="on purpose"):
        run.carry_out()
    assert not any(thread.is_alive() for thread in run._threads)
    assert run._book.sound, run._book.texts
    kept = run._journal.directory
    assert lines == [f"the run broke off; the calls, the steps and the members' logs are in {kept}"]
    assert "on purpose" in (kept / "report.txt").read_text()
    shutil.rmtree(kept)


@pytest.mark.parametrize(("found", "status"), [(None, 0), ("late", 1), (StartFailed("no leader"), 1)])
def test_status_of_the_command_shows_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Any, status: int
) -> None:
    class FakeRun:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.seed = arguments[1]

        def carry_out(self, seconds: float) -> Report:
            if isinstance(found, Exception):
                raise found
            book = Book()
            if found is not None:
                book.complain("counter", found, "on purpose")
            return Report(self.seed, "3.5.1", seconds, Multiset(), 0, 0, book)

    monkeypatch.setattr("tests.chaos.__main__.Run", FakeRun)
    monkeypatch.setattr("tests.chaos.__main__.Arena", MagicMock())
    monkeypatch.setattr("sys.argv", ["tests.chaos", "--minutes", "0.1", "--seed", "77"])
    assert main() == status
    printed = capsys.readouterr().out
    assert "seed 77" in printed
    assert ("no leader" if isinstance(found, Exception) else f"late {status}") in printed


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
    assert book.found == expected, book.texts


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
    found = book.found
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
    assert book.found == {"unfounded": 2}


@pytest.mark.parametrize(("variant", "expected"), [(as_it_is, {}), (broken.CallsRefusedUnknown, {"unfounded": 2})])
def test_write_that_nobody_can_have_got_is_not_unknown(variant: Keys, expected: dict[str, int]) -> None:
    counter = Counter(book := Book(), pace=0)
    since = time.monotonic()
    with etcdv2.Client([f"http://127.0.0.1:{free_port()}" for _ in range(2)], timeout=TIMES) as client:
        drive(counter.worker("one", range(2)), variant(client.keys, None), book, counter.name)
    book.judge_doubts([Window(since, time.monotonic(), "nobody listens", deaf=True)])
    assert len(book.doubts) == 2
    assert book.found == expected, book.texts


@pytest.mark.parametrize(("variant", "expected"), [(as_it_is, set[str]()), (broken.ModifiesWithoutComparing, {"lost"})])
def test_increments_at_the_same_time(sound: etcdv2.Client, variant: Keys, expected: set[str]) -> None:
    counter = Counter(book := Book(), pace=0)

    def count(name: str) -> None:
        drive(counter.worker(name, range(10)), variant(sound.keys, None), book, counter.name)

    threads = [threading.Thread(target=count, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counter.check(sound.keys)
    assert set(book.found) == expected, book.texts


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

    book = Book(margin=8)
    for link in arena.links:
        link.stall()
    drive(one_read(), variant(linked.keys, sound.keys), book, "read")
    assert book.found == expected, book.texts


def test_sync_ends_within_its_deadline_while_the_found_addresses_stall(arena: Arena, sound: etcdv2.Client) -> None:
    """`sound` knows the members' own addresses, and asks each of the three that they advertise."""

    def one_sync() -> Worker:
        yield Ask("sync", lambda client: client.sync(timeout=0.5), writes=False, within=0.5)

    book = Book(margin=8)
    for link in arena.links:
        link.stall()
    drive(one_sync(), sound, book, "sync")
    assert book.found == {}, book.texts


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
        one._dispatcher.pool.prefer(parse_endpoint(leader.url))
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
    register = Register(book := Book(), 0)
    rounds = (paused_leader_round(arena, register, book, f"/chaos/twice-{n}", repeat=True) for n in range(10))
    assert not all(rounds)
    register.check(None)
    assert book.found == {"stale": 1}, book.texts


def test_set_that_is_not_repeated_stays_linearizable_under_a_paused_leader(arena: Arena) -> None:
    register = Register(book := Book(), 0)
    assert all(paused_leader_round(arena, register, book, f"/chaos/once-{n}", repeat=False) for n in range(2))
    assert book.pages["register"].unknown >= 2
    assert book.found == {}, book.texts


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
        sound._dispatcher.pool.prefer(parse_endpoint(arena.cluster.members[arena.members.index(behind) - 1].url))
        drive(register.write("one", "/chaos/a", "new"), sound.keys, book, register.name)
        drive(register.read("two", "/chaos/a"), variant(client.keys, None), book, register.name)
    register.check(None)
    assert book.found == expected, book.texts


@pytest.mark.parametrize(
    ("variant", "expected"),
    [(as_it_is, set[str]()), (broken.ReadsLocally, {"stale"}), (broken.RemembersValues, {"stale"})],
)
def test_session_read_at_a_member_that_is_cut_off(
    arena: Arena, sound: etcdv2.Client, variant: Keys, expected: set[str]
) -> None:
    session = Session(book := Book(), pace=0)
    behind = arena.cluster.followers()[0]
    others = [member.url for member in arena.members if member is not behind]
    with etcdv2.Client([behind.url, *others], timeout=TIMES) as client:
        drive(session.worker("one", range(2)), client.keys, book, session.name)
        client.keys.get("/chaos", quorum=True)
        arena.cut_off(behind)
        keys = AsksBehindForReads(client, behind.url, others[0])
        drive(session.worker("one", range(4)), variant(keys, None), book, session.name)
    assert set(book.found) == expected, book.texts


class AsksBehindForReads(broken.StandIn):
    """Not broken: reads go to the one that is behind first, writes to another."""

    def __init__(self, client: etcdv2.Client, behind: str, other: str) -> None:
        super().__init__(client.keys)
        self._pool = client._dispatcher.pool
        self._behind, self._other = parse_endpoint(behind), parse_endpoint(other)

    def get(self, key: str, **options: Any) -> Any:
        self._pool.prefer(self._behind)
        return self._keys.get(key, **options)

    def set(self, key: str, value: str) -> Any:
        self._pool.prefer(self._other)
        return self._keys.set(key, value)
