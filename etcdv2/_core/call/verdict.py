"""The judge of a call: what came of one attempt, and what follows from it.

The rules of retrying stand here.

`judge_failure`, `judge_answer`, `judge_undescribed` and `judge_headers` find the row; the call's
policy picks the column. They raise nothing and change nothing. The route carries a verdict out, the
ledger finds the words.

Two rules lie under the rows. A read may be asked again wherever it likes. A write is asked again
only where it is certain that nothing was done; else its end is OutcomeUnknown, unless its user
allows it to be done twice.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import Sent, TransportFailure
from etcdv2_api import KeysError, Message

# --- the statuses, codes and texts that decide ------------------------------------------------------------------------

NO_LEADER_CODES = frozenset({300, 301})
"""Raft's own error, and an election under way."""
AFTER_OUR_OWN_WRITE_CODES = frozenset({100, 101, 105})
"""What a repeated delete, compare-and-swap or create gets after itself: key not found, compare
failed, key exists.
"""
DONE_NOTHING_STATUS = 501
"""Of a read-only proxy, to a write (spec/protocol.md section 15): the only status from 500 on that
is a proof of nothing done.
"""
NO_V2_STATUS = 404
"""Without X-Etcd-Cluster-Id: Go's answer for a path that nobody serves, or a proxy's page."""
NO_V2_BODY = b"404 page not found"
"""What Go says then, with a line end (3.4 to 3.6)."""
NOT_THE_LEADER_STATUS = 403
LEADER_ONLY_OPERATIONS = frozenset({"get_leader_stats"})
"""Refused with that status by every member but the leader (spec/protocol.md section 15)."""
TTL_OF_DIRECTORY_TEXT = "Not a file"
"""3.5 cannot change the TTL of a directory and says so with code 300: nothing was done
(spec/protocol.md section 7).
"""
NOTHING_FORWARDED_TEXT = "zero endpoints currently available"
"""A proxy that has no member to forward to has forwarded nothing (spec/protocol.md section 15)."""


class Then(Enum):
    """What becomes of the call."""

    DONE = "the answer ends it"
    RAISE = "the error that came ends it"
    NEXT = "another endpoint is asked"
    UNKNOWN = "OutcomeUnknown ends it"
    REMEMBER = "another endpoint is asked; when none answers, OutcomeUnknown ends it"
    STILL_UNKNOWN = "OutcomeUnknown of an earlier attempt ends it"
    CHANGED = "ClusterChanged with the response ends it"
    CLOSED = "it ends, because the client was closed"


class Shows(Enum):
    """What the attempt shows of its endpoint."""

    WELL = "it answers: it is the current one from now on"
    NOTHING = "nothing"
    BROKEN = "it does not answer: it rests"
    LEADERLESS = "it has no leader: it rests, and the rounds go on until there is one"
    ODD = "its answers are not etcd's: it rests"
    NOT_LEADING = "only the leader answers this"
    BEHIND = "it has an older state than was seen before"
    FOREIGN = "it belongs to another cluster: it is quarantined"
    WITHOUT_V2 = "it has no v2 API: it is skipped"


RESTING = frozenset({Shows.BROKEN, Shows.LEADERLESS, Shows.ODD})
"""After these an endpoint rests."""
NOT_OUR_STATE = frozenset({Shows.FOREIGN, Shows.BEHIND})
"""What a described answer that shows these says of the store is no news of ours."""


class Verdict(NamedTuple):
    """What follows from one attempt."""

    then: Then
    shows: Shows


class Row(NamedTuple):
    """One line of the table."""

    read: Verdict
    write: Verdict
    repeat: Verdict
    """For a write that may be repeated (`repeat_writes`)."""

    def of(self, policy: CallPolicy) -> Verdict:
        if not policy.write:
            return self.read
        return self.repeat if policy.repeat else self.write


def _any(shows: Shows, then: Then) -> Row:
    """The same for all calls."""
    return Row(*[Verdict(then, shows)] * 3)


def _row(shows: Shows, *, read: Then, write: Then, repeat: Then) -> Row:
    return Row(Verdict(read, shows), Verdict(write, shows), Verdict(repeat, shows))


def _reads(shows: Shows, then: Then) -> Row:
    """Happens to reads only. If it ever did to a write, nobody would know what became of it."""
    return _row(shows, read=then, write=Then.UNKNOWN, repeat=Then.UNKNOWN)


