"""The table of retries, row by row: what came, and what follows for a read, a write, a repeatable write."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2._core.answers import check_answer
from etcdv2._core.call import verdict
from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.policy import CallPolicy, policy_for
from etcdv2._core.call.verdict import Row, Shows, Then, Verdict
from etcdv2._core.etcd_headers import Meta, meta_of
from etcdv2._core.wire import CLUSTER_ID, Reply, Sent, TransportFailure
from etcdv2_api import Call, KeyPatterns, MemberPeers, Permissions, RoleChange, UserChange, operations
from tests.tools.course import (
    FOREIGN,
    GET,
    GOT,
    LOST,
    NO_LEADER,
    NO_MEMBER,
    NO_RESPONSE,
    NO_V2,
    NOT_LEADING,
    OURS,
    PUT,
    QUORUM,
    READ,
    REFUSED,
    REPEATED,
    SESSION,
    SET,
    SILENT,
    THEIRS,
    WRITE,
    Outcome,
    event,
    failure,
    headers,
    keys_error,
    message,
    our_view,
    plain,
)

NEXT, RAISE, UNKNOWN, REMEMBER, DONE = Then.NEXT, Then.RAISE, Then.UNKNOWN, Then.REMEMBER, Then.DONE
WELL, NOTHING, BROKEN, LEADERLESS, ODD = Shows.WELL, Shows.NOTHING, Shows.BROKEN, Shows.LEADERLESS, Shows.ODD
ADD_MEMBER = operations.add_member(MemberPeers(peer_urls=("http://d:2380",)))
LEADER_STATS = operations.get_leader_stats()


class Case(NamedTuple):
    """Some things that may come, and what follows for a read, a write, a repeatable write; None: it cannot come."""

    came: tuple[Outcome, ...]
    columns: tuple[Verdict | None, ...]
    call: Call[Any, Any] | None


def row(
    *came: Outcome, shows: Shows, then: tuple[Then | Verdict | None, ...], call: Call[Any, Any] | None = None
) -> Case:
    columns = [Verdict(one, shows) if isinstance(one, Then) else one for one in then]
    return Case(came, tuple(columns), call)


def any_call(*came: Outcome, shows: Shows, then: Then, call: Call[Any, Any] | None = None) -> Case:
    return row(*came, shows=shows, then=(then, then, then), call=call)


def errors(*codes: tuple[int, int]) -> list[Reply]:
    return [keys_error(code, status) for code, status in codes]


UNSENT = [failure("send", sent, timed_out=late) for sent in (Sent.NOTHING, Sent.PART) for late in (False, True)]
CLOSED = [failure("connect", Sent.NOTHING, aborted=True), failure("send", Sent.PART, aborted=True)]
CUT_OFF = [Reply(status, headers(cluster=THEIRS), b"") for status in (200, 500)]
GATEWAYS = [plain(status, "<html>gateway</html>") for status in (500, 502, 503, 504)]
PAGES = [plain(200, "<html>hello</html>"), plain(200, ""), plain(204), Reply(200, headers(), GOT.body[:-10])]
NO_NUMBER = Reply(200, {**headers(), "x-etcd-index": "many"}, GOT.body)
REDIRECTS = [plain(301, "", location="/v2/keys/b"), plain(302), plain(307)]
OTHERS = [plain(status, "hello") for status in (400, 405, 421, 431, 501)]
STOPPED = keys_error(301, 500, "etcdserver: server stopped")
MEMBERS_500 = message(500, "Internal Server Error", cluster=OURS)
ROOT_USER = message(403, "auth: Cannot delete root user")
CLEARED = keys_error(401, 400, "the requested history has been cleared [110/109]", index=1109)
DIRECTORY_TTL = keys_error(300, 500, "nodePath /1/d : Not a file ()", index=0)
THEIR_TIMEOUT = keys_error(300, 500, "etcdserver: request timed out", cluster=THEIRS)
THEIR_204 = Reply(204, headers(cluster=THEIRS), b"")

LOSS = (NEXT, UNKNOWN, REMEMBER)
AT_ONCE = Verdict(RAISE, LEADERLESS)
NO_LEADER_THEN = (NEXT, Verdict(UNKNOWN, NOTHING), REMEMBER)

TABLE: dict[str, Case] = {
    # Attempts without a whole answer.
    "not sent whole": any_call(REFUSED, *UNSENT, shows=BROKEN, then=NEXT),
    "sent whole": row(LOST, SILENT, failure("read", Sent.WHOLE), shows=BROKEN, then=LOSS),
    "no connection free": any_call(failure("pool", Sent.NOTHING, timed_out=True), shows=NOTHING, then=NEXT),
    "closed": any_call(*CLOSED, shows=NOTHING, then=Then.CLOSED),
    "closed, sent whole": row(
        failure("wait", Sent.WHOLE, aborted=True), shows=NOTHING, then=(Then.CLOSED, UNKNOWN, UNKNOWN)
    ),
    # Answers of etcd.
    "success": any_call(GOT, event(index=9), event(term=1), shows=WELL, then=DONE),
    "success, 201": row(SET, shows=WELL, then=(None, DONE, DONE)),
    "success, 204": any_call(plain(204), shows=WELL, then=DONE, call=operations.remove_member("1")),
    "refused": any_call(*errors((100, 404), (104, 400), (107, 400), (110, 401)), CLEARED, shows=WELL, then=RAISE),
    "refused, writes": row(
        *errors((101, 412), (102, 403), (105, 412), (108, 403), (209, 400)), shows=WELL, then=(None, RAISE, RAISE)
    ),
    "refused, by status": any_call(ROOT_USER, shows=WELL, then=RAISE, call=operations.delete_user("root")),
    "no leader": row(NO_LEADER, STOPPED, NO_RESPONSE, shows=LEADERLESS, then=NO_LEADER_THEN),
    "no leader, members": row(MEMBERS_500, shows=LEADERLESS, then=NO_LEADER_THEN, call=ADD_MEMBER),
    "nothing forwarded": any_call(NO_MEMBER, shows=LEADERLESS, then=NEXT),
    "TTL of a directory on 3.5": any_call(DIRECTORY_TTL, shows=NOTHING, then=RAISE),
    "not leading": row(NOT_LEADING, shows=Shows.NOT_LEADING, then=(NEXT, None, None), call=LEADER_STATS),
    # Answers of another cluster.
    "foreign success": row(
        FOREIGN, event("set", 7, cluster=THEIRS), shows=Shows.FOREIGN, then=(NEXT, Then.CHANGED, Then.CHANGED)
    ),
    "foreign refusal": any_call(keys_error(100, 404, cluster=THEIRS), shows=Shows.FOREIGN, then=NEXT),
    "foreign failure": row(THEIR_TIMEOUT, shows=Shows.FOREIGN, then=LOSS),
    "foreign headers": row(*CUT_OFF, shows=Shows.FOREIGN, then=(NEXT, None, None)),
    # Answers that the description does not have.
    "no v2 API": any_call(NO_V2, shows=Shows.WITHOUT_V2, then=NEXT),
    "no page": row(NO_V2, shows=ODD, then=(NEXT, None, None), call=operations.get_version()),
    "no page, of etcd": row(Reply(404, headers(), NO_V2.body), shows=ODD, then=(NEXT, RAISE, RAISE)),
    "unreadable": row(*PAGES, NO_NUMBER, *GATEWAYS, shows=ODD, then=LOSS),
    "odd": row(*REDIRECTS, *OTHERS, shows=ODD, then=(NEXT, RAISE, RAISE)),
}
AFTER_LOSS: dict[str, Case] = {
    "perhaps our own doing": row(
        *errors((100, 404), (101, 412), (105, 412)), shows=WELL, then=(None, None, Then.STILL_UNKNOWN)
    ),
    "refused all the same": row(keys_error(108, 403), shows=WELL, then=(None, None, RAISE)),
    "odd": row(*REDIRECTS, *OTHERS, shows=ODD, then=(None, None, NEXT)),
}
OLDER = [event(index=9), event(index=10, term=1), keys_error(100, 404, index=9)]
SESSION_READS: dict[str, Case] = {
    "older": row(*OLDER, shows=Shows.BEHIND, then=(NEXT,)),
    "fresh": row(GOT, event(index=11, term=3), shows=WELL, then=(DONE,)),
    "fresh refusal": row(keys_error(100, 404), shows=WELL, then=(RAISE,)),
}


def verdict_on(
    came: Outcome,
    policy: CallPolicy,
    call: Call[Any, Any] | None = None,
    *,
    lost: bool = False,
    view: ClusterView | None = None,
) -> Verdict:
    """As a route asks for it."""
    view = view or our_view()
    call = call or (PUT if policy.write else GET)
    if isinstance(came, TransportFailure):
        return verdict.judge_failure(came, policy)
    try:
        answer, meta = call.decode(came.status, came.body), meta_of(came.headers)
        check_answer(answer, change=policy.write)
    except ValueError:
        cluster_id = came.headers.get(CLUSTER_ID)
        return verdict.judge_undescribed(came.status, cluster_id, call.path, policy, view, OURS, lost=lost)
    return verdict.judge_answer(answer, came.status, meta, call.operation, policy, view, lost=lost)


def cases(table: dict[str, Case], *policies: CallPolicy) -> list[Any]:
    """Each thing that may come to each kind of call that it may come to."""
    found: list[Any] = []
    for name, case in table.items():
        for number, came in enumerate(case.came):
            for policy, expected in zip(policies, case.columns, strict=True):
                if expected is not None:
                    kind = "repeat" if policy.repeat else "write" if policy.write else "read"
                    found.append(pytest.param(came, policy, case.call, expected, id=f"{name}-{number}-{kind}"))
    return found


@pytest.mark.parametrize(("came", "policy", "call", "expected"), cases(TABLE, READ, WRITE, REPEATED))
def test_what_follows(came: Outcome, policy: CallPolicy, call: Call[Any, Any] | None, expected: Verdict) -> None:
    assert verdict_on(came, policy, call) == expected


@pytest.mark.parametrize(("came", "policy", "call", "expected"), cases(AFTER_LOSS, QUORUM, WRITE, REPEATED))
def test_what_follows_after_a_lost_answer(
    came: Outcome, policy: CallPolicy, call: Call[Any, Any] | None, expected: Verdict
) -> None:
    assert verdict_on(came, policy, call, lost=True) == expected


@pytest.mark.parametrize(("came", "policy", "call", "expected"), cases(SESSION_READS, SESSION))
def test_what_follows_for_a_session(
    came: Outcome, policy: CallPolicy, call: Call[Any, Any] | None, expected: Verdict
) -> None:
    assert verdict_on(came, policy, call) == expected


@pytest.mark.parametrize("came", [NO_LEADER, STOPPED, NO_RESPONSE])
@pytest.mark.parametrize("policy", [READ, QUORUM, WRITE])
def test_a_missing_leader_ends_the_call_at_once_where_the_answer_itself_is_wanted(
    came: Reply, policy: CallPolicy
) -> None:
    assert verdict_on(came, policy._replace(at_once=True)) == AT_ONCE
    assert verdict_on(NO_MEMBER, policy._replace(at_once=True)) == AT_ONCE
    assert verdict_on(DIRECTORY_TTL, policy._replace(at_once=True)).then is RAISE


def test_headers_of_a_cluster_that_the_client_switched_to_meanwhile_show_nothing() -> None:
    view = our_view()
    view.switch_to(THEIRS)
    came = Reply(200, headers(cluster=THEIRS), b"")
    assert verdict_on(came, READ, view=view) == Verdict(NEXT, NOTHING)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (Meta(12, 22, 2, OURS), Verdict(Then.DONE, WELL)),
        (Meta(12, 22, 2, ""), Verdict(NEXT, ODD)),
        (None, Verdict(NEXT, ODD)),
        (Meta(12, 22, 2, THEIRS), Verdict(NEXT, Shows.FOREIGN)),
    ],
)
def test_headers_of_a_watch(meta: Meta | None, expected: Verdict) -> None:
    assert verdict.judge_headers(meta, our_view()) == expected


def test_no_cluster_is_foreign_before_the_first_answer() -> None:
    assert verdict_on(FOREIGN, READ, view=ClusterView()) == Verdict(Then.DONE, WELL)


def test_every_row_of_the_table_is_tested() -> None:
    every = [*TABLE.values(), *AFTER_LOSS.values(), *SESSION_READS.values()]
    tested = {column for case in every for column in case.columns} | {AT_ONCE}
    rows = {name: value for name, value in vars(verdict).items() if isinstance(value, Row)}
    assert len(rows) > 15
    for name, row in rows.items():
        assert {*row} & tested, name


ALL_WRITES: list[Call[Any, Any]] = [
    operations.put_key("/a", value="1"),
    operations.put_key("/a", value="1", prev_index=4),
    operations.put_key("/a", value="1", prev_exist=False),
    operations.put_key("/a", ttl=5, refresh=True, prev_exist=True),
    operations.post_key("/a", value="1"),
    operations.delete_key("/a"),
    operations.delete_key("/a", prev_index=4),
    ADD_MEMBER,
    operations.remove_member("1"),
    operations.enable_auth(),
    operations.put_user("u", UserChange(user="u", password="secret")),
    operations.put_role("r", RoleChange(role="r", permissions=Permissions(kv=KeyPatterns(read=(), write=())))),
    operations.delete_role("r"),
]


@pytest.mark.parametrize("call", ALL_WRITES, ids=lambda call: f"{call.method}-{call.operation}")
def test_no_kind_of_write_is_repeated_after_its_answer_was_lost(call: Call[Any, Any]) -> None:
    for came in (LOST, SILENT, NO_RESPONSE, plain(200, "<html>")):
        assert verdict_on(came, policy_for(call, repeat=False, quorum=False), call).then is UNKNOWN


def test_policy_follows_the_method_and_the_quorum() -> None:
    assert policy_for(GET, repeat=True, quorum=False) == READ
    assert policy_for(GET, repeat=True, quorum=True) == QUORUM
    assert all(policy_for(call, repeat=True, quorum=False) == REPEATED for call in ALL_WRITES)


@given(
    st.sampled_from([READ, QUORUM, WRITE, REPEATED]),
    st.sampled_from([GET, PUT, ADD_MEMBER, LEADER_STATS, operations.get_version()]),
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from([*headers()]), st.text("09af- \n", max_size=17) | st.sampled_from([OURS, THEIRS, "10"])
    ),
    st.binary(max_size=40)
    | st.sampled_from([GOT.body, b"{}", b'{"message":"x"}', b'{"errorCode":300,"message":"m","cause":"c","index":1}']),
    st.booleans(),
)
def test_judge_never_raises_and_never_lets_a_write_be_done_twice(
    policy: CallPolicy, call: Call[Any, Any], status: int, heads: dict[str, str], body: bytes, lost: bool
) -> None:
    found = verdict_on(Reply(status, heads, body), policy, call, lost=lost)
    if policy is WRITE and found.then is NEXT:
        assert 400 <= status < 500 or NO_MEMBER.body in body or lost
