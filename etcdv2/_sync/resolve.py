# Derived from etcdv2/_async/resolve.py by scripts/unasync.py: change that file, make generate.
"""The reading behind `keys.resolve`: the key through raft, then its changes since the write.

What these prove is the affair of `_core.outcome`.
"""

from __future__ import annotations

import time
from dataclasses import replace

from etcdv2._core import outcome
from etcdv2._core.call.policy import READS
from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.outcome import Trace
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import Sent, TransportFailure
from etcdv2._runtime.handlers import raise_of_handler
from etcdv2._runtime.primitives import later
from etcdv2._sync.dispatcher import NOTHING_KNOWN, Dispatcher, Poll
from etcdv2._types.api_errors import HistoryCleared, KeyNotFound, NotDir
from etcdv2._types.call_errors import ClusterChanged, ClusterUnavailable, DeadlineExceeded, OutcomeUnknown
from etcdv2._types.results import Event, Outcome
from etcdv2._types.settings import Timeout, TimeoutLike, Unset
from etcdv2_api import KeysEvent, Node, operations
from etcdv2_api.call import shortened

MAX_FRUITLESS_POLLS = 8
"""So many polls that broke, or brought nothing new, and it cannot be known."""
SILENCE_SECONDS = 1.0
"""An event of the past comes within this time."""
SILENT_POLLS = 2
"""So many polls in a row that stay so long silent, at live members, and there is no event."""


def resolve(dispatcher: Dispatcher, error: OutcomeUnknown, timeout: TimeoutLike | Unset) -> Outcome:
    """What can be known about the write behind `error`. Raises what a quorum read raises."""
    trace = outcome.trace_of(error)
    times = dispatcher.times(timeout)
    deadline = Deadline.after(times.total, time.monotonic())
    reading = KeyReading(dispatcher, trace, times, deadline)

    try:
        # 1. The key as it is now, at the cluster that the write was sent to.
        node, index = reading.state()
        if error.cluster_id and dispatcher.cluster_id != error.cluster_id:
            return Outcome("unknown", False, index, None, "the cluster was replaced since")
        found = outcome.by_state(trace, node, index)
        if found is not None:
            return found

        # 2. What happened to it meanwhile.
        events, complete = reading.history(node, index)
    except ClusterChanged:
        return Outcome("unknown", False, 0, None, "the cluster was replaced since")

    return outcome.by_history(trace, node, events, index, complete=complete)


class KeyReading:
    """What is read for one write."""

    meta = NOTHING_KNOWN
    """Of the answer that showed the key's state."""

    def __init__(self, dispatcher: Dispatcher, trace: Trace, times: Timeout, deadline: Deadline) -> None:
        self._dispatcher = dispatcher
        self._trace = trace
        self._times = times
        self._deadline = deadline

    def state(self) -> tuple[Node | None, int]:
        """The key as the quorum has it, None for no key, and the store's index at that moment."""
        try:
            call = operations.get_key(self._trace.key, quorum=True)
            answered = self._dispatcher.perform(call, READS["quorum"], self._times, self._deadline)
        except (KeyNotFound, NotDir) as error:  # NotDir: a file stands where a directory above the key would be
            self.meta = Meta(error.index, 0, 0, self._dispatcher.cluster_id)
            return None, error.index
        self.meta = answered.meta
        return answered.answer.node, answered.meta.index

    def history(self, node: Node | None, upto: int) -> tuple[list[Event], bool]:
        """The key's events after `Trace.since`, and whether these are all up to the index `upto`."""
        trace = self._trace
        cursor = Cursor(trace.key, recursive=trace.in_order, wait_index=trace.since + 1)
        events: list[Event] = []
        fruitless = silent = 0

        while (cursor.wait_index or 0) <= upto and fruitless < MAX_FRUITLESS_POLLS:
            # 1. The newest event has left the key as it is: there is none after it.
            if not trace.in_order and outcome.is_whole(node, events):
                return events, True

            # 2. The next one, of whichever member answers.
            try:
                change = self._next_change(cursor.wait_index, upto)
            except HistoryCleared:
                return events, False
            except TransportFailure:
                fruitless += 1
                continue

            # 3. Silence, twice: there is none, unless the key itself shows that there must be one.
            if change is None:
                silent += 1
                if silent == SILENT_POLLS:
                    return events, trace.in_order or not outcome.contradicts(node, events)
                continue

            # 4. A change, which may be another key's, or one that was seen already.
            before, silent = cursor.wait_index, 0
            event = cursor.accept(change)
            if event is not None and event.index <= upto:
                events.append(event)
            fruitless += cursor.wait_index == before

        return events, fruitless < MAX_FRUITLESS_POLLS

    def _next_change(self, wait_index: int | None, upto: int) -> KeysEvent | None:
        """The first change from `wait_index` on; None when a live member with `upto` stays silent.

        Raises HistoryCleared, and TransportFailure when the poll broke; then its endpoint rests.
        """
        recursive = self._trace.in_order or None
        call = operations.get_key(self._trace.key, recursive=recursive, wait=True, wait_index=wait_index)
        poll = self._dispatcher.open_watch(call, self._left())
        try:
            change = self._past_change(poll)
            if change is None and poll.meta.index < upto:
                raise TransportFailure("is behind the others", "read", Sent.WHOLE)
            if change is None:
                self._check_alive(poll.endpoint)
        except TransportFailure as failure:
            self._dispatcher.endpoint_failed(poll.endpoint, failure)
            raise
        return change

    def _past_change(self, poll: Poll) -> KeysEvent | None:
        """What the server had for this poll in its history, None for nothing. It comes at once."""
        # What lies in the past is sent right behind the headers, so silence means that there is nothing.
        silence = self._deadline.cut(SILENCE_SECONDS, time.monotonic()) or 0.0
        try:
            timer = later(silence, poll.stream.abort)
        except RuntimeError as error:
            poll.stream.close()
            raise ClusterUnavailable(f"the history of {shortened(self._trace.key)} cannot be read: {error}") from error

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
            raise_of_handler(error)
            raise TransportFailure("sent what is no event", "read", Sent.WHOLE) from error

    def _check_alive(self, endpoint: Endpoint) -> None:
        """Raises TransportFailure unless the member answers a quorum read of the key."""
        call = operations.get_key(self._trace.key, quorum=True)
        within = shorter(self._times.commit, self._left().total)
        reply = self._dispatcher.ask(endpoint, call, within)
        if reply.status not in (200, 404):
            raise TransportFailure(f"answered {reply.status} to a quorum read", "read", Sent.WHOLE)

    def _left(self) -> Timeout:
        """The times for a call that begins now. Raises DeadlineExceeded when nothing is left."""
        left = self._deadline.left(time.monotonic())
        if left == 0:
            raise DeadlineExceeded(
                f"{shortened(self._trace.key)}: the deadline passed before the key's history was read"
            )
        return replace(self._times, total=left)
