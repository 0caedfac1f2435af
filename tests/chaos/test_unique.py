"""Writes of unique values come out exact: where answers are lost, under ghosts, and in a run of all faults."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import etcdv2
from etcdv2._core.endpoints import parse_endpoint
from tests.chaos import broken
from tests.chaos.book import Book
from tests.chaos.links import Arena
from tests.chaos.run import Run
from tests.chaos.unique import Unique
from tests.chaos.workers import TIMES, drive

pytestmark = [pytest.mark.load, pytest.mark.timeout(1200)]

LONG_RUN = 90.0
"""Seconds."""


@pytest.fixture(scope="module")
def arena(etcd_binary: Path) -> Iterator[Arena]:
    with Arena(etcd_binary) as arena:
        yield arena


@pytest.fixture
def sound(arena: Arena) -> Iterator[etcdv2.Client]:
    arena.heal()
    with etcdv2.Client(arena.direct) as client:
        if client.keys.exists("/chaos", quorum=True):
            client.keys.delete("/chaos", recursive=True)
        yield client


@pytest.mark.parametrize("variant", ["as it is", "broken"])
def test_answers_that_are_lost_are_settled(arena: Arena, sound: etcdv2.Client, variant: str) -> None:
    work = Unique(book := Book(), pace=0)
    for link in arena.links:
        link.lose_answers = True
    lossy = [link.endpoint.url for link in arena.links]
    with etcdv2.Client([*lossy, *arena.direct], timeout=TIMES) as client:

        def turns() -> Iterator[None]:
            for _ in range(6):
                client._dispatcher.pool.prefer(parse_endpoint(lossy[0]))
                yield

        keys = client.keys if variant == "as it is" else broken.SettlesByRepeating(client.keys, sound.keys)
        drive(work.worker("one", turns()), keys, book, work.name)
    work.check(sound.keys)
    if variant == "broken":
        assert book.found, book.texts
    else:
        assert book.found == {}, book.texts
        assert work.unknown == 0
        assert sorted(work.values) == [1, 2, 3, 4]


def test_ghosts_of_a_paused_leader_change_nothing(arena: Arena, sound: etcdv2.Client) -> None:
    """What was sent to a leader that stands still comes back to life when it goes on: it may be applied very late."""
    work = Unique(book := Book(), pace=0)
    names = (f"round{number}" for number in itertools.count())
    for _ in range(4):
        leader = arena.cluster.leader()
        others = [member.url for member in arena.members if member is not leader]
        with (
            etcdv2.Client([leader.url, *others], timeout=TIMES) as one,
            etcdv2.Client(others, timeout=TIMES) as two,
        ):
            drive(work.worker(next(names), range(2)), two.keys, book, work.name)
            one._dispatcher.pool.prefer(parse_endpoint(leader.url))
            leader.pause()
            try:
                drive(work.worker(next(names), range(3)), one.keys, book, work.name)
                drive(work.worker(next(names), range(3)), two.keys, book, work.name)
            finally:
                leader.resume()
            arena.heal()
            time.sleep(0.5)  # for what the leader still had: nothing tells when it has passed
            drive(work.worker(next(names), range(2)), two.keys, book, work.name)
    work.check(sound.keys)
    assert book.found == {}, book.texts
    assert work.unknown == 0, work
    assert sorted(work.values) == list(range(1, len(work.values) + 1))


def test_counter_comes_out_exact_under_all_faults(arena: Arena, sound: etcdv2.Client) -> None:
    """`CHAOS_SEED` repeats a schedule; the report, with its seed, is the message of the failure."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1_000_000)))
    steps: list[str] = []
    report = Run(arena, seed, steps.append).carry_out(LONG_RUN)
    text = "\n".join([str(report), *steps])
    assert report.sound, text
    assert report.book.pages["unique"].confirmed >= 40, text