# --- the table: attempts without a whole answer -----------------------------------------------------------------------

NOT_RECEIVED = _any(Shows.BROKEN, Then.NEXT)
"""Failed before the whole request was sent: etcd cannot have acted on it."""

LOST = _row(Shows.BROKEN, read=Then.NEXT, write=Then.UNKNOWN, repeat=Then.REMEMBER)
"""Failed after the whole request was sent."""

NO_CONNECTION_FREE = _any(Shows.NOTHING, Then.NEXT)
"""The limit of connections kept it waiting, which says nothing of the endpoint."""

CLOSED = _any(Shows.NOTHING, Then.CLOSED)
"""The client was closed before the whole request was sent."""

CLOSED_AND_LOST = _row(Shows.NOTHING, read=Then.CLOSED, write=Then.UNKNOWN, repeat=Then.UNKNOWN)
"""The client was closed after it was."""

# --- the table: answers of etcd ---------------------------------------------------------------------------------------

SUCCESS = _any(Shows.WELL, Then.DONE)
"""Of our cluster, and as fresh as the call demands."""
DONE = SUCCESS.read

REFUSED = _any(Shows.WELL, Then.RAISE)
"""Any error that is not in another row: etcd says no, and would say so elsewhere."""

PERHAPS_OUR_OWN_DOING = _any(Shows.WELL, Then.STILL_UNKNOWN)
"""After a lost attempt, one of AFTER_OUR_OWN_WRITE_CODES: no proof that it was somebody else."""

NO_LEADER = Row(
    read=Verdict(Then.NEXT, Shows.LEADERLESS),
    write=Verdict(Then.UNKNOWN, Shows.NOTHING),
    repeat=Verdict(Then.REMEMBER, Shows.LEADERLESS),
)
"""One of NO_LEADER_CODES, or an error without code from 500 on: the write may still be applied
(spec/protocol.md section 14). Where that ends the call its endpoint does not rest: it answered.
"""

NO_LEADER_AT_ONCE = _any(Shows.LEADERLESS, Then.RAISE)
"""The same where the caller wants the answer itself: the next call goes elsewhere."""

NOTHING_FORWARDED = _any(Shows.LEADERLESS, Then.NEXT)
"""The same from a proxy that had no member to forward to."""

TTL_OF_DIRECTORY = _any(Shows.NOTHING, Then.RAISE)
"""Code 300 that is none of the above, by its text: it would be refused everywhere, for ever."""

NOT_LEADING = _reads(Shows.NOT_LEADING, Then.NEXT)
"""The refusal of one of LEADER_ONLY_OPERATIONS; at last, when all refuse, it is the error."""

OLDER = _reads(Shows.BEHIND, Then.NEXT)
"""To a session read, success or error, from a member behind what was seen; at last StaleRead."""

# --- the table: answers of another cluster ----------------------------------------------------------------------------

FOREIGN_SUCCESS = _row(Shows.FOREIGN, read=Then.NEXT, write=Then.CHANGED, repeat=Then.CHANGED)
"""A write was applied there.

When all endpoints are foreign, a read ends as ClusterChanged too, at the round's end.
"""

FOREIGN_REFUSAL = _any(Shows.FOREIGN, Then.NEXT)
"""An error below 500, or the mere headers of a read's answer, whose body is not waited for."""

FOREIGN_FAILURE = _row(Shows.FOREIGN, read=Then.NEXT, write=Then.UNKNOWN, repeat=Then.REMEMBER)
"""An error from 500 on: the write may be applied there yet."""

SWITCHED = _reads(Shows.NOTHING, Then.NEXT)
"""The mere headers of a cluster to which another call has switched since the read was sent."""

# --- the table: answers that the description of the API does not have -------------------------------------------------

NO_V2 = _any(Shows.WITHOUT_V2, Then.NEXT)
"""The v2 API is off there, or gone; at last, when it is so everywhere, V2ApiDisabled."""

UNREADABLE = _row(Shows.ODD, read=Then.NEXT, write=Then.UNKNOWN, repeat=Then.REMEMBER)
"""A success, or a failure from 500 on but DONE_NOTHING_STATUS. When all answer so, at last
UnexpectedAnswer.
"""

ODD = _row(Shows.ODD, read=Then.NEXT, write=Then.RAISE, repeat=Then.RAISE)
"""Any other status: a redirect, a proxy's page. Nothing was done."""

