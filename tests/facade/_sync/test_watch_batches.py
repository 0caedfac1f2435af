# Derived from tests/facade/_async/test_watch_batches.py by scripts/unasync.py: change that file, make generate.
"""Several items at once, watches and mirrors without `with`, and what short watches cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import ClusterUnavailable
from etcdv2._runtime.primitives import sleep
from etcdv2._sync.watch import feed
from tests.facade._sync.conftest import Connect
from tests.tools.scripted_store import ScriptedStore
from tests.tools.waiting import PATIENT, SOON, until

SHORT = 0.2
"""Seconds to wait for what does not come."""


@pytest.fixture
def transport() -> str:
    """What is gathered is decided behind the transports."""
    return "fast"


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


def indexes(batch: list[Any]) -> list[int]:
    return [item.index for item in batch]


@pytest.mark.parametrize("kind", ["watch", "mirror"])
def test_batch_gathers_what_comes(connect: Connect, store: ScriptedStore, kind: str) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    with client.keys.watch("/k") as watcher, client.keys.mirror("/k") as mirror:
        source: Any = watcher if kind == "watch" else mirror.changes()
        assert source.batch(SHORT) == []
        assert source.batch(0, gather=0) == []

        store.happen(count=5)
        assert indexes(source.batch(SOON, gather=SOON, limit=5)) == [101, 102, 103, 104, 105]
        store.happen(count=5)
        assert indexes(source.batch(SOON, gather=SOON, limit=2)) == [106, 107]
        found: list[int] = []
        while len(found) < 3:
            found += indexes(source.batch(SOON))
        assert found == [108, 109, 110]
        assert source.next(timeout=0) is None
        if kind == "watch":
            assert watcher.index == 110


@pytest.mark.parametrize("kind", ["watch", "mirror"])
def test_what_was_gathered_comes_before_the_error_that_ends_it(
    connect: Connect, store: ScriptedStore, kind: str
) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    watcher = client.keys.watch("/k", patience=3)
    with watcher, client.keys.mirror("/k", patience=3) as mirror:
        source: Any = watcher if kind == "watch" else mirror.changes()
        store.happen()
        assert indexes(source.batch(SOON, gather=0)) == [101]
        until(lambda: store.watching >= 2, lambda: repr(store.asked))
        store.happen()
        until(lambda: mirror.state.index == 102, lambda: repr(mirror))
        until(lambda: kind != "watch" or len(watcher._feed.items), lambda: repr(watcher))
        store.away = True
        store.hang_up()
        assert indexes(source.batch(SOON, gather=10 * SOON)) == [102]
        for _ in range(2):
            with pytest.raises(ClusterUnavailable):
                source.batch(SOON)


def test_batch_of_what_was_closed_is_refused(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    with client.keys.watch("/k") as watcher, client.keys.mirror("/k") as mirror:
        changes = mirror.changes()
    for source in (watcher, changes):
        with pytest.raises(ValueError, match="is closed"):
            source.batch()


@pytest.mark.parametrize("wrong", [{"gather": -1}, {"gather": None}, {"gather": True}, {"limit": 0}, {"limit": 1.5}])
def test_what_no_batch_can_be_given_is_refused(connect: Connect, store: ScriptedStore, wrong: Any) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    with client.keys.mirror("/k") as mirror:
        for source in (client.keys.watch("/k"), mirror.changes()):
            with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
                source.batch(SHORT, **wrong)


def test_watch_and_mirror_are_opened_without_with(connect: Connect, store: ScriptedStore) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)
    watcher, mirror = client.keys.watch("/k").open(), client.keys.mirror("/k").open()
    store.happen()
    assert indexes(watcher.batch(SOON, limit=1)) == [101]
    assert mirror.wait_for(lambda state: state.index == 101, timeout=SOON)
    watcher.close()
    mirror.close()
    for one in (watcher, mirror):
        with pytest.raises(ValueError, match="is closed"):
            one.open()


def test_event_that_is_there_already_costs_one_watch_request(
    connect: Connect, store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "ONE_SHOT_SECONDS", SOON)
    client = connect(store.endpoint.url, timeout=PATIENT)
    store.happen(count=3)
    for after in (100, 101, 102):
        store.asked.clear()
        with client.keys.watch("/k", after_index=after) as watcher:
            assert indexes([watcher.next(timeout=SOON)]) == [after + 1]
        assert len([target for target in store.asked if "/k?" in target]) == 1


def test_short_watches_in_a_row_look_at_the_index_no_more_than_a_long_one(
    connect: Connect, store: ScriptedStore
) -> None:
    client = connect(store.endpoint.url, timeout=PATIENT)

    def looks() -> int:
        return sum("wait=" not in one.target and "/v2/keys" in one.target for one in store.requests)

    for _ in range(3):
        with client.keys.watch("/k"):
            sleep(0.7)
    before = looks()
    for _ in range(4):
        with client.keys.watch("/k"):
            sleep(0.3)
    assert looks() - before <= 1
