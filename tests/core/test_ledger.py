"""Which error ends a call, from what its attempts have shown: the endings of the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from etcdv2._core.call import finding
from etcdv2._core.call.finding import Finding
from etcdv2._core.call.ledger import Ledger
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.verdict import Shows, Then, Verdict
from etcdv2._core.deadline import Deadline
from etcdv2._core.etcd_headers import Meta
from etcdv2._types.api_errors import ApiError, EtcdError
from etcdv2._types.call_errors import (
    ClusterChanged,
    ClusterUnavailable,
    DeadlineExceeded,
    OutcomeUnknown,
    OutcomeUnknownTimeout,
    StaleRead,
    UnexpectedAnswer,
    V2ApiDisabled,
)
from etcdv2_api import Call, RoleChange, UserChange, operations
from tests.tools.course import GET, LOST, OURS, PUT, REFUSED, SILENT, THEIRS, event, our_view, plain

A, B, C = "http://a:2379", "http://b:2379", "http://c:2379"
NEXT = Verdict(Then.NEXT, Shows.BROKEN)
ODD = Verdict(Then.NEXT, Shows.ODD)
NOBODY = Secrets(None, None)


def odd(status: int) -> Finding:
    return finding.of_undescribed(ODD, plain(status, "hello"), ValueError("no JSON"), A, GET, NOBODY)


def ledger_of(*attempts: tuple[str, Verdict, Finding], call: Call[Any, Any] = PUT) -> Ledger:
    ledger = Ledger(call, our_view(), 100.0)
    for url, verdict, found in attempts:
        ledger.add(verdict, found, url, 0.5)
    return ledger


REFUSED_AT_A = (A, NEXT, finding.of_failure(REFUSED, 0.5))
SILENT_AT_B = (B, NEXT, finding.of_failure(SILENT, 0.5))
LOST_AT_C = (C, Verdict(Then.REMEMBER, Shows.BROKEN), finding.of_failure(LOST, 0.5))
LEADERLESS_AT_A = (A, Verdict(Then.NEXT, Shows.LEADERLESS), Finding("no leader", status=500))
OLDER_AT_A = (A, Verdict(Then.NEXT, Shows.BEHIND), Finding("older state", status=200, store_index=7))
OLDER_AT_B = (B, Verdict(Then.NEXT, Shows.BEHIND), Finding("older state", status=200, store_index=9))
FOREIGN_AT_B = (B, Verdict(Then.NEXT, Shows.FOREIGN), finding.of_foreign(THEIRS, 200))
NO_V2_AT_B = (B, Verdict(Then.NEXT, Shows.WITHOUT_V2), Finding("no v2 API here", status=404))
ODD_AT_A = (A, ODD, odd(400))


# --- nobody gave a usable answer --------------------------------------------------------------------------------------


def test_error_names_each_endpoint_with_its_cause_and_comes_from_the_last() -> None:
    ledger = ledger_of(REFUSED_AT_A, SILENT_AT_B)
    assert repr(ledger) == "<Ledger of PUT /v2/keys/a: 2 attempts>"
    error = ledger.unavailable()
    assert type(error) is ClusterUnavailable
    assert error.attempts == ((A, "connect", "connection refused", 0.5, None), (B, "wait", "timed out", 0.5, None))
    assert "http://a:2379: connection refused (connect, 0.50 s); http://b:2379: timed out" in str(error)
    assert error.__cause__ is SILENT


def test_equal_causes_are_named_once_with_their_count() -> None:
    error = ledger_of(*[REFUSED_AT_A, SILENT_AT_B] * 30).unavailable()
    assert str(error).count("connection refused") == 1
    assert "[60 attempts: " in str(error)
    assert "x30" in str(error)


def test_deadline_that_passed_before_any_attempt() -> None:
    error = ledger_of().out_of_time(Deadline(99))
    assert type(error) is DeadlineExceeded
    assert str(error) == "the deadline passed before the first attempt"


def test_deadline_names_the_time_that_there_was() -> None:
    error = ledger_of(SILENT_AT_B).out_of_time(Deadline(105))
    assert isinstance(error, DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert "no usable answer within 5 s" in str(error)
    assert error.__cause__ is SILENT


# --- a write that may have been applied -------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [[REFUSED_AT_A], [ODD_AT_A], [NO_V2_AT_B, FOREIGN_AT_B], [OLDER_AT_A]])
def test_write_that_may_have_been_applied_outweighs_all_else(others: list[Any]) -> None:
    """ClusterUnavailable says that no write was applied: that would be false here."""
    ledger = ledger_of(*others, LOST_AT_C, *others)
    for error, kind in (
        (ledger.unavailable(), OutcomeUnknown),
        (ledger.out_of_time(Deadline(105)), OutcomeUnknownTimeout),
    ):
        assert type(error) is kind
        assert isinstance(error, OutcomeUnknown)
        assert (error.endpoint, error.index, error.cluster_id) == (C, 10, OURS)
        assert len(error.attempts) == len(ledger.attempts)
        assert "no later try was answered" in str(error)
        assert error.__cause__ is not None


def test_lost_answer_is_the_cause_of_the_unknown_outcome() -> None:
    verdict = Verdict(Then.UNKNOWN, Shows.BROKEN)
    for failure, kind in ((LOST, OutcomeUnknown), (SILENT, OutcomeUnknownTimeout)):
        found = finding.of_failure(failure, 1.5)
        error = ledger_of((A, verdict, found)).error_after(verdict, found, A)
        assert type(error) is kind
        assert error.__cause__ is failure
        assert f"PUT /v2/keys/a was sent to {A}, its outcome is unknown: {failure} after 1.50 s" in str(error)


def test_refusal_after_a_lost_answer_names_both() -> None:
    verdict = Verdict(Then.STILL_UNKNOWN, Shows.WELL)
    found = Finding("exists", error=ApiError("exists", status=412, endpoint=B))
    error = ledger_of(LOST_AT_C, (B, verdict, found)).error_after(verdict, found, B)
    assert type(error) is OutcomeUnknown
    assert error.endpoint == C
    assert "a later try was answered: " in str(error)
    assert "exists" in str(error)


# --- what the attempts say together -----------------------------------------------------------------------------------


def test_states_that_were_all_too_old_are_a_stale_read() -> None:
    error = ledger_of(OLDER_AT_B, OLDER_AT_A, REFUSED_AT_A).unavailable()
    assert isinstance(error, StaleRead)
    assert (error.wanted, error.found, len(error.attempts)) == (10, 9, 3)


def test_states_are_not_called_too_old_while_there_is_no_leader() -> None:
    assert type(ledger_of(OLDER_AT_A, LEADERLESS_AT_A).unavailable()) is ClusterUnavailable


@pytest.mark.parametrize(
    ("attempts", "recovers"),
    [([REFUSED_AT_A], False), ([ODD_AT_A], False), ([LEADERLESS_AT_A], True), ([OLDER_AT_A], True)],
)
def test_waiting_helps_without_leader_and_behind(attempts: list[Any], recovers: bool) -> None:
    assert ledger_of(*attempts).may_recover is recovers


def test_the_same_odd_answer_of_all_is_the_error() -> None:
    for error in (ledger_of(ODD_AT_A, ODD_AT_A).unavailable(), ledger_of(ODD_AT_A).out_of_time(Deadline(105))):
        assert isinstance(error, UnexpectedAnswer)
        assert (error.status, error.content_type, error.body) == (400, "text/plain", b"hello")
        assert isinstance(error.__cause__, ValueError)


def test_the_same_refusal_by_all_who_do_not_lead_is_the_error() -> None:
    verdict = Verdict(Then.NEXT, Shows.NOT_LEADING)
    refusals = [Finding("not leading", status=403, error=ApiError("not leading", status=403, endpoint=A))] * 2
    assert ledger_of(*((A, verdict, found) for found in refusals)).unavailable() is refusals[-1].error


@pytest.mark.parametrize("other", [REFUSED_AT_A, NO_V2_AT_B, LEADERLESS_AT_A, (B, ODD, odd(431))])
@pytest.mark.parametrize("odd_first", [True, False])
def test_a_mixture_is_reported_with_all_its_parts(other: Any, odd_first: bool) -> None:
    error = ledger_of(*([ODD_AT_A, other] if odd_first else [other, ODD_AT_A])).unavailable()
    assert type(error) is ClusterUnavailable
    assert "unexpected answer 400: no JSON" in str(error)
    assert other[2].text in str(error)


def test_endings_of_their_own() -> None:
    disabled = ledger_of((C, *NO_V2_AT_B[1:]), NO_V2_AT_B).disabled_everywhere()
    assert isinstance(disabled, V2ApiDisabled)
    assert disabled.endpoints == (B, C)
    changed = ledger_of(FOREIGN_AT_B).cluster_changed()
    assert (changed.old, changed.new, changed.endpoint, changed.response) == (OURS, THEIRS, B, None)
    closed = ledger_of(REFUSED_AT_A).error_after(Verdict(Then.CLOSED, Shows.NOTHING), REFUSED_AT_A[2], A)
    assert type(closed) is ClusterUnavailable
    assert "the client was closed" in str(closed)


def test_write_applied_elsewhere_is_reported_with_its_response() -> None:
    verdict = Verdict(Then.CHANGED, Shows.FOREIGN)
    reply = event("set", 7, status=201, cluster=THEIRS)
    answer = PUT.decode(reply.status, reply.body)
    found = finding.of_answer(verdict, answer, 201, Meta(7, 17, 2, THEIRS), A, PUT, NOBODY)
    error = ledger_of((A, verdict, found)).error_after(verdict, found, A)
    assert isinstance(error, ClusterChanged)
    assert error.response is not None
    assert error.response.node.modified_index == 7
    assert "the write was applied there" in str(error)


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        operations.put_user("u", UserChange(user="u", password="hunter22")),
        operations.put_role("r", RoleChange(role="r")),
    ],
    ids=["in the call", "of the client"],
)
def test_what_a_server_sends_back_is_shown_without_secrets(call: Call[Any, Any]) -> None:
    secrets = Secrets("root", "hunter22")
    reply = plain(502, "<html>hunter22</html>", **{"content-type": "text/hunter22"})
    found = finding.of_undescribed(ODD, reply, ValueError("no JSON"), A, call, secrets)
    error = ledger_of((A, ODD, found), (B, NEXT, finding.of_failure(REFUSED, 0.1)), call=call).unavailable()
    assert isinstance(error, EtcdError)
    shown = f"{error}{found}{found.error!r}{found.error}{found.error.__cause__ if found.error else ''}"
    assert "hunter22" not in shown
    assert "***" in shown
