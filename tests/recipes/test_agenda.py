"""What a keeper does next: its agenda."""

from __future__ import annotations

import gc
from weakref import WeakSet

from etcdv2.recipes._agenda import Agenda


class Piece:
    """Of work."""


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


def test_what_was_dropped_is_kept_by_nobody() -> None:
    agenda = Agenda[Piece]()
    first = Piece()
    agenda.put(first, 1)
    dropped = WeakSet[Piece]()
    for moment in range(2, 1002):
        piece = Piece()
        dropped.add(piece)
        agenda.put(piece, moment)
        agenda.drop(piece)
        del piece
    gc.collect()
    assert (len(agenda), len(dropped)) == (1, 0)
    assert agenda.take(5) is first
