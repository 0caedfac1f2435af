"""What a keeper does next: its agenda."""

from __future__ import annotations

from etcdv2.recipes._agenda import Agenda


def test_what_is_due_for_the_longest_time_comes_first_and_once() -> None:
    agenda, one, two = Agenda[list[int]](), [1], [2]
    assert agenda.wait(0) is None
    agenda.put(one, 5)
    agenda.put(two, 3)
    assert (agenda.take(2), agenda.wait(2), len(agenda)) == (None, 1, 2)
    assert agenda.take(9) is two
    assert agenda.take(9) is one
    assert (agenda.take(9), agenda.wait(9), len(agenda)) == (None, None, 0)


def test_a_piece_that_is_planned_already_gets_another_moment() -> None:
    agenda, one = Agenda[list[int]](), [1]
    agenda.put(one, 5)
    agenda.put(one, 8)
    assert (agenda.take(6), agenda.wait(6)) == (None, 2)
    assert agenda.take(8) is one
    assert agenda.take(9) is None


def test_what_was_dropped_does_not_come() -> None:
    agenda, one, same = Agenda[list[int]](), [1], [1]
    agenda.put(one, 5)
    agenda.put(same, 6)
    agenda.drop(one)
    agenda.drop(one)
    assert agenda.take(9) is same
    assert agenda.wait(9) is None
