"""Ephemeral keys of a session at a real server: renewed, released, lost, forgotten, closed with the client."""

from __future__ import annotations

import gc
from datetime import timedelta

import pytest

from etcdv2 import AsyncClient, KeyExists, KeyNotFound
from etcdv2._runtime.primitives import async_sleep
from etcdv2.recipes import AsyncSession, LeaseLost
from etcdv2.testing import Server
from tests.recipes._async.waits import async_comes, async_is_gone, async_renew_now
from tests.tools.waiting import SOON, async_until


@pytest.mark.load
async def test_a_key_is_there_for_longer_than_its_ttl_until_it_is_released(
    client: AsyncClient, other: AsyncClient
) -> None:
    async with AsyncSession(client, ttl=30) as session:
        lease = await session.create("/e/a", "v")
        made = (await other.keys.get("/e/a")).node
        assert (lease.key, lease.value, lease.ttl) == ("/e/a", "v", 30)
        assert (lease.token, lease.cluster_id) == (made.created_index, client.cluster_id)

        # A renewal that comes by itself, and some more.
        seen = set()
        for number in range(5):
            if number:
                async_renew_now(session, lease)
            before = (await other.keys.get("/e/a")).node.modified_index

            async def is_renewed(before: int = before) -> bool:
                return (await other.keys.get("/e/a")).node.modified_index > before

            await async_comes(is_renewed)
            seen.add((await other.keys.get("/e/a")).node.created_index)
        assert seen == {lease.token}
        assert lease.held
        assert 0 < lease.remaining <= 30
        assert session.leases == (lease,)

        assert await lease.release(timeout=SOON) is True
        assert not lease.held
        assert not lease.lost.is_set()
        assert lease.reason == ""
        assert await other.keys.get("/e/a", default=None) is None
        assert await lease.release(timeout=SOON) is True
        with pytest.raises(LeaseLost, match="released"):
            lease.check()


async def test_a_key_that_is_there_is_not_taken(client: AsyncClient, other: AsyncClient) -> None:
    await other.keys.set("/e/a", "v")
    async with AsyncSession(client) as session:
        with pytest.raises(KeyExists):
            await session.create("/e/a", "v")
        assert session.leases == ()


@pytest.mark.parametrize("hand", ["delete", "set", "swap"])
async def test_a_key_that_somebody_changed_is_lost_for_good(client: AsyncClient, other: AsyncClient, hand: str) -> None:
    async with AsyncSession(client, ttl=600) as session:
        lease = await session.create("/e/a", "mine")
        calls: list[str] = []
        lease.on_lost(lambda lease: calls.append(lease.reason))
        if hand == "delete":
            await other.keys.delete("/e/a")
        elif hand == "set":
            await other.keys.set("/e/a", "mine")
        else:
            await other.keys.set("/e/a", "theirs", prev_exist=True)
        async_renew_now(session, lease)
        assert await lease.lost.wait(SOON)
        assert not lease.held
        assert lease.remaining == 0
        assert lease.reason == ("its key is gone" if hand == "delete" else "its key was changed by somebody else")
        await async_until(lambda: calls)
        assert calls == [lease.reason]
        lease.on_lost(lambda _: calls.append("at once"))
        assert calls[1:] == ["at once"]
        with pytest.raises(LeaseLost, match="was lost"):
            lease.check()

        # Theirs stays, and so does the loss.
        assert (await other.keys.get("/e/a", default=None) is None) == (hand == "delete")
        assert await lease.release() is False
        assert (await other.keys.get("/e/a", default=None) is None) == (hand == "delete")


async def test_verify_sees_a_change_before_the_next_renewal(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=3600) as session:
        lease = await session.create("/e/a", "mine")
        await lease.verify()
        await other.keys.set("/e/a", "mine")
        assert lease.held
        with pytest.raises(LeaseLost, match="somebody else"):
            await lease.verify()
        assert await lease.lost.wait(SOON)


