# Derived from etcdv2/_async/answer_body.py by scripts/unasync.py: change that file, make generate.
"""Reads the rest of an answer whose headers have come: of a watch that was refused."""

from __future__ import annotations

import time

from etcdv2._core.watch.event_buffer import EventBuffer
from etcdv2._core.wire import Limits, Sent, Stream, TransportFailure


def read_all(stream: Stream, limits: Limits) -> bytes:
    """The rest of a body within its limits; then closes the stream. Raises TransportFailure."""
    body = EventBuffer()
    try:
        while True:
            silence = limits.deadline.cut(limits.answer, time.monotonic())
            part = None if silence == 0 else stream.read(silence)
            if part is None:
                raise TransportFailure("timed out", "read", Sent.WHOLE, timed_out=True)
            if not part:
                return body.take()
            body.add(part)
    finally:
        stream.close()
