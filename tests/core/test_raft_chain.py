"""Leaps of the raft index, as a member's answers show them in any order; a fake clock."""

from __future__ import annotations

import random

import pytest

from etcdv2._core.watch import raft_chain
from etcdv2._core.watch.raft_chain import RaftChain


def chain(*seen: tuple[int, int]) -> RaftChain:
    """After answers with these store and raft indexes, a second apart."""
    made = RaftChain()
    for now, (index, raft) in enumerate(seen):
        made.note(index, raft, float(now))
    return made


def test_the_numbers() -> None:
    assert raft_chain.SNAPSHOT_ENTRIES == 5000
    assert (raft_chain.OBSERVE_SECONDS, raft_chain.OBSERVE_ENTRIES) == (4.0, 2000)
    assert raft_chain.FASTEST_OBSERVE_SECONDS == 0.1


@pytest.mark.parametrize("made", [0, 1, 4999])
def test_smaller_steps_are_no_leap(made: int) -> None:
    seen = chain((5, 10), (900, 10 + made))
    assert (seen.leaps, seen.leaping, seen.leapt_to) == (0, 0, 0)


def test_first_answer_is_no_leap() -> None:
    assert not chain((70_000, 90_000)).leaping


def test_leap_is_under_way_until_the_store_has_reached_the_cluster() -> None:
    seen = chain((5, 10), (511, 5010))
    assert (seen.leaps, bool(seen.leaping), seen.asks_cluster) == (0, True, True)
    seen.note(600, 5020, 2.0)  # that may be what came before the snapshot
    assert (seen.leaps, bool(seen.leaping)) == (0, True)
    seen.reached(7000, seen.leaping)
    assert not seen.asks_cluster
    assert seen.note(6999, 5030, 3.0) == 0
    assert seen.leaping
    assert seen.note(7001, 5040, 4.0) == 1
    assert (seen.leaping, seen.leapt_to) == (0, 7001)
    assert seen.note(7100, 5050, 5.0) == 1


def test_raft_index_that_runs_ahead_of_the_store() -> None:
    """Seen on 3.4 and 3.5: store 511 and raft 518, then 511 and 7328, then 7308 and 7328."""
    seen = chain((511, 518), (511, 7328))
    assert (seen.leaps, bool(seen.leaping)) == (0, True)
    seen.reached(7308, seen.leaping)
    assert seen.note(511, 7328, 2.0) == 0
    assert seen.note(7308, 7328, 3.0) == 1
    assert not seen.leaping


def test_leap_that_brought_nothing_to_the_store_is_none() -> None:
    """A cluster that is busy with what does not concern the store: nothing can have been missed."""
    seen = chain((511, 518), (511, 7328))
    seen.reached(511, seen.leaping)
    assert seen.note(511, 7330, 2.0) == 0
    assert (seen.leaping, seen.leapt_to) == (0, 0)


def test_another_leap_meanwhile_has_to_be_asked_about_again() -> None:
    seen = chain((5, 10), (5, 6000))
    first = seen.leaping
    seen.reached(5900, first)
    seen.note(5, 12_000, 3.0)
    assert seen.leaping not in (0, first)
    assert seen.asks_cluster
    assert seen.note(6000, 12_001, 4.0) == 0
    seen.reached(11_000, seen.leaping)
    assert seen.note(11_000, 12_002, 5.0) == 1


def test_answer_about_a_leap_before_does_not_end_this_one() -> None:
    seen = chain((5, 10), (5, 6000))
    first = seen.leaping
    seen.reached(5900, first)
    seen.note(5900, 6001, 3.0)
    seen.note(5900, 12_000, 4.0)
    seen.reached(5900, first)  # asked before the second leap, and late
    assert seen.asks_cluster
    seen.reached(0, seen.leaping)  # the cluster could not say
    assert seen.asks_cluster


def test_answer_without_a_leap_under_way_is_nothing() -> None:
    seen = chain((5, 10))
    seen.reached(900, 0)
    assert not seen.asks_cluster
    assert seen.note(10, 20, 1.0) == 0


def test_answers_that_come_late_change_nothing() -> None:
    seen = chain((900, 4000), (5, 10), (910, 4010))
    assert (seen.leaps, seen.leaping) == (0, 0)


def test_restarted_member_that_knows_less_at_first_is_no_leap() -> None:
    assert not chain((900, 4000), (900, 3990), (905, 4020)).leaping


def test_server_without_raft_indexes_shows_nothing() -> None:
    seen = chain((5, 0), (9000, 0))
    assert (seen.leaps, seen.leaping) == (0, 0)
    assert seen.asked_at == 1.0
    assert seen.note(9000, 9000, 2.0) == 0
    assert not seen.leaping


# --- pace ------------------------------------------------------------------------------------------------------------


def test_quiet_member_is_observed_every_four_seconds() -> None:
    seen = chain((5, 10))
    assert not seen.due(5, 3.9)
    assert seen.due(5, 4.0)
    assert seen.interval == 4.0


def test_member_that_was_never_observed_is_due() -> None:
    assert RaftChain().due(5, 0.0)


def test_busy_member_is_observed_every_two_thousand_entries() -> None:
    seen = chain((5, 10), (5, 1010))
    assert seen.interval == 2.0
    assert not seen.due(5, 2.9)
    assert seen.due(5, 3.0)
    assert seen.due(2005, 1.1)  # the store has gone on by as much
    assert not seen.due(2004, 1.1)


def test_it_is_never_observed_more_often_than_ten_times_a_second() -> None:
    seen = chain((5, 10))
    seen.note(5, 4000, 0.001)
    assert seen.interval == 0.1


def test_only_a_busy_member_is_probed_for_its_raft_index_alone() -> None:
    assert chain((5, 10), (5, 20)).interval_of_busy == float("inf")
    assert chain((5, 10), (5, 1010)).interval_of_busy == 2.0


def test_rate_goes_up_at_once_and_down_slowly() -> None:
    seen = chain((5, 10), (5, 2010), (5, 2010))
    assert seen.interval == pytest.approx(2.0)


def test_member_in_a_leap_is_due_at_each_look() -> None:
    assert chain((5, 10), (5, 6000)).due(5, 1.0)


# --- any order of registrations and answers --------------------------------------------------------------------------


def test_what_is_registered_before_a_leap_is_never_taken_for_later() -> None:
    """Answers that come late, in any order, while one snapshot is put into the store: 2,000 orders.

    What was registered before the store was replaced has another number of leaps than what is taken afterwards, or is
    seen to be older than the leap, or comes while it is under way.
    """
    for seed in range(2000):
        rng = random.Random(seed)
        before, after = 511, 7308
        answers = [(before, 518), (before, 520), (before, 7328), (before + 2, 7329), (before + 2, 7330)]
        answers += [(after, 7331), (after + 1, 7340), (after + 2, 7350)]
        seen, late = RaftChain(), list[tuple[int, int]]()
        seen.note(*answers[0], 0.0)
        verdicts: dict[bool, set[int]] = {False: set(), True: set()}
        now = 1.0
        todo = [*answers[1:]]
        while todo or late:
            if todo and (not late or rng.random() < 0.6):
                late.append(todo.pop(0))
                continue
            index, raft = late.pop(rng.randrange(len(late)))
            now += 1
            leaps = seen.note(index, raft, now)
            if seen.leaping and rng.random() < 0.5:
                seen.reached(after, seen.leaping)
                leaps = seen.note(index, raft, now)
            if not seen.leaping and index >= seen.leapt_to:
                verdicts[index >= after].add(leaps)
        assert not verdicts[False] & verdicts[True], seed
