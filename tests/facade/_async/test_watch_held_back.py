"""Headers of watches that do not come in time: a slow server is none that holds them back, and a mistake costs little.

What does hold them back, nginx as it comes, is in `test_boxes`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from etcdv2._async.watch import paths
from etcdv2._runtime.primitives import async_sleep
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.scripted_store import ScriptedStore, silent
from tests.tools.waiting import PATIENT, SOON, async_until

SHORT = replace(PATIENT, attempt=0.5)


@pytest.fixture
def store() -> Iterator[ScriptedStore]:
    with ScriptedStore() as store:
        yield store


def ways(watcher: Any) -> Any:
    """What the client of this watch knows of the ways to its endpoints."""
    return watcher._feed._polls._monitor.paths


async def next_of(watcher: Any) -> Any:
    item = await watcher.next(timeout=SOON)
    assert item is not None, f"nothing from {watcher!r}"
    return item


@pytest.mark.parametrize("times", [1, 2])
async def test_headers_that_are_slow_once_are_not_taken_for_held_back(
    connect: Connect, store: ScriptedStore, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    store.polls.extend([silent] * times)
    with caplog.at_level(logging.WARNING, "etcdv2"):
        async with connect(store.endpoint.url, timeout=SHORT).keys.watch("/k", patience=SOON) as watcher:
            assert not store.polls
            assert not ways(watcher).holds_back(store.endpoint)
            store.happen()
            assert (await next_of(watcher)).index == store.index
    assert "hold headers back" not in caplog.text


async def test_poll_without_headers_is_not_held_back_where_reads_stop_too(
    connect: Connect, store: ScriptedStore
) -> None:
    """The member stands still in the midst of the second look."""

    def stand_still(peer: Any) -> bool:
        store.stalled = True
        return silent(peer)

    async with connect(store.endpoint.url, timeout=SHORT).keys.watch("/k") as watcher:
        ways(watcher)  # begun
        store.happen()
        assert (await next_of(watcher)).index == store.index
        store.polls.extend([stand_still])
        store.hang_up()
        await async_until(lambda: store.stalled, lambda: repr(store.asked))
        await async_sleep(2 * 0.5)
        assert not ways(watcher).holds_back(store.endpoint)
        store.stalled = False
        store.happen()
        assert (await next_of(watcher)).index == store.index


async def test_endpoint_that_was_taken_for_one_that_holds_back_loses_nothing_and_is_readmitted(
    connect: Connect, etcd: Server, caplog: pytest.LogCaptureFixture
) -> None:
    client, direct = connect(etcd.url), connect(etcd.url)
    with caplog.at_level(logging.INFO, "etcdv2"):
        async with client.keys.watch("/other"), client.keys.watch("/k", recursive=True) as watcher:
            known, (endpoint,) = ways(watcher), client._dispatcher.endpoints
            known._holding_back[endpoint] = float("inf")  # for ever, if nothing shows the contrary
            expected = [(await direct.keys.set(f"/k/{number % 7}", "x")).index for number in range(50)]
            assert [(await next_of(watcher)).index for _ in expected] == expected

            # A poll whose headers have come waits, and the next look at the index is answered.
            await async_until(lambda: not known.holds_back(endpoint), lambda: repr(known))
            last = (await direct.keys.set("/k/1", "x")).index
            assert (await next_of(watcher)).index == last
    assert "passes the headers of watches on" in caplog.text


async def test_what_is_known_of_held_back_headers_is_looked_at_again_after_a_while(
    connect: Connect, etcd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(etcd.url).keys.watch("/k") as watcher:
        known, (endpoint,) = ways(watcher), watcher._feed._dispatcher.endpoints
        monkeypatch.setattr(paths, "time", Clock())
        known._holding_back[endpoint] = Clock.now
        Clock.now += 299
        assert known.holds_back(endpoint)
        Clock.now += 2
        assert not known.holds_back(endpoint)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now
