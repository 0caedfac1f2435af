# Derived from tests/facade/_async/test_what_errors_quote.py by scripts/unasync.py: change that file, make generate.
"""Errors quote no more than can be read, show no value in a TypeError, and name what helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from etcdv2 import (
    Client,
    ClusterUnavailable,
    CompareFailed,
    DeadlineExceeded,
    DirectoryTTL,
    EtcdError,
    OutcomeUnknown,
    RaftInternal,
    Timeout,
    UnexpectedAnswer,
    V2ApiDisabled,
)
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import FaultServer, answer, close, stall

LONG = "k" * 1_000_000
CLUSTER = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"}
READABLE = 2000
"""Characters that a text of an error has at most."""


def error_of(work: Callable[[], Any]) -> Exception:
    with pytest.raises((EtcdError, ValueError, TypeError)) as caught:
        work()
    return caught.value


def test_long_value_in_an_answer_is_cut_in_the_text_only(client: Client) -> None:
    client.keys.set("/a", LONG)
    error = error_of(lambda: client.keys.set("/a", "1", prev_value=LONG + "!"))
    assert isinstance(error, CompareFailed)
    assert len(str(error)) < READABLE
    assert LONG in error.cause


REFUSED: dict[str, Callable[[Client], Any]] = {
    "empty segment": lambda c: c.keys.get(f"/{LONG}//"),
    "lone surrogate": lambda c: c.keys.get(f"/{LONG}\ud800"),
    "absolute in a view": lambda c: c.keys.at("a").get(f"/{LONG}"),
    "long view": lambda c: c.keys.at(LONG).get("/a"),
    "user": lambda c: c.auth.users.get(f"{LONG}/"),
    "colon": lambda c: c.auth.users.create(f"{LONG}:", "pw"),
    "role": lambda c: c.auth.users.create("amy", "pw", roles=[f"{LONG}/"]),
    "pattern": lambda c: c.auth.roles.create("r", read=LONG),
    "member": lambda c: c.members.remove(f"{LONG}/"),
    "peer": lambda c: c.members.add([f"{LONG}\ud800"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_long_argument_that_is_refused_is_cut(client: Client, case: str) -> None:
    error = error_of(lambda: REFUSED[case](client))
    assert isinstance(error, ValueError)
    assert len(str(error)) < READABLE
    assert " characters)" in str(error)


SECRET: Any = b"hunter22"
WRONG: dict[str, Callable[[Client], Any]] = {
    "value": lambda c: c.keys.set("/a", SECRET),
    "prev_value": lambda c: c.keys.set("/a", "1", prev_value=SECRET),
    "prev_value of delete": lambda c: c.keys.delete("/a", prev_value=SECRET),
    "prev_index": lambda c: c.keys.set("/a", "1", prev_index=SECRET),
    "prev_exist": lambda c: c.keys.set("/a", "1", prev_exist=SECRET),
    "ttl": lambda c: c.keys.set("/a", "1", ttl=SECRET),
    "create": lambda c: c.keys.create("/a", SECRET),
    "update": lambda c: c.keys.update("/a", SECRET),
    "in order": lambda c: c.keys.create_in_order("/a", SECRET),
    "default": lambda c: c.keys.modify("/a", str, default=SECRET),
    "many": lambda c: c.keys.set_many([("/a", SECRET)]),
    "key": lambda c: c.keys.get(SECRET),
    "role": lambda c: c.auth.users.grant("amy", SECRET),
    "user": lambda c: c.auth.users.create(SECRET, "pw"),
    "password": lambda c: c.auth.users.create("amy", SECRET),
    "resolve": lambda c: c.keys.resolve(SECRET),
}


@pytest.mark.parametrize("case", WRONG)
def test_type_error_shows_the_type_and_not_the_value(client: Client, case: str) -> None:
    error = error_of(lambda: WRONG[case](client))
    assert isinstance(error, TypeError)
    assert "hunter22" not in f"{error!r}{error}{error.__cause__!r}"


@pytest.mark.parametrize("fault", [close(), answer(500, CLUSTER, json.dumps({"message": LONG}).encode())])
def test_outcome_unknown_of_a_long_write_is_readable(connect: Connect, fault: Any) -> None:
    with FaultServer(default=fault) as server:
        client = connect(server.endpoint.url)
        error = error_of(lambda: client.keys.set("/" + "k" * 3000, LONG))
    assert isinstance(error, OutcomeUnknown)
    assert len(str(error)) < READABLE
    assert len(repr(error)) < READABLE
    assert len(repr(error.call)) < READABLE


@pytest.mark.parametrize(
    ("work", "advice"),
    [
        (lambda c: c.members.add("http://a:2380"), "members.list()"),
        (lambda c: c.auth.users.grant("amy", "r"), "auth.users.get(name)"),
        (lambda c: c.auth.roles.create("r"), "auth.roles.get(name)"),
        (lambda c: c.auth.disable(), "auth.enabled()"),
        (lambda c: c.keys.set("/a", "1"), "keys.resolve(error)"),
    ],
)
def test_outcome_unknown_advises_what_can_be_done(connect: Connect, work: Callable[[Client], Any], advice: str) -> None:
    with FaultServer(default=close()) as server:
        client = connect(server.endpoint.url)
        error = error_of(lambda: work(client))
    assert isinstance(error, OutcomeUnknown)
    assert advice in str(error)
    assert ("keys.resolve" in str(error)) == (advice == "keys.resolve(error)")


# --- what ended it ---------------------------------------------------------------------------------------------------


def test_limit_that_ended_an_attempt_is_named(connect: Connect) -> None:
    with FaultServer(default=stall()) as server:
        client = connect(server.endpoint.url, timeout=Timeout(attempt=0.3, commit=0.4, total=60))
        read = error_of(lambda: client.keys.get("/a"))
        quorum = error_of(lambda: client.keys.get("/a", quorum=True))
        write = error_of(lambda: client.keys.set("/a", "1"))
        late = error_of(lambda: client.keys.get("/a", timeout=Timeout(attempt=30, total=0.5)))
    assert isinstance(read, ClusterUnavailable)
    assert "Timeout.attempt, 0.3 s" in str(read)
    assert "Timeout.commit, 0.4 s" in str(quorum)
    assert "Timeout.commit, 0.4 s" in str(write)
    assert isinstance(late, DeadlineExceeded)
    assert "Timeout.total, 0.5 s" in str(late) or "within 0.5 s" in str(late)


def test_time_of_one_try_and_of_all_may_be_the_same() -> None:
    assert Timeout.within(0.5) == Timeout(connect=0.5, attempt=0.5, commit=0.5, total=0.5)
    assert Timeout.within(3) == Timeout(connect=1.0, attempt=3, commit=3, total=3)
    with pytest.raises(ValueError, match="within"):
        Timeout.within(0)


def test_ttl_of_a_directory_that_cannot_be_changed_is_an_error_of_its_own(client: Client, etcd: Server) -> None:
    client.keys.make_dir("/d", ttl=500)
    if etcd.version.startswith("3.5"):
        error = error_of(lambda: client.keys.refresh("/d", 900))
        assert isinstance(error, DirectoryTTL)
        assert isinstance(error, RaftInternal)
        assert "etcd 3.5 cannot change the TTL of a directory" in str(error)
    ttl = (client.keys.get("/d")).node.ttl
    assert ttl is not None
    assert 400 < ttl <= 500


# --- a proxy's page --------------------------------------------------------------------------------------------------

NODE = {"key": "/a", "value": "1", "modifiedIndex": 7, "createdIndex": 7}
FOUND = answer(200, CLUSTER, json.dumps({"action": "get", "node": NODE}).encode())
PAGE = answer(404, {"Content-Type": "text/html"}, b"<html><h1>404 Not Found</h1></html>")
GO = answer(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")


def test_proxys_page_for_a_missing_key_is_an_unexpected_answer(connect: Connect) -> None:
    with FaultServer(FOUND, default=PAGE) as server:
        client = connect(server.endpoint.url)
        client.keys.get("/a")
        for work in (lambda: client.keys.get("/b"), lambda: client.keys.delete("/b")):
            error = error_of(work)
            assert isinstance(error, UnexpectedAnswer)
            assert error.status == 404


def test_server_that_loses_its_v2_api_is_recognized(connect: Connect) -> None:
    with FaultServer(FOUND, default=GO) as server:
        client = connect(server.endpoint.url)
        client.keys.get("/a")
        assert isinstance(error_of(lambda: client.keys.get("/b")), V2ApiDisabled)
    with FaultServer(default=PAGE) as server:
        assert isinstance(error_of(lambda: connect(server.endpoint.url).keys.get("/b")), V2ApiDisabled)


# --- what etcd cannot have had ---------------------------------------------------------------------------------------


def test_request_longer_than_etcd_reads_is_not_sent(connect: Connect, client: Client) -> None:
    with FaultServer(default=FOUND) as server:
        waiting = connect(server.endpoint.url)
        error = error_of(lambda: waiting.keys.delete("/a", prev_value="v" * 1_052_672))
        assert isinstance(error, ValueError)
        assert len(str(error)) < READABLE
        assert not server.requests
    client.keys.set("/a", "1")
    assert isinstance(error_of(lambda: client.keys.delete("/a", prev_value="v" * 2_000_000)), ValueError)
    assert (client.keys.get("/a")).value == "1"


def test_proxy_that_never_answers_connect_has_sent_nothing(connect: Connect) -> None:
    with FaultServer(default=stall()) as proxy:
        client = connect("https://10.0.0.1:2379", proxy=proxy.endpoint.url, timeout=Timeout(commit=0.3, total=60))
        error = error_of(lambda: client.keys.set("/a", "1"))
    assert isinstance(error, ClusterUnavailable)
    assert {attempt.phase for attempt in error.attempts} == {"connect"}
