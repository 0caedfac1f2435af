"""Elections at a real server: one leader, what it proclaims, and what observers see."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient
from etcdv2.recipes import AcquireTimeout, AsyncLeadership, AsyncSession, Leader, LeaseLost
from tests.recipes._async.background import AsyncBackground
from tests.tools.waiting import SOON


async def test_one_leads_and_the_next_one_follows(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        election, rival = session.election("/leader"), second.election("/leader")
        assert await election.leader() is None

        leadership = await election.campaign("a:80")
        assert await rival.leader() == Leader("a:80", leadership.token)
        with pytest.raises(RuntimeError, match="held already"):
            await election.campaign("again")
        with pytest.raises(AcquireTimeout):
            await rival.campaign("b:80", timeout=0.2)

        async def campaign() -> AsyncLeadership:
            return await rival.campaign("b:80")

        waiting = AsyncBackground(campaign)
        assert await leadership.proclaim("a:81", timeout=SOON) is True
        assert leadership.value == "a:81"
        assert await rival.leader() == Leader("a:81", leadership.token)
        assert not waiting.done()

        assert await leadership.release(timeout=SOON) is True
        next_one = await waiting.result()
        assert next_one.token > leadership.token
        assert await election.leader() == Leader("b:80", next_one.token)
        with pytest.raises(LeaseLost):
            await leadership.proclaim("late")


async def test_an_observer_sees_each_leader_once_and_when_there_is_none(
    client: AsyncClient, other: AsyncClient
) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        async with second.election("/leader").observe() as observer:
            assert await observer.next(SOON) is True
            assert observer.leader is None

            first = await session.election("/leader").campaign("a")
            assert await observer.next(SOON) is True
            assert observer.leader == Leader("a", first.token)

            await first.proclaim("a2", timeout=SOON)
            assert await observer.next(SOON) is True
            assert observer.leader == Leader("a2", first.token)
            assert await observer.next(0) is False

            await first.release()
            assert await observer.next(SOON) is True
            assert observer.leader is None

            async with await session.election("/leader").campaign() as last:
                found = await anext(observer)
                assert found == Leader(last.value, last.token)
                assert last.value.startswith(session.owner)
