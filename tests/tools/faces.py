"""A `Client` or an `AsyncClient` behind one blocking face, so that one test states a promise for both, from threads.

Owns the event loop's thread and the settings of each transport; `transport_drivers` does the same
for the transports alone.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self

from etcdv2 import AsyncClient, Client


def over(transport: str) -> dict[str, Any]:
    """Settings of a client over this transport."""
    return {"transport": "httpx"} if transport == "httpx" else {}


class Face:
    """`do(lambda: face.client.keys.get("/a"))`: the answer, whichever of the two it is."""

    def __init__(self, kind: str, endpoints: Any, **settings: Any) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        if kind == "async":
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever)
            self._thread.start()
        self.client: Any = (AsyncClient if kind == "async" else Client)(endpoints, **settings)

    @property
    def keys(self) -> Any:
        return self.client.keys

    def do(self, work: Callable[[], Any]) -> Any:
        """From any thread; blocks."""
        loop = self._loop
        if loop is None:
            return work()

        async def carry_out() -> Any:
            made = work()
            return await made if inspect.isawaitable(made) else made

        return asyncio.run_coroutine_threadsafe(carry_out(), loop).result()

    def enter(self, context: Any) -> Any:
        return self.do(context.__enter__ if self._loop is None else context.__aenter__)

    def close(self) -> None:
        self.do(self.client.close)

    def end(self) -> None:
        """Close the client, and the loop, on which nothing may be left."""
        try:
            self.close()
            left = self.do(self._tasks)
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
        assert not left, left

    def _tasks(self) -> Any:
        if self._loop is None:
            return []

        async def others() -> list[str]:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks, timeout=2)
            return [task.get_name() for task in tasks if not task.done()]

        return others()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
