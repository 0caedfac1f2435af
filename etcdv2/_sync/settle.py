# Derived from etcdv2/_async/settle.py by scripts/unasync.py: change that file, make generate.
"""A write whose value nobody else writes: sent, and where its answer is lost settled and sent again.

Owns that loop. What the store proves is the affair of `_core.outcome`, the reading that of
`resolve`.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from etcdv2._core import keys as key_calls
from etcdv2._core import outcome
from etcdv2._core.call.policy import LOCAL_READ, WRITES
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import NEVER, Deadline, backoff
from etcdv2._core.keys import KeysCall
from etcdv2._runtime.primitives import sleep
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._sync.resolve import KeyReading
from etcdv2._types.api_errors import ApiError, EtcdError
from etcdv2._types.call_errors import ClusterUnavailable, OutcomeUnknown
from etcdv2._types.results import Outcome, Response
from etcdv2._types.settings import Timeout, TimeoutLike, Unset, timeout_from

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
TRIES_WITHOUT_TOTAL = 8
"""When there is no total time."""


class Settled(NamedTuple):
    """What became of the write, and the answer that was lost if it was applied."""

    outcome: Outcome
    response: Response | None


def write_settled(
    dispatcher: Dispatcher, call: KeysCall, timeout: TimeoutLike | Unset, deadline: Deadline = NEVER
) -> Response:
    """The write's response, which is true also where an answer was lost.

    Raises what the server refuses, when that is certainly not the doing of a try before; and
    OutcomeUnknown when the time is over, or what happened cannot be known any more.
    """
    times = timeout_from(timeout, dispatcher.timeout)
    deadline = min(deadline, Deadline.after(times.total, time.monotonic()))
    _learn_index(dispatcher, call, times, deadline)
    lost: OutcomeUnknown | None = None
    certain, number = False, 0

    while True:
        # 1. It is applied, or refused, which counts at once where no try before can have been applied.
        number += 1
        refused: ApiError | None = None
        problem: EtcdError
        try:
            return response_of(dispatcher.perform(call, WRITES[False], times, deadline))
        except OutcomeUnknown as error:
            lost, problem, certain = lost or error, error, False
        except ApiError as error:
            if lost is None or certain:
                raise
            refused = problem = error
        except ClusterUnavailable as error:  # nothing of this try was applied
            if lost is None:
                raise
            problem = error

        # 2. Whether one of them was applied.
        try:
            settled = settle(dispatcher, lost, times, deadline)
        except ClusterUnavailable as error:
            problem = error
        except EtcdError as error:
            raise lost from error
        else:
            if settled.response is not None:
                return settled.response
            if settled.outcome.state == "unknown":
                raise lost from ValueError(settled.outcome.reason)
            if refused is not None:
                raise refused
            certain = settled.outcome.final  # what the server says now is the truth

        # 3. None was, or that could not be read: again, after a pause.
        if _is_over(number, deadline):
            raise lost from _why(problem, lost)
        _pause(number, deadline)


def _why(problem: EtcdError, lost: OutcomeUnknown) -> BaseException | None:
    """What kept it from being settled, besides what `lost` says itself."""
    return lost.__cause__ if problem is lost else problem


def _is_over(tries: int, deadline: Deadline) -> bool:
    """Whether there is no time for another try."""
    return tries >= TRIES_WITHOUT_TOTAL if deadline == NEVER else time.monotonic() >= deadline


def _pause(tries: int, deadline: Deadline) -> None:
    pause = backoff(tries, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    sleep(deadline.cut(pause, time.monotonic()) or 0.0)


def settle(dispatcher: Dispatcher, error: OutcomeUnknown, times: Timeout, deadline: Deadline) -> Settled:
    """What became of the write behind `error`, whose value nobody else writes, sent once or several times.

    Raises what a quorum read raises.
    """
    trace = outcome.trace_of(error)
    reading = KeyReading(dispatcher, trace, times, deadline)
    event = None

    # 1. The key as it is now, at the cluster that the write was sent to.
    node, index = reading.state()
    if error.cluster_id and dispatcher.cluster_id != error.cluster_id:
        return Settled(Outcome("unknown", False, index, None, "the cluster was replaced since"), None)

    # 2. What happened to it meanwhile, where that does not say it.
    found = outcome.unique_by_state(trace, node, index)
    if found is None:
        events, complete = reading.history(node, index)
        found, event = outcome.unique_by_history(trace, node, events, index, complete=complete)
    if found.state != "applied" or found.node is None:
        return Settled(found, None)

    # 3. The answer that was lost, with the raft index and term of the one that shows it.
    meta = reading.meta
    prev_node = None if event is None else event.prev_node
    response = Response(
        trace.action, found.node, prev_node, found.index, meta.raft_index, meta.raft_term, dispatcher.cluster_id
    )
    return Settled(found, response)


def _learn_index(dispatcher: Dispatcher, call: KeysCall, times: Timeout, deadline: Deadline) -> None:
    """A client that has seen no index of the store yet could not tell what happened before the write."""
    if dispatcher.view.index:
        return
    read = key_calls.reading_of(call)
    try:
        dispatcher.perform(read, LOCAL_READ, times, deadline)
    except EtcdError:
        return  # no key, or no right to read it: the write itself says what counts
