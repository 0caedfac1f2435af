"""Who runs, a task or a thread, and how its block is cut short: for asyncio and for threads.

Owns no rule of etcd.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from etcdv2._runtime.lazy_asyncio import lazy_asyncio

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio


def async_who() -> object:
    """Whoever runs this: the task."""
    return asyncio.current_task()


def who() -> object:
    """The thread."""
    return threading.current_thread()


class AsyncInterruption:
    """Lets a block of the current task be cancelled by others, and tells that from any other cancellation."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0
        self._state = ""

    def interrupt(self) -> None:
        """Cancel the block, once, unless it has ended. In the loop of the task."""
        if self._task is not None and not self._state:
            self._state = "interrupted"
            self._task.cancel()

    async def ended(self, error: BaseException | None) -> bool:
        """The block has ended with this; whether that was the interruption, and nothing besides."""
        was, self._state = self._state, "ended"
        if was != "interrupted" or self._task is None:
            return False

        # Where the block ended before it noticed, the cancellation is on its way still.
        if error is None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        alone = self._task.uncancel() <= self._before
        return alone and (error is None or isinstance(error, asyncio.CancelledError))


class Interruption:
    """A thread cannot be interrupted."""

    def interrupt(self) -> None:
        pass

    def ended(self, error: BaseException | None) -> bool:
        del error
        return False
