"""Queues, counters and double barriers in virtual time, on a store between which everything goes wrong; and mutants."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.recipes.model import mutants, work

SEEDS = st.integers(0, 2**32)
SOME = settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
"""A run has a seed, so there is nothing to shrink."""

FOUND_AT = {
    "claim_without_a_look_at_the_item": [0, 2],
    "put_again_under_the_same_name": [1, 3],
    "claim_ended_before_the_item": [0, 1],
    "count_without_nonce": [1, 3],
    "ready_for_everybody": [0, 1],
    "entries_that_come_again": [14, 21],
}
"""Where mutants were found; after other changes they are found elsewhere among the first 200."""


@settings(SOME, max_examples=5)
@given(SEEDS)
def test_what_was_put_into_a_queue_is_done_once_unless_a_claim_is_lost(seed: int) -> None:
    assert work.queue(seed).wrong == []


@SOME
@given(SEEDS)
def test_what_was_added_to_a_counter_was_added_once(seed: int) -> None:
    assert work.counter(seed).wrong == []


@SOME
@given(SEEDS)
def test_nobody_passes_a_double_barrier_before_all_are_there(seed: int) -> None:
    assert work.barrier(seed).wrong == []


@pytest.mark.load
@pytest.mark.parametrize("name", mutants.CAUGHT_IN_WORK)
def test_a_mutant_is_found(name: str) -> None:
    course, mutant = mutants.CAUGHT_IN_WORK[name]
    for seed in [*FOUND_AT[name], *range(200)]:
        with mutant():
            if getattr(work, course)(seed).wrong:
                return
    raise AssertionError("it was not found")


def test_runs_are_not_idle() -> None:
    queue = work.queue(0)
    assert queue.seen["done"] > 20
    assert queue.seen["lost"] > 0
    assert sum(work.counter(seed).seen["added"] for seed in range(3)) > 50
    assert sum(work.barrier(seed).seen["rounds"] for seed in range(6)) > 30
