"""How often the index is looked at, against simulated write rates; a fake clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.watch.probe_interval import (
    EVENTS_PER_PROBE,
    FASTEST_PROBE_SECONDS,
    SLOWEST_PROBE_SECONDS,
    ProbeInterval,
)
from etcdv2._core.watch.renewal import RENEW_AFTER_EVENTS

HISTORY = 1000
"""Events of the whole store that a server keeps."""


def looks(index_at: Callable[[float], int], until: float, pace: ProbeInterval | None = None) -> list[tuple[float, int]]:
    """When the looks come, and what they see."""
    pace, now, seen = pace or ProbeInterval(), 0.0, list[tuple[float, int]]()
    while now < until:
        now += pace.interval
        pace.saw(index_at(now), now)
        seen.append((now, index_at(now)))
    return seen


def widest(seen: list[tuple[float, int]], start: int) -> int:
    indexes = [start, *(index for _, index in seen)]
    return max(later - earlier for earlier, later in itertools.pairwise(indexes))


def test_first_look_comes_soon() -> None:
    assert ProbeInterval().interval == FASTEST_PROBE_SECONDS


def test_quiet_store_is_looked_at_seldom() -> None:
    seen = looks(lambda now: 5, 600)
    assert seen[-1][0] - seen[-2][0] == SLOWEST_PROBE_SECONDS
    assert len(seen) < 600 / SLOWEST_PROBE_SECONDS + 20


@pytest.mark.parametrize("rate", [1, 50, 400, 1000])
def test_watch_is_never_as_old_as_the_history_while_one_poll_takes_over_from_another(rate: int) -> None:
    pace = ProbeInterval()
    looks(lambda now: 5 + int(rate * now), 30, pace)
    # Renewed at the first probe after RENEW_AFTER_EVENTS, or when that one was late by a whole interval.
    assert RENEW_AFTER_EVENTS + rate * 2 * pace.interval < HISTORY


@pytest.mark.parametrize("rate", [1, 50, 400, 3000, 7000])
def test_steady_writes_never_pass_the_history_between_two_looks(rate: int) -> None:
    seen = looks(lambda now: 5 + int(rate * now), 120)
    assert widest(seen, 5) + RENEW_AFTER_EVENTS < HISTORY


@pytest.mark.parametrize("rate", [50, 400, 3000])
def test_steady_writes_are_looked_at_about_every_150_events(rate: int) -> None:
    seen = looks(lambda now: 5 + int(rate * now), 120)
    assert widest(seen[-20:], seen[-20][1]) == pytest.approx(EVENTS_PER_PROBE, rel=0.3)


def test_looks_come_at_once_faster_when_writes_do() -> None:
    pace = ProbeInterval()
    looks(lambda now: 5, 60, pace)
    assert pace.interval == SLOWEST_PROBE_SECONDS
    pace.saw(5, 100)
    pace.saw(505, 105)
    assert pace.interval == pytest.approx(1.5)


def test_lull_within_a_burst_slows_the_looks_only_a_little() -> None:
    pace = ProbeInterval()
    looks(lambda now: 5 + int(3000 * now), 20, pace)
    before = pace.interval
    pace.saw(10**6, 30)
    pace.saw(10**6, 30.1)
    assert pace.interval <= 4 * before


def test_looks_get_slower_again_after_a_burst() -> None:
    pace = ProbeInterval()
    looks(lambda now: 5 + int(3000 * min(now, 10)), 120, pace)
    assert pace.interval == SLOWEST_PROBE_SECONDS


def test_interval_stays_within_its_bounds_when_the_index_goes_back() -> None:
    """A member that was rebuilt, or another cluster."""
    pace = ProbeInterval()
    for now, index in enumerate([5000, 3, 3, 90000, 4]):
        pace.saw(index, float(now))
        assert FASTEST_PROBE_SECONDS <= pace.interval <= SLOWEST_PROBE_SECONDS


def test_two_looks_at_the_same_moment_do_no_harm() -> None:
    pace = ProbeInterval()
    pace.saw(5, 1.0)
    pace.saw(9, 1.0)
    assert FASTEST_PROBE_SECONDS <= pace.interval <= SLOWEST_PROBE_SECONDS


def test_looks_that_may_see_no_index_become_seldom() -> None:
    """A user without any right beside the watched key: else each poll is renewed 50 times a second for ever."""
    seen = looks(lambda now: 0, 60)
    assert len(seen) < 120


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 2**64 - 1)), max_size=50))
def test_interval_is_always_within_its_bounds(steps: list[tuple[float, int]]) -> None:
    pace, now = ProbeInterval(), 0.0
    for later, index in steps:
        now += later
        pace.saw(index, now)
        assert FASTEST_PROBE_SECONDS <= pace.interval <= SLOWEST_PROBE_SECONDS
