"""Whose turn it is: a table."""

from __future__ import annotations

import pytest

from etcdv2 import Event, Node
from etcdv2.recipes._contest import Await, Contender, Entries, Entry, Hold, Kind, contenders, decide, owner_of

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
        ("lock", 1, ["a", "b", "me", "c"], Await("a")),
        ("lock", 1, ["a", "b", "c", "me"], Await("b")),
        ("lock", 1, ["a", "b"], None),
        ("lock", 1, [], None),
        ("read", 1, ["r-a", "me"], Hold()),
        ("read", 1, ["w-a", "me"], Await("w-a", alone=True)),
        ("read", 1, ["w-a", "r-b", "me"], Await("w-a", alone=True)),
        ("read", 1, ["w-a", "w-b", "r-c", "me"], Await("w-a")),
        ("read", 1, ["somebody", "me"], Await("somebody", alone=True)),
        ("write", 1, ["r-a", "me"], Await("r-a", alone=True)),
        ("write", 1, ["r-a", "r-b", "me"], Await("r-a")),
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


def change(action: str, key: str, index: int, *, created: int = 0, value: str | None = "v") -> Event:
    made = {"key": key, "value": value, "createdIndex": created or index, "modifiedIndex": index, "dir": value is None}
    ancestor = not key.startswith("/locks/db")
    return Event(action, Node.model_validate(made), None, value, ancestor)


@pytest.mark.parametrize(
    ("event", "woken", "left"),
    [
        (change("create", "/locks/db/d", 8), (), "a b c d"),
        (change("delete", "/locks/db/b", 8, created=6), ("b",), "a c"),
        (change("expire", "/locks/db/a", 8, created=5), ("a",), "b c"),
        (change("delete", "/locks/db/x", 8, created=7), (), "a b c"),
        (change("compareAndSwap", "/locks/db/a", 8, created=5), ("a",), "a b c"),  # a mark
        (change("set", "/locks/db/a", 8), ("a",), "b c a"),  # made again by somebody: another entry
        (change("create", "/locks/db/d", 8, value=None), (), "a b c"),  # a directory is no entry
        (change("create", "/locks/db/d/e", 8), (), "a b c"),
        (change("delete", "/locks/db", 8, value=None), ("a", "b", "c"), ""),
        (change("expire", "/locks", 8, value=None), ("a", "b", "c"), ""),
        (change("update", "/locks/db", 8, value=None), (), "a b c"),
    ],
)
def test_entries_are_kept_up_by_changes_in_the_order_in_which_they_are_served(
    event: Event, woken: tuple[str, ...], left: str
) -> None:
    known = Entries("/locks/db")
    known.listed(7, entries("a", "b", "c"))
    assert known.step(event) == woken
    assert [entry.name for entry in known.all()] == left.split()
    assert [entry.token for entry in known.all()] == sorted(entry.token for entry in known.all())
    assert known.index == 8
