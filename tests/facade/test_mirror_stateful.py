"""A mirror is the server's tree after any operations and faults (hypothesis), and broken mirrors are found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from etcdv2 import Client, Event, KeysAPI, Mirror, Snapshot
from etcdv2._core.mirror.tree import MirrorTree, Step
from etcdv2._core.watch.cursor import Cursor
from etcdv2._sync.dispatcher import Poll
from etcdv2.testing import Cluster, Server
from tests.conftest import FIRST_VERSION
from tests.tools.mirror_machine import LONGER_THAN_HISTORY, QUICK, SOON, Ground, MirrorMachine, Open
from tests.tools.waiting import until
from tests.tools.writers import foreign_writes

# An example takes real time, so what fails is shown as it was found.
usual = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def standard(keys: KeysAPI, key: str) -> Mirror:
    return keys.mirror(key)


@pytest.fixture
def one(etcd: Server) -> Iterator[Ground]:
    with Ground(etcd) as ground:
        yield ground


@pytest.fixture
def three(etcd_cluster: Cluster) -> Iterator[Ground]:
    with Ground(etcd_cluster) as ground:
        yield ground


def run(machine: Callable[[], MirrorMachine], *, examples: int, steps: int) -> None:
    factory: Any = machine  # hypothesis wants a class and only calls it
    run_state_machine_as_test(factory, settings=settings(usual, max_examples=examples, stateful_step_count=steps))


@pytest.mark.load
def test_mirror_is_the_servers_tree_after_any_operations_and_faults(one: Ground) -> None:
    run(lambda: MirrorMachine(one, standard), examples=8, steps=20)


@pytest.mark.load
def test_mirror_is_the_clusters_tree_while_members_come_and_go(three: Ground) -> None:
    run(lambda: MirrorMachine(three, standard), examples=4, steps=15)


def test_mirror_is_synced_again_after_an_outage_in_which_history_was_lost(one: Ground, etcd: Server) -> None:
    with Client(one.endpoints, timeout=QUICK) as client, client.keys.mirror("/m") as mirror:
        one.links[0].close_door()
        until(lambda: not mirror.synced, lambda: "the outage was not noticed", SOON)
        foreign_writes(etcd, LONGER_THAN_HISTORY)
        one.mend()
        with Client(etcd.url) as direct:
            direct.keys.set("/m/a", "1")
        assert mirror.wait_for(lambda state: "/m/a" in state, SOON)
        until(lambda: mirror.synced, lambda: f"stale for {mirror.stale_for} s", 5)


class Broken(MirrorTree):
    """Misses what one of its heirs says."""

    def misses(self, item: Event | Snapshot) -> bool:
        raise NotImplementedError

    def plan(self, item: Event | Snapshot) -> Step | None:
        return None if self.misses(item) else super().plan(item)


class MissesExpiry(Broken):
    def misses(self, item: Event | Snapshot) -> bool:
        return isinstance(item, Event) and item.action == "expire"


class MissesRemovedDirectories(Broken):
    def misses(self, item: Event | Snapshot) -> bool:
        return isinstance(item, Event) and item.deleted and item.node.dir


class MissesAncestors(Broken):
    def misses(self, item: Event | Snapshot) -> bool:
        return isinstance(item, Event) and item.ancestor


class MissesLaterSnapshots(Broken):
    def misses(self, item: Event | Snapshot) -> bool:
        return isinstance(item, Snapshot) and self._index > 0


def with_tree(tree: type[MirrorTree]) -> Open:
    def opened(keys: KeysAPI, key: str) -> Mirror:
        mirror = keys.mirror(key)
        mirror._copy.tree = tree(mirror.key)
        return mirror

    return opened


class ShowsHidden(Cursor):
    """As the server's history does, which a watch that was interrupted is served from."""

    __slots__ = ()

    def is_below(self, key: str) -> bool:
        return key.startswith(f"{self.key}/")


def shows_hidden(keys: KeysAPI, key: str) -> Mirror:
    mirror = keys.mirror(key)
    mirror._copy._watcher._feed._cursor.__class__ = ShowsHidden  # the very one that all parts of the watch have
    return mirror


def resumes_from_now(keys: KeysAPI, key: str) -> Mirror:
    mirror = keys.mirror(key)
    feed = mirror._copy._watcher._feed
    begin_poll = feed._begin_poll

    def begin_poll_now() -> Poll | None:
        if not feed._snapshot_due:
            feed._cursor.wait_index = None
        return begin_poll()

    feed._begin_poll = begin_poll_now  # type: ignore[method-assign]
    return mirror


def forgets_slow_readers(keys: KeysAPI, key: str) -> Mirror:
    mirror = keys.mirror(key)
    mirror._copy.take = lambda reader: (reader.take(), None)  # type: ignore[method-assign]
    return mirror


BROKEN: dict[str, tuple[Open, str]] = {
    "expiry": (with_tree(MissesExpiry), "let_expire"),
    "removed directories": (with_tree(MissesRemovedDirectories), ""),
    "ancestors": (with_tree(MissesAncestors), ""),
    "snapshots": (with_tree(MissesLaterSnapshots), "lose_history"),
    "hidden": (shows_hidden, "go_away"),
    "from now": (resumes_from_now, "go_away"),
    "slow readers": (forgets_slow_readers, ""),
}
"""And the slow rule without which it does not show."""
SLOW = {"let_expire", "lose_history", "go_away", "strike"}


@pytest.mark.load
@FIRST_VERSION
@pytest.mark.parametrize("name", BROKEN)
def test_broken_mirror_is_found_out(one: Ground, name: str) -> None:
    opened, needed = BROKEN[name]
    # What fails once and not again fails too: time is not in hypothesis' hands.
    with pytest.raises((AssertionError, FlakyFailure)):
        run(lambda: MirrorMachine(one, opened, within=2, without=SLOW - {needed}), examples=200, steps=12)
