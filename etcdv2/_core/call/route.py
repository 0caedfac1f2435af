"""One call over several endpoints: whom to ask next, how long, and what an end of an attempt means.

Owns the retry rules (DESIGN promises 1, 3, 4, 5). No I/O, no clock of its own, no sleep: the shell carries out each
`Try` and `Pause` and reports back. Every final error comes out of `next`, `failed` or `answered`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NoReturn, TypeVar

from etcdv2._core.answers import answered_by, check_answer
from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.steps import Answered, Pause, Try
from etcdv2._core.deadline import NEVER, Deadline, backoff
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta, meta_of
from etcdv2._core.wire import CLUSTER_ID, Limits, Reply, Sent, TransportFailure
from etcdv2._types.api_errors import ApiError, class_of
from etcdv2._types.call_errors import (
    Attempt,
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
from etcdv2_api import Call, KeysError, Message, UndescribedAnswer

Answer = TypeVar("Answer")

SECOND_ROUND_WITHIN = 0.5
"""Seconds between the first round over all endpoints and the second, at most."""
LONGEST_PAUSE = 2.0
NO_SECRETS = Secrets(None, None)
_PERHAPS_OUR_OWN_DOING = (100, 101, 105)
"""Key not found, compare failed, key exists: what a repeated delete, compare-and-swap or create gets after itself."""
ROUNDS_WITHOUT_TOTAL = 8
"""Rounds for a cluster that has no leader, when there is no total time."""


class Route(Generic[Answer]):
    """The course of one call."""

    # What a call that succeeds at once never touches: immutable, so that it costs nothing.
    _records: tuple[Attempt, ...] = ()
    _cause: BaseException | None = None
    _disabled: frozenset[str] = frozenset()
    _foreign: Mapping[str, str] = MappingProxyType({})
    _leaderless = False
    _stale = 0
    _refusal: UnexpectedAnswer | ApiError | None = None
    _refusals = 0
    _maybe_applied: Endpoint | None = None
    _queue: list[Endpoint] | None = None
    _round = 0
    number = 0
    expected = ""
    """The cluster whose answer the attempt under way waits for."""

    def __init__(
        self,
        call: Call[Answer, KeysError | Message],
        rules: CallPolicy,
        timeout: Timeout,
        pool: EndpointPool,
        view: ClusterView,
        now: float,
        rng: random.Random,
        deadline: Deadline = NEVER,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._call = call
        self._rules = rules
        self._timeout = timeout
        self._pool = pool
        self._view = view
        self._secrets = secrets
        self._rng = rng
        self._started = now
        self._by = min(deadline, Deadline.after(timeout.total, now))
        self._trying = (pool.first, now)
        self._old_cluster = view.cluster_id
        self._seen_before = view.index

    # --- what to do next -------------------------------------------------------------------------------------------

    def next(self, now: float) -> Try | Pause:
        """The next step. Raises the final error when there is none."""
        if now >= self._by:
            self._out_of_time()
        if self._queue is None:
            self._queue = self._pool.order(now, write=self._rules.write)
            self._round = 1
        elif not self._queue:
            pause = self._next_round(now)
            self._queue = self._pool.order(now + pause, write=self._rules.write)
            return Pause(pause)
        self.number += 1
        endpoint = self._queue.pop(0)
        self.expected = self._view.cluster_id
        self._trying = (endpoint, now)
        connect = self._timeout.connect
        one = self._timeout.commit if self._rules.commit else self._timeout.attempt
        if self._by is not NEVER and self._queue:
            # A short total is shared out, so that a silent member does not use up the time of the others; but not the
            # wait for a write's answer, which nobody else can give, nor a quorum read's while it leaves time for more.
            left = self._by - now
            share = left / (self._pool.shares(self._queue, now) + 1)
            connect = share if connect is None else min(connect, share)
            if not self._rules.write and (one is None or one >= left or not self._rules.commit):
                one = share if one is None else min(one, share)
        return Try(endpoint, self.number, Limits(connect, one, self._by))

    def _next_round(self, now: float) -> float:
        """Raises when another round cannot help; else how long to wait for it."""
        if len(self._disabled) >= len(self._pool.endpoints) and not self._maybe_applied:
            raise V2ApiDisabled(sorted(self._disabled)) from self._cause
        if self._foreign and not any(self._view.is_foreign(other) for other in self._foreign.values()):
            self._foreign = {}  # another call has gone over to that cluster meanwhile
        if self._foreign and self._pool.all_quarantined():
            self._change_cluster()
        waits = self._leaderless or self._stale > 0
        if self._round >= (ROUNDS_WITHOUT_TOTAL if waits else 2) and (not waits or self._by is NEVER):
            self._nobody()
        pause = backoff(self._round, SECOND_ROUND_WITHIN, LONGEST_PAUSE, uniform=self._rng.uniform)
        if now + pause >= self._by and not waits:
            self._nobody()
        pause = min(pause, max(0.0, self._by - now))
        self._round += 1
        return pause

    # --- what came of it -------------------------------------------------------------------------------------------

    def failed(self, failure: TransportFailure, now: float) -> None:
        """The attempt under way ended without a whole answer. Raises OutcomeUnknown for a write that may be applied."""
        endpoint, since = self._trying
        self._record(failure.phase, str(failure), now, None)
        self._cause = failure
        if failure.phase != "pool" and not failure.aborted:
            self._pool.failed(endpoint, now, str(failure))
        if self._rules.write and failure.sent is Sent.WHOLE:
            self._lost(f"{failure} after {now - since:.2f} s", failure, timed_out=failure.timed_out)
        if failure.aborted:
            self._nobody("the client was closed during the call")

    def answered(self, reply: Reply, now: float) -> Answered[Answer] | None:
        """The end of the call, or None when another endpoint has to be asked. Raises what the answer says."""
        status = reply.status
        try:
            answer = self._call.decode(status, reply.body)
            meta = meta_of(reply.headers)
            check_answer(answer, change=self._rules.write)
        except ValueError as error:
            problem = error
        else:
            return self._answered(reply, answer, meta, now)
        cluster_id = reply.headers.get(CLUSTER_ID, "")
        if self._rules.write or not self.expected or cluster_id in ("", self.expected) or not cluster_id.isalnum():
            self._undescribed(reply, problem, now)
        elif self._view.is_foreign(cluster_id):
            self._from_another_cluster(cluster_id, now)  # its body was not waited for
        else:  # another call has gone over to that cluster meanwhile
            self._record("answer", f"belongs to cluster {cluster_id}, as the client does by now", now, reply.status)
        return None

    def _answered(
        self, reply: Reply, answer: Answer | KeysError | Message, meta: Meta, now: float
    ) -> Answered[Answer] | None:
        status = reply.status
        endpoint = self._trying[0]
        view = self._view
        foreign = view.is_foreign(meta.cluster_id)
        if isinstance(answer, (KeysError, Message)):
            if foreign and self._rules.write and status >= 500:
                text = self._hidden(answer.message)
                self._from_another_cluster(meta.cluster_id, now)
                self._lost(f"status {status} from another cluster", ValueError(text), timed_out=False)
            elif foreign:
                self._from_another_cluster(meta.cluster_id, now)
            elif not self._too_old(meta, status, now):
                view.note(meta)
                self._refused(answer, meta, status, now)
            return None
        if foreign:
            if self._rules.write:
                self._applied_elsewhere(answer, meta, status, now)
            self._from_another_cluster(meta.cluster_id, now)
            return None
        if self._too_old(meta, status, now):
            return None
        view.note(meta)
        self._succeeded()
        return Answered(answer, meta, status, endpoint)

    def opened(self, headers: Mapping[str, str], now: float) -> Meta | None:
        """Headers of a watch with status 200 arrived: its meta, or None when it comes from another cluster."""
        try:
            meta = meta_of(headers)
        except ValueError as error:
            self._undescribed(Reply(200, headers, b""), error, now)
            return None
        if not meta.cluster_id:
            self._undescribed(Reply(200, headers, b""), ValueError("a watch without X-Etcd-Cluster-Id"), now)
            return None
        if self._view.is_foreign(meta.cluster_id):
            self._from_another_cluster(meta.cluster_id, now)
            return None
        self._view.note(meta)
        self._succeeded()
        return meta

    # --- verdicts --------------------------------------------------------------------------------------------------

    def _refused(self, body: KeysError | Message, meta: Meta, status: int, now: float) -> None:
        endpoint = self._trying[0]
        code, cause, index = 0, "", meta.index
        message = self._hidden(body.message)
        if isinstance(body, KeysError):
            code, cause, index = body.error_code, self._hidden(body.cause), body.index or meta.index
        error = class_of(code, status)(
            message, code=code, cause=cause, index=index, status=status, endpoint=endpoint.url
        )
        raw_cause = body.cause if isinstance(body, KeysError) else ""  # a password may hide what decides
        if code in (300, 301) or (code == 0 and status >= 500):
            # 3.5 cannot change the TTL of a directory and says so with 300: nothing was done (seen on 3.5.1).
            if code == 300 and "Not a file" in raw_cause:
                raise error
            text = f"{message}{f': {cause}' if cause else ''}"
            self._record("answer", text, now, status)
            self._cause = error
            # A proxy that has no member to forward to has forwarded nothing (seen on 2.3.8, 3.4.23, 3.5.1).
            forwarded = "zero endpoints currently available" not in body.message
            if self._rules.write and forwarded:
                self._lost(f"status {status}, {text}", error, timed_out="timed out" in raw_cause)
            self._leaderless = True
            self._pool.failed(endpoint, now, text)
            return
        if status == 403 and self._call.operation == "get_leader_stats":
            self._record("answer", message, now, status)
            self._cause = error
            self._refusal = error
            self._refusals += 1
            return
        self._succeeded()
        if self._maybe_applied and code in _PERHAPS_OUR_OWN_DOING:
            cause = f"its answer was lost, and a later try was answered: {error}"
            self._unknown(self._maybe_applied, cause, error, timed_out=False)
        raise error

    def _undescribed(self, reply: Reply, error: ValueError, now: float) -> None:
        endpoint = self._trying[0]
        content_type = self._hidden(reply.headers.get("content-type", ""))
        reason = self._hidden(error.reason if isinstance(error, UndescribedAnswer) else str(error))
        shown = self._hidden(reply.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if self._secrets.token is not None or self._call.secret:
            error = UndescribedAnswer(reply.status, shown[:512], reason)
        unexpected = UnexpectedAnswer(
            reason, status=reply.status, content_type=content_type, body=shown, endpoint=endpoint.url
        )
        unexpected.__cause__ = error
        self._cause = unexpected
        v2 = self._call.path.startswith("/v2/")
        if reply.status == 404 and v2 and CLUSTER_ID not in reply.headers:
            self._record("answer", "no v2 API here (404 page not found)", now, 404)
            self._disabled |= {endpoint.url}
            self._pool.without_v2(endpoint, now)
            return
        self._record("answer", f"unexpected answer {reply.status}: {reason}", now, reply.status)
        self._pool.failed(endpoint, now, f"unexpected answer {reply.status}")
        if self._rules.write:
            # 501 is what a read-only proxy answers: nothing was done (seen on 2.3.8, 3.4.23, 3.5.1).
            if 200 <= reply.status < 300 or (reply.status >= 500 and reply.status != 501):
                self._lost(f"status {reply.status}, {reason}", unexpected, timed_out=False)
            elif not self._maybe_applied:
                raise unexpected from error
        alike = isinstance(self._refusal, UnexpectedAnswer) and self._refusal.status == unexpected.status
        self._refusals = self._refusals + 1 if alike else 1
        self._refusal = unexpected

    def _from_another_cluster(self, cluster_id: str, now: float) -> None:
        endpoint = self._trying[0]
        self._record("answer", f"belongs to another cluster: {cluster_id}", now, None)
        self._foreign = {**self._foreign, endpoint.url: cluster_id}
        self._pool.quarantine(endpoint, now, cluster_id)

    def _applied_elsewhere(self, answer: Answer, meta: Meta, status: int, now: float) -> NoReturn:
        endpoint = self._trying[0]
        self._pool.quarantine(endpoint, now, meta.cluster_id)
        old = self._old_cluster or self._view.cluster_id
        if self._pool.all_quarantined():
            self._switch_to(meta.cluster_id)
        raise ClusterChanged(old, meta.cluster_id, endpoint.url, answered_by(answer, meta))

    def _change_cluster(self) -> NoReturn:
        url, new = next(iter(self._foreign.items()))
        old = self._old_cluster or self._view.cluster_id
        self._switch_to(new)
        raise ClusterChanged(old, new, url)

    def _switch_to(self, cluster_id: str) -> None:
        self._view.switch_to(cluster_id)
        self._pool.readmit()

    def _lost(self, cause: str, source: BaseException, *, timed_out: bool) -> None:
        """A write may have been applied: the end of it, unless it may be repeated."""
        self._maybe_applied = self._trying[0]
        if not self._rules.repeat:
            self._unknown(self._trying[0], cause, source, timed_out=timed_out)

    def _unknown(self, endpoint: Endpoint, cause: str, source: BaseException, *, timed_out: bool) -> NoReturn:
        kind = OutcomeUnknownTimeout if timed_out else OutcomeUnknown
        raise kind(
            self._call, endpoint.url, cause, self._records, index=self._seen_before, cluster_id=self._old_cluster
        ) from source

    def _out_of_time(self) -> NoReturn:
        self._end_as_told(out_of_time=True)
        if not self._records:
            raise DeadlineExceeded("the time was over before the first attempt", ()) from self._cause
        spent = self._by - self._started
        raise DeadlineExceeded(f"no usable answer within {spent:.3g} s", self._records) from self._cause

    def _nobody(self, reason: str = "no endpoint gave a usable answer") -> NoReturn:
        self._end_as_told(out_of_time=False)
        raise ClusterUnavailable(reason, self._records) from self._cause

    def _end_as_told(self, *, out_of_time: bool) -> None:
        """Raise what the attempts together say, when that is more than that nobody answered."""
        if self._maybe_applied:
            cause = self._cause or ValueError("no answer")
            text = "its answer was lost, and no later try was answered"
            self._unknown(self._maybe_applied, text, cause, timed_out=out_of_time)
        if self._stale and not self._leaderless:
            raise StaleRead(self._view.index, self._stale, self._records) from self._cause
        if self._refusal is not None and self._refusals == len(self._records):
            raise self._refusal

    def _too_old(self, meta: Meta, status: int, now: float) -> bool:
        if not (self._rules.session and self._view.is_behind(meta)):
            return False
        self._stale = max(self._stale, meta.index)
        self._record("answer", f"older state: index {meta.index}, term {meta.raft_term}", now, status)
        return True

    # --- bookkeeping -----------------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        # /version and /health answer also where the v2 API is off.
        if self._call.path.startswith("/v2/"):
            self._pool.succeeded(self._trying[0])

    def _hidden(self, text: str) -> str:
        return self._secrets.hide(text, self._call)

    def _record(self, phase: str, cause: str, now: float, status: int | None) -> None:
        endpoint, since = self._trying
        self._records += (Attempt(endpoint.url, phase, cause, now - since, status),)
