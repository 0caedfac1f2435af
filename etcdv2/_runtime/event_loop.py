"""Which event loop runs in this thread, without a system call.

Owns a way around Python 3.11, whose `asyncio.get_running_loop` asks the kernel for the process id each time.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

if sys.version_info >= (3, 12):
    running_loop = asyncio.get_running_loop
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
        return loop if isinstance(loop, asyncio.AbstractEventLoop) else asyncio.get_running_loop()
