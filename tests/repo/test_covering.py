"""Which combinations of sides `make test` runs: every side of every case, and all combinations among the neighbours."""

from __future__ import annotations

from collections import Counter
from itertools import product

from tests.tools.covering import covering

EIGHT = list(product(["sync", "async"], ["fast", "httpx"], ["3.4", "3.5"]))


def test_two_runs_hold_every_side_of_a_case() -> None:
    for number in range(100):
        one, other = covering(f"case {number}", EIGHT)
        assert all(mine != others for mine, others in zip(one, other, strict=True))


def test_neighbours_meet_all_combinations_about_as_often() -> None:
    met = Counter(sides for number in range(800) for sides in covering(f"case {number}", EIGHT))
    assert set(met) == set(EIGHT)
    assert max(met.values()) < 2 * min(met.values())


def test_what_is_run_does_not_change_from_run_to_run() -> None:
    assert covering("a", EIGHT) == covering("a", EIGHT)


def test_no_side_is_lost_where_only_some_combinations_are_there() -> None:
    there = [("sync", "fast"), ("async", "fast"), ("async", "httpx")]
    assert {side for sides in covering("a", there) for side in sides} == {"sync", "async", "fast", "httpx"}
    assert covering("a", there[:1]) == there[:1]
    assert set(covering("a", [("3.4",), ("3.5",), ("3.3",)])) == {("3.4",), ("3.5",), ("3.3",)}
