"""A watch loses nothing and doubles nothing, whatever the sequence of polls, events and renewals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdv2._core.watch.cursor import Cursor
from etcdv2._types.results import Event
from etcdv2_api import KeysEvent, Node


def change(key: str, index: int, action: str = "set", *, value: str | None = "v", dir: bool = False) -> KeysEvent:
    return KeysEvent.model_validate(
        {
            "action": action,
            "node": {"key": key, "value": None if dir else value, "dir": dir, "modifiedIndex": index},
            "prevNode": {"key": key, "value": "before", "modifiedIndex": 1},
        }
    )


def at(key: str, *, recursive: bool = False, wait_index: int | None = 1) -> Cursor:
    return Cursor(key, recursive=recursive, wait_index=wait_index)


def test_watch_from_now_asks_without_an_index_once() -> None:
    cursor = at("/a", wait_index=None)
    asked = [cursor.wait_index]
    for registered in (41, 60):
        cursor.opened(registered)
        asked.append(cursor.wait_index)
    assert asked == [None, 42, 42]
    assert cursor.registered == 60


def test_after_an_event_the_next_index_is_asked_for() -> None:
    cursor = at("/a", wait_index=5)
    cursor.opened(4)
    assert cursor.accept(change("/a", 9)) is not None
    assert cursor.wait_index == 10


def test_watch_goes_on_behind_what_is_proved() -> None:
    cursor = at("/a", wait_index=5)
    cursor.opened(300)
    assert cursor.wait_index == 5  # a registration alone proves nothing
    cursor.moved_to(300)
    assert cursor.wait_index == 301


def test_what_is_proved_never_takes_it_back() -> None:
    cursor = at("/a", wait_index=500)
    cursor.opened(400)
    cursor.moved_to(400)
    assert cursor.wait_index == 500
    assert cursor.seen == 400


def test_poll_that_was_cut_off_is_asked_again_from_the_same_index() -> None:
    cursor = at("/a", wait_index=5)
    cursor.opened(400)
    cursor.opened(600)
    assert cursor.wait_index == 5


def test_event_seen_before_is_dropped() -> None:
    cursor = at("/a", wait_index=5)
    assert cursor.accept(change("/a", 9)) is not None
    assert cursor.accept(change("/a", 9)) is None
    assert cursor.accept(change("/a", 8)) is None
    assert cursor.wait_index == 10


def test_event_without_node_changes_nothing() -> None:
    cursor = at("/a", wait_index=5)
    assert cursor.accept(KeysEvent(action="set")) is None
    assert cursor.wait_index == 5


WANTED = [
    ("/a/b", False, "/a/b", "set", False),
    ("/a/b/", False, "/a/b", "set", False),
    ("/a/b", True, "/a/b/c", "create", False),
    ("/a/b", True, "/a/b/c/d", "expire", False),
    ("/", True, "/x", "set", False),
    ("/", True, "/x/y", "delete", False),
    ("/_h", True, "/_h/x", "set", False),
    ("/a/_h", False, "/a/_h", "set", False),
    ("/a/b", False, "/a", "delete", True),
    ("/a/b", True, "/a", "expire", True),
    ("/a/b/c", True, "/a/b", "delete", True),
    ("/_h/x", False, "/_h", "delete", True),
]
UNWANTED = [
    ("/a/b", False, "/a/b/c", "set"),
    ("/a/b", True, "/a/bc", "delete"),
    ("/a/b", True, "/a/bc/d", "set"),
    ("/foobar", True, "/foo", "delete"),
    ("/foobar", False, "/foo", "expire"),
    ("/foobar/x", True, "/foo", "delete"),
    ("/a/b", True, "/a/b/_h", "set"),
    ("/a/b", True, "/a/b/_h/x", "set"),
    ("/a/b", True, "/a/b/c/_h", "delete"),
    ("/", True, "/_h", "set"),
    ("/", False, "/x", "set"),
    ("/_h", True, "/_h/_x", "set"),
    ("/a/b", True, "/a", "set"),
    ("/a/b", False, "/c", "delete"),
]


@pytest.mark.parametrize(("watched", "recursive", "key", "action", "ancestor"), WANTED)
def test_event_of_the_watch_is_delivered(watched: str, recursive: bool, key: str, action: str, ancestor: bool) -> None:
    event = at(watched, recursive=recursive).accept(change(key, 9, action))
    assert event is not None
    assert (event.key, event.action, event.index, event.ancestor) == (key, action, 9, ancestor)


@pytest.mark.parametrize(("watched", "recursive", "key", "action"), UNWANTED)
def test_false_positive_of_the_server_is_dropped_and_passed(
    watched: str, recursive: bool, key: str, action: str
) -> None:
    cursor = at(watched, recursive=recursive)
    assert cursor.accept(change(key, 9, action)) is None
    assert cursor.wait_index == 10


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("set", "v"),
        ("create", ""),
        ("update", "v"),
        ("compareAndSwap", "v"),
        ("delete", None),
        ("compareAndDelete", None),
        ("expire", None),
    ],
)
def test_value_is_the_new_one_and_none_where_it_is_gone(action: str, value: str | None) -> None:
    event = at("/a").accept(change("/a", 9, action, value=value))
    assert event is not None
    assert event.value == value
    assert event.deleted == (value is None)
    assert event.prev_node is not None
    assert event.prev_node.value == "before"


def test_directory_has_no_value() -> None:
    event = at("/a").accept(change("/a", 9, dir=True))
    assert event is not None
    assert event.value is None
    assert not event.deleted


# --- any sequence against a model of the server ----------------------------------------------------------------------

KEYS = ["/w", "/w/x", "/w/_h", "/wide", "/v", "/w/x/y", "/"]


class Store:
    """The server's side of long polls: events with indexes, gaps between them, the whole history kept."""

    def __init__(self) -> None:
        self.index = 3
        self.events: list[KeysEvent] = []

    def write(self, key: str, gap: int) -> None:
        self.index += gap
        self.events.append(change(key, self.index, "delete" if key == "/" else "set"))

    def first_for(self, cursor: Cursor) -> KeysEvent | None:
        """The first event from the cursor's index on that the server thinks is of the watch: a loose prefix test."""
        wait_index = cursor.wait_index
        assert wait_index is not None
        for event in self.events:
            node: Node | None = event.node
            if node is not None and node.modified_index >= wait_index and node.key.startswith("/w"):
                return event
        return None


STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(KEYS), st.integers(1, 3)),
    st.tuples(st.sampled_from(["poll", "cut", "renew", "again"]), st.just(""), st.just(0)),
)


@settings(max_examples=300)
@given(st.lists(STEP, max_size=60), st.booleans(), st.one_of(st.none(), st.integers(1, 12)))
def test_each_matching_event_is_delivered_once_and_in_order(
    steps: list[tuple[str, str, int]], recursive: bool, wait_index: int | None
) -> None:
    """Polls that deliver, polls that are cut off, quiet polls that prove something, answers that come twice."""
    store, cursor, got = Store(), at("/w", recursive=recursive, wait_index=wait_index), list[Event]()
    cursor.opened(store.index)
    start = cursor.wait_index or 0
    last: KeysEvent | None = None

    def take(event: KeysEvent) -> None:
        accepted = cursor.accept(event)
        if accepted is not None:
            got.append(accepted)

    for what, key, gap in [*steps, *([("poll", "", 0)] * 70)]:
        if what == "write":
            store.write(key, gap)
            continue
        if what == "again":
            if last is not None:
                take(last)
            continue
        cursor.opened(store.index)
        found = store.first_for(cursor)
        if what == "poll" and found is not None:
            last = found
            take(found)
        elif what == "renew" and found is None:
            cursor.moved_to(store.index)

    visible = {"/w", "/w/x", "/w/x/y"} if recursive else {"/w"}
    wanted = [
        event.node.modified_index
        for event in store.events
        if event.node is not None and event.node.key in visible and event.node.modified_index >= start
    ]
    assert [event.index for event in got] == wanted


@pytest.mark.parametrize(
    ("indexes", "follows"),
    [
        ([], True),
        ([5], True),
        ([5, 6, 7], True),
        ([5, 5, 6], True),  # deletions come twice
        ([3, 5], True),
        ([6], False),
        ([5, 7], False),
        ([5, 6, 8, 9], False),
    ],
)
def test_changes_follow_on_when_no_event_of_the_store_lies_between(indexes: list[int], follows: bool) -> None:
    cursor = at("/a", wait_index=5)
    assert cursor.follows_on([change("/a", index) for index in indexes]) is follows
    assert cursor.wait_index == 5


def test_event_that_comes_later_than_was_thought_possible_is_delivered_and_gone_on_from() -> None:
    cursor = at("/a", wait_index=5)
    cursor.opened(8)
    cursor.moved_to(20)
    assert cursor.wait_index == 21
    late = cursor.accept(change("/a", 10))
    assert late is not None
    assert cursor.wait_index == 11
    assert cursor.accept(change("/a", 10)) is None
    cursor.restart(30)
    assert cursor.accept(change("/a", 30)) is None
