"""Sessions that watch their own keys, at a real server: what an operator takes away is noticed at once."""

from __future__ import annotations

from etcdv2 import AsyncClient
from etcdv2.recipes import AsyncSession
from tests.recipes._async.waits import async_comes
from tests.tools.waiting import SOON

TTL = 100 * int(SOON)
"""No renewal falls due within the test."""


async def test_a_key_that_is_taken_away_is_lost_at_once(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=TTL, watch_own=True) as session:
        first = await session.create("/e/a", "mine")
        second = await session.lock("/locks/db").acquire()
        leadership = await session.election("/leader").campaign("a")
        permit = await session.semaphore("/permits", 2).acquire()
        await other.keys.delete("/e/a")
        assert await first.lost.wait(SOON)
        assert first.reason == "its key is gone"
        await other.keys.set(second.key, "theirs")
        assert await second.lost.wait(SOON)
        assert second.reason == "its key was changed by somebody else"

        # What it writes itself is no loss.
        assert await leadership.proclaim("b", timeout=SOON)
        assert not await leadership.lost.wait(0.1)
        await other.keys.delete("/leader")
        assert await leadership.lost.wait(SOON)
        assert permit.held
        await permit.release()


async def test_a_registration_that_is_taken_away_is_back_at_once(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=TTL, watch_own=True) as session:
        registration = await session.register("/services/a", "mine")
        for _ in range(2):
            token = registration.token
            await other.keys.delete("/services/a")

            async def is_back(token: int = token) -> bool:
                return registration.token > token and registration.held

            await async_comes(is_back)
        await registration.release()


async def test_its_watches_end_with_what_they_watch(client: AsyncClient) -> None:
    session = AsyncSession(client, ttl=TTL, watch_own=True)
    lease = await session.create("/e/a", "mine")
    kept = await session.create("/e/b", "mine")
    watches = [wait for wait in session._keeping.waits.all() if hasattr(wait, "_watcher")]
    assert len(watches) == 2
    await lease.release()

    async def one_is_over() -> bool:
        return sum(watch._watcher is None for watch in watches) == 1

    await async_comes(one_is_over)
    await session.close()

    async def both_are_over() -> bool:
        return all(watch._watcher is None for watch in watches)

    await async_comes(both_are_over)
    assert not kept.held
