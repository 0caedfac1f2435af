"""Reads the events of a watch: the body of a poll, the lines of a stream. Owns neither polls nor position."""

from __future__ import annotations

import logging

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._async.watch.pending_stream import AsyncPendingStream
from etcdv2._async.watch.poll_requests import AsyncHeldPoll
from etcdv2._async.watch.polls import AsyncPolls
from etcdv2._core.watch.event import change_from
from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import TransportFailure
from etcdv2_api import KeysEvent

logger = logging.getLogger("etcdv2")

BURST_SECONDS = 0.02
"""Seconds within which the event of a poll comes when events may be many: then a stream is opened."""


class AsyncEventReader:
    """One per watch."""

    def __init__(self, dispatcher: AsyncDispatcher, polls: AsyncPolls, pending: AsyncPendingStream, key: str) -> None:
        self._dispatcher = dispatcher
        self._polls = polls
        self._pending = pending
        self._key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._key}>"

    async def read_event(self, held: AsyncHeldPoll) -> tuple[bytes, TransportFailure | None]:
        """The body of the poll, empty when it ended without one; and what broke it."""
        body = EventBuffer()
        stream = held.poll.stream
        try:
            if self._pending.held is not None:
                part = await stream.read(BURST_SECONDS)
                if part is None:
                    await self._pending.drop()  # events do not come that quickly any more
                elif part:
                    self._polls.receiving()
                    body.add(part)
                else:
                    return b"", None
            while part := await stream.read():
                self._polls.receiving()
                body.add(part)
        except TransportFailure as failure:
            return b"", failure  # what came of the event is asked for again
        return body.take(), None

    def add_lines(self, poll: AsyncPoll, lines: list[bytes], changes: list[KeysEvent]) -> bool:
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

    def change(self, poll: AsyncPoll, body: bytes) -> KeysEvent | None:
        try:
            return change_from(body)
        except ValueError as error:
            logger.info("watch of %s: %s sent no event: %s", self._key, poll.endpoint, error)
            return None
