"""Runs a coroutine whose task is cancelled at its n-th await, and looks whether an `AsyncClient` is sound afterwards.

Owns the counting and what "sound" means; what is cancelled is the tests' affair.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal

import pytest

from etcdv2 import AsyncClient
from etcdv2._transport.loop import AsyncFastTransport
from tests.tools.waiting import SOON, async_until

Moment = Literal["waiting", "arrived"]
Work = Callable[[AsyncClient], Coroutine[Any, Any, object]]

MOMENTS: list[Moment] = ["waiting", "arrived"]
"""While what is awaited is not there yet; and when it is there, but the task does not know yet."""
MANY_STEPS = 300


class Stepped(Coroutine[Any, Any, object]):
    """A coroutine whose task is cancelled at its n-th await."""

    def __init__(self, work: Coroutine[Any, Any, object], number: int, moment: Moment) -> None:
        self._work = work
        self._number = number
        self._moment = moment
        self._steps = 0
        self.task: asyncio.Task[object] | None = None
        self.cancelled = False

    def send(self, value: Any) -> Any:
        waited = self._work.send(value)
        self._steps += 1
        if self._steps == self._number:
            if self._moment == "arrived" and waited is not None:
                waited.add_done_callback(self._cancel)  # called before the task's own
            else:
                asyncio.get_running_loop().call_soon(self._cancel, None)
        return waited

    def throw(self, *arguments: Any) -> Any:
        return self._work.throw(*arguments)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, object]:
        raise NotImplementedError

    def _cancel(self, _: object) -> None:
        assert self.task is not None
        if not self.task.done():
            self.cancelled = True
            self.task.cancel()


async def cancel_at(work: Coroutine[Any, Any, object], number: int, moment: Moment) -> bool:
    """Whether it had so many awaits; then it has ended by CancelledError itself."""
    stepped = Stepped(work, number, moment)
    task: asyncio.Task[object] = asyncio.create_task(stepped)
    stepped.task = task
    await asyncio.wait([task], timeout=SOON)
    assert task.done(), f"still running after its await {number} was cancelled"
    if not stepped.cancelled:
        await task
        return False
    assert task.cancelled(), f"await {number}, {moment}: the cancellation became {task}"
    return True


async def sound(client: AsyncClient, number: int) -> None:
    """The client answers, and answers what was asked, on every connection it has."""
    async with asyncio.timeout(SOON):
        for again in range(2):
            value = f"{number}.{again}"
            assert (await client.keys.set(f"/probe/{again}", value)).value == value
            assert (await client.keys.get(f"/probe/{again}")).value == value
    pool = client._dispatcher.pool
    assert len(pool.well(time.monotonic())) == len(pool.endpoints), "an endpoint rests because of a cancellation"
    transport = client._dispatcher._transport
    for one in transport._loops.values() if isinstance(transport, AsyncFastTransport) else ():
        assert [(pool.used, len(pool.waiting)) for pool in one.pools.values()] == [(0, 0)]
        assert not one.connecting
    assert not client._dispatcher.watches


async def alone() -> None:
    """No task is left but this one, and the looks at the store's index, which linger for a second."""

    def others() -> list[str]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return [name for task in tasks if (name := task.get_name()) != "etcdv2-index"]

    await async_until(lambda: not others(), others)


async def series(client: AsyncClient, work: Work, moment: Moment) -> int:
    """The work cancelled at its first await, its second, and so on; how many awaits it has."""
    for number in range(1, MANY_STEPS):
        more = await cancel_at(work(client), number, moment)
        await sound(client, number)
        await alone()
        if not more:
            return number - 1
    pytest.fail(f"more than {MANY_STEPS} awaits")
