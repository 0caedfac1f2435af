"""Arguments of the members and auth API: bodies, and what is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etcdv2._core import admin as bodies
from etcdv2_api import UserChange, operations
from etcdv2_api.node import Model

PASSWORD = "correct horse"


def sent(body: Model) -> dict[str, Any]:
    return body.model_dump(by_alias=True, exclude_none=True)


@pytest.mark.parametrize("urls", ["http://d:2380", ["http://d:2380"], iter(["http://d:2380"])])
def test_peer_urls_are_one_or_several(urls: Any) -> None:
    assert sent(bodies.peers(urls)) == {"peerURLs": ("http://d:2380",)}


def test_member_without_peer_url_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bodies.peers([])


def test_new_user_has_a_password_and_roles_only_if_given() -> None:
    assert sent(bodies.new_user("u", PASSWORD, ())) == {"user": "u", "password": PASSWORD}
    assert sent(bodies.new_user("u", PASSWORD, ["r", "s"])) == {
        "user": "u",
        "password": PASSWORD,
        "roles": ("r", "s"),
    }


def test_lone_role_is_one_role_and_not_its_letters() -> None:
    assert sent(bodies.new_user("u", PASSWORD, "reader"))["roles"] == ("reader",)
    assert sent(bodies.grant_user("u", "reader")) == {"user": "u", "grant": ("reader",)}
    assert sent(bodies.revoke_user("u", "reader")) == {"user": "u", "revoke": ("reader",)}


def test_new_password_changes_nothing_else() -> None:
    assert sent(bodies.new_password("u", PASSWORD)) == {"user": "u", "password": PASSWORD}


@pytest.mark.parametrize("change", [bodies.grant_user, bodies.revoke_user])
def test_change_of_no_role_is_refused(change: Callable[[str, list[str]], UserChange]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        change("u", [])


NO_ROLE = ["", ".", "..", "/", "//", "a/b"]
"""With all but the last the server ends the connection for whoever reads that user (3.5.1, 3.4.23)."""


@pytest.mark.parametrize("name", NO_ROLE)
@pytest.mark.parametrize("others", [(), ("reader",)])
def test_role_that_nobody_can_have_is_refused_in_a_list_as_alone(name: str, others: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="name"):
        operations.get_role(name)
    with pytest.raises(ValueError, match=r"roles: name .*must not be empty"):
        bodies.new_user("u", PASSWORD, [*others, name])
    with pytest.raises(ValueError, match=r"roles: name .*must not be empty"):
        bodies.grant_user("u", [*others, name])


@pytest.mark.parametrize("name", NO_ROLE)
def test_any_role_can_be_taken_away(name: str) -> None:
    assert sent(bodies.revoke_user("u", [name])) == {"user": "u", "revoke": (name,)}


def test_list_of_one_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        bodies.new_user("u", PASSWORD, [""])


def test_user_name_with_a_colon_is_refused() -> None:
    with pytest.raises(ValueError, match="could never log in"):
        bodies.new_user("a:b", PASSWORD, ())


def new_user(password: str) -> UserChange:
    return bodies.new_user("u", password, ())


def new_password(password: str) -> UserChange:
    return bodies.new_password("u", password)


@pytest.mark.parametrize("make", [new_user, new_password])
class TestPasswords:
    @pytest.mark.parametrize("password", ["x", "x" * 72, "ü" * 36])
    def test_password_up_to_what_bcrypt_takes_is_sent(self, make: Callable[[str], UserChange], password: str) -> None:
        assert sent(make(password))["password"] == password

    @pytest.mark.parametrize("password", ["", "x" * 73, "ü" * 37])
    def test_password_that_the_server_would_cut_is_refused_by_its_size(
        self, make: Callable[[str], UserChange], password: str
    ) -> None:
        with pytest.raises(ValueError, match="1 to 72") as caught:
            make(password)
        assert not password or password not in str(caught.value)

    @pytest.mark.parametrize("password", [None, 1, b"x"])
    def test_password_that_is_no_text_is_a_type_error(self, make: Callable[[Any], UserChange], password: Any) -> None:
        with pytest.raises(TypeError, match="password: must be a str"):
            make(password)

    def test_password_that_is_no_utf_8_is_refused_and_not_shown(self, make: Callable[[str], UserChange]) -> None:
        with pytest.raises(ValueError, match=r"password|surrogate") as caught:
            make(f"{PASSWORD}\ud800")
        assert PASSWORD not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"

    def test_password_is_in_no_repr(self, make: Callable[[str], UserChange]) -> None:
        body = make(PASSWORD)
        assert PASSWORD not in f"{operations.put_user('u', body)!r}"
        assert PASSWORD not in f"{body!r}{body}"


def test_new_role_has_its_patterns() -> None:
    assert sent(bodies.new_role("r", "/a/*", ["/b", "*"])) == {
        "role": "r",
        "permissions": {"kv": {"read": ("/a/*",), "write": ("/b", "*")}},
    }


def test_new_role_may_have_no_patterns() -> None:
    assert sent(bodies.new_role("r", (), ()))["permissions"] == {"kv": {"read": (), "write": ()}}


def test_patterns_are_granted_and_revoked() -> None:
    assert sent(bodies.grant_role("r", "/a", ())) == {
        "role": "r",
        "grant": {"kv": {"read": ("/a",), "write": ()}},
    }
    assert sent(bodies.revoke_role("r", (), "/a")) == {
        "role": "r",
        "revoke": {"kv": {"read": (), "write": ("/a",)}},
    }


@pytest.mark.parametrize("change", [bodies.grant_role, bodies.revoke_role])
def test_change_of_no_pattern_is_refused(change: Callable[[str, Any, Any], object]) -> None:
    with pytest.raises(ValueError, match="at least one pattern"):
        change("r", (), [])


@pytest.mark.parametrize("change", [bodies.new_role, bodies.grant_role, bodies.revoke_role])
@pytest.mark.parametrize("pattern", ["", "a", "a*", " /a"])
def test_pattern_that_would_crash_the_server_or_match_nothing_is_refused(
    change: Callable[[str, Any, Any], object], pattern: str
) -> None:
    with pytest.raises(ValueError, match="must begin with '/'"):
        change("r", pattern, ())
    with pytest.raises(ValueError, match="must begin with '/'"):
        change("r", (), ["/ok", pattern])


@pytest.mark.parametrize("given", [[1], [None], b"/a", ["/a", 2]])
def test_names_that_are_no_text_are_a_type_error(given: Any) -> None:
    for make in (
        lambda: bodies.peers(given),
        lambda: bodies.grant_user("u", given),
        lambda: bodies.new_role("r", given, ()),
        lambda: bodies.new_role("r", (), given),
    ):
        with pytest.raises(TypeError, match="must be a str, not"):
            make()
