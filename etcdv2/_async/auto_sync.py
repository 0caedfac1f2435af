"""`sync` from time to time, in the background.

Owns the pace and its end; what a `sync` does is the client's affair.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker
from etcdv2._types.api_errors import EtcdError
from etcdv2._types.call_errors import ClusterUnavailable

logger = logging.getLogger("etcdv2")


class AsyncAutoSync:
    """Until it is closed, as the client closes it. A failure is logged, and it goes on."""

    def __init__(self, sync: Callable[[], Awaitable[None]], every: float) -> None:
        """Raises ClusterUnavailable where no thread can be started."""
        self._sync = sync
        self._every = every
        self._ended = False
        self._wake = AsyncPulse()
        try:
            self._worker = AsyncWorker(self._run, "etcdv2-sync")
        except RuntimeError as error:
            raise ClusterUnavailable(f"the endpoints cannot be kept in step: {error}") from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} every {self._every} s: {'ended' if self._ended else 'runs'}>"

    async def close(self) -> None:
        """Also from within."""
        self._ended = True
        self._wake.set()
        self._worker.cancel()

    def after_fork(self) -> None:
        """In a forked child: it runs in the parent only."""
        self._ended = True

    async def _run(self) -> None:
        while not await self._wake.wait(self._every):
            try:
                await self._sync()
            except EtcdError as error:
                logger.warning("the endpoints could not be brought in step with the members: %s", error)
            except ValueError:
                return  # the client is closed
