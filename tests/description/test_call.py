"""What every call has: its encodings, its headers, its masks."""

from __future__ import annotations

import pickle
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2_api import Call, UndescribedAnswer, UserChange, operations
from etcdv2_api.call import flag, key_path, path_segment


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("/", "/"),
        ("", "/"),
        ("a", "/a"),
        ("/a/b", "/a/b"),
        ("/a/", "/a/"),
        ("/a b?c#d%e", "/a%20b%3Fc%23d%25e"),
        ("/é/日本", "/%C3%A9/%E6%97%A5%E6%9C%AC"),
        ("/_hidden/-.~_", "/_hidden/-.~_"),
        ("/...", "/..."),
        ("/a;b&c=d+e", "/a%3Bb%26c%3Dd%2Be"),
    ],
)
def test_key_is_encoded_segment_by_segment(key: str, path: str) -> None:
    assert key_path(key) == path


@pytest.mark.parametrize("key", ["//", "/a//b", "/./a", "/a/..", "..", "/a/./", "//a"])
def test_key_that_the_server_would_redirect_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        key_path(key)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_name_that_would_leave_its_place_in_the_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        path_segment(name)


def test_name_is_one_encoded_segment() -> None:
    assert path_segment("a b%2F:") == "a%20b%252F%3A"


@pytest.mark.parametrize("encode", [key_path, path_segment])
def test_lone_surrogate_is_refused_with_its_place(encode: object) -> None:
    with pytest.raises(ValueError, match=r"cannot be written as UTF-8: .* position 1"):
        encode("a\udc80")  # type: ignore[operator]


@given(st.lists(st.text(min_size=1).filter(lambda one: "/" not in one and one not in (".", "..")), min_size=1))
def test_encoded_key_is_ascii_and_decodes_to_itself(segments: list[str]) -> None:
    key = "/" + "/".join(segments)
    try:
        path = key_path(key)
    except ValueError:
        assert any("\ud800" <= char <= "\udfff" for char in key)
        return
    assert path.isascii()
    assert unquote(path, errors="strict") == key


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_form_carries_every_value(value: str) -> None:
    body = operations.put_key("/a", value=value).body
    assert body is not None
    assert b";" not in body
    assert parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True) == [("value", value)]


def test_query_is_percent_encoded_without_plus() -> None:
    call = operations.delete_key("/a", prev_value="b c+d;é")
    assert call.target == "/v2/keys/a?prevValue=b%20c%2Bd%3B%C3%A9"
    assert call.body is None
    assert call.headers == {}


def test_form_has_its_content_type_even_when_it_is_empty() -> None:
    call = operations.put_key("/a")
    assert call.body == b""
    assert call.headers == {"Content-Type": "application/x-www-form-urlencoded"}


def test_json_has_its_content_type() -> None:
    assert operations.put_user("u", UserChange(user="u")).headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false")])
def test_flag_is_what_the_server_reads(value: bool, text: str) -> None:
    assert flag(value) == text


def test_password_is_sent_but_neither_shown_nor_kept_in_the_mask() -> None:
    call = operations.put_user("u", UserChange(user="u", password="hush"))
    assert call.body == b'{"user":"u","password":"hush"}'
    assert "hush" not in repr(call)
    assert "hush" not in str(tuple(call.masked()))
    assert call.masked().masked() == call.masked()


def test_mask_leaves_a_call_without_a_secret_alone() -> None:
    call = operations.put_key("/a", value="x")
    assert call.masked() is call


def test_call_says_what_it_is() -> None:
    assert repr(operations.put_key("/a", value="x")) == "<Call put_key: PUT /v2/keys/a value=x>"
    assert repr(operations.get_key("/a", wait=True)) == "<Call get_key: GET /v2/keys/a?wait=true>"


def test_call_pickles_with_its_reader() -> None:
    call = operations.get_key("/a", recursive=True)
    again: Call[object, object] = pickle.loads(pickle.dumps(call))
    assert again == call
    assert again.decode is call.decode


def test_undescribed_answer_pickles_and_shows_how_the_body_begins() -> None:
    error = UndescribedAnswer(418, b"x" * 100, "why")
    assert str(error) == f"status 418: why; the body begins {b'x' * 80!r}"
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.body, again.reason) == (418, b"x" * 100, "why")
