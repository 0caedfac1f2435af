"""When an attempt is over: the moments that follow from `Limits`.

Owns this arithmetic on the monotonic clock, for both transports.
"""

from __future__ import annotations

from time import monotonic

from etcdv2._core.deadline import Deadline
from etcdv2._core.wire import Limits, Sent
from etcdv2._transport.failures import LimitReached, failure


def begin(limits: Limits) -> float:
    """When an answer must have begun that is asked for now.

    Raises TransportFailure when the deadline is over.
    """
    _, answer, deadline = limits
    now = monotonic()
    ends = deadline if answer is None or now + answer > deadline else now + answer
    if ends <= now:
        error = LimitReached()
        raise failure(error, "pool", Sent.NOTHING) from error
    return ends


def go_on(answer: float | None, deadline: Deadline) -> float:
    """When a silence is over that begins now, within an answer."""
    return deadline if answer is None else min(deadline, monotonic() + answer)


def connected_by(limits: Limits, ends: float) -> float:
    """When a connection must be there that is begun now."""
    return ends if limits.connect is None else min(ends, monotonic() + limits.connect)
