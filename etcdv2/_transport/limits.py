"""When an attempt is over: the moments that follow from `Limits`.

Owns this arithmetic on the monotonic clock, for both transports.
"""

from __future__ import annotations

from math import inf
from time import monotonic

from etcdv2._core.wire import Limits, Sent
from etcdv2._transport.failures import LimitReached, failure


def begin(limits: Limits) -> float:
    """When an answer must have begun that is asked for now. Raises TransportFailure when the deadline is over."""
    _, answer, deadline = limits
    now = monotonic()
    ends = inf if answer is None else now + answer
    if deadline is not None and deadline < ends:
        ends = deadline
    if ends <= now:
        error = LimitReached("no time left")
        raise failure(error, "pool", Sent.NOTHING) from error
    return ends


def go_on(answer: float | None, deadline: float | None) -> float:
    """When a silence is over that begins now, within an answer."""
    ends = inf if deadline is None else deadline
    return ends if answer is None else min(ends, monotonic() + answer)


def connected_by(limits: Limits, ends: float) -> float:
    """When a connection must be there that is begun now."""
    return ends if limits.connect is None else min(ends, monotonic() + limits.connect)
