"""When a lease is held, renewed and lost: its decisions, step by step."""

from __future__ import annotations

from random import Random

import pytest

from etcdv2.recipes._lease import LeaseState, LeaseTimes


def lease(ttl: int = 10, sent: float = 100.0, index: int = 7) -> LeaseState:
    return LeaseState(LeaseTimes.of(ttl), index, sent, Random(1))


def test_times_follow_from_the_ttl() -> None:
    assert [LeaseTimes.of(ttl).margin for ttl in (2, 5, 15, 60)] == [0.5, 0.5, 1.5, 6.0]
    assert [LeaseTimes.of(ttl).one_try for ttl in (2, 6, 12, 60)] == [pytest.approx(1 / 3), 1.0, 2.0, 2.0]
    assert LeaseTimes.of(10, 3.0).deadline(100.0) == 107.0


def test_it_is_held_from_the_sending_of_its_write_until_the_margin() -> None:
    state = lease()
    assert state.held(100.0)
    assert state.held(108.999)
    assert not state.held(109.0)
    assert 100 + 10 * 0.85 / 3 - 0.2 <= state.due <= 100 + 10 / 3  # to the last fifth of a second


def test_a_renewal_counts_from_its_sending_not_from_its_answer() -> None:
    state = lease()
    state.try_begins(103.0)
    state.renewed(8, 103.2)
    assert (state.deadline, state.index) == (112.0, 8)


def test_unanswered_tries_do_not_prolong_and_come_again_soon() -> None:
    state = lease()
    for moment in (103.0, 104.0, 105.0):
        state.try_begins(moment)
        state.unanswered(moment + 0.5)
        assert moment + 0.6 <= state.due <= moment + 0.7
    assert state.deadline == 109.0
    assert state.index == 7


def test_what_is_found_counts_from_the_earliest_try_that_may_have_made_it() -> None:
    state = lease()
    for moment in (103.0, 104.0):
        state.try_begins(moment)
        state.unanswered(moment + 0.5)
    state.try_begins(105.0)
    state.found(9, ttl=9, read_sent=105.2, now=105.25)
    assert (state.deadline, state.index, state.due) == (112.0, 9, 105.2)


def test_what_is_found_with_a_shorter_ttl_is_not_held_for_longer() -> None:
    state = lease()
    state.try_begins(105.0)
    state.found(9, ttl=3, read_sent=105.2, now=105.25)
    assert state.deadline == pytest.approx(105.2 + 3 - 1 - 1)
    state.try_begins(105.3)
    state.renewed(10, 105.4)
    assert state.deadline == pytest.approx(105.3 + 9)


def test_without_a_ttl_it_is_somebody_elses() -> None:
    state = lease()
    state.try_begins(105.0)
    state.found(9, ttl=None, read_sent=105.2, now=105.25)
    assert (state.ended, state.reason) == ("lost", "its key was changed by somebody else")


def test_a_loss_is_final() -> None:
    state = lease()
    assert not state.tick(108.9)
    state.try_begins(108.0)
    assert state.tick(109.0)
    state.renewed(8, 109.0)
    assert not state.held(109.1)
    assert state.reason == "it was not renewed in time"
    assert not state.release()


def test_a_release_is_no_loss() -> None:
    state = lease()
    assert state.release()
    assert not state.release()
    assert not state.held(101.0)
    assert not state.tick(200.0)
    assert state.reason == ""


def test_an_answer_after_the_deadline_renews_nothing() -> None:
    state = lease()
    state.try_begins(108.0)
    state.renewed(8, 109.5)
    assert not state.held(109.6)
    assert state.reason == "it was not renewed in time"
    assert state.index == 8  # for the deletion


def test_who_saw_that_it_is_not_held_never_sees_it_held_again() -> None:
    state = lease()
    state.try_begins(108.0)
    assert not state.held(109.0)
    state.renewed(8, 108.9)
    assert not state.held(109.1)
