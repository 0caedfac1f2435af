"""What the judge of contended runs finds in a book: a sound one, and one fault of each kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.contended_judge import Account, Fault, Line, judge, judge_observer


def judged(kind: str, lines: list[Line], faults: list[Fault] | None = None) -> Account:
    account = Account(kind, "3.5", 1, 5)
    judge(account, lines, faults or [])
    return account


def held(token: int, since: float, until: float, **more: Any) -> Line:
    return {"what": "ended", "token": token, "since": since, "until": until, "lost": False, "alone": True, **more}


def item(value: str, token: int, since: float, until: float, end: str = "acked") -> list[Line]:
    return [
        {"what": "given", "value": value, "token": token, "at": since},
        {"what": "done", "value": value, "token": token, "since": since, "until": until, "end": end, "at": until},
    ]


def test_a_lock_that_was_held_in_turn_is_sound() -> None:
    account = judged("lock", [held(5, 1, 2), held(6, 2, 3), held(9, 7, 8), {"what": "timeout", "over": 0.4}])
    assert account.sound
    assert (account.held, account.timeouts, account.longest_gap) == (3, 1, 4)


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("lock", [held(5, 1, 3), held(6, 2, 4)]),
        ("lock", [held(5, 1, 9), held(6, 10, 11), held(6, 12, 13)]),
        ("lock", [held(5, 1, 2), held(4, 2, 3)]),
        ("election", [{"what": "refused", "believed": True}]),
        ("lock", [{"what": "timeout", "over": 0.6}]),
        ("lock", [{"what": "raised", "error": "x"}]),
        ("rwlock", [held(5, 1, 9, alone=False), held(6, 2, 4)]),
        ("rwlock", [held(5, 1, 9), held(6, 2, 4, alone=False)]),
        ("semaphore", [held(5, 1, 9, alone=False), held(6, 2, 9, alone=False), held(7, 3, 4, alone=False)]),
        ("queue", [{"what": "put", "value": "a"}]),
        ("queue", [{"what": "put", "value": "a"}, *item("a", 5, 1, 2), *item("a", 9, 3, 4)]),
        ("queue", [*item("a", 5, 1, 3, "lost"), *item("a", 6, 2, 4)]),
        ("queue", [{"what": "added", "number": 1}, {"what": "added", "number": 1}, {"what": "counted", "number": 2}]),
        ("queue", [{"what": "added", "number": 1}, {"what": "counted", "number": 2}]),
        ("registration", [{"what": "away", "name": "c1", "since": 1.0, "until": 20.0}]),
    ],
)
def test_a_fault_is_found(kind: str, lines: list[Line]) -> None:
    assert not judged(kind, lines).sound


def test_what_may_be_is_no_fault() -> None:
    readers = [held(5, 1, 9, alone=False), held(6, 2, 9, alone=False), held(7, 9, 10)]
    assert judged("rwlock", readers).sound
    assert judged("semaphore", readers).sound
    assert judged("queue", [{"what": "put", "value": "a"}, *item("a", 5, 1, 2, "lost"), *item("a", 9, 3, 4)]).sound
    assert judged("queue", [{"what": "add unknown"}, {"what": "counted", "number": 1}]).sound
    stopped = [Fault(2.0, 9.0, "c1"), Fault(8.0, 11.0, "")]
    assert judged("registration", [{"what": "away", "name": "c1", "since": 1.0, "until": 20.0}], stopped).sound


@pytest.mark.parametrize(
    ("seen", "sound"),
    [
        ([None, ("a", 5), None, ("b", 7)], True),
        ([("a", 5), ("b", 7)], False),
        ([("a", 7), None, ("b", 5)], False),
        ([None, ("a", 5), None], False),
    ],
)
def test_an_observer_sees_each_leader_once(seen: list[tuple[str, int] | None], sound: bool) -> None:
    account = Account("election", "3.5", 1, 5)
    judge_observer(account, [{"what": "held", "token": 5}, {"what": "held", "token": 7}], seen)
    assert account.sound is sound
