"""What one attempt has brought, in words: for the list of attempts, the log, and the errors.

Owns these texts and hides what is secret in them. Judges nothing: it is given the verdict.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from etcdv2._core.answers import answered_by
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.verdict import TTL_OF_DIRECTORY_TEXT, Shows, Then, Verdict
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import CLUSTER_ID, Reply, TransportFailure
from etcdv2._types.api_errors import ApiError, DirectoryTTL, class_of
from etcdv2._types.call_errors import UnexpectedAnswer
from etcdv2._types.results import Response
from etcdv2_api import Call, KeysError, Message, UndescribedAnswer
from etcdv2_api.call import shortened

MOST_SHOWN_BYTES = 512


class Finding(NamedTuple):
    """What one attempt has brought."""

    text: str
    """For the list of attempts, and why its endpoint rests."""
    phase: str = "answer"
    status: int | None = None
    error: Exception | None = None
    """What is raised when this ends the call, and else is the cause of what does."""
    lost: str = ""
    """How OutcomeUnknown puts it."""
    timed_out: bool = False
    cluster_id: str = ""
    store_index: int = 0
    response: Response | None = None


def of_failure(failure: TransportFailure, elapsed: float, limit: str = "") -> Finding:
    """`limit`: which one has ended it, "" where none has."""
    named = f" ({limit})" if limit else ""
    return Finding(
        f"{failure}{named}",
        failure.phase,
        error=failure,
        lost=f"{failure} after {elapsed:.2f} s{named}",
        timed_out=failure.timed_out,
    )


def of_answer(
    verdict: Verdict, answer: object, status: int, meta: Meta, endpoint: str, call: Call[Any, Any], secrets: Secrets
) -> Finding:
    """Of an answer that the description has, and that does not end the call well."""
    if verdict.shows is Shows.FOREIGN:
        found = of_foreign(meta.cluster_id, status)._replace(response=answered_by(answer, meta))
        if verdict.then in (Then.UNKNOWN, Then.REMEMBER) and isinstance(answer, (KeysError, Message)):
            found = found._replace(error=ValueError(secrets.hide(answer.message, call)))
        return found
    if verdict.shows is Shows.BEHIND:
        return Finding(f"older state: index {meta.index}, term {meta.raft_term}", status=status, store_index=meta.index)

    error = _api_error(answer, status, meta, endpoint, call, secrets)
    text = f"{shortened(error.message)}{f': {shortened(error.cause)}' if error.cause else ''}"
    timed_out = isinstance(answer, KeysError) and "timed out" in answer.cause
    return Finding(text, status=status, error=error, lost=f"status {status}, {text}", timed_out=timed_out)


def of_foreign(cluster_id: str, status: int) -> Finding:
    """Of an answer of another cluster."""
    return Finding(
        f"belongs to another cluster: {cluster_id}",
        lost=f"status {status} from another cluster",
        cluster_id=cluster_id,
    )


def of_undescribed(
    verdict: Verdict, reply: Reply, problem: ValueError, endpoint: str, call: Call[Any, Any], secrets: Secrets
) -> Finding:
    """Of an answer that the description does not have, for the reason that is the `problem`."""
    status, cluster_id = reply.status, reply.headers.get(CLUSTER_ID, "")
    if verdict.shows is Shows.FOREIGN:
        return of_foreign(cluster_id, status)
    if verdict.shows is Shows.NOTHING:
        return Finding(f"belongs to cluster {cluster_id}, as the client does by now", status=status)

    error = _unexpected(reply, problem, endpoint, call, secrets)
    if verdict.shows is Shows.WITHOUT_V2:
        text = "no v2 API here (404 page not found)"
    else:
        text = f"unexpected answer {status}: {error.reason}"
    return Finding(text, status=status, error=error, lost=f"status {status}, {error.reason}")


def undescribed_text(problem: ValueError, call: Call[Any, Any], secrets: Secrets) -> str:
    """Why an answer is not as described. Of these words only the body's are from outside."""
    if not isinstance(problem, UndescribedAnswer):
        return str(problem)
    body = _hidden(problem.body, call, secrets)
    return str(UndescribedAnswer(problem.status, body, problem.reason))


def _hidden(body: bytes, call: Call[Any, Any], secrets: Secrets) -> bytes:
    text = body.decode("utf-8", "surrogateescape")
    return secrets.hide(text, call).encode("utf-8", "surrogateescape")


def _api_error(
    answer: object, status: int, meta: Meta, endpoint: str, call: Call[Any, Any], secrets: Secrets
) -> ApiError:
    code, message, cause, index = 0, "", "", meta.index
    if isinstance(answer, (KeysError, Message)):
        message = secrets.hide(answer.message, call)
    if isinstance(answer, KeysError):
        code, cause, index = answer.error_code, secrets.hide(answer.cause, call), answer.index or meta.index
    kind = class_of(code, status)
    if code == 300 and TTL_OF_DIRECTORY_TEXT in cause:
        kind = DirectoryTTL
    return kind(message, code=code, cause=cause, index=index, status=status, endpoint=endpoint)


def _unexpected(
    reply: Reply, problem: ValueError, endpoint: str, call: Call[Any, Any], secrets: Secrets
) -> UnexpectedAnswer:
    # The reason is in words of this library only; what came from outside may hold what must not be shown.
    reason = problem.reason if isinstance(problem, UndescribedAnswer) else str(problem)
    shown = _hidden(reply.body, call, secrets)
    if secrets.token is not None or call.secret:
        problem = UndescribedAnswer(reply.status, shown[:MOST_SHOWN_BYTES], reason)

    content_type = secrets.hide(reply.headers.get("content-type", ""), call)
    error = UnexpectedAnswer(reason, status=reply.status, content_type=content_type, body=shown, endpoint=endpoint)
    error.__cause__ = problem
    return error
