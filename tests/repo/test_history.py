"""The comparison of a watch with the history: each way of not being exact is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etcdv2 import Event, Snapshot
from etcdv2_api import Node
from tests.tools.history import Cleared, History, Item, objections
from tests.tools.writers import Done

DONE = [Done(n, "set", f"/s/{n % 5}", f"{n}") for n in range(10, 1300)] + [
    Done(1300, "delete", "/s/1", None),
    Done(1301, "set", "/s/_h", "1"),
    Done(1302, "delete", "/s", None),
    Done(1303, "set", "/s/1", "end"),
]


def faithful(history: History) -> list[Item]:
    """What a sound watch of /s delivers."""
    items: list[Item] = []
    for change in history.changes:
        if change.key != "/s/_h":
            node = Node(key=change.key, value=change.value, modified_index=change.index)
            before = Node(key=change.key, value=change.old)
            items.append(Event(change.action, node, None if change.old is None else before, change.value))
    return items


def put_in(items: list[Item], at: int, *new: Item) -> list[Item]:
    return [*items[:at], *new, *items[at + 1 :]]


def event(index: int, key: str, value: str, old: str | None = None) -> Event:
    node = Node(key=key, value=value, modified_index=index)
    return Event("set", node, None if old is None else Node(key=key, value=old), value)


FAULTY: dict[str, tuple[str, Callable[[list[Item]], list[Item]]]] = {
    "drops one": ("not delivered", lambda items: put_in(items, 50)),
    "drops the first": ("not delivered", lambda items: items[1:]),
    "drops the last but one": ("not delivered", lambda items: put_in(items, len(items) - 2)),
    "doubles one": ("after", lambda items: put_in(items, 50, items[50], items[50])),
    "swaps two": ("not delivered", lambda items: put_in(put_in(items, 50, items[51]), 51, items[50])),
    "delivers another value": ("it was", lambda items: put_in(items, 50, event(60, "/s/0", "61", "55"))),
    "delivers another old value": ("it was", lambda items: put_in(items, 50, event(60, "/s/0", "60", "54"))),
    "delivers a hidden key": ("it was", lambda items: put_in(items, -3, items[-3], event(1301, "/s/_h", "1"))),
    "makes one up": ("it was", lambda items: [*items, event(1304, "/s/1", "5")]),
    "names a hole that is none": ("still had", lambda items: put_in(items, 50, Cleared(59, 60))),
    "names a hole too late": ("not delivered", lambda items: [*items[:50], Cleared(60, 1200), *items[1191:]]),
    "goes on too late after a hole": ("not delivered", lambda items: [*items[:50], Cleared(59, 1200), *items[1192:]]),
    "goes on too early after a hole": ("after", lambda items: [*items[:50], Cleared(59, 1200), *items[1190:]]),
    "reads another state": ("not the state", lambda items: [*items[:50], Snapshot(None, 1200), *items[1191:]]),
}


@pytest.mark.parametrize("way", FAULTY)
def test_watch_that_is_not_exact_is_found_out(way: str) -> None:
    history = History(DONE, 9)
    why, spoil = FAULTY[way]
    found = list(objections(history, "/s", spoil(faithful(history)), recursive=True, start=9))
    assert found
    assert why in found[0]


def test_exact_watch_and_one_with_a_hole_that_is_named_meet_no_objection() -> None:
    history = History(DONE, 9)
    items = faithful(history)
    children = tuple(Node(key=f"/s/{n}", value=f"{1200 - (1200 - n) % 5}") for n in range(5))
    state = Snapshot(Node(key="/s", dir=True, nodes=children), 1200)
    for sound in (items, [*items[:50], Cleared(59, 1200), *items[1191:]], [*items[:50], state, *items[1191:]]):
        assert list(objections(history, "/s", sound, recursive=True, start=9)) == []


def test_watch_that_begins_too_late_is_found_out() -> None:
    history = History(DONE, 9)
    assert any("begins" in one for one in objections(history, "/s", faithful(history), recursive=True, start=10))
