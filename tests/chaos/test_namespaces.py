"""A member whose packets are dropped silently: what its clients do, and a short run of faults on that ground.

Where this process cannot make network namespaces (they take Linux and root), the same tests run on the TCP proxies.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import etcdv2
from etcdv2._core.endpoints import parse_endpoint
from tests.chaos import broken
from tests.chaos.book import Book
from tests.chaos.ground import Ground
from tests.chaos.links import Arena
from tests.chaos.namespaces import Namespaces, choose
from tests.chaos.network import NUMBERS, PREFIX, NotAllowed, ip, why_not
from tests.chaos.run import Run
from tests.chaos.schedule import FAULTS
from tests.chaos.watched import OpenWatch, Watched, standard_watch
from tests.chaos.workers import Ask, Worker, drive
from tests.chaos.workloads import Entries
from tests.tools.waiting import SOON

pytestmark = pytest.mark.load

AT_LEAST = 3
"""Faults of a run."""
MARGIN = 5.0
"""Seconds that a busy machine may take; whoever goes wrong takes much longer."""
TIMES = etcdv2.Timeout(connect=0.5, attempt=1.0, commit=1.5, total=12.0)
KEY = "/chaos/before"
Client = Callable[..., etcdv2.Client]


def best_ground() -> type[Arena | Namespaces]:
    return Arena if choose("auto") == "proxies" else Namespaces


@pytest.fixture(scope="module")
def whole(etcd_binary: Path) -> Iterator[Ground]:
    with best_ground()(etcd_binary) as ground:
        yield ground


@pytest.fixture
def ground(whole: Ground) -> Iterator[Ground]:
    with etcdv2.Client(whole.direct) as client:
        client.keys.set(KEY, "1")
        for url in whole.direct:
            with etcdv2.Client(url) as one:
                one.keys.get(KEY, quorum=True)  # this member has it
        yield whole
        whole.heal()
        if client.keys.exists("/chaos", quorum=True):
            client.keys.delete("/chaos", recursive=True)


@pytest.fixture
def sound(ground: Ground) -> Iterator[etcdv2.Client]:
    """A client that no fault hits."""
    with etcdv2.Client(ground.direct) as client:
        yield client


@pytest.fixture
def client(ground: Ground, transport: str) -> Iterator[Client]:
    """Makes clients on the ways that faults hit, which prefer the member that falls silent: the first."""
    with contextlib.ExitStack() as stack:

        def make(timeout: etcdv2.Timeout = TIMES, **options: Any) -> etcdv2.Client:
            chosen: Any = "httpx" if transport == "httpx" else None
            made = stack.enter_context(etcdv2.Client(ground.endpoints, timeout=timeout, transport=chosen, **options))
            made._dispatcher.pool.prefer(parse_endpoint(ground.endpoints[0]))
            return made

        yield make


def read(within: float) -> Worker:
    yield Ask("get", lambda keys: keys.get(KEY), writes=False, within=within)


def as_it_is(keys: Any) -> Any:
    return keys


@pytest.mark.parametrize(("attempt", "expected"), [(1.0, {}), (12.0, {"late": 1})])
def test_read_on_a_pooled_connection_goes_on_at_another_member_after_attempt(
    ground: Ground, client: Client, attempt: float, expected: dict[str, int]
) -> None:
    reader = client(etcdv2.Timeout(connect=0.5, attempt=attempt, total=30.0))
    reader.keys.get(KEY)
    ground.ways[0].stall()
    book = Book(MARGIN)
    drive(read(1.0), reader.keys, book, "read")
    assert book.page("read").confirmed == 1
    assert book.page("read").latest > -0.2, "the silent member was not asked"
    assert book.found == expected, book.texts


@pytest.mark.parametrize(("connect", "expected"), [(0.5, {}), (12.0, {"late": 1})])
def test_read_without_a_connection_goes_on_at_another_member_after_connect(
    ground: Ground, client: Client, connect: float, expected: dict[str, int]
) -> None:
    """A proxy accepts for the member, so that it is `attempt` that counts there."""
    reader = client(etcdv2.Timeout(connect=connect, attempt=15.0 if ground.drops else connect, total=30.0))
    ground.ways[0].stall()
    book = Book(MARGIN)
    drive(read(0.5), reader.keys, book, "read")
    assert book.page("read").confirmed == 1
    assert book.page("read").latest > -0.2, "the silent member was not asked"
    assert book.found == expected, book.texts


def test_write_that_was_sent_to_a_silent_member_is_unknown_after_commit(ground: Ground, client: Client) -> None:
    asked: list[etcdv2.AttemptInfo] = []
    writer = client(after_attempt=asked.append)
    writer.keys.get(KEY)
    ground.ways[0].stall()
    began = time.monotonic()
    with pytest.raises(etcdv2.OutcomeUnknown):
        writer.keys.set("/chaos/sent", "1")
    assert 1.3 < time.monotonic() - began < 1.5 + MARGIN
    asked.clear()
    writer.keys.set("/chaos/next", "1")
    assert ground.endpoints[0] not in {one.endpoint for one in asked}, "the silent member was asked again"


def test_write_without_a_connection_is_done_at_another_member_after_connect(
    ground: Ground, client: Client, sound: etcdv2.Client
) -> None:
    """Nothing was sent, so it is no doubt. A proxy accepts for the member: there the write counts as sent."""
    writer = client()
    ground.ways[0].stall()
    began = time.monotonic()
    with contextlib.nullcontext() if ground.drops else pytest.raises(etcdv2.OutcomeUnknown):
        writer.keys.set("/chaos/connected", "1")
    assert time.monotonic() - began < (0.5 if ground.drops else 1.5) + MARGIN
    if ground.drops:
        assert sound.keys.get("/chaos/connected", quorum=True).value == "1"


def test_write_that_was_dropped_is_taken_back_from_the_kernel_when_it_is_given_up(
    ground: Ground, client: Client, sound: etcdv2.Client
) -> None:
    """A kernel goes on sending what a closed connection still holds: it would come when the way is whole again."""
    writer, key = client(), f"/chaos/{uuid4().hex}"
    writer.keys.get(KEY)
    ground.ways[0].stall()
    with pytest.raises(etcdv2.OutcomeUnknown):
        writer.keys.set(key, "late")
    if not ground.drops:
        return  # the proxy has it, and keeps it or not
    assert held_by_kernel(ground.endpoints[0]) == 0
    ground.ways[0].go()
    writer.keys.get(KEY)
    assert not sound.keys.exists(key, quorum=True)


def held_by_kernel(url: str) -> int:
    """Bytes of this network namespace that are to go to that address and are not acknowledged."""
    endpoint = parse_endpoint(url)
    packed = socket.inet_aton(endpoint.host)[::-1].hex().upper()
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[0], 16) for row in rows if row[2] == f"{packed}:{endpoint.port:04X}")


@pytest.mark.parametrize(("variant", "expected"), [(as_it_is, {}), (broken.TakesLostForDone, {"lost": 1})])
def test_entry_whose_request_is_dropped(
    ground: Ground, client: Client, sound: etcdv2.Client, variant: Callable[[Any], Any], expected: dict[str, int]
) -> None:
    entries = Entries(book := Book(), f"/chaos/{uuid4().hex}", pace=0)
    writer = client()
    writer.keys.get(KEY)
    ground.ways[0].stall()
    drive(entries.worker("one", range(1)), variant(writer.keys), book, entries.name)
    entries.check(sound.keys)
    assert book.found == expected, book.texts


@pytest.mark.parametrize(
    ("variant", "expected"),
    [(as_it_is, {}), (broken.RepeatsLostWrites, {"doubled": 1}), (broken.TakesLostForRefused, {"doubled": 1})],
)
def test_entry_whose_answer_is_dropped(
    ground: Ground, client: Client, sound: etcdv2.Client, variant: Callable[..., Any], expected: dict[str, int]
) -> None:
    """The member's frames are lost, acknowledgements too; the client's arrive."""
    entries = Entries(book := Book(), f"/chaos/{uuid4().hex}", pace=0)
    writer = client()
    writer.keys.get(KEY)
    ground.ways[0].lose_answers = True
    keys = writer.keys if variant is as_it_is else variant(writer.keys, sound.keys)
    drive(entries.worker("one", range(1)), keys, book, entries.name)
    entries.check(sound.keys)
    assert book.pages["entries"].unknown == (0 if variant is not as_it_is else 1)
    assert book.found == expected, book.texts


def stays(ground: Ground, stack: contextlib.ExitStack) -> OpenWatch:
    """A watch that knows one member only."""
    alone = stack.enter_context(etcdv2.Client(ground.endpoints[0], timeout=TIMES))
    return lambda _, directory, after: standard_watch(alone.keys, directory, after)


@pytest.mark.parametrize(("moves_on", "expected"), [(True, set[str]()), (False, {"lost"})])
def test_watch_at_a_silent_member_goes_on_complete_at_another(
    ground: Ground, client: Client, sound: etcdv2.Client, moves_on: bool, expected: set[str]
) -> None:
    watched = Watched(book := Book(margin=30), pace=0.05)
    after = sound.keys.set("/chaos/begun", "1").index
    over = threading.Event()

    def until_over() -> Iterator[None]:
        while not over.is_set():
            yield

    with contextlib.ExitStack() as stack:
        open_watch = standard_watch if moves_on else stays(ground, stack)
        follower = watched.follower("follower", after, open_watch)
        threads = [
            threading.Thread(target=drive, args=(worker, keys, book, watched.name), daemon=True)
            for worker, keys in [
                (watched.worker("writer", until_over()), sound.keys),
                (follower, client().keys),
            ]
        ]
        for thread in threads:
            thread.start()
        await_more(watched)
        ground.ways[0].stall()
        by = time.monotonic() + (3 * SOON if moves_on else 3)
        if moves_on:
            await_more(watched)
        time.sleep(0.5)
        over.set()
        threads[0].join(SOON)
        watched.finish(sound.keys)
        watched.give_up = by
        threads[1].join(4 * SOON)
        assert not any(thread.is_alive() for thread in threads)
        watched.check(sound.keys)
    found = set(book.found)
    assert (found if moves_on else found - {"strange"}) == expected, book.texts


def await_more(watched: Watched) -> None:
    """Until the follower has got what is written now."""
    (followed,), target = watched.followed, len(watched.confirmed) + 5
    by = time.monotonic() + SOON
    while len(followed.delivered) < target:
        assert time.monotonic() < by, f"{len(followed.delivered)} events of {len(watched.confirmed)}"
        time.sleep(0.02)


# --- the ground itself -----------------------------------------------------------------------------------------------


def test_promises_hold_under_a_schedule_of_faults(ground: Ground) -> None:
    """`CHAOS_SEED` repeats a schedule; the report, with its seed, is the message of the failure."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
    steps: list[str] = []
    report = Run(ground, seed, steps.append).carry_out(faults=AT_LEAST)
    text = "\n".join([str(report), *steps])
    assert report.sound, text
    assert f"ground {ground.name}" in text
    assert report.faults.total() >= AT_LEAST, text
    assert all(page.confirmed >= len(steps) for page in report.book.pages.values()), text


