"""Connections that die alone and in silence, while 1,500 foreign events pass at once: told, or the loss is named.

As in a NAT, a bond or a balancer that has lost them. New connections, the balancer's health checks and whatever else
looks at the member get through; `timeout server` of the balancer is an hour.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import etcdv2
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.chaos.workers import TIMES
from tests.tools import boxes
from tests.tools.waiting import PATIENT, SOON
from tests.tools.writers import foreign_writes

pytestmark = pytest.mark.load

FOREIGN = 1500
ROUNDS = 4


@pytest.fixture
def link(etcd: Server) -> Iterator[Link]:
    with Link(etcd.port) as link:
        yield link


@pytest.mark.boxes
@pytest.mark.parametrize("mode", ["tcp", "http"])
def test_flows_behind_a_balancer_that_die_alone(etcd: Server, link: Link, transport: str, mode: str) -> None:
    with boxes.haproxy([link], mode) as box:
        flows_that_die(etcd, link, box.url, transport)


def test_flows_that_die_alone(etcd: Server, link: Link, transport: str) -> None:
    flows_that_die(etcd, link, link.endpoint.url, transport)


def shows(index: int, state: etcdv2.MirrorState) -> bool:
    return state["/app/k"].modified_index == index


def flows_that_die(etcd: Server, link: Link, url: str, transport: str) -> None:
    """Again and again, about half of those that are open."""
    rng = random.Random(1)
    chosen: Any = "httpx" if transport == "httpx" else None
    holes = 0
    with (
        etcdv2.Client(url, timeout=TIMES, transport=chosen) as client,
        etcdv2.Client(etcd.url, timeout=PATIENT) as sound,
    ):
        sound.keys.set("/app/k", "0")
        watcher = client.keys.watch("/app", recursive=True)
        with client.keys.mirror("/app") as mirror:
            assert watcher.next(timeout=0.5) is None  # its poll waits
            for number in range(1, ROUNDS + 1):
                link.lose_flows(rng)
                sound.keys.set("/app/k", f"{number}")
                foreign_writes(etcd, FOREIGN)
                last = sound.keys.set("/app/k", f"{number}, and more").index

                # What is not delivered is named; then the watch goes on from now.
                found = list[str | None]()
                try:
                    while found[-1:] != [f"{number}, and more"]:
                        event = watcher.next(timeout=2 * SOON)
                        assert event is not None, f"silent before index {last}, found {found}"
                        found.append(event.value)
                    assert found == [f"{number}", f"{number}, and more"]
                except etcdv2.HistoryCleared:
                    holes += 1
                    watcher.close()
                    watcher = client.keys.watch("/app", recursive=True, after_index=last)
                    assert watcher.next(timeout=0.5) is None

                assert mirror.wait_for(partial(shows, last), timeout=2 * SOON)
                link.end_lost_flows()
        watcher.close()
    print(f"over {transport}: {ROUNDS} rounds, named losses: {holes}")
