# Derived from etcdv2/_async/resolve.py by scripts/unasync.py: change that file, make generate.
"""The reading behind `keys.resolve`: the key through raft, then its changes since the write was sent."""

from __future__ import annotations

import time
from dataclasses import replace

from etcdv2._core import outcome
from etcdv2._core.call.policy import READS
from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.outcome import Trace
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import Sent, TransportFailure
from etcdv2._runtime.primitives import later
from etcdv2._sync.dispatcher import Dispatcher, Poll
from etcdv2._types.api_errors import HistoryCleared, KeyNotFound, NotDir
from etcdv2._types.call_errors import ClusterChanged, DeadlineExceeded, OutcomeUnknown
from etcdv2._types.results import Event, Outcome
from etcdv2._types.settings import Timeout, TimeoutLike, Unset, timeout_from
from etcdv2_api import KeysEvent, Node, operations

MOST_FRUITLESS = 8
"""So many polls that broke, or brought nothing new, and it cannot be known."""
SURELY_CAME = 1.0
"""Seconds within which an event of the past comes."""
SURELY_NOTHING = 2
"""So many polls in a row that stay silent for so long, at members that are alive: there is no event."""


def resolve(dispatcher: Dispatcher, error: OutcomeUnknown, timeout: TimeoutLike | Unset) -> Outcome:
    """Raises what a quorum read raises when the cluster cannot be asked now."""
    trace = outcome.trace_of(error)
    times = dispatcher.timeout if isinstance(timeout, Unset) else timeout_from(timeout, dispatcher.timeout)
    deadline = Deadline.after(times.total, time.monotonic())
    looking = _Looking(dispatcher, trace, times, deadline)
    try:
        node, index = looking.state()
        if error.cluster_id and dispatcher.view.cluster_id != error.cluster_id:
            return Outcome("unknown", False, index, None, "the cluster was replaced since")
        found = outcome.by_state(trace, node, index)
        if found is not None:
            return found
        events, complete = looking.history(node, index)
    except ClusterChanged:
        return Outcome("unknown", False, 0, None, "the cluster was replaced since")
    return outcome.by_history(trace, node, events, index, complete=complete)


class _Looking:
    """What is read for one write."""

    def __init__(self, dispatcher: Dispatcher, trace: Trace, times: Timeout, deadline: Deadline) -> None:
        self._dispatcher = dispatcher
        self._trace = trace
        self._times = times
        self._deadline = deadline

    def state(self) -> tuple[Node | None, int]:
        """The key as the quorum has it, None where it is not there, and the store's index at that moment."""
        try:
            call = operations.get_key(self._trace.key, quorum=True)
            answered = self._dispatcher.perform(call, READS["quorum"], self._times, self._deadline)
        except (KeyNotFound, NotDir) as error:  # NotDir: a file stands where a directory above the key would be
            return None, error.index
        return answered.answer.node, answered.meta.index

    def history(self, node: Node | None, upto: int) -> tuple[list[Event], bool]:
        """The key's events after `Trace.since`, and whether these are all up to the index `upto`."""
        trace = self._trace
        cursor = Cursor(trace.key, recursive=trace.in_order, wait_index=trace.since + 1)
        events: list[Event] = []
        fruitless = silent = 0
        while (cursor.wait_index or 0) <= upto and fruitless < MOST_FRUITLESS:
            if not trace.in_order and outcome.is_whole(node, events):
                return events, True
            recursive = trace.in_order or None
            call = operations.get_key(trace.key, recursive=recursive, wait=True, wait_index=cursor.wait_index)
            try:
                poll = self._dispatcher.open_watch(call, self._left())
            except HistoryCleared:
                return events, False
            try:
                change = self._past_change(poll)
                if change is None and poll.meta.index < upto:
                    raise TransportFailure("is behind the others", "read", Sent.WHOLE)
                if change is None:
                    self._check_alive(poll.endpoint)
            except TransportFailure as failure:
                self._dispatcher.pool.failed(poll.endpoint, time.monotonic(), str(failure))
                fruitless += 1
                continue
            if change is None:
                silent += 1
                if silent == SURELY_NOTHING:
                    return events, trace.in_order or not outcome.contradicts(node, events)
                continue
            before, silent = cursor.wait_index, 0
            event = cursor.accept(change)
            if event is not None and event.index <= upto:
                events.append(event)
            fruitless += cursor.wait_index == before
        return events, fruitless < MOST_FRUITLESS

    def _past_change(self, poll: Poll) -> KeysEvent | None:
        """What the server had in its history for this poll, None for nothing; it is sent right behind the headers."""
        timer = later(self._deadline.cut(SURELY_CAME, time.monotonic()) or 0.0, poll.stream.abort)
        body = EventBuffer()
        try:
            while part := poll.stream.read():
                body.add(part)
        except TransportFailure as failure:
            if failure.aborted and not body:
                return None
            raise
        finally:
            timer.cancel()
            poll.stream.close()
        try:
            return change_from(body.take())
        except ValueError as error:
            raise TransportFailure("sent what is no event", "read", Sent.WHOLE) from error

    def _check_alive(self, endpoint: Endpoint) -> None:
        """Raises TransportFailure unless the member answers a quorum read of the key."""
        call = operations.get_key(self._trace.key, quorum=True)
        within = shorter(self._times.commit, self._left().total)
        reply = self._dispatcher.ask(endpoint, call, within)
        if reply.status not in (200, 404):
            raise TransportFailure(f"answered {reply.status} to a quorum read", "read", Sent.WHOLE)

    def _left(self) -> Timeout:
        """Raises DeadlineExceeded when nothing is."""
        left = self._deadline.left(time.monotonic())
        if left == 0:
            raise DeadlineExceeded(f"{self._trace.key}: the time was over before its history was read")
        return replace(self._times, total=left)
