"""The retry rules, with a fake clock: every row of what an attempt can end in, for reads and for writes."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import CallPolicy, policy_for
from etcdv2._core.call.route import LONGEST_PAUSE, ROUNDS_WITHOUT_TOTAL, SECOND_ROUND_WITHIN, Route
from etcdv2._core.call.steps import Answered, Try
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import Limits, Phase, Reply, Sent, TransportFailure
from etcdv2._types.api_errors import (
    ApiError,
    CompareFailed,
    DirNotEmpty,
    EtcdError,
    HistoryCleared,
    InvalidRequest,
    KeyExists,
    KeyNotFound,
    NotDir,
    NotFile,
    RaftInternal,
    RootReadOnly,
    Unauthorized,
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
from etcdv2_api import Call, KeyPatterns, MemberPeers, Permissions, RoleChange, UserChange, operations

READ = CallPolicy(write=False, repeat=False, session=False, commit=False)
QUORUM = CallPolicy(write=False, repeat=False, session=False, commit=True)
SESSION = CallPolicy(write=False, repeat=False, session=True, commit=False)
WRITE = CallPolicy(write=True, repeat=False, session=False, commit=True)
REPEATED = CallPolicy(write=True, repeat=True, session=False, commit=True)

GET = operations.get_key("/a")
PUT = operations.put_key("/a", value="1")
OURS = "cafe"
THEIRS = "beef"


class Straight(random.Random):
    """No shuffling and no jitter."""

    def shuffle(self, x: Any) -> None:
        pass

    def uniform(self, a: float, b: float) -> float:
        return b


class Course:
    """One call under way over endpoints a, b, c, with a clock that the test moves."""

    def __init__(
        self,
        rules: CallPolicy = READ,
        *,
        endpoints: int = 3,
        timeout: Timeout | None = None,
        call: Call[Any, Any] | None = None,
        now: float = 100.0,
        deadline: Deadline = NEVER,
        pool: EndpointPool | None = None,
        view: ClusterView | None = None,
    ) -> None:
        self.now = now
        self.pool = pool or EndpointPool([Endpoint("http", host, 2379) for host in "abc"[:endpoints]], Straight())
        if view is None:
            view = ClusterView()
            view.note(Meta(10, 20, 2, OURS))
        self.view = view
        self.timeout = timeout or Timeout()
        self.call = call or (PUT if rules.write else GET)
        self.attempts: Route[Any] = Route(
            self.call, rules, self.timeout, self.pool, self.view, now, Straight(), deadline
        )
        self.tried: list[str] = []
        self.pauses: list[float] = []

    def step(self) -> Try:
        """The next attempt; pauses pass at once."""
        while True:
            step = self.attempts.next(self.now)
            if isinstance(step, Try):
                self.tried.append(step.endpoint.host)
                return step
            self.pauses.append(step.seconds)
            self.now += step.seconds

    def fail(self, failure: TransportFailure, after: float = 0.0) -> None:
        self.step()
        self.now += after
        self.attempts.failed(failure, self.now)

    def answer(self, reply: Reply, after: float = 0.0) -> Answered[Any] | None:
        self.step()
        self.now += after
        return self.attempts.answered(reply, self.now)

    def run_one(self, outcome: Reply | TransportFailure) -> Answered[Any] | None:
        if isinstance(outcome, Reply):
            return self.answer(outcome)
        self.fail(outcome)
        return None

    def run(self, *outcomes: Reply | TransportFailure, after: float = 0.0) -> Answered[Any]:
        """Go through the outcomes, the last one again and again, until the end of the call."""
        for outcome in itertools.chain(outcomes, itertools.repeat(outcomes[-1], 2000)):
            if isinstance(outcome, Reply):
                answered = self.answer(outcome, after)
                if answered is not None:
                    return answered
            else:
                self.fail(outcome, after)
        raise AssertionError("the call never ends")


def failure(phase: Phase, sent: Sent, *, timed_out: bool = False, aborted: bool = False) -> TransportFailure:
    return TransportFailure(f"broke in {phase}", phase, sent, timed_out=timed_out, aborted=aborted)


def error_of(run: Callable[[], object]) -> EtcdError | None:
    try:
        run()
    except EtcdError as error:
        return error
    return None


REFUSED = TransportFailure("connection refused", "connect", Sent.NOTHING)
LOST = TransportFailure("connection reset", "wait", Sent.WHOLE)
SILENT = TransportFailure("timed out", "wait", Sent.WHOLE, timed_out=True)


def headers(index: int = 10, term: int = 2, cluster: str = OURS) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "x-etcd-cluster-id": cluster,
        "x-etcd-index": str(index),
        "x-raft-index": str(index + 10),
        "x-raft-term": str(term),
    }


def event(action: str = "get", index: int = 10, *, status: int = 200, term: int = 2, cluster: str = OURS) -> Reply:
    node = {"key": "/a", "value": "1", "modifiedIndex": index, "createdIndex": index}
    body = json.dumps({"action": action, "node": node}).encode()
    return Reply(status, headers(index, term, cluster), body)


def keys_error(code: int, status: int, cause: str = "/a", *, index: int = 10, cluster: str = OURS) -> Reply:
    body = {"errorCode": code, "message": f"text of {code}", "cause": cause, "index": index}
    heads = {"content-type": "application/json", "x-etcd-cluster-id": cluster, "x-etcd-index": str(index)}
    return Reply(status, heads, json.dumps(body).encode())


def message(status: int, text: str, *, cluster: str = "") -> Reply:
    heads = {"content-type": "application/json"}
    if cluster:
        heads["x-etcd-cluster-id"] = cluster
    return Reply(status, heads, json.dumps({"message": text}).encode())


def plain(status: int, text: str = "", **more: str) -> Reply:
    return Reply(status, {"content-type": "text/plain", **more}, text.encode())


GOT = event()
SET = event("set", 11, status=201)
NO_V2 = plain(404, "404 page not found\n")
NO_LEADER = keys_error(300, 500, "etcdserver: request timed out", index=0)
NO_MEMBER = message(503, "httpproxy: zero endpoints currently available")
NO_RESPONSE = message(502, "httpproxy: unable to get response from 3 endpoint(s)")

# --- attempts without a whole answer ----------------------------------------------------------------------------------

LOSSES: list[tuple[str, Phase, dict[str, bool]]] = [
    ("timeout", "wait", {"timed_out": True}),
    ("reset", "read", {}),
    ("aborted", "wait", {"aborted": True}),
]


@pytest.mark.parametrize("rules", [READ, QUORUM, SESSION], ids=["local", "quorum", "session"])
@pytest.mark.parametrize("sent", list(Sent))
@pytest.mark.parametrize(("phase", "how"), [(phase, how) for _, phase, how in LOSSES[:2]], ids=["timeout", "reset"])
def test_read_is_repeated_at_another_endpoint_whatever_was_sent(
    rules: CallPolicy, sent: Sent, phase: Phase, how: dict[str, bool]
) -> None:
    course = Course(rules)
    course.fail(failure(phase, sent, **how))
    assert course.answer(GOT) is not None
    assert course.tried == ["a", "b"]


@pytest.mark.parametrize("sent", [Sent.NOTHING, Sent.PART])
@pytest.mark.parametrize("how", [{}, {"timed_out": True}], ids=["reset", "timeout"])
def test_write_that_was_not_received_whole_is_repeated(sent: Sent, how: dict[str, bool]) -> None:
    course = Course(WRITE)
    course.fail(failure("send", sent, **how))
    answered = course.answer(SET)
    assert answered is not None
    assert (answered.endpoint.host, answered.meta.index) == ("b", 11)


@pytest.mark.parametrize(
    ("how", "kind"),
    [({}, OutcomeUnknown), ({"timed_out": True}, OutcomeUnknownTimeout), ({"aborted": True}, OutcomeUnknown)],
    ids=["reset", "timeout", "aborted"],
)
def test_write_that_was_sent_whole_is_never_repeated(how: dict[str, bool], kind: type[OutcomeUnknown]) -> None:
    course = Course(WRITE)
    with pytest.raises(OutcomeUnknown) as caught:
        course.fail(failure("wait", Sent.WHOLE, **how), after=1.5)
    assert type(caught.value) is kind
    assert isinstance(caught.value, TimeoutError) == how.get("timed_out", False)
    assert course.tried == ["a"]
    assert caught.value.endpoint == "http://a:2379"
    assert caught.value.attempts == (("http://a:2379", "wait", "broke in wait", 1.5, None),)
    assert isinstance(caught.value.__cause__, TransportFailure)
    assert "/v2/keys/a" in str(caught.value)
    assert "after 1.50 s" in str(caught.value)


WRITES: list[Call[Any, Any]] = [
    operations.put_key("/a", value="1"),
    operations.put_key("/a", value="1", prev_index=4),
    operations.put_key("/a", value="1", prev_exist=False),
    operations.put_key("/a", ttl=5, refresh=True, prev_exist=True),
    operations.post_key("/a", value="1"),
    operations.delete_key("/a"),
    operations.delete_key("/a", prev_index=4),
    operations.add_member(MemberPeers(peer_urls=("http://d:2380",))),
    operations.remove_member("1"),
    operations.enable_auth(),
    operations.put_user("u", UserChange(user="u", password="secret")),
    operations.put_role("r", RoleChange(role="r", permissions=Permissions(kv=KeyPatterns(read=(), write=())))),
    operations.delete_role("r"),
]


@pytest.mark.parametrize("call", WRITES, ids=lambda call: f"{call.method}-{call.operation}")
def test_no_kind_of_write_is_repeated_after_its_answer_was_lost(call: Call[Any, Any]) -> None:
    course = Course(policy_for(call, repeat=False, quorum=False), call=call)
    with pytest.raises(OutcomeUnknown) as caught:
        course.fail(LOST)
    assert course.tried == ["a"]
    assert "secret" not in f"{caught.value!s}{caught.value!r}{caught.value.call!r}{caught.value.call.json}"


@pytest.mark.parametrize("loss", [LOST, SILENT, NO_LEADER, NO_RESPONSE], ids=["reset", "timeout", "300", "502"])
def test_repeat_writes_asks_again_after_a_lost_answer(loss: Reply | TransportFailure) -> None:
    course = Course(REPEATED)
    assert course.run(loss, SET).endpoint.host == "b"
    assert course.tried == ["a", "b"]


@pytest.mark.parametrize("end", [REFUSED, NO_MEMBER, NO_V2, plain(302)], ids=["refused", "503", "disabled", "302"])
@pytest.mark.parametrize("loss", [LOST, NO_LEADER], ids=["reset", "300"])
def test_repeated_write_that_may_have_been_applied_ends_as_unknown(
    loss: Reply | TransportFailure, end: Reply | TransportFailure
) -> None:
    """ClusterUnavailable says that no write was applied: that would be false here."""
    with pytest.raises(OutcomeUnknown):
        Course(REPEATED).run(loss, end)


def test_unknown_end_of_a_repeated_write_names_where_it_was_lost() -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        Course(REPEATED).run(REFUSED, LOST, REFUSED)
    assert caught.value.endpoint == "http://b:2379"
    assert len(caught.value.attempts) > 3


def test_repeated_write_that_may_be_our_own_doing_is_no_refusal() -> None:
    """KeyExists after a lost create may be of that very create."""
    with pytest.raises(OutcomeUnknown):
        Course(REPEATED).run(LOST, keys_error(105, 412))
    with pytest.raises(KeyExists):
        Course(REPEATED).run(REFUSED, keys_error(105, 412))


def test_repeated_write_that_was_never_sent_ends_as_unavailable() -> None:
    with pytest.raises(ClusterUnavailable):
        Course(REPEATED).run(REFUSED)


def test_repeated_write_ended_by_close_after_it_was_sent_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        Course(REPEATED).fail(failure("wait", Sent.WHOLE, aborted=True))


@pytest.mark.parametrize("rules", [READ, WRITE], ids=["read", "write"])
def test_call_ended_by_close_is_not_repeated_and_rests_no_endpoint(rules: CallPolicy) -> None:
    course = Course(rules)
    with pytest.raises(ClusterUnavailable, match="closed") as caught:
        course.fail(failure("connect", Sent.NOTHING, aborted=True))
    assert len(caught.value.attempts) == 1
    assert course.pool.order(course.now)[0].host == "a"


def test_full_connection_pool_rests_no_endpoint() -> None:
    course = Course(READ)
    with pytest.raises(ClusterUnavailable, match="broke in pool"):
        course.run(failure("pool", Sent.NOTHING, timed_out=True))
    assert [one.host for one in course.pool.order(course.now)] == ["a", "b", "c"]


@pytest.mark.parametrize("loss", [REFUSED, SILENT, LOST], ids=["refused", "timeout", "reset"])
def test_failed_endpoint_rests(loss: TransportFailure) -> None:
    course = Course(READ)
    course.fail(loss)
    assert course.pool.first.host == "b"
    assert [one.host for one in course.pool.order(course.now)] == ["b", "c", "a"]


# --- rounds, pauses, ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [READ, QUORUM, SESSION, WRITE], ids=["local", "quorum", "session", "write"])
def test_all_refused_is_two_rounds_then_the_error_that_names_each(rules: CallPolicy) -> None:
    course = Course(rules)
    with pytest.raises(ClusterUnavailable) as caught:
        course.run(REFUSED)
    assert sorted(course.tried[:3]) == sorted(course.tried[3:]) == ["a", "b", "c"]
    assert len(course.pauses) == 1
    assert 0 < course.pauses[0] <= SECOND_ROUND_WITHIN
    assert len(caught.value.attempts) == 6
    for host in "abc":
        assert f"http://{host}:2379: connection refused" in str(caught.value)
    assert caught.value.__cause__ is REFUSED


def test_error_names_the_different_cause_of_every_endpoint() -> None:
    with pytest.raises(ClusterUnavailable) as caught:
        Course(READ, timeout=Timeout(total=None)).run(REFUSED, SILENT, LOST, REFUSED)
    assert {(one.endpoint[7], one.cause) for one in caught.value.attempts} >= {
        ("a", "connection refused"),
        ("b", "timed out"),
        ("c", "connection reset"),
    }
    for text in ("connection refused", "timed out", "connection reset"):
        assert text in str(caught.value)


def test_attempts_are_counted_from_one() -> None:
    course = Course(READ)
    assert course.step().number == 1
    course.attempts.failed(REFUSED, course.now)
    assert course.step().number == 2


def test_refused_cluster_is_told_at_once_when_no_time_is_left_for_a_second_round() -> None:
    course = Course(READ, timeout=Timeout(total=0.3))
    with pytest.raises(ClusterUnavailable):
        course.run(REFUSED)
    assert course.tried == ["a", "b", "c"]
    assert course.pauses == []


def test_call_ends_at_its_deadline_with_the_causes() -> None:
    course = Course(READ, timeout=Timeout(total=5))
    with pytest.raises(DeadlineExceeded, match="within 5 s") as caught:
        course.run(SILENT, after=1.7)
    assert isinstance(caught.value, TimeoutError)
    assert "http://a:2379: timed out" in str(caught.value)
    assert course.now <= 105 + 1.7


def test_outer_deadline_is_kept_when_it_is_earlier_than_the_total() -> None:
    assert Course(READ, deadline=Deadline(101)).step().limits.deadline == 101.0
    assert Course(READ, deadline=Deadline(900)).step().limits.deadline == 120.0
    assert Course(READ, deadline=Deadline(101), timeout=Timeout(total=None)).step().limits.deadline == 101.0


def test_deadline_that_has_passed_already_sends_nothing_and_tells_no_negative_time() -> None:
    course = Course(READ, deadline=Deadline(99))
    with pytest.raises(DeadlineExceeded) as caught:
        course.step()
    assert course.tried == []
    assert "-" not in str(caught.value)


def test_pause_never_goes_beyond_the_deadline() -> None:
    course = Course(READ, endpoints=1, timeout=Timeout(total=3))
    with pytest.raises(DeadlineExceeded):
        course.run(NO_LEADER)
    assert course.now == pytest.approx(103)
    assert course.pauses[0] <= SECOND_ROUND_WITHIN
    assert all(pause <= LONGEST_PAUSE for pause in course.pauses)


@pytest.mark.parametrize("rules", [READ, QUORUM], ids=["local", "quorum"])
@pytest.mark.parametrize("reply", [NO_LEADER, NO_MEMBER, NO_RESPONSE], ids=["300", "503", "502"])
def test_read_without_leader_is_repeated_until_the_total(rules: CallPolicy, reply: Reply) -> None:
    course = Course(rules)
    with pytest.raises(DeadlineExceeded) as caught:
        course.run(reply)
    assert course.now == pytest.approx(120)
    assert len(course.pauses) > 5
    assert json.loads(reply.body)["message"] in str(caught.value)


def test_read_without_leader_succeeds_when_there_is_one_again() -> None:
    assert Course(QUORUM).run(*[NO_LEADER] * 10, GOT).status == 200


def test_without_a_total_rounds_are_bounded() -> None:
    course = Course(QUORUM, timeout=Timeout(total=None))
    with pytest.raises(ClusterUnavailable):
        course.run(NO_LEADER)
    assert len(course.tried) == 3 * ROUNDS_WITHOUT_TOTAL
    assert len(course.pauses) == ROUNDS_WITHOUT_TOTAL - 1


def test_without_a_total_refused_is_still_two_rounds() -> None:
    course = Course(READ, timeout=Timeout(total=None))
    with pytest.raises(ClusterUnavailable):
        course.run(REFUSED)
    assert len(course.tried) == 6


def test_many_equal_causes_are_told_once_with_their_count() -> None:
    with pytest.raises(DeadlineExceeded) as caught:
        Course(QUORUM, endpoints=1).run(NO_LEADER)
    assert len(str(caught.value)) < 400
    assert f"x{len(caught.value.attempts)}" in str(caught.value)


# --- the limits of one try --------------------------------------------------------------------------------------------


def test_limits_of_a_try_are_those_of_its_kind() -> None:
    timeout = Timeout(connect=0.5, attempt=2, commit=8, total=60)
    for rules, answer in ((READ, 2), (SESSION, 2), (QUORUM, 8), (WRITE, 8)):
        assert Course(rules, timeout=timeout).step().limits == Limits(0.5, answer, Deadline(160))


def test_default_quorum_read_waits_longer_than_the_server_does() -> None:
    """After 7 s the server says that there is no leader: that tells more than a time-out."""
    assert Course(QUORUM).step().limits.answer == 8


def test_silent_member_does_not_use_up_a_short_total_of_a_quorum_read() -> None:
    course = Course(QUORUM, timeout=Timeout(total=5))
    for _ in range(2):
        step = course.step()
        assert step.limits.answer is not None
        course.now += step.limits.answer
        course.attempts.failed(SILENT, course.now)
    assert course.answer(GOT, after=0.1) is not None


def test_write_waits_for_its_answer_as_long_as_there_is_time() -> None:
    """Nobody else can give it."""
    assert Course(WRITE, timeout=Timeout(total=5)).step().limits.answer == 8


def test_without_any_limit_a_try_has_none() -> None:
    timeout = Timeout(connect=None, attempt=None, commit=None, total=None)
    for rules in (READ, QUORUM, WRITE):
        assert Course(rules, timeout=timeout).step().limits == Limits(None, None, NEVER)


def test_short_total_is_shared_so_that_silent_members_leave_time_for_the_last() -> None:
    course = Course(READ, timeout=Timeout(total=0.9))
    for _ in range(2):
        step = course.step()
        assert step.limits.answer is not None
        course.now += step.limits.answer
        course.attempts.failed(SILENT, course.now)
    assert course.answer(GOT, after=0.1) is not None
    assert course.tried == ["a", "b", "c"]


def test_total_is_shared_where_one_try_has_no_limit() -> None:
    course = Course(READ, timeout=Timeout(attempt=None, total=30))
    assert course.step().limits.answer == pytest.approx(10)


def test_lone_endpoint_has_the_whole_attempt() -> None:
    assert Course(READ, endpoints=1, timeout=Timeout(total=1)).step().limits.answer == 2


def test_short_total_leaves_a_write_time_to_connect_elsewhere() -> None:
    """An endpoint that drops packets must not use up the time of the others: nothing was sent to it yet."""
    course = Course(WRITE, timeout=Timeout(connect=1, total=0.9))
    for _ in range(2):
        step = course.step()
        assert step.limits.connect is not None
        course.now += min(step.limits.connect, 0.9)
        course.attempts.failed(failure("connect", Sent.NOTHING, timed_out=True), course.now)
    assert course.answer(SET) is not None


# --- described answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "reply"), [(READ, GOT), (WRITE, event("set")), (WRITE, SET)])
def test_described_success_is_the_answer(rules: CallPolicy, reply: Reply) -> None:
    course = Course(rules)
    answered = course.answer(reply)
    assert answered is not None
    assert answered.answer.node.value == "1"
    assert answered.status == reply.status
    assert answered.endpoint == course.pool.first
    assert answered.meta == Meta(int(reply.headers["x-etcd-index"]), answered.meta.index + 10, 2, OURS)


def test_answer_without_content_is_an_answer() -> None:
    answered = Course(WRITE, call=operations.remove_member("1")).answer(plain(204))
    assert answered is not None
    assert answered.answer is None


def test_answering_endpoint_is_asked_first_from_then_on() -> None:
    course = Course(READ)
    course.run(REFUSED, GOT)
    assert course.pool.first.host == "b"
    assert Course(READ, pool=course.pool, now=course.now + 60).step().endpoint.host == "b"


REFUSALS: list[tuple[int, int, type[ApiError]]] = [
    (100, 404, KeyNotFound),
    (101, 412, CompareFailed),
    (102, 403, NotFile),
    (104, 400, NotDir),
    (105, 412, KeyExists),
    (107, 400, RootReadOnly),
    (108, 403, DirNotEmpty),
    (110, 401, Unauthorized),
    (209, 400, InvalidRequest),
]


@pytest.mark.parametrize(
    ("rules", "code", "status", "kind"),
    [(WRITE, *row) for row in REFUSALS] + [(READ, *row) for row in REFUSALS if row[1] not in (403, 412)],
)
def test_refusal_of_the_store_ends_the_call_and_rests_nobody(
    rules: CallPolicy, code: int, status: int, kind: type[ApiError]
) -> None:
    course = Course(rules)
    with pytest.raises(kind) as caught:
        course.answer(keys_error(code, status))
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.status, error.cause, error.index) == (code, status, "/a", 10)
    assert error.endpoint == "http://a:2379"
    assert course.pool.order(course.now)[0].host == "a"


def test_cleared_history_is_told_with_the_current_index() -> None:
    with pytest.raises(HistoryCleared) as caught:
        Course(READ).answer(keys_error(401, 400, "the requested history has been cleared [110/109]", index=1109))
    assert caught.value.index == 1109


def test_write_answered_with_300_is_unknown_and_not_repeated() -> None:
    course = Course(WRITE)
    with pytest.raises(OutcomeUnknownTimeout, match="request timed out") as caught:
        course.answer(NO_LEADER)
    assert isinstance(caught.value.__cause__, RaftInternal)
    assert course.tried == ["a"]


@pytest.mark.parametrize("code", [300, 301])
def test_write_refused_for_want_of_a_leader_is_unknown(code: int) -> None:
    with pytest.raises(OutcomeUnknown):
        Course(WRITE).answer(keys_error(code, 500, "etcdserver: server stopped"))


def test_change_of_a_directory_ttl_on_3_5_is_a_plain_error() -> None:
    """The 3.5 servers answer 500/300 "Not a file" and have done nothing, whenever they are asked."""
    course = Course(WRITE)
    with pytest.raises(RaftInternal, match="Not a file"):
        course.answer(keys_error(300, 500, "nodePath /1/d : Not a file ()", index=0))


def test_proxy_without_members_has_forwarded_nothing_so_a_write_goes_elsewhere() -> None:
    course = Course(WRITE)
    assert course.run(NO_MEMBER, SET).endpoint.host == "b"


def test_proxy_that_lost_its_member_leaves_a_write_unknown() -> None:
    with pytest.raises(OutcomeUnknown, match="unable to get response"):
        Course(WRITE).answer(NO_RESPONSE)


def test_members_write_answered_with_500_is_unknown() -> None:
    call = operations.add_member(MemberPeers(peer_urls=("http://d:2380",)))
    with pytest.raises(OutcomeUnknown, match="Internal Server Error"):
        Course(WRITE, call=call).answer(message(500, "Internal Server Error", cluster=OURS))


def test_stats_of_the_leader_are_asked_of_the_next_member_when_this_one_does_not_lead() -> None:
    course = Course(READ, call=operations.get_leader_stats())
    assert course.answer(message(403, "not current leader")) is None
    answered = course.answer(Reply(200, {}, b'{"leader":"1","followers":{}}'))
    assert answered is not None
    assert course.tried == ["a", "b"]


def test_forbidden_elsewhere_is_an_error() -> None:
    with pytest.raises(ApiError) as caught:
        Course(WRITE, call=operations.delete_user("root")).answer(message(403, "auth: Cannot delete root user"))
    assert caught.value.status == 403


# --- answers that are not described -----------------------------------------------------------------------------------

ODD = [
    plain(301, "", location="/v2/keys/b"),
    plain(302),
    plain(307),
    plain(400, "400 Bad Request"),
    plain(405, "Method Not Allowed"),
    plain(421, "Host header was unrecognized"),
    plain(431, "431 Request Header Fields Too Large"),
    plain(501),
]
BROKEN = [
    plain(200, "<html>hello</html>"),
    plain(200, ""),
    Reply(200, headers(), GOT.body[:-10]),
    Reply(200, {**headers(), "x-etcd-index": "many"}, GOT.body),
    plain(204),
]


def name_of(reply: Reply) -> str:
    return f"{reply.status}-{reply.body[:8].decode()}"


@pytest.mark.parametrize("reply", [*ODD, *BROKEN, plain(500, "oops"), plain(504, "gateway")], ids=name_of)
def test_odd_answer_to_a_read_is_asked_elsewhere(reply: Reply) -> None:
    course = Course(READ)
    assert course.run(reply, GOT).endpoint.host == "b"
    assert course.pool.first.host == "b"


@pytest.mark.parametrize("reply", [*ODD, *BROKEN], ids=name_of)
def test_odd_answer_of_every_endpoint_is_the_error(reply: Reply) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        Course(READ).run(reply)
    assert caught.value.status == reply.status
    assert caught.value.body == reply.body
    assert caught.value.content_type == reply.headers["content-type"]
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("reply", ODD, ids=name_of)
def test_odd_refusal_of_a_write_is_told_at_once(reply: Reply) -> None:
    course = Course(WRITE)
    with pytest.raises(UnexpectedAnswer):
        course.answer(reply)
    assert course.tried == ["a"]


@pytest.mark.parametrize("reply", BROKEN, ids=name_of)
def test_write_whose_success_cannot_be_read_is_unknown(reply: Reply) -> None:
    """A 2xx says that it was done, by whom is not clear: its answer is as good as lost."""
    course = Course(WRITE)
    with pytest.raises(OutcomeUnknown) as caught:
        course.answer(reply)
    assert isinstance(caught.value.__cause__, UnexpectedAnswer)
    assert course.tried == ["a"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_odd_server_error_leaves_a_write_unknown(status: int) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        Course(WRITE).answer(plain(status, "<html>gateway</html>"))
    assert isinstance(caught.value.__cause__, UnexpectedAnswer)


@pytest.mark.parametrize("others", [REFUSED, SILENT], ids=["refused", "timeout"])
def test_error_of_a_mixture_names_the_refused_beside_the_odd_answer(others: TransportFailure) -> None:
    with pytest.raises(EtcdError) as caught:
        Course(READ).run(others, plain(400, "hello"), others, others, others, others, others)
    assert "unexpected answer 400" in str(caught.value) or "answered 400" in str(caught.value)
    assert str(others) in str(caught.value)


@pytest.mark.parametrize("other", [NO_V2, NO_MEMBER], ids=["disabled", "503"])
def test_error_of_different_answers_names_each(other: Reply) -> None:
    with pytest.raises(EtcdError) as caught:
        Course(READ, endpoints=2, timeout=Timeout(total=2)).run(*[plain(400, "hello"), other] * 40)
    assert "400" in str(caught.value)
    assert "no v2 API" in str(caught.value) or "zero endpoints" in str(caught.value)


# --- no v2 API --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [READ, QUORUM, WRITE], ids=["local", "quorum", "write"])
def test_member_without_v2_is_skipped_and_rests(rules: CallPolicy) -> None:
    course = Course(rules)
    assert course.run(NO_V2, SET if rules.write else GOT).endpoint.host == "b"
    assert course.pool.order(course.now)[-1].host == "a"


@pytest.mark.parametrize("rules", [READ, WRITE], ids=["read", "write"])
def test_all_without_v2_is_told_after_one_round(rules: CallPolicy) -> None:
    course = Course(rules)
    with pytest.raises(V2ApiDisabled, match="--enable-v2") as caught:
        course.run(NO_V2)
    assert len(course.tried) == 3
    assert caught.value.endpoints == ("http://a:2379", "http://b:2379", "http://c:2379")


@pytest.mark.parametrize("rules", [READ, WRITE], ids=["read", "write"])
def test_v2_disabled_is_the_error_only_if_all_are_so(rules: CallPolicy) -> None:
    with pytest.raises(ClusterUnavailable) as caught:
        Course(rules).run(NO_V2, REFUSED)
    assert "no v2 API" in str(caught.value)
    assert "connection refused" in str(caught.value)


def test_plain_404_of_a_path_that_is_not_of_v2_is_no_sign_of_a_disabled_api() -> None:
    with pytest.raises(UnexpectedAnswer):
        Course(READ, call=operations.get_version()).run(NO_V2)


def test_plain_404_with_the_headers_of_etcd_is_no_sign_of_a_disabled_api() -> None:
    with pytest.raises(UnexpectedAnswer):
        Course(READ).run(Reply(404, headers(), b"404 page not found\n"))


def test_version_of_a_member_without_v2_does_not_make_it_the_first_again() -> None:
    course = Course(READ)
    course.run(NO_V2, GOT)
    again = Course(READ, pool=course.pool, call=operations.get_version(), now=course.now)
    version = Reply(200, {}, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')
    assert again.run(REFUSED, REFUSED, version).endpoint.host == "a"
    assert course.pool.order(again.now + 5)[0].host != "a"


# --- another cluster --------------------------------------------------------------------------------------------------

FOREIGN = event(cluster=THEIRS)


def test_first_answer_says_which_cluster_is_ours() -> None:
    course = Course(READ, view=ClusterView())
    course.answer(GOT)
    assert course.view.cluster_id == OURS


def test_foreign_endpoint_is_set_aside_and_another_one_asked() -> None:
    course = Course(READ)
    assert course.run(FOREIGN, GOT).endpoint.host == "b"
    assert [one.host for one in course.pool.order(course.now + 1000)] == ["b", "c", "a"]
    assert course.view.cluster_id == OURS


def test_foreign_refusal_does_not_count() -> None:
    course = Course(READ)
    assert course.run(keys_error(100, 404, cluster=THEIRS), GOT).endpoint.host == "b"


@pytest.mark.parametrize("rules", [READ, WRITE], ids=["read", "write"])
@pytest.mark.parametrize("endpoints", [1, 3])
def test_cluster_that_was_rebuilt_is_told_once(rules: CallPolicy, endpoints: int) -> None:
    course = Course(rules, endpoints=endpoints)
    refusal = keys_error(100, 404, cluster=THEIRS)
    with pytest.raises(ClusterChanged) as caught:
        course.run(refusal)
    assert (caught.value.old, caught.value.new, caught.value.response) == (OURS, THEIRS, None)
    assert len(course.tried) == endpoints
    again = Course(rules, pool=course.pool, view=course.view)
    answered = again.answer(event("get" if not rules.write else "set", 5, cluster=THEIRS))
    assert answered is not None
    assert again.view.index == 5


def test_write_applied_in_another_cluster_is_told_with_its_response() -> None:
    course = Course(WRITE, endpoints=1)
    with pytest.raises(ClusterChanged, match="applied there") as caught:
        course.answer(event("set", 7, status=201, cluster=THEIRS))
    assert caught.value.response is not None
    assert caught.value.response.node.modified_index == 7
    assert course.view.cluster_id == THEIRS


def test_write_applied_at_one_foreign_endpoint_of_several_keeps_the_cluster() -> None:
    course = Course(WRITE)
    with pytest.raises(ClusterChanged):
        course.answer(event("set", 7, status=201, cluster=THEIRS))
    assert course.view.cluster_id == OURS
    assert Course(WRITE, pool=course.pool, view=course.view).step().endpoint.host == "b"


def test_write_that_failed_inside_another_cluster_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown, match="another cluster"):
        Course(WRITE).answer(keys_error(300, 500, "etcdserver: request timed out", cluster=THEIRS))


def test_one_foreign_endpoint_does_not_take_the_client_over_while_the_others_are_down() -> None:
    course = Course(READ)
    with pytest.raises(EtcdError) as caught:
        course.run(FOREIGN, REFUSED, REFUSED, REFUSED, REFUSED, FOREIGN)
    assert isinstance(caught.value, ClusterUnavailable)
    assert THEIRS in str(caught.value)
    assert "connection refused" in str(caught.value)
    assert course.view.cluster_id == OURS


def test_write_is_never_sent_to_an_endpoint_known_to_be_foreign_while_the_others_are_down() -> None:
    course = Course(READ)
    course.run(FOREIGN, GOT)
    write = Course(WRITE, pool=course.pool, view=course.view)
    with pytest.raises(ClusterUnavailable):
        write.run(REFUSED)
    assert "a" not in write.tried


def test_read_asks_a_set_aside_endpoint_again_when_all_others_fail() -> None:
    course = Course(READ)
    course.run(FOREIGN, GOT)
    assert Course(READ, pool=course.pool, view=course.view).run(REFUSED, REFUSED, GOT).endpoint.host == "a"


def test_two_calls_that_notice_the_change_together_both_make_sense() -> None:
    first = Course(READ, endpoints=1)
    second = Course(READ, pool=first.pool, view=first.view)
    assert first.answer(FOREIGN) is None
    assert second.answer(FOREIGN) is None
    with pytest.raises(ClusterChanged):
        first.step()
    error = error_of(lambda: second.answer(FOREIGN))
    assert error is None or (isinstance(error, ClusterChanged) and (error.old, error.new) == (OURS, THEIRS))


# --- session consistency ----------------------------------------------------------------------------------------------


def test_session_read_refuses_an_older_index_and_an_older_term() -> None:
    course = Course(SESSION)
    assert course.run(event(index=9), event(index=10, term=1), event(index=10)).endpoint.host == "c"


def test_session_read_does_not_believe_that_a_key_is_missing_in_an_older_state() -> None:
    course = Course(SESSION)
    assert course.answer(keys_error(100, 404, index=9)) is None
    with pytest.raises(KeyNotFound):
        course.answer(keys_error(100, 404, index=10))


def test_local_read_takes_an_older_state() -> None:
    assert Course(READ).answer(event(index=9)) is not None


def test_older_state_rests_no_endpoint() -> None:
    course = Course(SESSION)
    course.answer(event(index=9))
    assert [one.host for one in course.pool.order(course.now)] == ["a", "b", "c"]


def test_session_read_waits_for_a_member_that_catches_up() -> None:
    course = Course(SESSION, endpoints=1)
    assert course.run(event(index=8), event(index=9), event(index=10)).meta.index == 10
    assert course.pauses[0] <= SECOND_ROUND_WITHIN


@pytest.mark.parametrize("total", [5.0, None])
def test_session_read_ends_as_stale_when_nobody_catches_up(total: float | None) -> None:
    course = Course(SESSION, timeout=Timeout(total=total))
    with pytest.raises(StaleRead, match="no endpoint is further than 9") as caught:
        course.run(event(index=7), event(index=9), event(index=8))
    assert caught.value.wanted == 10
    assert "older state" in str(caught.value)


def test_every_answer_raises_what_a_session_must_see() -> None:
    course = Course(WRITE)
    course.answer(event("set", 50, status=201, term=3))
    assert (course.view.index, course.view.term) == (50, 3)
    refused = Course(READ, pool=course.pool, view=course.view)
    with pytest.raises(KeyNotFound):
        refused.answer(keys_error(100, 404, index=60))
    assert course.view.index == 60


# --- watches ----------------------------------------------------------------------------------------------------------


def test_headers_of_a_watch_are_its_meta_and_make_the_endpoint_the_first() -> None:
    course = Course(READ)
    course.fail(REFUSED)
    course.step()
    assert course.attempts.opened(headers(12), course.now) == Meta(12, 22, 2, OURS)
    assert course.pool.first.host == "b"
    assert course.view.index == 12


@pytest.mark.parametrize(
    "heads", [{}, headers(cluster=THEIRS), {**headers(), "x-etcd-index": "x"}], ids=["no id", "foreign", "no number"]
)
def test_watch_that_cannot_be_believed_is_opened_elsewhere(heads: dict[str, str]) -> None:
    course = Course(READ)
    course.step()
    assert course.attempts.opened(heads, course.now) is None
    assert course.step().endpoint.host == "b"


def test_watch_refused_everywhere_by_a_proxy_is_the_error() -> None:
    course = Course(READ)
    for _ in range(6):
        course.step()
        assert course.attempts.opened({}, course.now) is None
    with pytest.raises(UnexpectedAnswer, match="Cluster-Id"):
        course.step()


# --- which rules ------------------------------------------------------------------------------------------------------


def test_rules_follow_the_method_and_the_quorum() -> None:
    def of(call: Call[Any, Any], *, quorum: bool = False) -> CallPolicy:
        return policy_for(call, repeat=True, quorum=quorum)

    assert of(GET) == (False, False, False, False)
    assert of(GET, quorum=True) == (False, False, False, True)
    assert all(of(call) == (True, True, False, True) for call in WRITES)


# --- promises over any course -----------------------------------------------------------------------------------------

OUTCOMES: list[Reply | TransportFailure] = [
    REFUSED,
    LOST,
    SILENT,
    failure("send", Sent.PART),
    NO_LEADER,
    NO_MEMBER,
    NO_RESPONSE,
    NO_V2,
    plain(302),
    plain(500),
    event(cluster=THEIRS),
    keys_error(101, 412),
    keys_error(101, 412, cluster=THEIRS),
    event("set", 12),
]
NOT_RECEIVED = [0, 3, 5, 7]
"""Of OUTCOMES: those after which a write is provably not applied, and nothing forbids to go on."""


def courses(length: int) -> Iterator[tuple[Reply | TransportFailure, ...]]:
    return itertools.product(OUTCOMES, repeat=length)


def test_write_goes_on_only_after_outcomes_that_prove_it_was_not_applied() -> None:
    may_go_on = {id(OUTCOMES[position]) for position in NOT_RECEIVED} | {id(OUTCOMES[12])}
    for outcomes in courses(3):
        course = Course(WRITE)
        for count, outcome in enumerate(outcomes, 1):
            try:
                answered = course.run_one(outcome)
            except EtcdError:
                break
            if answered is not None:
                break
            assert id(outcome) in may_go_on, outcomes
            assert len(course.tried) == count


def test_every_course_ends_within_its_total_or_in_an_error_of_the_tree() -> None:
    for rules in (READ, WRITE, REPEATED, SESSION):
        for outcomes in courses(2):
            course = Course(rules, timeout=Timeout(total=10), endpoints=2)
            error = error_of(lambda course=course, outcomes=outcomes: course.run(*outcomes, after=0.05))  # type: ignore[misc]
            assert error is None or str(error)
            assert course.now <= 110.06
