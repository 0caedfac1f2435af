"""The course of one call over several endpoints: whom to ask next, for how long, and when to pause.

Owns rounds, pauses and the limits of each try. What follows from an attempt is the verdict's
affair, which error ends the call the ledger's. No I/O, no clock of its own, no sleep: the shell
carries out each `Try` and `Pause` and reports back. Every final error comes out of `next`,
`failed`, `answered` or `opened`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final, Generic, TypeVar

from etcdv2._core.answers import check_answer
from etcdv2._core.call import finding
from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.call.finding import Finding
from etcdv2._core.call.ledger import Ledger
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.call.secrets import Secrets
from etcdv2._core.call.steps import Answered, Pause, Try
from etcdv2._core.call.verdict import (
    DONE,
    NO_V2_BODY,
    NOT_OUR_STATE,
    RESTING,
    Shows,
    Then,
    Verdict,
    judge_answer,
    judge_failure,
    judge_headers,
    judge_undescribed,
)
from etcdv2._core.deadline import NEVER, Deadline, backoff, shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta, meta_of
from etcdv2._core.wire import CLUSTER_ID, Limits, Reply, TransportFailure
from etcdv2._types.settings import Timeout
from etcdv2_api import Call, KeysError, Message

Answer = TypeVar("Answer")

SECOND_ROUND_SECONDS = 0.5
"""Seconds between the first round over all endpoints and the second, at most."""
LONGEST_PAUSE_SECONDS = 2.0
ROUNDS: Final = 2
ROUNDS_WITHOUT_TOTAL = 8
"""Rounds for a cluster that has no leader, when there is no total time."""
NO_SECRETS = Secrets(None, None)


class Route(Generic[Answer]):
    """The course of one call, until its `deadline`. `number` counts its attempts, from 1 on."""

    number = 0
    expected = ""
    """The cluster whose answer the attempt under way waits for, "" for any."""
    _queue: list[Endpoint] | None = None
    """Whom to ask yet in this round; None before it begins."""
    _round = 1
    _trying: tuple[Endpoint, float]
    """Where the attempt under way goes, and since when."""

    def __init__(
        self,
        call: Call[Answer, KeysError | Message],
        policy: CallPolicy,
        timeout: Timeout,
        pool: EndpointPool,
        view: ClusterView,
        now: float,
        rng: random.Random,
        deadline: Deadline = NEVER,
        secrets: Secrets = NO_SECRETS,
        raise_foreign: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        """`raise_foreign`: raises what is no fault of an answer, but came while it was decoded."""
        self._call = call
        self._raise_foreign = raise_foreign
        self._policy = policy
        self._timeout = timeout
        self._pool = pool
        self._view = view
        self._secrets = secrets
        self._rng = rng
        by = Deadline.after(timeout.total, now)
        self.deadline = by if deadline is NEVER else min(by, deadline)
        self._ledger = Ledger(call, view, now)

    def __repr__(self) -> str:
        return f"<Route of {self._call.method} {self._call.path}: attempt {self.number}, round {self._round}>"

    # --- what to do next -------------------------------------------------------------------------------------------

    def next(self, now: float) -> Try | Pause:
        """The next step. Raises the final error when there is none."""
        if now >= self.deadline:
            raise self._ledger.out_of_time(self.deadline)

        # A round begins, with the endpoints as they are now; or it is over, and the next one follows after a pause.
        if self._queue is None:
            self._queue = self._pool.order(now, write=self._policy.write)
        elif not self._queue:
            pause = backoff(self._round, SECOND_ROUND_SECONDS, LONGEST_PAUSE_SECONDS, uniform=self._rng.uniform)
            error = self._end_of_rounds(now + pause)
            if error is not None:
                raise error
            pause = self.deadline.cut(pause, now) or 0.0
            self._round += 1
            self._queue = None
            return Pause(pause, behind=self._ledger.found_index > 0)

        endpoint = self._queue.pop(0)
        self.number += 1
        self.expected = self._view.cluster_id
        self._trying = (endpoint, now)
        return Try(endpoint, self.number, self._limits(self._queue, now))

    def _limits(self, others: Sequence[Endpoint], now: float) -> Limits:
        """Those of a try that begins now, when there are these others to ask after it."""
        connect, policy = self._timeout.connect, self._policy
        answer = self._timeout.commit if policy.commit else self._timeout.attempt

        # A total too short for whole tries at all of them is shared out, so that a silent member does not use up the
        # time of the others; but not the wait for a write's answer, which nobody else can give, nor a quorum read's
        # while it leaves time for more.
        longest = (connect or inf) if policy.write else max(connect or inf, answer or inf)
        if others and now + longest * (len(others) + 1) > self.deadline:
            share = self.deadline.share(self._pool.shares(others, now) + 1, now)
            connect = shorter(connect, share)
            if not policy.write and (not policy.commit or answer is None or now + answer >= self.deadline):
                answer = shorter(answer, share)
        return Limits(connect, answer, self.deadline)

    def _end_of_rounds(self, resumed: float) -> Exception | None:
        """Why another round, from the moment `resumed` on, cannot help. None when it may."""
        ledger, pool, view = self._ledger, self._pool, self._view

        # 1. No endpoint serves the v2 API.
        if len(ledger.disabled) >= len(pool.endpoints) and not ledger.lost_at:
            return ledger.disabled_everywhere()

        # 2. Every endpoint belongs to another cluster: switch to it, unless another call has done so meanwhile.
        if ledger.foreign and not any(view.is_foreign(cluster_id) for cluster_id in ledger.foreign.values()):
            ledger.forget_foreign()
        if ledger.foreign and pool.all_quarantined():
            changed = ledger.cluster_changed()
            self._switch_to(changed.new)
            return changed

        # 3. Two rounds in any case; while there may be an answer later, until the deadline or for some rounds more.
        if ledger.may_recover:
            over = self.deadline == NEVER and self._round >= ROUNDS_WITHOUT_TOTAL
        else:
            over = self._round >= ROUNDS or resumed >= self.deadline
        return ledger.unavailable() if over else None

    # --- what came of it -------------------------------------------------------------------------------------------

    def failed(self, failure: TransportFailure, now: float) -> None:
        """The attempt under way ended without a whole answer.

        Raises OutcomeUnknown for a write that may be applied.
        """
        verdict = judge_failure(failure, self._policy)
        limit = self._limit_of(failure, now) if failure.timed_out else ""
        error = self._carry_out(verdict, finding.of_failure(failure, now - self._trying[1], limit), now)
        if error is not None:
            raise error

    def _limit_of(self, failure: TransportFailure, now: float) -> str:
        """The limit that ended the attempt under way, by the name that a user has for it."""
        times, since = self._timeout, self._trying[1]
        if now >= self.deadline or failure.phase == "pool":
            return "" if times.total is None else f"Timeout.total, {times.total:.3g} s"
        name = "connect" if failure.phase == "connect" else "commit" if self._policy.commit else "attempt"
        seconds: float | None = getattr(times, name)
        if seconds is None or now - since < seconds:  # several share the total, or the system's own limit
            return ""
        return f"Timeout.{name}, {seconds:.3g} s"

    def answered(self, reply: Reply, now: float) -> Answered[Answer] | None:
        """The end of the call, or None when another endpoint has to be asked.

        Raises what the answer says.
        """
        call, status, view = self._call, reply.status, self._view
        try:
            answer = call.decode(status, reply.body)
            meta = meta_of(reply.headers)
            check_answer(answer, change=self._policy.write)
        except ValueError as problem:
            self._raise_foreign(problem)
            verdict, found = self._undescribed(reply, problem)
        else:
            verdict = judge_answer(
                answer, status, meta, call.operation, self._policy, view, lost=self._ledger.lost_at != ""
            )
            if verdict is DONE and not isinstance(answer, (KeysError, Message)):
                self._succeeded(meta)
                return Answered(answer, meta, status, self._trying[0])
            if verdict.shows not in NOT_OUR_STATE:
                view.note(meta)
            url = self._trying[0].url
            found = finding.of_answer(verdict, answer, status, meta, url, call, self._secrets)

        error = self._carry_out(verdict, found, now)
        if error is not None:
            raise error
        return None

    def opened(self, headers: Mapping[str, str], now: float) -> Meta | None:
        """Headers of a watch with status 200 came: its meta, or None to ask another endpoint."""
        problem: ValueError | None = None
        try:
            meta = meta_of(headers)
        except ValueError as error:
            self._raise_foreign(error)
            meta, problem = None, error
        verdict = judge_headers(meta, self._view)
        if meta is not None and verdict is DONE:
            self._succeeded(meta)
            return meta

        reply, problem = Reply(200, headers, b""), problem or ValueError("a watch without X-Etcd-Cluster-Id")
        found = finding.of_undescribed(verdict, reply, problem, self._trying[0].url, self._call, self._secrets)
        self._carry_out(verdict, found, now)
        return None

    def _undescribed(self, reply: Reply, problem: ValueError) -> tuple[Verdict, Finding]:
        call, cluster_id = self._call, reply.headers.get(CLUSTER_ID)
        lost = self._ledger.lost_at != ""
        endpoint = self._trying[0]
        has_v2 = reply.body.strip() != NO_V2_BODY and self._pool.has_served_v2(endpoint)
        verdict = judge_undescribed(
            reply.status, cluster_id, call.path, self._policy, self._view, self.expected, lost=lost, has_v2=has_v2
        )
        url = endpoint.url
        return verdict, finding.of_undescribed(verdict, reply, problem, url, call, self._secrets)

    def _succeeded(self, meta: Meta) -> None:
        self._view.note(meta)
        # /version and /health answer also where the v2 API is off.
        if self._call.path.startswith("/v2/"):
            self._pool.succeeded(self._trying[0])

    def _carry_out(self, verdict: Verdict, found: Finding, now: float) -> Exception | None:
        """Note the attempt and what it shows. Returns the error that ends the call, if any."""
        endpoint, since = self._trying
        self._ledger.add(verdict, found, endpoint.url, now - since)

        shows, pool = verdict.shows, self._pool
        if shows in RESTING:
            pool.failed(endpoint, now, found.text)
        elif shows is Shows.FOREIGN:
            pool.quarantine(endpoint, now, found.cluster_id)
        elif shows is Shows.WITHOUT_V2:
            pool.without_v2(endpoint, now)
        elif shows is Shows.WELL and self._call.path.startswith("/v2/"):
            pool.succeeded(endpoint)

        error = self._ledger.error_after(verdict, found, endpoint.url)
        if verdict.then is Then.CHANGED and pool.all_quarantined():
            self._switch_to(found.cluster_id)
        return error

    def _switch_to(self, cluster_id: str) -> None:
        self._view.switch_to(cluster_id)
        self._pool.readmit()
