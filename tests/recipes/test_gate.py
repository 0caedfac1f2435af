"""Who enters when, where many come at the same time."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random
from typing import Any, cast

import pytest

from etcdv2._runtime import clock
from etcdv2.recipes import AcquireCancelled
from etcdv2.recipes._async import gate as gates
from etcdv2.recipes._async.gate import AsyncGate
from etcdv2.recipes._async.waiting import AsyncWait, WaitOver


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "AT_ONCE", 2)


def a_wait(until: float = inf) -> AsyncWait:
    return AsyncWait(cast(Any, None), "/locks/db", until, Random(1))


async def test_so_many_are_in_and_the_others_come_in_their_order() -> None:
    gate, entered = AsyncGate(), list[int]()

    async def come(number: int) -> None:
        await gate.enter(a_wait())
        entered.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert entered == [0, 1]
    for count in (3, 4, 5, 5, 5):
        gate.leave()
        for _ in range(5):
            await asyncio.sleep(0)
        assert entered == list(range(count))
    await asyncio.gather(*tasks)
    assert repr(gate) == "<AsyncGate: 0 inside, 0 wait>"


@pytest.mark.parametrize("how", ["time is over", "cancelled", "stopped", "let in and cancelled"])
async def test_who_gives_up_outside_takes_no_place(how: str) -> None:
    gate = AsyncGate()
    for _ in range(2):
        await gate.enter(a_wait())
    waits = [a_wait(clock.now() + 0.01 if how == "time is over" else inf), a_wait()]
    tasks = [asyncio.create_task(gate.enter(wait)) for wait in waits]
    await asyncio.sleep(0)

    # The first gives up.
    if how == "let in and cancelled":
        gate.leave()
    if "cancelled" in how:
        tasks[0].cancel()
    elif how == "stopped":
        await waits[0].stop("it was cancelled")
    with pytest.raises((asyncio.CancelledError, WaitOver, AcquireCancelled)):
        await tasks[0]

    # The other has its place.
    if how != "let in and cancelled":
        assert repr(gate) == "<AsyncGate: 2 inside, 1 wait>"
        gate.leave()
    await tasks[1]
    assert repr(gate) == "<AsyncGate: 2 inside, 0 wait>"
