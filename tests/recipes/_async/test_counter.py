"""Counters at a real server: what is added, by how many at once, and what is in the key."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient
from etcdv2._runtime.primitives import async_at_once
from etcdv2.recipes import AsyncSession


async def test_what_many_add_at_once_is_added(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        counter = session.counter("/counters//jobs/", default=100)
        assert (counter.key, await counter.value) == ("/counters/jobs", 100)
        assert await counter.add() == 101
        assert await second.counter("/counters/jobs").add(-3) == 98

        async def add() -> None:
            await second.counter("/counters/jobs").add(2)

        await async_at_once(5, add)
        assert await counter.value == 108
        found = (await client.keys.get("/counters/jobs")).value
        assert found.startswith("108 ")
        assert len(found) == len("108 ") + 16


async def test_a_plain_number_counts_on_and_other_words_are_refused(client: AsyncClient) -> None:
    async with AsyncSession(client) as session:
        counter = session.counter("/counters/jobs")
        await client.keys.set("/counters/jobs", "41")
        assert await counter.add() == 42
        for word in ("", "many", "1.5"):
            await client.keys.set("/counters/jobs", word)
            with pytest.raises(ValueError, match="/counters/jobs is no counter"):
                await counter.add()
            with pytest.raises(ValueError, match="/counters/jobs is no counter"):
                assert await counter.value
        with pytest.raises(TypeError, match="must be an int"):
            await counter.add(0.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="default True: must be an int"):
            session.counter("/counters/jobs", default=True)
    with pytest.raises(ValueError, match="session is closed"):
        await counter.add()
