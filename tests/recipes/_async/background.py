"""Something that runs beside a test: a task, or a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker
from tests.tools.waiting import SOON

R = TypeVar("R")


class AsyncBackground(Generic[R]):
    """Runs it at once; `result` waits for what it returns, and raises what it raised."""

    def __init__(self, run: Callable[[], Awaitable[R]]) -> None:
        self._run = run
        self._returned: list[R] = []
        self._error: BaseException | None = None
        self._ended = AsyncPulse()
        self._worker = AsyncWorker(self._body, "background of a test")

    def done(self) -> bool:
        return bool(self._returned) or self._error is not None

    async def result(self) -> R:
        assert await self._ended.wait(SOON), "it did not end"
        if self._error is not None:
            raise self._error
        return self._returned[0]

    def cancel(self) -> None:
        self._worker.cancel()

    async def _body(self) -> None:
        try:
            self._returned.append(await self._run())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()
