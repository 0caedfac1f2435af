"""`asyncio`, imported when it is first used: a program of threads, such as the command line, does without it.

Owns that one import. A module that has both faces takes its `asyncio` from here.
"""

from __future__ import annotations

from typing import Any


class LazyAsyncio:
    """Its attributes are those of the module, and found here from the second use on."""

    def __getattr__(self, name: str) -> Any:
        import asyncio

        found = getattr(asyncio, name)
        setattr(self, name, found)
        return found


lazy_asyncio = LazyAsyncio()
