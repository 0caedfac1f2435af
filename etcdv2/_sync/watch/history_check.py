# Derived from etcdv2/_async/watch/history_check.py by scripts/unasync.py: change that file, make generate.
"""Asks a server whether it still has the history that a watch was in: the requests that `one_history` decides about.

At most one small request for each time that contact was lost; more where the first one leaves doubts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import process_of
from etcdv2._core.keys import KeysCall
from etcdv2._core.watch.cursor import Cursor
from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.watch.one_history import Landmark, OneHistory, Place, landmark_of, shows
from etcdv2._core.wire import Reply, Sent, TransportFailure
from etcdv2._sync.dispatcher import Dispatcher, Poll
from etcdv2._sync.watch.paths import Paths
from etcdv2._sync.watch.snapshot import StoreSeen, check_not_restored
from etcdv2._types.api_errors import HistoryCleared
from etcdv2._types.call_errors import ClusterUnavailable, StaleRead
from etcdv2_api import KeysError, Node, operations

logger = logging.getLogger("etcdv2")

SILENT_POLLS = 2
"""Polls that end without the event that they were asked for, until it counts as not there (rule 3 of `renewal`)."""
SEARCH_SECONDS = 0.5
"""Within which a poll brings what lies in the past, before its end is asked for. A matter of pace."""
HISTORY_STATUS, HISTORY_CODE = 400, 401
"""Of a server whose history has left the index that was asked for."""

NOT_THERE = "its history has not the event of index {} that was delivered"
TOO_SHORT = "its history reaches not back to the last event, so it is not known to be the same"


def place_of(poll: Poll) -> Place:
    """Who answers."""
    return Place(process_of(poll.stream.greeting), poll.endpoint.url)


class HistoryCheck:
    """One per watch. `strict`: whether the state is read again where the history cannot be known."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        call: Callable[[int | None], KeysCall],
        probes: tuple[str, ...],
        cursor: Cursor,
        paths: Paths,
        *,
        strict: bool,
    ) -> None:
        self._dispatcher = dispatcher
        self._call = call
        self._probes = probes
        self._cursor = cursor
        self._paths = paths
        self._strict = strict
        self.history = OneHistory()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.history!r}>"

    def check_index(self, poll: Poll | StoreSeen) -> None:
        """Raises as `check_not_restored` does, for a member that is behind what this watch has seen."""
        try:
            check_not_restored(self._dispatcher, self._probes, self._cursor.seen, poll)
        except HistoryCleared:
            self.history.was_put_back = True
            raise

    def admits(self, poll: Poll) -> bool:
        """Whether the watch may go on at this poll, which was asked from `wait_index` on.

        False: it has to be asked again, from further back. Raises as `prove` does.
        """
        history, place = self.history, place_of(poll)

        # 1. Nothing has happened since the poll before, or since the state was read.
        if poll.tries == 1 and not history.is_doubtful(place):
            history.proved(place)
            return True

        # 2. Another process answers, or after failures: what silence has proved may not hold for it.
        if not history.interrupted:
            history.interrupted = True
            if self._cursor.go_back():
                return False

        # 3. Where the member lags behind the last event, it stays interrupted, and its first event has to wait.
        self.prove(poll, poll.meta.index, self._cursor.wait_index)
        return True

    def admits_second(self, poll: Poll, asked_from: int | None) -> bool:
        """Whether the watch may go on at this poll, which was registered while one of its history still waited.

        Behind a balancer another member may have taken it. False where it has to be asked for again. Raises
        HistoryCleared.
        """
        if not self.history.is_new(place_of(poll)):
            return True
        landmark = self._cursor.landmark
        try:
            # Where the last event is still there, nothing between it and where this poll was asked from was looked at.
            passes_over = landmark is not None and asked_from != landmark.modified + 1
            if landmark is not None and passes_over and self._has(poll.endpoint, landmark) is not None:
                return False
            return self.prove(poll, poll.meta.index, asked_from)
        except (ClusterUnavailable, StaleRead) as error:
            logger.debug("watch of %s: %s", self._cursor.key, error)
            return False

    def may_deliver(self, poll: Poll, event_index: int) -> bool:
        """Whether the event of this poll is of the watch's history, where that could not be said when it was opened.

        False when it cannot be said now. Raises HistoryCleared.
        """
        if not self.history.interrupted:
            return True
        try:
            return self.prove(poll, event_index, self._cursor.wait_index)
        except (ClusterUnavailable, StaleRead) as error:
            logger.debug("watch of %s: %s", self._cursor.key, error)
            return False

    def is_unchanged(self, node: Node) -> bool:
        """Whether an old key is as this watch knows it: as the last event has left it, where there was one.

        A refresh since makes no event, but after an outage it cannot be told from another history.
        """
        landmark, interrupted = self._cursor.landmark, self.history.interrupted
        if landmark is None or shows(landmark, node):
            return not (interrupted and self._strict)
        return not interrupted and node.modified_index > landmark.modified

    def prove(self, poll: Poll, store_index: int, asked_from: int | None) -> bool:
        """Whether this poll, whose member is at `store_index` or further, is in the watch's history.

        False for a member that lags behind the last event: to be asked again when it brings one.
        Raises HistoryCleared for another history, ClusterUnavailable and StaleRead when it cannot be
        said now.
        """
        place, history, landmark = place_of(poll), self.history, self._cursor.landmark

        # 1. The last event, where the poll was asked from right behind it.
        if landmark is not None and asked_from == landmark.modified + 1:
            if store_index < landmark.modified:
                return False
            is_there = self._has(poll.endpoint, landmark)
            if is_there is False:
                history.was_put_back = True
                raise self._loss(poll, NOT_THERE.format(landmark.modified))
            if is_there:
                history.proved(place)
                return True

        # 2. Raft, unless the process has been there all the time.
        older = history.went_back(poll.meta)
        if older and not history.has_stayed(place):
            self._confirm(poll)

        # 3. Nothing says that it is another history.
        if self._strict and not history.has_stayed(place):
            raise self._loss(poll, TOO_SHORT)
        history.proved(place)
        return True

    def check_unseen(self, seen: StoreSeen) -> None:
        """Before a poll waits whose headers are held back: so it would not show its history.

        The last event is looked at each time: a store may have been put back while nothing was asked. Raises
        HistoryCleared for another history, ClusterUnavailable when that cannot be said now.
        """
        history, landmark, endpoint = self.history, self._cursor.landmark, seen.endpoint
        follows = landmark is not None and self._cursor.wait_index == landmark.modified + 1

        # 1. The last event: any other one there, or none, is another history.
        if landmark is not None and (follows or not history.interrupted):
            if seen.meta.index < landmark.modified:
                return  # it lags: the poll's event has to wait
            is_there = self._has(endpoint, landmark)
            if is_there is False:
                history.was_put_back = True
                raise self._unknown(endpoint, seen.meta.index, NOT_THERE.format(landmark.modified))
            if is_there and follows:
                history.proved(Place("", endpoint.url))
                return

        # 2. After an outage it cannot be known otherwise.
        if history.interrupted and self._strict:
            raise self._unknown(endpoint, seen.meta.index, TOO_SHORT)

    def _has(self, endpoint: Endpoint, landmark: Landmark) -> bool | None:
        """Whether the server finds that event; None when its history has left the index.

        Raises ClusterUnavailable when that cannot be said, HistoryCleared when it cannot be known there.
        """
        call = self._call(landmark.modified)
        try:
            # 1. It comes at once, in an ordinary answer.
            try:
                return self._is(landmark, self._dispatcher.ask(endpoint, call))
            except TransportFailure as failure:
                if self._paths.is_held_back(endpoint, failure, self._probes):
                    return self._has_in_whole_store(endpoint, landmark)
                if not (failure.timed_out and failure.phase == "read"):
                    raise

            # 2. Nothing behind the headers: it is not there, or late. A proper end comes behind all that there is.
            ends = self._paths.leads_to_one_member(endpoint, self._probes)
            for _ in range(SILENT_POLLS):
                body = self._search(endpoint, call, ends)
                if body is None:
                    return self._is(landmark, self._dispatcher.ask(endpoint, call))
                if body.strip():
                    return landmark_of(change_from(body)) == landmark
            return False
        except (TransportFailure, ValueError) as failure:
            self._dispatcher.endpoint_failed(endpoint, str(failure))
            raise ClusterUnavailable(f"{endpoint} did not say what its history has: {failure}") from failure

    def _has_in_whole_store(self, endpoint: Endpoint, landmark: Landmark) -> bool | None:
        """The same where headers are held back until there is an event, so that silence has no end to rely on.

        The history of the whole store has an event at that index or later in any case: that one, or another one.
        Raises HistoryCleared where that may not be read, TransportFailure, and ValueError.
        """
        call = operations.get_key("/", recursive=True, wait=True, wait_index=landmark.modified)
        text = f"the event of index {landmark.modified} that was delivered is not found where headers are held back"
        try:
            reply = self._dispatcher.ask(endpoint, call)
        except TransportFailure as failure:
            if not self._paths.is_held_back(endpoint, failure, self._probes):
                raise
            raise self._unknown(endpoint, 0, text) from failure
        if reply.status in (401, 403):
            raise self._unknown(endpoint, 0, text)
        return self._is(landmark, reply)

    def _is(self, landmark: Landmark, reply: Reply) -> bool | None:
        """By an answer. Raises ValueError when it says nothing."""
        if reply.status == 200:
            return landmark_of(change_from(reply.body)) == landmark
        refusal = self._call(landmark.modified).decode(reply.status, reply.body)
        code = refusal.error_code if isinstance(refusal, KeysError) else 0
        if (reply.status, code) == (HISTORY_STATUS, HISTORY_CODE):
            return None
        raise ValueError(f"answered {reply.status}, code {code}")

    def _search(self, endpoint: Endpoint, call: KeysCall, ends: bool) -> bytes | None:
        """What a poll brings until its end, which is asked for; None when the poll is refused.

        `ends`: whether polls are known to end there when they are asked to. Raises TransportFailure.
        """
        poll = self._dispatcher.watch_at(endpoint, call)
        if poll is None:
            return None
        body = EventBuffer()
        try:
            patience: float | None = SEARCH_SECONDS
            is_ending = False
            while (part := poll.stream.read(patience)) != b"":
                if part:
                    body.add(part)
                elif is_ending and ends:
                    raise TransportFailure("has not ended a poll in time", "read", Sent.WHOLE, timed_out=True)
                elif is_ending or not poll.stream.half_close():
                    break  # where an end is not answered, silence has to do
                else:
                    is_ending, patience = True, self._dispatcher.timeout.attempt
        finally:
            poll.stream.close()
        return body.take()

    def _confirm(self, poll: Poll) -> None:
        """The headers were older than some before: does the member lag? After a quorum's answer it does not.

        Raises HistoryCleared when they are still older, StaleRead when that cannot be said now.
        """
        endpoint, timeout = poll.endpoint, self._dispatcher.timeout
        try:
            for probe in self._probes:
                reply = self._dispatcher.ask(endpoint, operations.get_key(probe, quorum=True), timeout.commit)
                if reply.status not in (200, 404):
                    continue
                again = self._dispatcher.watch_at(endpoint, operations.get_key(probe, wait=True))
                if again is None:
                    continue
                again.stream.close()
                older = self.history.went_back(again.meta)
                if older:
                    self.history.was_put_back = True
                    raise self._loss(poll, f"after a read with quorum it has {older}")
                return
        except TransportFailure as failure:
            self._dispatcher.endpoint_failed(endpoint, failure)
        raise StaleRead(self._cursor.seen, poll.meta.index)

    def _loss(self, poll: Poll, why: str) -> HistoryCleared:
        return self._unknown(poll.endpoint, poll.meta.index, why)

    def _unknown(self, endpoint: Endpoint, index: int, why: str) -> HistoryCleared:
        position = (self._cursor.wait_index or 1) - 1
        text = f"what happened after index {position} is not known: contact was lost, and at {endpoint} {why}"
        return HistoryCleared(text, code=401, index=index, endpoint=endpoint.url)
