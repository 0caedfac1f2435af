"""Which event loop runs in this thread, without a system call.

Owns a way around Python 3.11, whose `asyncio.get_running_loop` asks the kernel for the process id each time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from etcdv2._runtime.lazy_asyncio import lazy_asyncio

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy_asyncio

NO_LOOP = "AsyncClient needs a running event loop of asyncio; elsewhere use Client, in trio by trio.to_thread.run_sync"


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(NO_LOOP) from None


if sys.version_info >= (3, 12):
    running_loop = _running_loop
else:

    def running_loop() -> asyncio.AbstractEventLoop:
        """The loop that runs here. Raises RuntimeError when none does.

        In a child that was forked from a running loop this is still the parent's: whoever keeps something by its loop
        forgets that after a fork.
        """
        # While a loop runs, the hooks of its thread for async generators are its own methods (asyncio's and uvloop's).
        hook: Any = sys.get_asyncgen_hooks()[0]
        try:
            loop = hook.__self__
        except AttributeError:
            loop = None
        return loop if isinstance(loop, asyncio.AbstractEventLoop) else _running_loop()
