"""Queues at a real server: each item for one consumer at a time, until it is done."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient
from etcdv2._runtime.primitives import async_at_once
from etcdv2.recipes import AcquireCancelled, AsyncItem, AsyncSession, LeaseLost
from tests.recipes._async.background import AsyncBackground
from tests.recipes._async.waits import async_is_gone, async_renew_now, async_waits
from tests.tools.waiting import SOON


async def taken(session: AsyncSession, key: str = "/jobs") -> AsyncItem:
    item = await session.queue(key, ttl=600).get(timeout=SOON)
    assert item is not None
    return item


async def test_an_item_is_taken_by_one_and_gone_when_it_is_done(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other, owner="b") as second:
        queue = session.queue("/jobs", ttl=600)
        assert await queue.get(timeout=0) is None
        name = await queue.put("first")
        assert (await queue.pending(), await queue.claimed()) == (1, 0)

        item = await taken(second)
        assert (item.id, item.value, item.key) == (name, "first", f"/jobs/items/{name}")
        assert item.lease.held
        assert item.lease.key == f"/jobs/claims/{name}"
        assert (await queue.pending(), await queue.claimed()) == (0, 1)
        assert await queue.get(timeout=0.1) is None
        assert len(queue) == 1

        await item.ack()
        await item.ack()
        assert not item.lease.held
        assert (await queue.pending(), await queue.claimed()) == (0, 0)
        await async_is_gone(other, f"/jobs/claims/{name}")


async def test_with_ends_an_item_and_gives_it_back_on_an_error(client: AsyncClient) -> None:
    async with AsyncSession(client) as session:
        queue = session.queue("/jobs", ttl=600)
        await queue.put("job")
        with pytest.raises(ZeroDivisionError):
            async with await taken(session) as item:
                raise ZeroDivisionError
        async with await taken(session) as again:
            assert again.id == item.id
            assert again.lease.token > item.lease.token
        assert await queue.pending() + await queue.claimed() == 0

        await queue.put("last")
        last = await taken(session)
        await last.give_back()
        await last.give_back()
        last = await taken(session)
        await last.ack()


async def test_an_id_is_one_item_while_it_is_there(client: AsyncClient) -> None:
    async with AsyncSession(client) as session:
        queue = session.queue("/jobs", ttl=600)
        assert await queue.put("a", id="job-17") == "job-17"
        assert await queue.put("b", id="job-17") == "job-17"
        async with await taken(session) as item:
            assert item.value == "a"
        assert await queue.get(timeout=0) is None
        await queue.put("c", id="job-17")
        async with await taken(session) as item:
            assert item.value == "c"
        for bad in ("", "a/b", "_hidden"):
            with pytest.raises(ValueError, match="id"):
                await queue.put("x", id=bad)
        with pytest.raises(TypeError, match="value: a bytes; must be a str"):
            await queue.put(b"x")  # type: ignore[arg-type]


async def test_many_consumers_do_each_item_once_nearly_in_order(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        queue, done = session.queue("/jobs", ttl=600), list[int]()
        for number in range(40):
            await queue.put(str(number))

        async def consume() -> None:
            mine = second if len(done) % 2 else session
            while len(done) < 40:
                item = await mine.queue("/jobs", ttl=600).get(timeout=0.2)
                if item is not None:
                    async with item:
                        done.append(int(item.value))

        await async_at_once(4, consume)
        assert sorted(done) == list(range(40))
        assert all(number < place + 20 + 4 for place, number in enumerate(done[:15]))
        assert (await queue.pending(), await queue.claimed()) == (0, 0)


async def test_a_consumer_that_waits_gets_what_is_put_and_close_ends_its_wait(
    client: AsyncClient, other: AsyncClient
) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        queue = session.queue("/jobs", ttl=600)

        async def get() -> AsyncItem | None:
            return await queue.get()

        waiting = AsyncBackground(get)
        await second.queue("/jobs").put("late")
        item = await waiting.result()
        assert item is not None
        await item.ack()

        for end in (queue.close, session.close):
            before = session._keeping.waits.all()
            ended = AsyncBackground(get)
            await async_waits(session, before)
            await end()
            with pytest.raises(AcquireCancelled, match="closed"):
                await ended.result()
    with pytest.raises(ValueError, match="session is closed"):
        await queue.get()


async def test_who_lost_the_claim_cannot_take_the_item_out(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client) as session, AsyncSession(other) as second:
        name = await session.queue("/jobs").put("job")
        item = await taken(session)
        await other.keys.delete(item.lease.key)
        async_renew_now(session, item.lease)
        assert await item.lease.lost.wait(SOON)
        with pytest.raises(LeaseLost):
            await item.ack()
        again = await taken(second)
        assert again.id == name
        assert again.lease.token > item.lease.token
        with pytest.raises(KeyError, match="mine") as caught:
            async with item:
                raise KeyError("mine")
        assert "was lost" in caught.value.__notes__[0]
        await again.ack()


async def test_an_item_that_was_done_while_it_was_claimed_is_not_given(client: AsyncClient, other: AsyncClient) -> None:
    """Its claim had expired; the mirror of who claims it may not know that it has gone."""
    async with AsyncSession(client) as session:
        queue = session.queue("/jobs", ttl=600)
        name = await queue.put("job")
        item = await taken(session)
        await other.keys.delete(f"/jobs/items/{name}")
        await item.ack()  # what is gone is done
        assert await queue.get(timeout=0) is None

        # Something else under the name: not what was claimed.
        await queue.put("a", id="x")
        item = await taken(session)
        await other.keys.set("/jobs/items/x", "b")
        await item.ack()
        async with await taken(session) as new:
            assert new.value == "b"
        assert await queue.pending() + await queue.claimed() == 0
