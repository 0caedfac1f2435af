"""Blocks that may run only while a lease is held: cancelled in asyncio, checked at both ends in a thread."""

from __future__ import annotations

import asyncio

import pytest

from etcdv2 import AsyncClient, Client
from etcdv2.recipes import AsyncSession, LeaseLost, Session
from etcdv2.testing import Server
from tests.tools.waiting import SOON


async def test_a_guarded_block_is_cancelled_when_its_lease_is_lost(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client, AsyncSession(client, ttl=600) as session:
        lease = await session.create("/e/a", "v")
        with pytest.raises(LeaseLost, match="gone"):  # noqa: PT012 - what ends the block is what is tested
            async with lease.guard() as guarded:
                assert guarded is lease
                await client.keys.delete("/e/a")
                session._keeping.look_at(lease._held_key)
                await asyncio.sleep(10 * SOON)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(LeaseLost):
            async with lease.guard():
                raise AssertionError("it ran")


async def test_a_guarded_block_that_ends_in_time_is_left_alone(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client, AsyncSession(client, ttl=600) as session:
        lease = await session.create("/e/a", "v")
        async with lease.guard():
            pass
        with pytest.raises(ZeroDivisionError):
            async with lease.guard():
                raise ZeroDivisionError
        await client.keys.delete("/e/a")
        session._keeping.look_at(lease._held_key)
        assert await lease.lost.wait(SOON)
        await asyncio.sleep(0)  # not cancelled


async def test_another_cancellation_of_a_guarded_block_stays_one(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client, AsyncSession(client, ttl=600) as session:
        lease = await session.create("/e/a", "v")
        begun = asyncio.Event()

        async def work() -> None:
            async with lease.guard():
                begun.set()
                await asyncio.sleep(10 * SOON)

        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lease.held
        await lease.release()


def test_in_a_thread_it_looks_at_both_ends(etcd: Server) -> None:
    with Client(etcd.url) as client, Session(client, ttl=600) as session:
        lease = session.create("/e/a", "v")
        with lease.guard():
            pass
        with pytest.raises(LeaseLost), lease.guard():  # noqa: PT012 - the same
            client.keys.delete("/e/a")
            session._keeping.look_at(lease._held_key)
            assert lease.lost.wait(SOON)
        with pytest.raises(LeaseLost), lease.guard():
            raise AssertionError("it ran")
