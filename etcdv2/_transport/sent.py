"""How much of a request that failed has been sent: `Sent.WHOLE`, unless there is a proof of less.

Owns the proofs of the built-in transports. Time is none, and neither is an exception as such: one
of a signal handler can come out of any line, also when the system call on it has done its work.

1. `Stage.UNASKED`: no byte of the request was handed over yet.
2. A plain socket: send(2) returns how many bytes the kernel took, and an error only when it took
   none. So what one call left over was not sent when the next one has failed, and the server never
   has the request as a whole.
3. TLS: a request is given to OpenSSL a record at a time. One whose write failed may have left, or
   leaves later, when a read makes OpenSSL write something of its own. So the end of a request is
   unsent only if it lies beyond that record.
4. A refused certificate: see `failures.refusal`.

asyncio's own buffer is a fifth, in `loop_connection`.
"""

from __future__ import annotations

from enum import Enum

from etcdv2._core.wire import Sent

BIGGEST_TLS_RECORD = 16384
"""Bytes of a request in one record. Of more than that, OpenSSL would write several before it says
how much that was.
"""


class Stage(Enum):
    """How far a connection has come with the request that it carries, or carried last."""

    UNASKED = "not asked"
    """Nothing of it was handed over."""
    ASKED = "asked"
    """Something may have been, and what was waited for has not come.

    When this is given up, it is taken back.
    """
    ANSWERED = "answered"
    """What was waited for is there: the whole answer, or its headers."""


# As names of their own: looking a member up in its class takes half a microsecond in Python 3.11, per call and member.
UNASKED, ASKED, ANSWERED = Stage


def how_much_sent(stage: Stage, total: int, unsent: int, *, tls: bool) -> Sent:
    """From the bytes of a request that the socket has provably not accepted."""
    if stage is UNASKED:
        return Sent.NOTHING  # proof 1
    if stage is ANSWERED or unsent == 0 or (tls and unsent <= BIGGEST_TLS_RECORD):
        return Sent.WHOLE
    return Sent.NOTHING if unsent == total and not tls else Sent.PART  # proofs 2 and 3


def is_from_system_call(error: BaseException) -> bool:
    """Whether the function that caught it had it from a system call, and not from a signal handler
    that ran meanwhile.

    A handler is a Python function, so its exception has passed through another frame.
    """
    trace = error.__traceback__
    return trace is not None and trace.tb_next is None