async def test_a_block_whose_lease_was_lost_ends_in_the_loss(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session:
        with pytest.raises(LeaseLost):  # noqa: PT012 - what ends the block is what is tested
            async with await session.create("/e/a", "mine") as lease:
                await other.keys.delete("/e/a")
                async_renew_now(session, lease)
                await lease.lost.wait(SOON)
        with pytest.raises(RuntimeError, match="own") as caught:  # noqa: PT012 - the same
            async with await session.create("/e/a", "mine") as lease:
                await other.keys.delete("/e/a")
                async_renew_now(session, lease)
                await lease.lost.wait(SOON)
                raise RuntimeError("its own")
        assert any("was lost" in note for note in caught.value.__notes__)


async def test_without_a_server_it_is_lost_in_time(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client:
        session = AsyncSession(client, ttl=2)
        lease = await session.create("/e/a", "mine")
        etcd.pause()
        try:
            assert await lease.lost.wait(SOON)
            assert lease.reason == "it was not renewed in time"
        finally:
            etcd.resume()

        # What is left of it is deleted, so that nobody has to wait for its TTL.
        await async_is_gone(client, "/e/a")


async def test_a_forgotten_lease_is_released_with_a_warning(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=3600) as session:
        lease = await session.create("/e/a", "mine")
        with pytest.warns(ResourceWarning, match="forgotten"):  # noqa: PT031 - the collector warns
            del lease
            gc.collect()
        await async_is_gone(other, "/e/a")


async def test_all_ends_with_the_session_and_with_the_client(etcd: Server, other: AsyncClient) -> None:
    async with AsyncClient(etcd.url) as client:
        async with AsyncSession(client, ttl=3600) as session:
            kept = [await session.create(f"/e/{n}", "mine") for n in range(10)]
        assert not any(lease.held or lease.lost.is_set() for lease in kept)
        with pytest.raises(KeyNotFound):
            await other.keys.get("/e/0")
        with pytest.raises(ValueError, match="closed"):
            await session.create("/e/a", "mine")

        with_client = AsyncSession(client, ttl=3600)
        lease = await with_client.create("/e/b", "mine")
        left = AsyncSession(client, ttl=3600)
        orphan = await left.create("/e/c", "mine")
        await left.close(release=False)
    assert not lease.held
    assert not orphan.held
    assert await other.keys.get("/e/b", default=None) is None
    assert (await other.keys.get("/e/c")).value == "mine"


class AsyncPart:
    """Something that is built on a client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1
        await self._client.keys.set("/part", "closed")
        raise RuntimeError("its own")


async def test_what_is_attached_is_closed_before_the_client_which_is_closed_whatever_that_raises(
    etcd: Server, other: AsyncClient
) -> None:
    client = AsyncClient(etcd.url)
    part = AsyncPart(client)
    client.attach(part)
    client.attach(AsyncPart(client))  # is forgotten
    gc.collect()
    with pytest.raises(RuntimeError, match="its own"):
        await client.close()
    assert part.closed == 1
    assert (await other.keys.get("/part")).value == "closed"
    with pytest.raises(ValueError, match="closed"):
        await client.keys.get("/part")


async def test_arguments_are_refused_before_anything_is_sent(client: AsyncClient, other: AsyncClient) -> None:
    for wrong in (0, 1, -3, timedelta(0)):
        with pytest.raises(ValueError, match="ttl"):
            AsyncSession(client, ttl=wrong)
    for kind in (None, True, 2.5, "15"):
        with pytest.raises(TypeError, match="ttl"):
            AsyncSession(client, ttl=kind)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    for owner in ("", "a/b", "_a", ".."):
        with pytest.raises(ValueError, match="owner"):
            AsyncSession(client, owner=owner)
    for margin in (-1.0, 7.5):
        with pytest.raises(ValueError, match="margin"):
            AsyncSession(client, margin=margin)
    session = AsyncSession(client, ttl=timedelta(seconds=2.5))
    with pytest.raises(ValueError, match="ttl"):
        await session.create("/e/a", "v", ttl=1)
    with pytest.raises(ValueError, match="timeout"):
        await session.create("/e/a", "v", timeout=-1)
    assert await other.keys.get("/e", default=None) is None
    await async_sleep(0)
    await session.close()
