"""A stream that was opened because events came quickly, and that waits until the polls have reached its beginning."""

from __future__ import annotations

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._core.keys import KeysCall
from etcdv2._types.api_errors import EtcdError


class AsyncPendingStream:
    """None or one stream, not read from yet."""

    def __init__(self, dispatcher: AsyncDispatcher) -> None:
        self._dispatcher = dispatcher
        self.poll: AsyncPoll | None = None

    async def open(self, call: KeysCall, cluster_id: str) -> None:
        """Open one from now on, unless there is one; where that fails, polls go on."""
        if self.poll is not None:
            return
        try:
            opened = await self._dispatcher.open_watch(call, self._dispatcher.timeout.attempt)
        except EtcdError:
            return
        if opened.meta.cluster_id != cluster_id:
            await opened.stream.close()
        else:
            self.poll = opened

    def reached(self, wait_index: int | None) -> AsyncPoll | None:
        """The stream, when a poll has brought an event later than its beginning: nothing between can be missing."""
        poll = self.poll
        if poll is None or (wait_index or 0) <= poll.meta.index + 1:
            return None
        self.poll = None
        return poll

    async def drop(self) -> None:
        """Close it: it was not needed."""
        unused, self.poll = self.poll, None
        if unused is not None:
            await unused.stream.close()

    def abort(self) -> None:
        """From any thread, without waiting."""
        poll = self.poll
        if poll is not None:
            poll.stream.abort()