ODD_AFTER_LOSS = _any(Shows.ODD, Then.NEXT)
"""The same after a lost attempt: not the error, as the outcome is unknown."""


# --- which row it is --------------------------------------------------------------------------------------------------


def judge_failure(failure: TransportFailure, policy: CallPolicy) -> Verdict:
    """Of an attempt that ended without a whole answer."""
    whole = failure.sent is Sent.WHOLE
    if failure.aborted:
        row = CLOSED_AND_LOST if whole else CLOSED
    elif whole:
        row = LOST
    else:
        row = NO_CONNECTION_FREE if failure.phase == "pool" else NOT_RECEIVED
    return row.of(policy)


def judge_answer(
    answer: object, status: int, meta: Meta, operation: str, policy: CallPolicy, view: ClusterView, *, lost: bool
) -> Verdict:
    """Of an answer that the description has.

    `lost`: whether an attempt before may have been applied.
    """
    # 1. An answer of another cluster, or of an older state, is not about ours as it is now.
    refused = isinstance(answer, (KeysError, Message))
    if view.is_foreign(meta.cluster_id):
        if not refused:
            return FOREIGN_SUCCESS.of(policy)
        return (FOREIGN_FAILURE if status >= 500 else FOREIGN_REFUSAL).of(policy)
    if policy.session and view.is_behind(meta):
        return OLDER.of(policy)

    # 2. Success, most of the time.
    if not refused:
        return DONE

    # 3. The kinds of error.
    code, cause = (answer.error_code, answer.cause) if isinstance(answer, KeysError) else (0, "")
    if code in NO_LEADER_CODES or (code == 0 and status >= 500):
        return _row_without_leader(code, cause, answer, at_once=policy.at_once).of(policy)
    if status == NOT_THE_LEADER_STATUS and operation in LEADER_ONLY_OPERATIONS:
        return NOT_LEADING.of(policy)
    if lost and code in AFTER_OUR_OWN_WRITE_CODES:
        return PERHAPS_OUR_OWN_DOING.of(policy)
    return REFUSED.of(policy)


def judge_undescribed(
    status: int,
    cluster_id: str | None,
    path: str,
    policy: CallPolicy,
    view: ClusterView,
    expected: str,
    *,
    lost: bool,
    has_v2: bool = False,
) -> Verdict:
    """Of an answer that the description does not have.

    `cluster_id`: its X-Etcd-Cluster-Id, None without one. `expected`: the one that a read was sent
    to wait for; of an answer with another one the transport has not waited for the body. `lost`: as
    in `judge_answer`. `has_v2`: this endpoint has served the v2 API, and the answer is not Go's, so
    that a 404 is a page of a proxy.
    """
    # 1. Headers of another cluster, and no body.
    if cluster_id is not None and expected and not policy.write and _is_another(cluster_id, expected):
        return (FOREIGN_REFUSAL if view.is_foreign(cluster_id) else SWITCHED).of(policy)

    # 2. No v2 API. /version and /health are served also where that is off.
    if status == NO_V2_STATUS and cluster_id is None and path.startswith("/v2/") and not has_v2:
        return NO_V2.of(policy)

    # 3. Anything else.
    if 200 <= status < 300 or (status >= 500 and status != DONE_NOTHING_STATUS):
        return UNREADABLE.of(policy)
    return (ODD_AFTER_LOSS if lost else ODD).of(policy)


def _is_another(cluster_id: str, expected: str) -> bool:
    return cluster_id.isalnum() and cluster_id != expected


def judge_headers(meta: Meta | None, view: ClusterView) -> Verdict:
    """Of the headers of a watch with status 200; `meta` is None when they are not etcd's."""
    if meta is None or not meta.cluster_id:
        return UNREADABLE.read
    return FOREIGN_SUCCESS.read if view.is_foreign(meta.cluster_id) else DONE


def _row_without_leader(code: int, cause: str, answer: object, *, at_once: bool) -> Row:
    if code == 300 and TTL_OF_DIRECTORY_TEXT in cause:
        return TTL_OF_DIRECTORY
    if at_once:
        return NO_LEADER_AT_ONCE
    nothing_forwarded = isinstance(answer, (KeysError, Message)) and NOTHING_FORWARDED_TEXT in answer.message
    return NOTHING_FORWARDED if nothing_forwarded else NO_LEADER
