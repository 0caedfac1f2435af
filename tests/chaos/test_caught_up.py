"""A follower that is cut off from its peers, and is caught up by a snapshot when it is back, while clients reach it.

Its open polls hear of nothing that the snapshot brings (spec/protocol.md section 11). A watch and a mirror of it tell
all events in order, or name the loss, whether they know that member alone or all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import etcdv2
from etcdv2._core.endpoints import parse_endpoint
from etcdv2.testing import Server
from tests.chaos.ground import Ground
from tests.chaos.links import Arena
from tests.chaos.namespaces import Namespaces, choose
from tests.chaos.workers import TIMES
from tests.tools.waiting import PATIENT, SOON, until
from tests.tools.writers import foreign_writes

pytestmark = pytest.mark.load

MISSED = 7000
"""Entries; a leader of this ground keeps 5,000 behind its last snapshot."""


@pytest.fixture
def ground(etcd_binary: Path) -> Iterator[Ground]:
    with (Arena if choose("auto") == "proxies" else Namespaces)(etcd_binary) as ground:
        yield ground


def catch_up_by_a_snapshot(ground: Ground, follower: Server, sound: etcdv2.Client) -> None:
    """`/app/k` changes amid what it misses, `/app/gone` goes."""

    def snapshots() -> int:
        text = follower.log_file.read_text(errors="replace")
        return text.count("restored snapshot [index") + text.count("applied snapshot")

    before, leader = snapshots(), ground.cluster.leader()
    ground.cut_off(follower)
    foreign_writes(leader, MISSED // 2)
    sound.keys.set("/app/k", "missed")
    sound.keys.delete("/app/gone")
    foreign_writes(leader, MISSED // 2)
    ground.mend()
    until(lambda: snapshots() > before, lambda: "no snapshot", 2 * SOON)


@pytest.mark.parametrize("knows", ["that one alone", "all three"])
def test_what_a_snapshot_brings_is_delivered_or_its_loss_is_named(ground: Ground, transport: str, knows: str) -> None:
    follower = ground.cluster.followers()[0]
    others = [member.url for member in ground.members if member is not follower]
    urls = [follower.url, *(others if knows == "all three" else [])]
    with (
        etcdv2.Client(others, timeout=PATIENT, repeat_writes=True) as sound,
        etcdv2.Client(urls, timeout=TIMES, transport="httpx" if transport == "httpx" else None) as client,
    ):
        sound.keys.set("/app/gone", "x")
        client._dispatcher.pool.prefer(parse_endpoint(follower.url))
        with client.keys.watch("/app", recursive=True) as watcher, client.keys.mirror("/app") as mirror:
            first = sound.keys.set("/app/k", "first").index
            while (event := watcher.next(timeout=SOON)) is not None and event.index < first:
                pass
            catch_up_by_a_snapshot(ground, follower, sound)
            last = sound.keys.set("/app/k", "next").index

            found = list[str | None]()
            try:
                while found[-1:] != ["next"]:
                    event = watcher.next(timeout=2 * SOON)
                    assert event is not None, f"silent before index {last}, found {found}"
                    found.append(event.value if event.action == "set" else event.action)
            except etcdv2.HistoryCleared:
                found.append("HistoryCleared")
            assert mirror.wait_for(lambda state: state.index >= last, timeout=2 * SOON)
            shown = {key: node.value for key, node in mirror.state.items()}
    print(f"{ground.version}, knows {knows}, {transport}: {found}")
    assert shown == {"/app/k": "next"}
    whole = ["missed", "delete", "next"]
    assert found == whole or found == [*whole[: len(found) - 1], "HistoryCleared"]
