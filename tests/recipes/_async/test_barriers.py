"""Barriers and double barriers at a real server."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient, KeyExists
from etcdv2._runtime.primitives import async_at_once
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, AsyncLease, AsyncSession
from tests.recipes._async.background import AsyncBackground
from tests.recipes._async.waits import async_is_gone, async_waits
from tests.tools.waiting import SOON


async def test_who_waits_at_a_barrier_goes_on_when_it_opens(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        barrier, same = session.barrier("/gate"), second.barrier("//gate/")
        assert same.key == "/gate"
        assert await barrier.wait(0) is True
        assert await barrier.wait() is True

        await barrier.close()
        await same.close()
        assert await same.wait(0) is False
        assert await same.wait(0.05) is False

        async def wait() -> bool:
            return await same.wait()

        waiting = AsyncBackground(wait)
        await client.keys.set("/gate", "another value")
        assert not waiting.done()
        await barrier.open()
        assert await waiting.result() is True
        await barrier.open()


async def test_a_barrier_with_a_ttl_opens_with_its_lease(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        lease = await session.barrier("/gate").close(ttl=600)
        with pytest.raises(KeyExists):
            await second.barrier("/gate").close(ttl=600)
        assert await second.barrier("/gate").wait(0) is False
        assert await lease.release(timeout=SOON) is True
        assert await second.barrier("/gate").wait(SOON) is True

        async with await session.barrier("/gate").close(ttl=600) as held:

            async def wait() -> bool:
                return await second.barrier("/gate").wait()

            before = second._keeping.waits.all()
            waiting = AsyncBackground(wait)
            await async_waits(second, before)
            await second.close()
            with pytest.raises(AcquireCancelled, match="closed"):
                await waiting.result()
            assert held.held


async def test_all_begin_together_and_all_end_together(client: AsyncClient, other: AsyncClient) -> None:
    inside: list[int] = []
    seen: list[tuple[str, int]] = []
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:

        async def take_part() -> None:
            mine = second if len(inside) % 2 else session
            barrier = mine.double_barrier("/start", 3)
            for number in range(3):
                inside.append(number)
                lease = await barrier.enter()
                seen.append(("in", inside.count(number)))
                assert lease.held
                inside.remove(number)
                assert await barrier.leave() is True
                seen.append(("out", inside.count(number)))
                assert not lease.held

        await async_at_once(3, take_part)
        assert seen.count(("out", 0)) == 9
        assert len([one for one in seen if one[0] == "in"]) == 9
        await async_is_gone(client, "/start/ready")
        assert list((await client.keys.get("/start")).node.leaves()) == []


async def test_a_double_barrier_waits_for_all(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        barrier, rival = session.double_barrier("/start", 2), second.double_barrier("/start", 2)
        with pytest.raises(ValueError, match="nobody has entered"):
            await barrier.leave()
        with pytest.raises(AcquireTimeout):
            await barrier.enter(0.2)

        async def entered() -> AsyncLease:
            return await rival.enter()

        waiting = AsyncBackground(entered)
        lease = await barrier.enter(SOON)
        await waiting.result()
        with pytest.raises(RuntimeError, match="held already"):
            await barrier.enter()

        # One leaves, and waits for the other one.
        assert await barrier.leave(0.05) is False
        assert not lease.held
        with pytest.raises(AcquireTimeout):  # of the next round
            await barrier.enter(0.2)
        assert await rival.leave(SOON) is True
        await async_is_gone(client, "/start/ready")


async def test_a_ready_that_was_left_lets_nobody_pass(client: AsyncClient, other: AsyncClient) -> None:
    """As of programs that have died, or of a request that a paused member has carried out late."""
    async with AsyncSession(client, ttl=600) as session:
        await other.keys.set("/start/ready", "3")
        with pytest.raises(AcquireTimeout):
            await session.double_barrier("/start", 2).enter(0.5)
        assert await other.keys.get("/start/ready", default=None) is None

        await other.keys.set("/start/ready", "a word of somebody else")
        lease = await session.double_barrier("/start", 1).enter()
        assert (await other.keys.get("/start/ready")).value == str(lease.token)
