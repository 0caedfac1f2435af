"""Times, consistency, and the variables of etcdctl."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from etcdv2._types.settings import (
    UNSET,
    Timeout,
    check_consistency,
    check_seconds,
    settings_from_env,
    timeout_from,
)
from etcdv2._types.tls import TLS


def test_standard_times_leave_a_commit_more_than_the_server_takes() -> None:
    standard = Timeout()
    assert (standard.connect, standard.attempt, standard.commit, standard.total) == (1, 2, 8, 20)
    assert standard.commit is not None
    assert standard.commit > 7


@pytest.mark.parametrize("name", ["connect", "attempt", "commit", "total"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_time_that_is_no_positive_finite_number_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"timeout {name}: .*more than 0"):
        Timeout(**{name: value})


@pytest.mark.parametrize("value", ["1", True, [1]])
def test_time_of_another_type_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"timeout total: .*number of seconds"):
        Timeout(total=value)
    with pytest.raises(TypeError, match=r"timeout: .*number of seconds"):
        timeout_from(value, Timeout())


def test_times_are_frozen_and_given_by_name() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Timeout().total = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        Timeout(1)  # type: ignore[call-arg]


def test_none_is_no_limit() -> None:
    assert Timeout(connect=None, attempt=None, commit=None, total=None).total is None
    check_seconds("patience", None)


def test_timeout_not_given_is_the_standard() -> None:
    standard = Timeout(total=3)
    assert timeout_from(UNSET, standard) is standard


def test_whole_timeout_replaces_the_standard() -> None:
    given = Timeout(attempt=1)
    assert timeout_from(given, Timeout(total=3)) is given


@pytest.mark.parametrize("number", [5, 0.25])
def test_number_alone_is_the_total(number: float) -> None:
    standard = Timeout(connect=0.5, attempt=1, commit=9, total=3)
    assert timeout_from(number, standard) == dataclasses.replace(standard, total=float(number))


def test_none_alone_is_no_total_and_tries_still_end() -> None:
    """Else a call would hang for ever on one stopped member while the others are well."""
    standard = Timeout(connect=0.5, attempt=1, commit=9, total=3)
    assert timeout_from(None, standard) == dataclasses.replace(standard, total=None)


@pytest.mark.parametrize("value", ["local", "session", "quorum"])
def test_known_consistency_is_taken(value: str) -> None:
    check_consistency(value)


@pytest.mark.parametrize("value", ["", "Quorum", "strong"])
def test_unknown_consistency_is_refused_with_the_choice(value: str) -> None:
    with pytest.raises(ValueError, match="local, session, quorum"):
        check_consistency(value)


def test_empty_environment_sets_nothing() -> None:
    assert settings_from_env({}) == {}
    assert settings_from_env({"ETCDCTL_ENDPOINTS": "", "ETCDCTL_CA_FILE": "", "PATH": "/bin"}) == {}


@pytest.mark.parametrize("name", ["ENDPOINTS", "ENDPOINT", "PEERS"])
def test_endpoints_are_split_at_commas(name: str) -> None:
    found = settings_from_env({f"ETCDCTL_{name}": "http://a:1, http://b:2,"})
    assert found == {"endpoints": ["http://a:1", "http://b:2"]}


def test_newer_names_go_before_older_ones() -> None:
    found = settings_from_env({"ETCDCTL_ENDPOINTS": "new", "ETCDCTL_PEERS": "old"})
    assert found == {"endpoints": ["new"]}


@pytest.mark.parametrize(
    ("ca", "cert", "key"), [("CA_FILE", "CERT_FILE", "KEY_FILE"), ("CACERT", "CERT", "KEY")], ids=["v2", "v3"]
)
def test_tls_files_of_both_modes_are_read(ca: str, cert: str, key: str) -> None:
    found = settings_from_env({f"ETCDCTL_{ca}": "ca", f"ETCDCTL_{cert}": "cert", f"ETCDCTL_{key}": "key"})
    assert found == {"tls": TLS(ca_file="ca", cert_file="cert", key_file="key")}


@pytest.mark.parametrize(
    ("environ", "username", "password"),
    [
        ({"ETCDCTL_USERNAME": "root:pw"}, "root", "pw"),
        ({"ETCDCTL_USER": "root:p:w"}, "root", "p:w"),
        ({"ETCDCTL_USERNAME": "root", "ETCDCTL_PASSWORD": "p:w"}, "root", "p:w"),
        ({"ETCDCTL_USERNAME": "root:"}, "root", ""),
    ],
)
def test_credentials_are_read_together_or_apart(environ: dict[str, str], username: str, password: str) -> None:
    assert settings_from_env(environ) == {"username": username, "password": password}


def test_user_without_password_is_refused() -> None:
    with pytest.raises(ValueError, match="ETCDCTL_PASSWORD"):
        settings_from_env({"ETCDCTL_USERNAME": "root"})


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("500ms", 0.5), ("1m", 60), ("1.5s", 1.5), ("2h", 7200)])
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert settings_from_env({"ETCDCTL_TOTAL_TIMEOUT": text}) == {"timeout": Timeout(total=seconds)}
    assert settings_from_env({"ETCDCTL_TIMEOUT": text}) == {"timeout": Timeout(connect=seconds)}
    assert settings_from_env({"ETCDCTL_DIAL_TIMEOUT": text}) == {"timeout": Timeout(connect=seconds)}


@pytest.mark.parametrize("text", ["5", "s", "fast", "-5s", "1.2.3s", "²s", ".s"])
@pytest.mark.parametrize("name", ["ETCDCTL_TOTAL_TIMEOUT", "ETCDCTL_TIMEOUT", "ETCDCTL_DIAL_TIMEOUT"])
def test_unreadable_duration_is_refused_by_the_name_of_its_variable(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        settings_from_env({name: text})
