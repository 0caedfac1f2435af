# Derived from etcdv2/_async/watch/event_reader.py by scripts/unasync.py: change that file, make generate.
"""Reads the events of a watch: the body of a poll, the lines of a stream. Owns neither polls nor position."""

from __future__ import annotations

import logging

from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import TransportFailure
from etcdv2._sync.dispatcher import Dispatcher, Poll
from etcdv2._sync.watch.pending_stream import PendingStream
from etcdv2._sync.watch.poll_requests import HeldPoll
from etcdv2._sync.watch.polls import Polls
from etcdv2_api import KeysEvent

logger = logging.getLogger("etcdv2")

BURST_SECONDS = 0.02
"""Seconds within which the event of a poll comes when events may be many: then a stream is opened."""


class EventReader:
    """One per watch."""

    def __init__(self, dispatcher: Dispatcher, polls: Polls, pending: PendingStream, key: str) -> None:
        self._dispatcher = dispatcher
        self._polls = polls
        self._pending = pending
        self._key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key}>"

    def read_event(self, held: HeldPoll) -> tuple[bytes, TransportFailure | None]:
        """The body of the poll, empty when it ended without one; and what broke it."""
        body = EventBuffer()
        stream = held.poll.stream
        try:
            if self._pending.held is not None:
                part = stream.read(BURST_SECONDS)
                if part is None:
                    self._pending.drop()  # events do not come that quickly any more
                elif part:
                    self._polls.receiving()
                    body.add(part)
                else:
                    return b"", None
            while part := stream.read():
                self._polls.receiving()
                body.add(part)
        except TransportFailure as failure:
            return b"", failure  # what came of the event is asked for again
        return body.take(), None

    def add_lines(self, poll: Poll, lines: list[bytes], changes: list[KeysEvent]) -> bool:
        """Read the lines of a stream.

        False for one that is no event: what it was is not known, so nothing behind it may be taken.
        """
        for line in lines:
            change = self.change(poll, line) if line.strip() else None
            if change is not None:
                changes.append(change)
            elif line.strip():
                self._dispatcher.endpoint_failed(poll.endpoint, "sent what is no event")
                return False
        return True

    def change(self, poll: Poll, body: bytes) -> KeysEvent | None:
        try:
            return change_from(body)
        except ValueError as error:
            logger.info("watch of %s: %s sent no event: %s", self._key, poll.endpoint, error)
            return None
