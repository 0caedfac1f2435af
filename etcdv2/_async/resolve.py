"""The reading behind `keys.resolve`: the key through raft, then its changes since the write was sent."""

from __future__ import annotations

import time

from etcdv2 import _resolve
from etcdv2._async.caller import AsyncCaller, AsyncPoll, async_read_all
from etcdv2._attempts import Answered
from etcdv2._cursor import Cursor
from etcdv2._errors import DeadlineExceeded, HistoryCleared, KeyNotFound, NotDir, OutcomeUnknown
from etcdv2._keys import KeysCall, change_from
from etcdv2._pace import SURELY_QUIET
from etcdv2._resolve import Trace
from etcdv2._results import Event, Outcome
from etcdv2._rules import READS
from etcdv2._settings import TimeoutLike, Unset, timeout_from
from etcdv2._wire import Sent, TransportFailure
from etcdv2_api import KeysEvent, Node, operations

MOST_FRUITLESS = 8
"""So many polls that broke, or that a member behind the others kept silent, and it cannot be known."""


async def async_resolve(caller: AsyncCaller, error: OutcomeUnknown, timeout: TimeoutLike | Unset) -> Outcome:
    """Raises what a quorum read raises when the cluster cannot be asked now."""
    trace = _resolve.trace_of(error)
    times = caller.timeout if isinstance(timeout, Unset) else timeout_from(timeout, caller.timeout)
    deadline = None if times.total is None else time.monotonic() + times.total
    node, index = await _state(caller, trace, timeout, deadline)
    if error.cluster_id and caller.view.cluster_id != error.cluster_id:
        return Outcome("unknown", False, index, None, "the cluster was replaced since")
    found = _resolve.by_state(trace, node, index)
    if found is not None:
        return found
    events, complete = await _history(caller, trace, index, timeout, deadline)
    return _resolve.by_history(trace, events, index, complete=complete)


async def _state(
    caller: AsyncCaller, trace: Trace, timeout: TimeoutLike | Unset, deadline: float | None
) -> tuple[Node | None, int]:
    """The key as the quorum has it, None where it is not there, and the store's index at that moment."""
    try:
        call = operations.get_key(trace.key, quorum=True)
        answered: Answered[KeysEvent] = await caller.perform(call, READS["quorum"], timeout, deadline)
    except (KeyNotFound, NotDir) as error:  # NotDir: a file stands where a directory above the key would be
        return None, error.index
    return answered.answer.node, answered.meta.index


async def _history(
    caller: AsyncCaller, trace: Trace, upto: int, timeout: TimeoutLike | Unset, deadline: float | None
) -> tuple[list[Event], bool]:
    """The key's events after `trace.since`, and whether these are all up to the index `upto`."""
    cursor = Cursor(trace.key, recursive=trace.in_order, wait_index=trace.since + 1)
    events: list[Event] = []
    fruitless = 0
    while (cursor.wait_index or 0) <= upto and fruitless < MOST_FRUITLESS:
        if deadline is not None:
            timeout = deadline - time.monotonic()
            if timeout <= 0:
                raise DeadlineExceeded(f"{trace.key}: the time was over before its history was read")
        recursive = trace.in_order or None
        call = operations.get_key(trace.key, recursive=recursive, wait=True, wait_index=cursor.wait_index)
        try:
            poll = await caller.open_watch(call, timeout)
        except HistoryCleared:
            return events, False
        try:
            change = await _past_change(caller, poll, call)
        except TransportFailure as failure:
            caller.pool.failed(poll.endpoint, time.monotonic(), str(failure))
            fruitless += 1
            continue
        finally:
            await poll.stream.close()
        if change is not None:
            event = cursor.accept(change)
            if event is not None and event.index <= upto:
                events.append(event)
        elif poll.meta.index >= upto:
            return events, True
        else:  # a member behind the others
            fruitless += 1
    return events, fruitless < MOST_FRUITLESS


async def _past_change(caller: AsyncCaller, poll: AsyncPoll, call: KeysCall) -> KeysEvent | None:
    """What the server had in its history for this poll, None for nothing. Raises TransportFailure.

    A past event is in the answer right behind the headers. So when none has come, and the same member has since
    answered another request through raft, there is none.
    """
    first = await poll.stream.read(SURELY_QUIET)
    if first is None:
        await caller.look(poll.endpoint, operations.get_key("/", quorum=True))
        first = await poll.stream.read(SURELY_QUIET)
    if first is None:
        return None
    body = first and first + await async_read_all(poll.stream, caller.limits())
    try:
        return change_from(call, body)
    except ValueError as error:
        raise TransportFailure("sent what is no event", "read", Sent.WHOLE) from error
