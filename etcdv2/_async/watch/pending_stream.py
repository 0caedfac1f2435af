"""A stream that was opened because events came quickly, and that waits until the polls have reached its beginning."""

from __future__ import annotations

from etcdv2._async.watch.poll_requests import AsyncHeldPoll
from etcdv2._async.watch.polls import AsyncPolls
from etcdv2._core.endpoints import Endpoint


class AsyncPendingStream:
    """None or one stream, not read from yet."""

    def __init__(self) -> None:
        self.held: AsyncHeldPoll | None = None

    async def open(self, polls: AsyncPolls, endpoint: Endpoint) -> None:
        """Open one from now on, unless there is one; where that fails, polls go on."""
        if self.held is None:
            self.held = await polls.open_at(endpoint, None, stream=True)

    def reached(self, wait_index: int | None) -> AsyncHeldPoll | None:
        """The stream, when a poll has brought an event later than its beginning: nothing between can be missing."""
        held = self.held
        if held is None or (wait_index or 0) <= held.at.index + 1:
            return None
        self.held = None
        return held

    async def drop(self) -> None:
        """Close it: it was not needed."""
        unused, self.held = self.held, None
        if unused is not None:
            await unused.poll.stream.close()

    def abort(self) -> None:
        """From any thread, without waiting."""
        held = self.held
        if held is not None:
            held.poll.stream.abort()
