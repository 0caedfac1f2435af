"""How often the index is looked at, against simulated write rates; a fake clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.watch.probe_interval import ProbeInterval

FASTEST, SLOWEST = 0.02, 5.0
"""Seconds."""
PROBED = 150
"""Events between two looks."""
LEFT = 1000 - 600
"""Events that the server keeps, without those after which a watch asks for a younger poll at the latest."""


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
    assert ProbeInterval().interval == FASTEST


def test_quiet_store_is_looked_at_seldom() -> None:
    seen = looks(lambda now: 5, 600)
    assert seen[-1][0] - seen[-2][0] == SLOWEST
    assert len(seen) < 600 / SLOWEST + 20


@pytest.mark.parametrize("rate", [1, 50, 400, 3000, 7000])
def test_steady_writes_never_pass_the_history_between_two_looks(rate: int) -> None:
    seen = looks(lambda now: 5 + int(rate * now), 120)
    assert widest(seen, 5) < LEFT


@pytest.mark.parametrize("rate", [50, 400, 3000])
def test_steady_writes_are_looked_at_about_every_150_events(rate: int) -> None:
    seen = looks(lambda now: 5 + int(rate * now), 120)
    assert widest(seen[-20:], seen[-20][1]) == pytest.approx(PROBED, rel=0.3)


def test_looks_come_at_once_faster_when_writes_do() -> None:
    pace = ProbeInterval()
    looks(lambda now: 5, 60, pace)
    assert pace.interval == SLOWEST
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
    assert pace.interval == SLOWEST


def test_interval_stays_within_its_bounds_when_the_index_goes_back() -> None:
    """A member that was rebuilt, or another cluster."""
    pace = ProbeInterval()
    for now, index in enumerate([5000, 3, 3, 90000, 4]):
        pace.saw(index, float(now))
        assert FASTEST <= pace.interval <= SLOWEST


def test_two_looks_at_the_same_moment_do_no_harm() -> None:
    pace = ProbeInterval()
    pace.saw(5, 1.0)
    pace.saw(9, 1.0)
    assert FASTEST <= pace.interval <= SLOWEST


def test_looks_that_may_see_no_index_become_seldom() -> None:
    """A user without any right beside the watched key: else its member is asked 50 times a second for ever."""
    seen = looks(lambda now: 0, 60)
    assert len(seen) < 120


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(0, 2**64 - 1)), max_size=50))
def test_interval_is_always_within_its_bounds(steps: list[tuple[float, int]]) -> None:
    pace, now = ProbeInterval(), 0.0
    for later, index in steps:
        now += later
        pace.saw(index, now)
        assert FASTEST <= pace.interval <= SLOWEST
