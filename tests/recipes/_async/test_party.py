"""Parties at a real server: who is there."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient, KeyExists
from etcdv2.recipes import AsyncSession
from tests.tools.waiting import SOON


async def test_members_come_and_go(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        with pytest.raises(ValueError, match="has not begun"):
            session.party("/workers").members.keys()
        async with session.party("/workers") as party:
            assert dict(party.members) == {}
            changes = party.changes()
            there = second.party("/workers")
            member = await there.join("a", "10.0.0.7")
            with pytest.raises(KeyExists):
                await there.join("a")
            last = await there.join("a", "10.0.0.8", takeover=True)
            others = [last, await there.join("b")]

            members = await party.wait_for(lambda members: len(members) == 2 and dict(members), SOON)
            assert members
            assert {name: node.value for name, node in members.items()} == {"a": "10.0.0.8", "b": ""}
            assert party.stale_for is None
            change = await changes.next(SOON)
            assert change is not None
            assert (change.kind, change.key) == ("added", "/workers/a")

            await second.close()
            assert await party.wait_for(lambda members: not members, SOON) is True
            assert await party.wait_for(lambda members: len(members) > 5, 0) is False
            assert not any(one.held for one in others)
            await member.release()
        with pytest.raises(ValueError, match="closed"):
            await party.wait_for(bool, 0)
        for bad in ("", "a/b", "_a"):
            with pytest.raises(ValueError, match="name"):
                await party.join(bad)


async def test_the_session_ends_it(client: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session:
        party = await session.party("/workers").__aenter__()
        member = await party.join("a")
    with pytest.raises(ValueError, match="closed"):
        await party.wait_for(bool)
    assert not member.held
