"""A watch loses nothing silently, in whatever order servers, network, reader and monitor go on: many random schedules.

Each failure names its seed: `python -m tests.tools.watch_machine --trace SEED --ground "NAME"` shows what happened.
`ETCDV2_MACHINE_RUNS` sets how many schedules are tried on each ground; 100,000 of them all take a quarter of an hour.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from etcdv2._core.watch import renewal
from tests.tools.watch_machine import (
    DIRECT,
    LIMITS,
    MUTANTS,
    WEAK,
    Ground,
    OldDriver,
    SilentLoss,
    first_failure,
    run,
    scaled,
)

RUNS = int(os.environ.get("ETCDV2_MACHINE_RUNS", "100"))
ENOUGH = 20_000
"""Runs within which what is wrong is found; mostly some hundred are enough."""


@pytest.mark.timeout(3600 if RUNS > 100 else 300)
@pytest.mark.parametrize("name", DIRECT)
def test_nothing_is_lost_silently_where_ends_are_answered(name: str) -> None:
    assert first_failure(DIRECT[name], RUNS) is None


@pytest.mark.timeout(3600 if RUNS > 100 else 300)
@pytest.mark.parametrize("name", WEAK)
def test_nothing_is_lost_silently_where_ends_are_not_answered_and_one_of_two_polls_hears(name: str) -> None:
    assert first_failure(WEAK[name], RUNS) is None


@pytest.mark.load
@pytest.mark.parametrize("name", LIMITS)
def test_what_a_watch_cannot_know(name: str) -> None:
    """So these are limits of the promise, and no more is claimed."""
    assert first_failure(LIMITS[name], ENOUGH) is not None


@pytest.mark.load
@pytest.mark.parametrize("name", MUTANTS)
def test_rules_that_are_wrong_in_one_point_are_found_out(name: str) -> None:
    assert first_failure(MUTANTS[name].ground, ENOUGH, MUTANTS[name].driver) is not None


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_one_proper_end_is_not_enough_however_many_looks_were_answered(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = MUTANTS["one proper end is enough"]
    monkeypatch.setattr(renewal, "LOOKS_BEFORE_RENEWAL", looks)
    assert first_failure(mutant.ground, ENOUGH, mutant.driver) is not None


DELAYS_ONLY = Ground(flows_die=False, snapshots=False, swaps="", tosses_in_a_row=0, strictly=False)


@pytest.mark.load
@pytest.mark.parametrize(
    "ground",
    [
        pytest.param(DELAYS_ONLY, id="delays"),
        pytest.param(replace(DELAYS_ONLY, flows_die=True), id="a connection that dies"),
        pytest.param(replace(DELAYS_ONLY, snapshots=True), id="a snapshot"),
    ],
)
def test_rules_that_took_time_for_a_proof_lose_events_silently(ground: Ground) -> None:
    """Those of before: the machine finds what the suite found on a slow machine."""
    found = first_failure(ground, ENOUGH, OldDriver)
    assert found is not None
    assert first_failure(ground, 300) is None


def test_rules_that_took_time_for_a_proof_lose_events_by_delays_alone_and_deliver_the_next_one() -> None:
    with scaled():
        violations = (run(DELAYS_ONLY, seed, OldDriver).violation for seed in range(ENOUGH))
        assert any(isinstance(violation, SilentLoss) for violation in violations)


def test_runs_are_the_same_for_the_same_seed() -> None:
    with scaled():
        for seed in range(20):
            assert run(DIRECT["balancer"], seed, traced=True).trace == run(DIRECT["balancer"], seed, traced=True).trace


def test_machine_delivers_much_and_settles_much() -> None:
    """Else it would show nothing: events are delivered, losses are named, and silence is proved."""
    with scaled():
        outcomes = [run(DIRECT["one member, far"], seed) for seed in range(100)]
    assert sum(outcome.delivered for outcome in outcomes) > 100
    assert sum(outcome.named for outcome in outcomes) > 20
    assert sum(outcome.proved for outcome in outcomes) > 20
