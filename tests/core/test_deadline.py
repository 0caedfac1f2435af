"""Time limits and pauses. A fake clock: times are plain numbers."""

from __future__ import annotations

import itertools
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.deadline import NEVER, Deadline, backoff, shorter

SECONDS = st.none() | st.floats(0.001, 1000)
NOW = 100.0


def highest(a: float, b: float) -> float:
    return b


def lowest(a: float, b: float) -> float:
    return a


def test_deadline_is_a_moment() -> None:
    deadline = Deadline.after(5, NOW)
    assert deadline == 105.0
    assert deadline > NOW
    assert min(deadline, Deadline.after(3, NOW), NEVER) == 103.0


def test_what_is_left_never_falls_below_zero() -> None:
    deadline = Deadline.after(5, NOW)
    assert [deadline.left(now) for now in (100.0, 104.0, 105.0, 200.0)] == [5.0, 1.0, 0.0, 0.0]
    assert deadline.share(4, 101.0) == 1.0
    assert deadline.share(4, 200.0) == 0.0


def test_without_a_limit_there_is_none() -> None:
    assert Deadline.after(None, NOW) is NEVER
    assert inf == NEVER
    assert NEVER.left(NOW) is None
    assert NEVER.share(3, NOW) is None
    assert NEVER.cut(None, NOW) is None
    assert NEVER.cut(3.0, NOW) == 3.0


@given(SECONDS, SECONDS)
def test_time_is_cut_at_the_deadline(total: float | None, seconds: float | None) -> None:
    found = Deadline.after(total, NOW).cut(seconds, NOW)
    limits = [limit for limit in (total, seconds) if limit is not None]
    assert (found is None) == (not limits)
    assert found is None or found == pytest.approx(min(limits), abs=1e-9)


@pytest.mark.parametrize(
    ("one", "other", "found"), [(None, None, None), (1.0, None, 1.0), (None, 2.0, 2.0), (1.0, 2.0, 1.0)]
)
def test_shorter_time(one: float | None, other: float | None, found: float | None) -> None:
    assert shorter(one, other) == shorter(other, one) == found


def test_pause_doubles_up_to_the_longest() -> None:
    pauses = [backoff(failures, 0.5, 2.0, uniform=highest) for failures in (1, 2, 3, 4, 5000)]
    assert pauses == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_pause_is_jittered_down_to_the_half_unless_set_otherwise() -> None:
    assert backoff(2, 0.5, 2.0, uniform=lowest) == 0.5
    assert backoff(2, 0.5, 2.0, uniform=lowest, least=0.0) == 0.0
    found = {backoff(1, 0.5, 2.0) for _ in range(50)}
    assert len(found) > 40
    assert all(0.25 <= pause <= 0.5 for pause in found)


def test_pause_of_any_number_of_failures_is_a_number() -> None:
    for failures, longest in itertools.product((1, 63, 64, 10**6), (0.1, 30.0)):
        assert 0 < backoff(failures, 0.01, longest) <= longest
