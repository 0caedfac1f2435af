# Derived from etcdv2/_async/watch/pending_stream.py by scripts/unasync.py: change that file, make generate.
"""A stream that was opened because events came quickly, and that waits until the polls have reached its beginning."""

from __future__ import annotations

from etcdv2._core.endpoints import Endpoint
from etcdv2._sync.watch.poll_requests import HeldPoll
from etcdv2._sync.watch.polls import Polls


class PendingStream:
    """None or one stream, not read from yet."""

    def __init__(self) -> None:
        self.held: HeldPoll | None = None

    def open(self, polls: Polls, endpoint: Endpoint) -> None:
        """Open one from now on, unless there is one; where that fails, polls go on."""
        if self.held is None:
            self.held = polls.open_at(endpoint, None, stream=True)

    def reached(self, wait_index: int | None) -> HeldPoll | None:
        """The stream, when a poll has brought an event later than its beginning: nothing between can be missing."""
        held = self.held
        if held is None or (wait_index or 0) <= held.at.index + 1:
            return None
        self.held = None
        return held

    def drop(self) -> None:
        """Close it: it was not needed."""
        unused, self.held = self.held, None
        if unused is not None:
            unused.poll.stream.close()

    def abort(self) -> None:
        """From any thread, without waiting."""
        held = self.held
        if held is not None:
            held.poll.stream.abort()
