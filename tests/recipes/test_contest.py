"""Whose turn it is: a table."""

from __future__ import annotations

import pytest

from etcdv2.recipes._contest import Await, Contender, Entry, Hold, Kind, contenders, decide, owner_of

NONCE = "0123456789abcdef"


def entries(*names: str) -> list[Entry]:
    """In the order of their creation, listed in the other one."""
    return [Entry(name, token, name) for token, name in enumerate(names, start=5)][::-1]


@pytest.mark.parametrize(
    ("kind", "limit", "names", "decision"),
    [
        ("lock", 1, ["me"], Hold()),
        ("lock", 1, ["me", "b"], Hold(followed=True)),
        ("lock", 1, ["a", "me"], Await("a", alone=True)),
        ("lock", 1, ["a", "b", "me", "c"], Await("b")),
        ("lock", 1, ["a", "b"], None),
        ("lock", 1, [], None),
        ("read", 1, ["r-a", "me"], Hold()),
        ("read", 1, ["w-a", "me"], Await("w-a", alone=True)),
        ("read", 1, ["w-a", "r-b", "me"], Await("w-a", alone=True)),
        ("read", 1, ["w-a", "w-b", "r-c", "me"], Await("w-b")),
        ("read", 1, ["somebody", "me"], Await("somebody", alone=True)),
        ("write", 1, ["r-a", "me"], Await("r-a", alone=True)),
        ("write", 1, ["r-a", "r-b", "me"], Await("r-b")),
        ("write", 1, ["me", "r-b"], Hold(followed=True)),
        ("semaphore", 2, ["a", "me"], Hold()),
        ("semaphore", 2, ["a", "me", "b"], Hold(followed=True)),
        ("semaphore", 2, ["a", "b", "me"], Await(None)),
        ("semaphore", 2, ["a", "b", "c", "me"], Await("c")),
        ("semaphore", 1, ["a", "me"], Await(None)),
    ],
)
def test_decisions(kind: Kind, limit: int, names: list[str], decision: object) -> None:
    assert decide(entries(*names), "me", kind, limit) == decision


def test_contenders_are_shown_in_their_order() -> None:
    shown = contenders(entries(f"r-a-{NONCE}", f"r-b-{NONCE}", f"w-c-{NONCE}", f"r-d-{NONCE}"), "write")
    assert shown == (
        Contender("a", 5, True),
        Contender("b", 6, True),
        Contender("c", 7, False),
        Contender("d", 8, False),
    )
    shown = contenders(entries(f"a-{NONCE}", f"b-{NONCE}", f"c-{NONCE}"), "semaphore", 2)
    assert [one.held for one in shown] == [True, True, False]


def test_the_owner_is_in_the_name() -> None:
    assert owner_of(f"host-1-{NONCE}", "lock") == "host-1"
    assert owner_of(f"w-host-1-{NONCE}", "write") == "host-1"
    assert owner_of(f"r-host-{NONCE}", "lock") == "r-host"
    assert owner_of("00000000000000000012", "lock") == "00000000000000000012"