def test_every_fault_begins_and_ends(ground: Ground, client: Client) -> None:
    """One after another without a pause; afterwards all members answer over all ways."""
    rng = random.Random(1)
    for name, fault in (FAULTS | dict(ground.own_faults)).items():
        if name.startswith(("flood", "kill", "restart", "pause")):  # of members, or long: the schedule has them
            continue
        with fault(ground, rng):
            pass
        ground.cluster.wait_ready()
    for url in ground.endpoints:
        with etcdv2.Client(url, timeout=2.0) as one:
            assert one.keys.get(KEY, quorum=True).value == "1"


def test_members_are_cut_off_from_each_other_only(ground: Ground) -> None:
    leader = ground.cluster.leader()
    ground.cut_off(leader)
    others = [url for url, member in zip(ground.endpoints, ground.members, strict=True) if member is not leader]
    patient = etcdv2.Timeout(commit=1.0, total=20.0)
    with etcdv2.Client(others, timeout=patient, repeat_writes=True) as client:  # an election comes first
        client.keys.set("/chaos/without", "the leader")
    with etcdv2.Client(ground.endpoints[ground.members.index(leader)], timeout=2.0) as client:
        assert client.keys.get(KEY).value == "1"
        with pytest.raises(etcdv2.EtcdError):
            client.keys.get(KEY, quorum=True)


