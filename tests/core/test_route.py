"""The course of a call, with a fake clock: rounds, pauses, limits, and what becomes of the call and its endpoints.

The rows of what follows from one attempt are in `test_verdict`, the words of the final errors in `test_ledger`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import Limits, Reply, Sent, TransportFailure
from etcdv2._types.api_errors import (
    ApiError,
    EtcdError,
    KeyExists,
    KeyNotFound,
    RaftInternal,
)
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
from etcdv2._types.settings import Timeout
from etcdv2_api import operations
from tests.tools.course import (
    FOREIGN,
    GOT,
    LOST,
    NO_LEADER,
    NO_MEMBER,
    NO_RESPONSE,
    NO_V2,
    NOT_LEADING,
    OURS,
    QUORUM,
    READ,
    REFUSED,
    REPEATED,
    SESSION,
    SET,
    SILENT,
    THEIRS,
    WRITE,
    Course,
    Outcome,
    event,
    failure,
    headers,
    keys_error,
    message,
    plain,
)

KINDS = pytest.mark.parametrize("policy", [READ, QUORUM, SESSION, WRITE], ids=["local", "quorum", "session", "write"])
READ_AND_WRITE = pytest.mark.parametrize("policy", [READ, WRITE], ids=["read", "write"])


def error_of(run: Callable[[], object]) -> EtcdError | None:
    try:
        run()
    except EtcdError as error:
        return error
    return None


# --- what becomes of the endpoint -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "came", "order", "rests"),
    [
        (READ, GOT, "abc", False),
        (READ, REFUSED, "bca", True),
        (READ, failure("pool", Sent.NOTHING, timed_out=True), "abc", False),
        (READ, NO_LEADER, "bca", True),
        (READ, plain(302), "bca", True),
        (READ, NO_V2, "bca", True),
        (READ, FOREIGN, "bca", False),
        (SESSION, event(index=9), "abc", False),
        (WRITE, LOST, "bca", True),
        (WRITE, NO_LEADER, "abc", False),
        (WRITE, keys_error(101, 412), "abc", False),
        (WRITE, plain(302), "bca", True),
    ],
)
def test_endpoint_is_treated_as_it_showed_itself(policy: CallPolicy, came: Outcome, order: str, rests: bool) -> None:
    course = Course(policy)
    error_of(lambda: course.come(came))
    assert course.order == order
    course.pool.prefer(course.pool.endpoints[0])
    course.now += 100
    assert course.order == ("abc" if rests or order == "abc" else "bca"), "after a rest all is well, unless foreign"


def test_answering_endpoint_is_asked_first_from_then_on() -> None:
    course = Course(READ)
    assert course.run(REFUSED, GOT).endpoint.host == "b"
    assert course.again(READ).step().endpoint.host == "b"


def test_described_success_is_the_answer() -> None:
    for policy, reply in ((READ, GOT), (WRITE, event("set")), (WRITE, SET)):
        course = Course(policy)
        answered = course.come(reply)
        assert answered is not None
        assert (answered.answer.node.value, answered.status, answered.endpoint.host) == ("1", reply.status, "a")
        assert answered.meta == Meta(int(reply.headers["x-etcd-index"]), answered.meta.index + 10, 2, OURS)
    nothing = Course(WRITE, call=operations.remove_member("1")).come(plain(204))
    assert nothing is not None
    assert nothing.answer is None


# --- what becomes of the call -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [REFUSED, LOST, NO_LEADER, NO_V2, FOREIGN, plain(302), plain(200, "<html>")])
def test_read_goes_on_elsewhere_whatever_comes(came: Outcome) -> None:
    course = Course(READ)
    assert course.run(came, GOT).endpoint.host == "b"
    assert course.tried == ["a", "b"]


def test_write_goes_on_where_nothing_was_done() -> None:
    for came in (REFUSED, failure("send", Sent.PART), NO_MEMBER, NO_V2, keys_error(100, 404, cluster=THEIRS)):
        answered = Course(WRITE).run(came, SET)
        assert (answered.endpoint.host, answered.meta.index) == ("b", 11)


@pytest.mark.parametrize(
    ("came", "kind", "text", "cause"),
    [
        (LOST, OutcomeUnknown, "connection reset after 1.50 s", TransportFailure),
        (SILENT, OutcomeUnknownTimeout, "timed out after 1.50 s", TransportFailure),
        (NO_LEADER, OutcomeUnknownTimeout, "status 500, text of 300: etcdserver: request timed out", RaftInternal),
        (NO_RESPONSE, OutcomeUnknown, "status 502, httpproxy: unable to get response", ApiError),
        (keys_error(300, 500, "timed out", cluster=THEIRS), OutcomeUnknown, "from another cluster", ValueError),
        (plain(200, "<html>"), OutcomeUnknown, "status 200", UnexpectedAnswer),
        (plain(504, "<html>"), OutcomeUnknown, "status 504", UnexpectedAnswer),
    ],
)
def test_write_that_may_have_been_applied_ends_at_once(
    came: Outcome, kind: type[EtcdError], text: str, cause: type[Exception]
) -> None:
    course = Course(WRITE)
    with pytest.raises(OutcomeUnknown, match=text) as caught:
        course.come(came, after=1.5)
    assert type(caught.value) is kind
    assert course.tried == ["a"]
    assert caught.value.endpoint == "http://a:2379"
    assert [one.elapsed for one in caught.value.attempts] == [1.5]
    assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize("loss", [LOST, SILENT, NO_LEADER, NO_RESPONSE], ids=["reset", "timeout", "300", "502"])
@pytest.mark.parametrize("end", [REFUSED, NO_MEMBER, NO_V2, plain(302), keys_error(105, 412)])
def test_write_with_repeat_goes_on_and_never_ends_as_not_done(loss: Outcome, end: Outcome) -> None:
    assert Course(REPEATED).run(loss, SET).endpoint.host == "b"
    with pytest.raises(OutcomeUnknown) as caught:
        Course(REPEATED).run(loss, end)
    assert caught.value.endpoint == "http://a:2379"
    with pytest.raises((ClusterUnavailable, V2ApiDisabled, UnexpectedAnswer, KeyExists)):
        Course(REPEATED).run(REFUSED, end)


@READ_AND_WRITE
def test_call_ended_by_close_is_not_repeated_and_rests_no_endpoint(policy: CallPolicy) -> None:
    course = Course(policy)
    with pytest.raises(ClusterUnavailable, match="closed") as caught:
        course.come(failure("connect", Sent.NOTHING, aborted=True))
    assert len(caught.value.attempts) == 1
    assert course.order == "abc"


@READ_AND_WRITE
def test_refusal_of_the_store_is_the_error(policy: CallPolicy) -> None:
    with pytest.raises(KeyNotFound) as caught:
        Course(policy).come(keys_error(100, 404, index=1109))
    error = caught.value
    assert (error.code, error.status, error.cause, error.index) == (100, 404, "/a", 1109)
    assert error.endpoint == "http://a:2379"


def test_stats_of_the_leader_are_asked_of_the_next_member_when_this_one_does_not_lead() -> None:
    course = Course(READ, call=operations.get_leader_stats())
    answered = course.run(NOT_LEADING, Reply(200, {}, b'{"leader":"1","followers":{}}'))
    assert answered.endpoint.host == "b"
    with pytest.raises(ApiError, match="not current leader"):
        Course(READ, call=operations.get_leader_stats()).run(NOT_LEADING)


# --- rounds and pauses ------------------------------------------------------------------------------------------------


@KINDS
def test_all_refused_is_two_rounds_then_the_error_that_names_each(policy: CallPolicy) -> None:
    for timeout in (Timeout(), Timeout(total=None)):
        course = Course(policy, timeout=timeout)
        with pytest.raises(ClusterUnavailable) as caught:
            course.run(REFUSED)
        assert sorted(course.tried[:3]) == sorted(course.tried[3:]) == ["a", "b", "c"]
        assert len(course.pauses) == 1
        assert 0 < course.pauses[0] <= 0.5
        assert len(caught.value.attempts) == 6
        for host in "abc":
            assert f"http://{host}:2379: connection refused" in str(caught.value)
        assert caught.value.__cause__ is REFUSED


def test_attempts_are_counted_from_one() -> None:
    course = Course(READ)
    assert course.step().number == 1
    course.route.failed(REFUSED, course.now)
    assert course.step().number == 2


def test_route_and_view_show_where_they_are() -> None:
    course = Course(READ)
    course.come(REFUSED)
    course.step()
    assert repr(course.route) == "<Route of GET /v2/keys/a: attempt 2, round 1>"
    assert repr(course.view) == "<ClusterView of cafe at index 10, term 2>"


def test_refused_cluster_is_reported_at_once_when_no_time_is_left_for_a_second_round() -> None:
    course = Course(READ, timeout=Timeout(total=0.3))
    with pytest.raises(ClusterUnavailable):
        course.run(REFUSED)
    assert (course.tried, course.pauses) == (["a", "b", "c"], [])


def test_call_ends_at_its_deadline_with_the_causes() -> None:
    course = Course(READ, timeout=Timeout(total=5))
    with pytest.raises(DeadlineExceeded, match="within 5 s") as caught:
        course.run(SILENT, after=1.7)
    assert "http://a:2379: timed out" in str(caught.value)
    assert course.now <= 105 + 1.7


def test_outer_deadline_is_kept_when_it_is_earlier_than_the_total() -> None:
    assert Course(READ, deadline=Deadline(101)).step().limits.deadline == 101.0
    assert Course(READ, deadline=Deadline(900)).step().limits.deadline == 120.0
    assert Course(READ, deadline=Deadline(101), timeout=Timeout(total=None)).step().limits.deadline == 101.0


def test_deadline_that_has_passed_already_sends_nothing() -> None:
    course = Course(READ, deadline=Deadline(99))
    with pytest.raises(DeadlineExceeded, match="before the first attempt"):
        course.step()
    assert course.tried == []


def test_pause_never_goes_beyond_the_deadline() -> None:
    course = Course(READ, endpoints=1, timeout=Timeout(total=3))
    with pytest.raises(DeadlineExceeded):
        course.run(NO_LEADER)
    assert course.now == pytest.approx(103)
    assert course.pauses == pytest.approx([0.5, 1.0, 1.5])


@pytest.mark.parametrize("policy", [READ, QUORUM], ids=["local", "quorum"])
@pytest.mark.parametrize("reply", [NO_LEADER, NO_MEMBER, NO_RESPONSE], ids=["300", "503", "502"])
def test_read_without_leader_is_repeated_until_the_total(policy: CallPolicy, reply: Reply) -> None:
    course = Course(policy)
    with pytest.raises(DeadlineExceeded) as caught:
        course.run(reply)
    assert course.now == pytest.approx(120)
    assert len(course.pauses) > 5
    assert max(course.pauses) == 2.0
    assert json.loads(reply.body)["message"] in str(caught.value)
    assert Course(policy).run(*[reply] * 10, GOT).status == 200


def test_without_a_total_rounds_are_bounded() -> None:
    course = Course(QUORUM, timeout=Timeout(total=None))
    with pytest.raises(ClusterUnavailable):
        course.run(NO_LEADER)
    assert (len(course.tried), len(course.pauses)) == (24, 7)


# --- the limits of one try --------------------------------------------------------------------------------------------


def test_limits_of_a_try_are_those_of_its_kind() -> None:
    timeout = Timeout(connect=0.5, attempt=2, commit=8, total=60)
    for policy, answer in ((READ, 2), (SESSION, 2), (QUORUM, 8), (WRITE, 8)):
        assert Course(policy, timeout=timeout).step().limits == Limits(0.5, answer, Deadline(160))
    nothing = Timeout(connect=None, attempt=None, commit=None, total=None)
    for policy in (READ, QUORUM, WRITE):
        assert Course(policy, timeout=nothing).step().limits == Limits(None, None, NEVER)


def test_default_quorum_read_waits_longer_than_the_server_does() -> None:
    """After 7 s the server says that there is no leader: that says more than a time-out."""
    assert Course(QUORUM).step().limits.answer == 8


@pytest.mark.parametrize(
    ("policy", "timeout", "phase"),
    [
        (QUORUM, Timeout(total=5), "wait"),
        (READ, Timeout(total=0.9), "wait"),
        (READ, Timeout(attempt=None, total=30), "wait"),
        (WRITE, Timeout(connect=1, total=0.9), "connect"),
        (WRITE, Timeout(connect=None, total=30), "connect"),
    ],
)
def test_short_total_is_shared_so_that_silent_members_leave_time_for_the_last(
    policy: CallPolicy, timeout: Timeout, phase: str
) -> None:
    """An endpoint that drops packets must not use up the time of the others."""
    course = Course(policy, timeout=timeout)
    for asked in (1, 2):
        limits = course.step().limits
        used = limits.answer if phase == "wait" else limits.connect
        assert used == pytest.approx((limits.deadline - course.now) / (4 - asked))
        course.now += used or 0.0
        course.route.failed(failure("connect", Sent.NOTHING, timed_out=True), course.now)
    assert course.come(SET if policy.write else GOT, after=0.1) is not None
    assert course.tried == ["a", "b", "c"]


def test_resting_endpoints_have_one_share_together() -> None:
    course = Course(READ, timeout=Timeout(total=0.9))
    course.pool.failed(course.pool.endpoints[1], course.now, "gone")
    course.pool.failed(course.pool.endpoints[2], course.now, "gone")
    assert course.step().limits.answer == pytest.approx(0.45)


def test_write_waits_for_its_answer_as_long_as_there_is_time() -> None:
    """Nobody else can give it."""
    assert Course(WRITE, timeout=Timeout(total=5)).step().limits.answer == 8


def test_lone_endpoint_has_the_whole_attempt() -> None:
    assert Course(READ, endpoints=1, timeout=Timeout(total=1)).step().limits.answer == 2


# --- no v2 API --------------------------------------------------------------------------------------------------------


@READ_AND_WRITE
def test_v2_disabled_is_the_error_after_one_round_and_only_if_all_are_so(policy: CallPolicy) -> None:
    course = Course(policy)
    with pytest.raises(V2ApiDisabled, match="--enable-v2") as caught:
        course.run(NO_V2)
    assert len(course.tried) == 3
    assert caught.value.endpoints == ("http://a:2379", "http://b:2379", "http://c:2379")
    with pytest.raises(ClusterUnavailable, match=r"no v2 API.*connection refused"):
        Course(policy).run(NO_V2, REFUSED)


def test_version_of_a_member_without_v2_does_not_make_it_the_first_again() -> None:
    course = Course(READ)
    course.run(NO_V2, GOT)
    again = course.again(READ, call=operations.get_version())
    version = Reply(200, {}, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')
    assert again.run(REFUSED, REFUSED, version).endpoint.host == "a"
    again.now += 5
    assert again.order[0] != "a"


# --- another cluster --------------------------------------------------------------------------------------------------


def test_first_answer_says_which_cluster_is_ours() -> None:
    course = Course(READ, view=ClusterView())
    course.come(GOT)
    assert course.view.cluster_id == OURS


def test_foreign_endpoint_is_quarantined_and_keeps_its_cluster_to_itself() -> None:
    course = Course(READ)
    assert course.run(FOREIGN, GOT).endpoint.host == "b"
    course.now += 1000
    assert course.order == "bca"
    assert course.view.cluster_id == OURS


@READ_AND_WRITE
@pytest.mark.parametrize("endpoints", [1, 3])
def test_cluster_that_was_rebuilt_is_reported_once(policy: CallPolicy, endpoints: int) -> None:
    course = Course(policy, endpoints=endpoints)
    with pytest.raises(ClusterChanged) as caught:
        course.run(keys_error(100, 404, cluster=THEIRS))
    assert (caught.value.old, caught.value.new, caught.value.response) == (OURS, THEIRS, None)
    assert len(course.tried) == endpoints
    again = course.again(policy)
    assert again.come(event("get" if not policy.write else "set", 5, cluster=THEIRS)) is not None
    assert again.view.index == 5


@pytest.mark.parametrize(("endpoints", "cluster"), [(1, THEIRS), (3, OURS)])
def test_write_applied_in_another_cluster_switches_only_when_there_is_no_other_endpoint(
    endpoints: int, cluster: str
) -> None:
    course = Course(WRITE, endpoints=endpoints)
    with pytest.raises(ClusterChanged, match="applied there") as caught:
        course.come(event("set", 7, status=201, cluster=THEIRS))
    assert caught.value.response is not None
    assert course.view.cluster_id == cluster
    assert course.again(WRITE).step().endpoint.host == ("a" if endpoints == 1 else "b")


def test_one_foreign_endpoint_does_not_take_the_client_over_while_the_others_are_down() -> None:
    course = Course(READ)
    with pytest.raises(ClusterUnavailable, match=f"{THEIRS}.*connection refused"):
        course.run(FOREIGN, REFUSED, REFUSED, REFUSED, REFUSED, FOREIGN)
    assert course.view.cluster_id == OURS


def test_quarantined_endpoint_is_read_from_when_all_others_fail_and_never_written_to() -> None:
    course = Course(READ)
    course.run(FOREIGN, GOT)
    write = course.again(WRITE)
    with pytest.raises(ClusterUnavailable):
        write.run(REFUSED)
    assert "a" not in write.tried
    assert course.again(READ).run(REFUSED, REFUSED, GOT).endpoint.host == "a"


def test_two_calls_that_notice_the_change_together_both_make_sense() -> None:
    first = Course(READ, endpoints=1)
    second = first.again(READ)
    assert first.come(FOREIGN) is None
    assert second.come(FOREIGN) is None
    with pytest.raises(ClusterChanged):
        first.step()
    error = error_of(lambda: second.come(FOREIGN))
    assert error is None or (isinstance(error, ClusterChanged) and (error.old, error.new) == (OURS, THEIRS))


# --- session consistency ----------------------------------------------------------------------------------------------


def test_session_read_waits_for_a_member_that_catches_up() -> None:
    course = Course(SESSION, endpoints=1)
    assert course.run(event(index=8), event(index=10, term=1), keys_error(100, 404, index=9), GOT).meta.index == 10
    assert course.pauses[0] <= 0.5


@pytest.mark.parametrize("total", [5.0, None])
def test_session_read_ends_as_stale_when_nobody_catches_up(total: float | None) -> None:
    with pytest.raises(StaleRead, match="no endpoint is further than 9") as caught:
        Course(SESSION, timeout=Timeout(total=total)).run(event(index=7), event(index=9), event(index=8))
    assert caught.value.wanted == 10
    assert "older state" in str(caught.value)


def test_every_answer_raises_what_a_session_must_see() -> None:
    course = Course(WRITE)
    course.come(event("set", 50, status=201, term=3))
    assert (course.view.index, course.view.term) == (50, 3)
    with pytest.raises(KeyNotFound):
        course.again(READ).come(keys_error(100, 404, index=60))
    course.again(READ).come(message(503, "httpproxy: zero endpoints currently available"))
    course.again(SESSION).come(event(index=9))
    course.again(READ).come(event(index=900, cluster=THEIRS))
    assert course.view.index == 60


# --- watches ----------------------------------------------------------------------------------------------------------


def test_headers_of_a_watch_are_its_meta_and_make_the_endpoint_the_first() -> None:
    course = Course(READ)
    course.come(REFUSED)
    course.step()
    assert course.route.opened(headers(12), course.now) == Meta(12, 22, 2, OURS)
    assert course.pool.first.host == "b"
    assert course.view.index == 12


@pytest.mark.parametrize(
    "heads", [{}, headers(cluster=THEIRS), {**headers(), "x-etcd-index": "x"}], ids=["no id", "foreign", "no number"]
)
def test_watch_that_cannot_be_believed_is_opened_elsewhere(heads: dict[str, str]) -> None:
    course = Course(READ)
    course.step()
    assert course.route.opened(heads, course.now) is None
    assert course.step().endpoint.host == "b"


def test_watch_refused_everywhere_by_a_proxy_is_the_error() -> None:
    course = Course(READ)
    for _ in range(6):
        course.step()
        assert course.route.opened({}, course.now) is None
    with pytest.raises(UnexpectedAnswer, match="Cluster-Id"):
        course.step()


# --- promises over any course -----------------------------------------------------------------------------------------

NOT_RECEIVED: list[Outcome] = [
    REFUSED,
    failure("send", Sent.PART),
    NO_MEMBER,
    NO_V2,
    keys_error(101, 412, cluster=THEIRS),
]
"""After these a write is provably not applied, and nothing forbids to go on."""
OUTCOMES: list[Outcome] = [
    *NOT_RECEIVED,
    LOST,
    SILENT,
    NO_LEADER,
    NO_RESPONSE,
    plain(302),
    plain(500),
    FOREIGN,
    keys_error(101, 412),
    event("set", 12),
]


def courses(length: int) -> Iterator[tuple[Outcome, ...]]:
    return itertools.product(OUTCOMES, repeat=length)


def test_write_goes_on_only_after_outcomes_that_prove_it_was_not_applied() -> None:
    for outcomes in courses(3):
        course = Course(WRITE)
        for count, outcome in enumerate(outcomes, 1):
            try:
                answered = course.come(outcome)
            except EtcdError:
                break
            if answered is not None:
                break
            assert any(outcome is one for one in NOT_RECEIVED), outcomes
            assert len(course.tried) == count


def test_every_course_ends_within_its_total_or_in_an_error_of_the_tree() -> None:
    for policy in (READ, WRITE, REPEATED, SESSION):
        for outcomes in courses(2):
            course = Course(policy, timeout=Timeout(total=10), endpoints=2)
            error = error_of(lambda course=course, outcomes=outcomes: course.run(*outcomes, after=0.05))  # type: ignore[misc]
            assert error is None or str(error)
            assert course.now <= 110.06
