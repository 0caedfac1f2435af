"""Reads the rest of an answer whose headers have come: of a watch that was refused."""

from __future__ import annotations

import time

from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import AsyncStream, Limits, Sent, TransportFailure


async def async_read_all(stream: AsyncStream, limits: Limits) -> bytes:
    """The rest of a body within its limits; then closes the stream. Raises TransportFailure."""
    body = EventBuffer()
    try:
        while True:
            silence = limits.deadline.cut(limits.answer, time.monotonic())
            part = None if silence == 0 else await stream.read(silence)
            if part is None:
                raise TransportFailure("timed out", "read", Sent.WHOLE, timed_out=True)
            if not part:
                return body.take()
            body.add(part)
    finally:
        await stream.close()
