"""Times, consistency, and the variables of etcdctl."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import pytest

from etcdv2 import AsyncClient, Client
from etcdv2._async.settings import AsyncClientSettings
from etcdv2._sync.settings import ClientSettings
from etcdv2._types.environment import settings_from_env
from etcdv2._types.settings import (
    UNSET,
    Timeout,
    check_consistency,
    check_seconds,
    timeout_from,
    with_settings,
)
from etcdv2._types.srv import Srv
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
    for name, field in (
        ("TOTAL_TIMEOUT", "total"),
        ("COMMAND_TIMEOUT", "total"),
        ("TIMEOUT", "connect"),
        ("DIAL_TIMEOUT", "connect"),
    ):
        found = settings_from_env({f"ETCDCTL_{name}": text})["timeout"]
        assert getattr(found, field) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["5", "s", "fast", "-5s", "1.2.3s", "²s", ".s", "0s", "0", "1m 30s", "1d", "5s1", "1M"]
)
@pytest.mark.parametrize("name", ["ETCDCTL_TOTAL_TIMEOUT", "ETCDCTL_TIMEOUT", "ETCDCTL_DIAL_TIMEOUT"])
def test_unreadable_duration_is_refused_by_the_name_of_its_variable(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        settings_from_env({name: text})


@pytest.mark.parametrize(
    ("environ", "settings"),
    [
        ({"INSECURE_SKIP_TLS_VERIFY": "true"}, {"tls": TLS(verify=False)}),
        ({"INSECURE_SKIP_TLS_VERIFY": "1", "CACERT": "ca"}, {"tls": TLS(verify=False)}),
        ({"INSECURE_SKIP_TLS_VERIFY": "false"}, {}),
        ({"INSECURE_SKIP_TLS_VERIFY": "F", "CACERT": "ca"}, {"tls": TLS(ca_file="ca")}),
        ({"INSECURE_TRANSPORT": "false"}, {"tls": TLS()}),
        ({"INSECURE_TRANSPORT": "true"}, {}),
        ({"DISCOVERY_SRV": "example.org"}, {"endpoints": Srv(domain="example.org", verify_domain=True)}),
        (
            {"DISCOVERY_SRV": "example.org", "DISCOVERY_SRV_NAME": "blue", "INSECURE_DISCOVERY": "false", "PEERS": "a"},
            {"endpoints": Srv(domain="example.org", service="blue", insecure_discovery=False, verify_domain=True)},
        ),
        ({"API": "3", "DEBUG": "true", "NO_SYNC": "true", "WRITE_OUT": "json", "KEEPALIVE_TIME": "2s"}, {}),
        ({"ENDPIONTS": ""}, {}),
    ],
)
def test_all_variables_of_etcdctl_are_honoured(environ: dict[str, str], settings: dict[str, Any]) -> None:
    assert settings_from_env({f"ETCDCTL_{name}": value for name, value in environ.items()}) == settings


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"ENDPIONTS": "http://a:1"}, "^ETCDCTL_ENDPIONTS: is no variable"),
        ({"INSECURE_SKIP_TLS_VERIFY": "yes"}, "^ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'yes' is neither true nor false"),
        ({"PASSWORD": "hunter2"}, "^ETCDCTL_PASSWORD has no user"),
        ({"DISCOVERY_SRV_NAME": "blue"}, "^ETCDCTL_DISCOVERY_SRV_NAME has no domain"),
        ({"DISCOVERY_SRV": "http://a"}, "^ETCDCTL_DISCOVERY_SRV: "),
    ],
)
def test_variable_that_cannot_be_honoured_is_refused_by_its_name(environ: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        settings_from_env({f"ETCDCTL_{name}": value for name, value in environ.items()})
    assert "hunter2" not in str(caught.value)


def test_settings_go_over_those_of_the_environment() -> None:
    found = settings_from_env({"ETCDCTL_USERNAME": "root:pw", "ETCDCTL_ENDPOINTS": "a"})
    assert with_settings(found, {"username": "ada", "repeat_writes": True}) == {
        "endpoints": ["a"],
        "username": "ada",
        "repeat_writes": True,
    }


@pytest.mark.parametrize(("client", "settings"), [(Client, ClientSettings), (AsyncClient, AsyncClientSettings)])
def test_settings_that_may_be_given_beside_the_environment_are_those_of_the_constructor(
    client: type, settings: type
) -> None:
    names = set(inspect.signature(client).parameters) - {"endpoints"}
    assert set(settings.__annotations__) == names