LEAVES = """
import os, sys
from tests.chaos.namespaces import Namespaces
from tests.chaos.links import Arena
with {ground}() as ground:
    print(ground.endpoints[0], *(member.pid for member in ground.members), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, None])
def test_nothing_stays_when_the_process_ends(ending: signal.Signals | None) -> None:
    """With SIGKILL too: the guards have pipes from it. What a killed guard left goes at the next start."""
    networks = choose("auto") == "namespaces"
    if networks:
        ip("", f"netns add {PREFIX}{NUMBERS.start - 1}-m1")
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES.format(ground=best_ground().__name__)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    url, *pids = process.stdout.readline().split()
    number = url.split(".")[1]
    marks = (f"{PREFIX}{number}-", f"ev2-{number}-") if networks else ()
    assert all(mark in shown() for mark in marks)
    assert f"{PREFIX}{NUMBERS.start - 1}-" not in shown()
    if ending is not None:
        process.send_signal(ending)
    process.communicate(timeout=2 * SOON)
    by = time.monotonic() + SOON
    while there := [
        *(pid for pid in pids if Path(f"/proc/{pid}").exists()),
        *(mark for mark in marks if mark in shown()),
    ]:
        assert time.monotonic() < by, there
        time.sleep(0.05)


def shown() -> str:
    """The network namespaces and devices of this machine; nothing where they cannot be had."""
    if why_not():
        return ""
    lists = (["ip", "netns", "list"], ["ip", "link"])
    return "".join(subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in lists)


def test_ground_that_cannot_be_had_is_named_and_auto_takes_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda tool: None)
    why_not.cache_clear()
    try:
        assert choose("auto") == "proxies"
        with pytest.raises(NotAllowed, match="ip and tc not found"):
            choose("namespaces")
    finally:
        monkeypatch.undo()
        why_not.cache_clear()
