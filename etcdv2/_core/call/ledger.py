"""The ledger of a call: its attempts, what they showed, and which error they make together.

Owns the choice and the words of the final errors. Returns them, with their causes; raises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from etcdv2._core.call.cluster_view import ClusterView
from etcdv2._core.call.finding import Finding
from etcdv2._core.call.verdict import Shows, Then, Verdict
from etcdv2._core.deadline import Deadline
from etcdv2._types.api_errors import ApiError, EtcdError
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
from etcdv2_api import Call

Error = TypeVar("Error", bound=Exception)


class Ledger:
    """One per call."""

    # What a call that succeeds at once never touches: immutable, so that it costs nothing.
    attempts: tuple[Attempt, ...] = ()
    disabled: frozenset[str] = frozenset()
    """URLs without the v2 API."""
    foreign: Mapping[str, str] = MappingProxyType({})
    """URLs that belong to another cluster, with its id."""
    leaderless = False
    lost_at = ""
    """The URL of the last attempt that may have applied the write, "" when none may."""
    found_index = 0
    """The furthest of the states that were too old; 0 when none was."""
    _cause: Exception | None = None
    _alike: Exception | None = None
    """The odd answer, or the refusal, that the last attempts had in common."""
    _alike_count = 0
    """How many these were."""

    def __init__(self, call: Call[Any, Any], view: ClusterView, now: float) -> None:
        self._call = call
        self._view = view
        self._started = now
        self._cluster_id = view.cluster_id
        self._index = view.index

    def __repr__(self) -> str:
        return f"<Ledger of {self._call.method} {self._call.path}: {len(self.attempts)} attempts>"

    def add(self, verdict: Verdict, finding: Finding, url: str, elapsed: float) -> None:
        """Note an attempt that did not end the call well."""
        # 1. The list of attempts, and the cause of what may end the call later.
        self.attempts += (Attempt(url, finding.phase, finding.text, elapsed, finding.status),)
        if finding.error is not None:
            self._cause = finding.error
        if verdict.then in (Then.UNKNOWN, Then.REMEMBER):
            self.lost_at = url

        # 2. What it shows of the endpoint, where that decides about the end.
        match verdict.shows:
            case Shows.LEADERLESS:
                self.leaderless = True
            case Shows.BEHIND:
                self.found_index = max(self.found_index, finding.store_index)
            case Shows.FOREIGN:
                self.foreign = {**self.foreign, url: finding.cluster_id}
            case Shows.WITHOUT_V2:
                self.disabled |= {url}
            case Shows.ODD | Shows.NOT_LEADING if finding.error is not None:
                self._count(finding.error)
            case _:
                pass

    def forget_foreign(self) -> None:
        """The client has switched to another cluster: its members are not foreign any more."""
        self.foreign = {}

    @property
    def may_recover(self) -> bool:
        """Whether there may be an answer later: there is no leader now, or the members lag."""
        return self.leaderless or self.found_index > 0

    # --- the end of the call ---------------------------------------------------------------------------------------

    def error_after(self, verdict: Verdict, finding: Finding, url: str) -> Exception | None:
        """What ends the call by this verdict on the attempt just noted; None when it goes on."""
        match verdict.then:
            case Then.NEXT | Then.REMEMBER | Then.DONE:
                return None
            case Then.RAISE:
                return finding.error

            # A write was sent, and nobody knows what became of it.
            case Then.UNKNOWN:
                return self._unknown(url, finding.lost, finding.error, timed_out=finding.timed_out)
            case Then.STILL_UNKNOWN:
                text = f"its answer was lost, and a later try was answered: {finding.error}"
                return self._unknown(self.lost_at, text, finding.error, timed_out=False)

            # The cluster was replaced; the client was closed.
            case Then.CHANGED:
                return ClusterChanged(self._old_cluster, finding.cluster_id, url, finding.response)
            case Then.CLOSED:
                return self.unavailable("the client was closed during the call")

    def out_of_time(self, deadline: Deadline) -> EtcdError:
        """The deadline has passed."""
        said = self._together(out_of_time=True)
        if said is not None:
            return said

        if not self.attempts:
            return _caused(DeadlineExceeded("the deadline passed before the first attempt"), self._cause)
        text = f"no usable answer within {deadline - self._started:.3g} s"
        return _caused(DeadlineExceeded(text, self.attempts), self._cause)

    def unavailable(self, reason: str = "no endpoint gave a usable answer") -> EtcdError:
        """Asking again would not help."""
        return self._together(out_of_time=False) or _caused(ClusterUnavailable(reason, self.attempts), self._cause)

    def disabled_everywhere(self) -> EtcdError:
        return _caused(V2ApiDisabled(sorted(self.disabled)), self._cause)

    def cluster_changed(self) -> ClusterChanged:
        """All endpoints are foreign."""
        url, cluster_id = next(iter(self.foreign.items()))
        return ClusterChanged(self._old_cluster, cluster_id, url)

    @property
    def _old_cluster(self) -> str:
        return self._cluster_id or self._view.cluster_id

    def _together(self, *, out_of_time: bool) -> EtcdError | None:
        """What the attempts together say, when that is more than that nobody answered."""
        # 1. A write may have been applied: nothing else matters.
        if self.lost_at:
            text = "its answer was lost, and no later try was answered"
            return self._unknown(self.lost_at, text, self._cause or ValueError("no answer"), timed_out=out_of_time)

        # 2. There is a leader, and yet no member is as far as this client has seen.
        if self.found_index and not self.leaderless:
            return _caused(StaleRead(self._view.index, self.found_index, self.attempts), self._cause)

        # 3. Every endpoint gave the same odd answer: that is the error, not that there was none.
        if isinstance(self._alike, (ApiError, UnexpectedAnswer)) and self._alike_count == len(self.attempts):
            return self._alike
        return None

    def _unknown(self, url: str, text: str, cause: Exception | None, *, timed_out: bool) -> OutcomeUnknown:
        kind = OutcomeUnknownTimeout if timed_out else OutcomeUnknown
        error = kind(self._call, url, text, self.attempts, index=self._index, cluster_id=self._cluster_id)
        return _caused(error, cause)

    def _count(self, error: Exception) -> None:
        same = type(error) is type(self._alike) and getattr(error, "status", 0) == getattr(self._alike, "status", 0)
        self._alike_count = self._alike_count + 1 if same else 1
        self._alike = error


def _caused(error: Error, cause: BaseException | None) -> Error:
    """As `raise error from cause` would leave it."""
    error.__cause__ = cause
    return error
