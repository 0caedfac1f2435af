"""What a watch remembers of its history, what contradicts it, and when that is asked."""

from __future__ import annotations

from typing import Any

import pytest

from etcdv2._core.etcd_headers import Meta
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.one_history import OneHistory, Place, landmark_of
from etcdv2_api import KeysEvent

URL = "http://a:2379"
FIRST, RESTARTED, UNKNOWN = Place("f00d since 1", URL), Place("f00d since 2", URL), Place("", URL)


def change(index: int, value: str | None = "v", action: str = "set", **node: Any) -> KeysEvent:
    node = {"key": "/k", "modifiedIndex": index, "createdIndex": index, **node}
    return KeysEvent.model_validate({"action": action, "node": node if value is None else {**node, "value": value}})


def begun(place: Place) -> OneHistory:
    history = OneHistory()
    assert not history.is_doubtful(place)
    history.proved(place)
    return history


# --- the last event ---------------------------------------------------------------------------------------------------


def test_event_is_the_same_whatever_its_ttl_and_the_node_before() -> None:
    again = change(7, ttl=3, expiration="2030-01-01T00:00:00Z").model_copy(update={"prev_node": change(5).node})
    assert landmark_of(change(7)) == landmark_of(again)


@pytest.mark.parametrize(
    "other",
    [
        change(8),
        change(7, "w"),
        change(7, None),
        change(7, action="create"),
        change(7, createdIndex=3),
        change(7, key="/j"),
        change(7, None, dir=True),
    ],
)
def test_event_is_another_one_by_all_that_a_server_keeps(other: KeysEvent) -> None:
    assert landmark_of(change(7)) != landmark_of(other)


def test_value_in_a_removal_is_a_foreign_one() -> None:
    """Section 11.8: after a snapshot."""
    assert landmark_of(change(7, None, "delete")) == landmark_of(change(7, "foreign", "delete"))


def test_change_without_a_node_is_no_landmark() -> None:
    assert landmark_of(KeysEvent.model_validate({"action": "set"})) is None


# --- where the cursor goes --------------------------------------------------------------------------------------------


def test_cursor_goes_back_behind_its_last_event_and_forth_to_where_silence_came() -> None:
    cursor = Cursor("/k", recursive=False, wait_index=None)
    cursor.opened(10)
    assert not cursor.go_back()  # there is no event
    cursor.accept(change(12))
    assert not cursor.go_back()  # it is there
    cursor.moved_to(400)
    assert (cursor.go_back(), cursor.wait_index, cursor.furthest) == (True, 13, 401)
    assert not cursor.go_back()
    assert (cursor.go_forth(), cursor.wait_index) == (True, 401)
    assert not cursor.go_forth()
    cursor.go_back()
    cursor.moved_to(500)
    assert (cursor.wait_index, cursor.furthest, cursor.go_forth()) == (501, 501, False)


def test_event_and_state_begin_from_themselves() -> None:
    cursor = Cursor("/k", recursive=False, wait_index=5)
    cursor.accept(change(12))
    cursor.moved_to(400)
    cursor.go_back()
    cursor.accept(change(300))
    assert (cursor.wait_index, cursor.furthest) == (301, 301)
    cursor.restart(20)
    assert (cursor.landmark, cursor.wait_index, cursor.furthest) == (None, 21, 21)
    assert not cursor.go_forth()


# --- when it is asked -------------------------------------------------------------------------------------------------


def test_nobody_is_doubted_where_a_history_begins_unless_contact_was_lost_since() -> None:
    history = OneHistory()
    assert not history.is_doubtful(FIRST)
    history.interrupted = True
    assert history.is_doubtful(FIRST)


def test_another_process_is_doubted_and_one_that_was_there_is_not() -> None:
    history = begun(FIRST)
    assert (history.is_doubtful(FIRST), history.is_new(FIRST), history.is_doubtful(RESTARTED)) == (False, False, True)
    history.proved(RESTARTED)
    assert not history.is_doubtful(RESTARTED)
    assert not history.is_doubtful(FIRST)  # a balancer has several


def test_outage_makes_everybody_doubtful_and_a_proof_ends_it() -> None:
    history = begun(FIRST)
    history.interrupted = True
    assert history.is_doubtful(FIRST)
    assert history.has_stayed(FIRST)
    assert not history.has_stayed(RESTARTED)
    history.proved(FIRST)
    assert not history.is_doubtful(FIRST)


def test_unknown_process_is_known_by_its_url_but_has_never_stayed() -> None:
    history = begun(UNKNOWN)
    assert not history.is_doubtful(UNKNOWN)
    assert history.is_doubtful(Place("", "http://b:2379"))
    assert not history.has_stayed(UNKNOWN)


def test_state_is_of_the_history_of_who_answers_before_and_behind_it() -> None:
    history = begun(FIRST)
    history.saw(Meta(10, 500, 3, "aa"))
    history.interrupted = history.was_put_back = True
    history.begin(RESTARTED)
    assert (history.is_doubtful(RESTARTED), history.was_put_back) == (False, False)
    assert history.is_doubtful(Place("f00d since 3", URL))
    assert history.went_back(Meta(10, 1, 1, "aa")) == ""


def test_state_is_of_the_history_of_the_next_poll_where_processes_are_not_known() -> None:
    history = begun(FIRST)
    history.begin(UNKNOWN)
    assert not history.is_doubtful(UNKNOWN)
    assert not history.is_doubtful(RESTARTED)
    history.interrupted = True
    assert history.is_doubtful(UNKNOWN)


@pytest.mark.parametrize(
    ("raft_index", "term", "older"),
    [(500, 3, False), (501, 4, False), (0, 0, False), (499, 3, True), (499, 4, True), (600, 2, True)],
)
def test_raft_index_and_term_only_grow(raft_index: int, term: int, older: bool) -> None:
    history = begun(FIRST)
    history.saw(Meta(10, 500, 3, "aa"))
    history.saw(Meta(9, 400, 2, "aa"))
    assert bool(history.went_back(Meta(20, raft_index, term, "aa"))) is older
