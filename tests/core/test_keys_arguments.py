"""Arguments of the keys API: what is sent, and what is refused before anything is sent, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core import keys as key_calls
from etcdv2._core.etcd_headers import MAX_INDEX

# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "prefix", "full"),
    [
        ("a", "", "/a"),
        ("/a", "", "/a"),
        ("/a/", "", "/a/"),
        ("a/b", "", "/a/b"),
        ("", "", "/"),
        ("/", "", "/"),
        ("", "/app", "/app"),
        ("a", "/app", "/app/a"),
        ("a/", "/app", "/app/a/"),
        ("...", "", "/..."),
        (" ", "", "/ "),
        ("a?b#c%d", "", "/a?b#c%d"),
        ("ключ", "/app", "/app/ключ"),
    ],
)
def test_key_is_made_absolute(key: str, prefix: str, full: str) -> None:
    assert key_calls.absolute(key, prefix) == full


def calls_of(key: str) -> list[Callable[[], object]]:
    return [
        lambda: key_calls.get(key, recursive=False, sort=False, quorum=False),
        lambda: key_calls.put(key, "v", ttl=None),
        lambda: key_calls.make_dir(key, None),
        lambda: key_calls.create_in_order(key, "v", ttl=None, no_value_on_success=False),
        lambda: key_calls.delete(key, prev_value=None, prev_index=None, recursive=False, directory=False),
    ]


@pytest.mark.parametrize("prefix", ["", "/app"])
@pytest.mark.parametrize("key", ["a//b", "a/./b", "..", "a/..", ".", "a//", "x/../../0", "\ud800"])
def test_key_that_would_name_another_is_refused_by_every_call(key: str, prefix: str) -> None:
    for call in calls_of(key_calls.absolute(key, prefix)):
        with pytest.raises(ValueError, match=r"segment|UTF-8"):
            call()


@pytest.mark.parametrize("key", ["//", "//a"])
def test_empty_first_segment_is_refused_by_every_call(key: str) -> None:
    for call in calls_of(key_calls.absolute(key, "")):
        with pytest.raises(ValueError, match="empty"):
            call()


def test_absolute_key_in_a_view_is_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="relative; leave the leading slash out"):
        key_calls.absolute("/a", "/app")


@pytest.mark.parametrize("key", [None, 1, b"/a", ["a"]])
def test_key_that_is_no_text_is_a_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        key_calls.absolute(key, "")


@pytest.mark.parametrize(
    ("prefix", "outer", "full"),
    [("/app", "", "/app"), ("app/", "", "/app"), ("x/y", "/app", "/app/x/y"), ("x/", "/app", "/app/x")],
)
def test_view_has_an_absolute_directory(prefix: str, outer: str, full: str) -> None:
    assert key_calls.view_prefix(prefix, outer) == full


@pytest.mark.parametrize(("prefix", "outer"), [("", ""), ("/", ""), ("", "/app")])
def test_view_of_nothing_below_is_refused(prefix: str, outer: str) -> None:
    with pytest.raises(ValueError, match="a view needs a directory below"):
        key_calls.view_prefix(prefix, outer)


@pytest.mark.parametrize(("prefix", "outer"), [("/x", "/app"), ("..", "/app"), ("a//b", "")])
def test_view_cannot_leave_its_view(prefix: str, outer: str) -> None:
    with pytest.raises(ValueError, match="key"):
        key_calls.view_prefix(prefix, outer)


SEGMENT = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text not in (".", "..")
)


@given(st.lists(SEGMENT, min_size=1, max_size=4), st.lists(SEGMENT, max_size=3))
def test_any_names_make_a_key_that_stays_in_its_view(names: list[str], above: list[str]) -> None:
    prefix = "".join(f"/{name}" for name in above)
    full = key_calls.absolute("/".join(names), prefix)
    assert full == f"{prefix}/{'/'.join(names)}"
    call = key_calls.get(full, recursive=False, sort=False, quorum=False)
    assert call.path.count("/") == 2 + len(above) + len(names)
    assert call.path.isascii()
    assert not set(call.path) & set(' ?#"<>\\^`{|}')


# --- TTL -------------------------------------------------------------------------------------------------------------

LONGEST_TTL = 7_000_000_000
"""Seconds."""


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (None, None),
        (1, 1),
        (LONGEST_TTL, LONGEST_TTL),
        (timedelta(seconds=5), 5),
        (timedelta(milliseconds=1), 1),
        (timedelta(seconds=5, microseconds=1), 6),
        (timedelta(days=1), 86400),
    ],
)
def test_ttl_is_whole_seconds_rounded_up(ttl: key_calls.TTL | None, seconds: int | None) -> None:
    assert key_calls.ttl_seconds(ttl) == seconds


@pytest.mark.parametrize("ttl", [0, -1, timedelta(0), timedelta(seconds=-1), timedelta(microseconds=-1)])
def test_ttl_that_is_over_already_is_refused_with_advice(ttl: key_calls.TTL) -> None:
    with pytest.raises(ValueError, match=r"delete\(\).*persist\(\)"):
        key_calls.ttl_seconds(ttl)


@pytest.mark.parametrize("ttl", [LONGEST_TTL + 1, 2**64, timedelta.max])
def test_ttl_beyond_the_clock_of_the_server_is_refused(ttl: key_calls.TTL) -> None:
    with pytest.raises(ValueError, match="overflows; use None"):
        key_calls.ttl_seconds(ttl)


@pytest.mark.parametrize("ttl", [True, False, 1.5, "30"])
def test_ttl_of_another_type_is_a_type_error(ttl: Any) -> None:
    with pytest.raises(TypeError, match="whole seconds as int"):
        key_calls.ttl_seconds(ttl)


# --- calls -----------------------------------------------------------------------------------------------------------


def test_read_sends_only_what_is_wanted() -> None:
    assert key_calls.get("/a", recursive=False, sort=False, quorum=False).query == ()
    assert key_calls.get("/a", recursive=True, sort=True, quorum=True).query == (
        ("recursive", "true"),
        ("sorted", "true"),
        ("quorum", "true"),
    )


def test_set_sends_only_what_is_wanted() -> None:
    call = key_calls.put("/a", "", ttl=None)
    assert (call.method, call.query, call.form) == ("PUT", (), (("value", ""),))


def test_every_condition_of_a_write_is_sent_in_the_form() -> None:
    call = key_calls.put("/a", "v", ttl=5, prev_value="o", prev_index=7, prev_exist=True, no_value_on_success=True)
    assert call.query == ()
    assert dict(call.form or ()) == {
        "value": "v",
        "ttl": "5",
        "prevValue": "o",
        "prevIndex": "7",
        "prevExist": "true",
        "noValueOnSuccess": "true",
    }


def test_create_is_a_write_on_condition_that_nothing_is_there() -> None:
    assert ("prevExist", "false") in (key_calls.put("/a", "v", ttl=None, prev_exist=False).form or ())


def test_refresh_sends_no_value() -> None:
    call = key_calls.put("/a", None, ttl=5, prev_exist=True, refresh=True)
    assert dict(call.form or ()) == {"ttl": "5", "refresh": "true", "prevExist": "true"}


def test_directory_is_made_only_where_nothing_is() -> None:
    call = key_calls.make_dir("/d", timedelta(seconds=1.5))
    assert dict(call.form or ()) == {"dir": "true", "ttl": "2", "prevExist": "false"}


def test_key_in_order_is_posted() -> None:
    call = key_calls.create_in_order("/q", "v", ttl=5, no_value_on_success=True)
    assert call.method == "POST"
    assert dict(call.form or ()) == {"value": "v", "ttl": "5", "noValueOnSuccess": "true"}


def test_conditions_of_a_deletion_are_sent_in_the_query() -> None:
    call = key_calls.delete("/a", prev_value="a&b", prev_index=7, recursive=False, directory=False)
    assert (call.method, call.form, call.body) == ("DELETE", None, None)
    assert call.query == (("prevValue", "a&b"), ("prevIndex", "7"))
    tree = key_calls.delete("/a", prev_value=None, prev_index=None, recursive=True, directory=True)
    assert set(tree.query) == {("dir", "true"), ("recursive", "true")}


def put(**given: Any) -> object:
    return key_calls.put("/a", "v", ttl=None, **given)


def delete(**given: Any) -> object:
    standard = {"prev_value": None, "prev_index": None, "recursive": False, "directory": False}
    return key_calls.delete("/a", **standard | given)


@pytest.mark.parametrize("call", [put, delete])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"prev_value": ""}, "use prev_index="),
        ({"prev_value": "\ud800"}, "lone surrogate"),
        ({"prev_index": 0}, "no condition"),
        ({"prev_index": -1}, "modified index"),
        ({"prev_index": 2**64}, "modified index"),
    ],
)
def test_condition_that_the_server_would_misread_is_refused(call: Any, given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        call(**given)


@pytest.mark.parametrize("call", [put, delete])
@pytest.mark.parametrize("given", [{"prev_value": 1}, {"prev_value": b"x"}, {"prev_index": "7"}, {"prev_index": True}])
def test_condition_of_another_type_is_a_type_error(call: Any, given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be"):
        call(**given)


@pytest.mark.parametrize("value", ["true", 1, 0])
def test_prev_exist_is_a_bool(value: Any) -> None:
    with pytest.raises(TypeError, match="prev_exist"):
        put(prev_exist=value)


@pytest.mark.parametrize("given", [{"prev_value": "o"}, {"prev_index": 7}])
def test_conditions_that_the_server_would_drop_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"create\(\) alone"):
        put(prev_exist=False, **given)


@pytest.mark.parametrize("given", [{"prev_value": "o"}, {"prev_index": 7}])
@pytest.mark.parametrize("tree", [{"recursive": True}, {"directory": True}])
def test_conditions_on_the_deletion_of_a_directory_are_refused(given: dict[str, Any], tree: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="files only"):
        delete(**given, **tree)


@pytest.mark.parametrize("value", [None, 1, b"x", {"a": 1}])
def test_value_that_is_no_text_is_a_type_error_with_advice(value: Any) -> None:
    with pytest.raises(TypeError, match="encode other types yourself"):
        key_calls.put("/a", value, ttl=None)
    with pytest.raises(TypeError, match="encode other types yourself"):
        key_calls.create_in_order("/a", value, ttl=None, no_value_on_success=False)


def test_value_that_is_no_utf_8_is_refused_at_its_place() -> None:
    with pytest.raises(ValueError, match="position 2"):
        key_calls.put("/a", "ab\udc00", ttl=None)


LIMIT = 10 * 1024 * 1024
LARGEST = LIMIT - len("value=")


@pytest.mark.parametrize(
    "value", ["a" * LARGEST, "%" * (LARGEST // 3), "😀" * (LARGEST // 12)], ids=["ascii", "percent", "emoji"]
)
def test_largest_form_that_the_server_takes_is_sent(value: str) -> None:
    body = key_calls.put("/a", value, ttl=None).body
    assert body is not None
    assert LIMIT - 12 < len(body) <= LIMIT


@pytest.mark.parametrize(
    "value",
    ["a" * (LARGEST + 1), "%" * (LARGEST // 3 + 1), "😀" * (LARGEST // 12 + 1)],
    ids=["ascii", "percent", "emoji"],
)
def test_form_that_the_server_would_refuse_is_refused_with_its_size(value: str) -> None:
    with pytest.raises(ValueError, match=f"server takes {LIMIT}"):
        key_calls.put("/a", value, ttl=None)
    with pytest.raises(ValueError, match="split the value"):
        key_calls.create_in_order("/a", value, ttl=None, no_value_on_success=False)


def test_conditions_count_for_the_size_too() -> None:
    with pytest.raises(ValueError, match="server takes"):
        key_calls.put("/a", "a" * (LARGEST // 2), ttl=None, prev_value="b" * (LARGEST // 2))


# --- watches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "wait_index"), [(None, None), (0, 1), (41, 42), (MAX_INDEX - 1, key_calls.MAX_INDEX)]
)
def test_watch_begins_behind_the_index_given(after: int | None, wait_index: int | None) -> None:
    assert key_calls.wait_index_after(after) == wait_index


@pytest.mark.parametrize("index", [-1, MAX_INDEX])
def test_index_that_no_event_has_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="after_index"):
        key_calls.wait_index_after(index)


@pytest.mark.parametrize("index", ["1", 1.0, True])
def test_index_of_another_type_is_a_type_error(index: Any) -> None:
    with pytest.raises(TypeError, match="after_index"):
        key_calls.wait_index_after(index)
