"""Locks at a real server: order, timeouts, cancellation, what is left behind, and what an operator does to entries."""

from __future__ import annotations

import pickle
from math import inf

import pytest

from etcdv2 import AsyncClient, NotDir
from etcdv2._runtime.primitives import async_at_once
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, AsyncLease, AsyncSession, LeaseLost
from etcdv2.testing import Server
from tests.recipes._async.background import AsyncBackground
from tests.recipes._async.waits import async_comes, async_renew_now
from tests.tools.waiting import SOON


async def entries(client: AsyncClient, key: str = "/locks/db") -> list[str]:
    found = await client.keys.get(key, default=None)
    nodes = [] if found is None else list(found.leaves())
    return [node.key.rpartition("/")[2] for node in sorted(nodes, key=lambda node: node.created_index)]


async def has_entries(client: AsyncClient, count: int, key: str = "/locks/db") -> None:
    async def so_many() -> bool:
        return len(await entries(client, key)) == count

    await async_comes(so_many)


async def test_one_holds_it_at_a_time_and_tokens_rise(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600, owner="a") as session, AsyncSession(other, ttl=600, owner="b") as second:
        lock, rival = session.lock("/locks/db"), second.lock("/locks//db/")
        assert (lock.key, lock.owner, rival.key) == ("/locks/db", "a", "/locks/db")

        async with lock as lease:
            assert lease.held
            assert await rival.try_acquire() is None
            assert len(await entries(other)) == 1  # a failed try wrote nothing
            shown = await rival.contenders()
            assert [(one.owner, one.token, one.held) for one in shown] == [("a", lease.token, True)]
        assert not lease.held
        await has_entries(other, 0)

        later = await rival.try_acquire()
        assert later is not None
        assert later.token > lease.token
        assert await later.release(timeout=SOON) is True
        assert await lock.contenders() == ()


async def test_those_who_wait_are_served_in_their_order_and_none_twice(client: AsyncClient, other: AsyncClient) -> None:
    served: list[tuple[int, int]] = []
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        first = await session.lock("/locks/db").acquire()
        background: list[AsyncBackground[None]] = []
        for number in range(4):

            async def contend(number: int = number) -> None:
                async with (second if number % 2 else session).lock("/locks/db") as lease:
                    lease.check()
                    served.append((number, lease.token))

            background.append(AsyncBackground(contend))
            await has_entries(other, number + 2)
        assert served == []
        await first.release()
        for one in background:
            await one.result()
    assert [number for number, _ in served] == [0, 1, 2, 3]
    assert [token for _, token in served] == sorted(token for _, token in served)
    assert served[0][1] > first.token
    await has_entries(other, 0)


async def test_a_timeout_says_who_holds_it_and_leaves_nothing(client: AsyncClient, other: AsyncClient) -> None:
    async with (
        AsyncSession(client, ttl=600, owner="holder") as session,
        AsyncSession(other, ttl=600, owner="waiter") as second,
    ):
        lease = await session.lock("/locks/db").acquire()
        timeout, error = 0.1, AcquireTimeout("", 0, ())
        while not error.contenders:  # a busy machine comes to nothing in so short a time
            timeout *= 2
            with pytest.raises(AcquireTimeout, match=f"/locks/db was not acquired within {timeout:g} s") as caught:
                await second.lock("/locks/db").acquire(timeout=timeout)
            error = caught.value
        assert isinstance(error, TimeoutError)
        assert "; held by holder, " in str(error)
        assert [(one.owner, one.held) for one in error.contenders][:1] == [("holder", True)]
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.key, again.timeout, again.contenders) == (
            str(error),
            "/locks/db",
            timeout,
            error.contenders,
        )
        await has_entries(other, 1)
        assert lease.held
        await lease.release()


async def test_cancel_and_close_end_all_waits(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session:
        lease = await session.lock("/locks/db").acquire()
        second = AsyncSession(other, ttl=600)
        lock = second.lock("/locks/db")

        async def contend() -> AsyncLease:
            return await lock.acquire()

        async def contend_too() -> AsyncLease:
            return await second.lock("/locks/db").acquire()

        waits = [AsyncBackground(contend), AsyncBackground(contend)]
        await has_entries(other, 3)
        spared = AsyncBackground(contend_too)
        await has_entries(other, 4)
        await lock.cancel()
        for wait in waits:
            with pytest.raises(AcquireCancelled, match="it was cancelled"):
                await wait.result()
        await has_entries(other, 2)

        await second.close()
        with pytest.raises(AcquireCancelled, match="session was closed"):
            await spared.result()
        await has_entries(other, 1)
        with pytest.raises(ValueError, match="closed"):
            await lock.acquire()
        assert lease.held


async def test_a_waiting_entry_that_was_deleted_queues_again(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=12) as session, AsyncSession(other, ttl=12) as second:
        lease = await session.lock("/locks/db").acquire()

        async def contend() -> AsyncLease:
            return await second.lock("/locks/db").acquire()

        wait = AsyncBackground(contend)
        await has_entries(other, 2)
        gone = (await entries(other))[1]
        await other.keys.delete(f"/locks/db/{gone}")

        async def is_another() -> bool:
            found = await entries(other)
            return len(found) == 2 and gone not in found

        await async_comes(is_another)
        await lease.release()
        next_one = await wait.result()
        next_one.check()
        assert next_one.token > lease.token
        await next_one.release()


async def test_a_lock_whose_directory_is_deleted_is_lost_by_its_holder_and_contended_for_again(
    client: AsyncClient, other: AsyncClient
) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=12) as second:
        lease = await session.lock("/locks/db").acquire()

        async def contend() -> AsyncLease:
            return await second.lock("/locks/db").acquire()

        wait = AsyncBackground(contend)
        await has_entries(other, 2)
        await other.keys.delete("/locks/db", recursive=True)
        async_renew_now(session, lease)
        assert await lease.lost.wait(SOON)
        with pytest.raises(LeaseLost, match="gone"):
            lease.check()
        next_one = await wait.result()
        assert next_one.held
        assert next_one.token > lease.token


async def test_who_holds_it_cannot_wait_for_it(client: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(client, ttl=600) as second:
        async with session.lock("/locks/db"):
            for once_more in (session.lock("/locks/db"), second.lock("/locks/db"), session.rwlock("/locks/db").read):
                with pytest.raises(RuntimeError, match="held already"):
                    await once_more.acquire()
                with pytest.raises(RuntimeError, match="held already"):
                    await once_more.try_acquire()
        async with session.lock("/locks/db") as lease:
            assert lease.held


async def test_without_a_server_it_times_out_with_the_cause(etcd: Server) -> None:
    async with AsyncClient(etcd.url) as client:
        session = AsyncSession(client, ttl=12)
        etcd.pause()
        try:
            with pytest.raises(AcquireTimeout) as caught:
                await session.lock("/locks/db").acquire(timeout=0.5)
            assert caught.value.contenders == ()
        finally:
            etcd.resume()

        # The create that the server had received is carried out now, and deleted again.
        lease = await session.lock("/locks/db").acquire()
        assert lease.held
        await lease.release()
        await has_entries(client, 0)
        await session.close()


async def test_a_release_of_the_last_removes_the_directory_where_that_is_asked_for(
    client: AsyncClient, other: AsyncClient
) -> None:
    async with AsyncSession(client, ttl=600) as session:
        async with session.lock("/locks/db", tidy=True):
            pass

        async def is_gone() -> bool:
            return not await other.keys.exists("/locks/db")

        await async_comes(is_gone)
        async with session.lock("/locks/db"):
            pass
        await has_entries(other, 0)
        assert await other.keys.exists("/locks/db")


async def test_many_at_once_never_overlap(client: AsyncClient, other: AsyncClient) -> None:
    inside, worst, tokens = 0, 0, list[int]()
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:

        async def contend() -> None:
            nonlocal inside, worst
            for lock in (session.lock("/locks/db"), second.lock("/locks/db")):
                async with lock as lease:
                    inside += 1
                    worst = max(worst, inside)
                    tokens.append(lease.token)
                    await client.keys.get("/locks/db")
                    lease.check()
                    inside -= 1

        await async_at_once(8, contend)
    assert (worst, len(tokens), len(set(tokens))) == (1, 16, 16)
    assert tokens == sorted(tokens)
    await has_entries(other, 0)


async def test_readers_share_and_a_writer_is_alone(client: AsyncClient, other: AsyncClient) -> None:
    async with (
        AsyncSession(client, ttl=600, owner="one") as session,
        AsyncSession(other, ttl=600, owner="two") as second,
    ):
        a, b = session.rwlock("/locks/db"), second.rwlock("/locks/db")
        first, shared = await a.read.acquire(), await b.read.try_acquire()
        assert shared is not None

        async def write() -> AsyncLease:
            return await session.rwlock("/locks/db").write.acquire()

        writer = AsyncBackground(write)
        await has_entries(other, 3)

        async def read() -> AsyncLease:
            return await second.rwlock("/locks/db").read.acquire()

        reader = AsyncBackground(read)  # behind the writer: nobody overtakes
        await has_entries(other, 4)
        shown = await a.write.contenders()
        assert [(one.owner, one.held) for one in shown] == [
            ("one", True),
            ("two", True),
            ("one", False),
            ("two", False),
        ]

        await first.release()
        assert not writer.done()
        await shared.release()
        held = await writer.result()
        assert not reader.done()
        assert held.token > shared.token
        await held.release()
        last = await reader.result()
        assert last.token > held.token
        await last.release()


async def test_a_semaphore_is_held_by_as_many_as_its_limit(client: AsyncClient, other: AsyncClient) -> None:
    inside, worst, done = 0, 0, 0
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        permits = [await session.semaphore("/locks/db", 2).acquire() for _ in range(2)]
        assert await second.semaphore("/locks/db", 2).try_acquire() is None
        for permit in permits:
            await permit.release()

        async def contend() -> None:
            nonlocal inside, worst, done
            for one in (session, second):
                async with one.semaphore("/locks/db", 3) as permit:
                    inside += 1
                    worst = max(worst, inside)
                    await client.keys.get("/locks/db")
                    permit.check()
                    inside -= 1
                    done += 1

        await async_at_once(10, contend)
    assert done == 20
    assert worst <= 3
    await has_entries(other, 0)


async def test_what_cannot_be_a_lock_is_refused(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=12) as session:
        for key in ("", "/", "/a/../b"):
            with pytest.raises(ValueError, match="key"):
                session.lock(key)
        with pytest.raises(ValueError, match="ttl"):
            session.lock("/a", ttl=1)
        with pytest.raises(ValueError, match="owner"):
            session.lock("/a", owner="a/b")
        for limit in (0, -1):
            with pytest.raises(ValueError, match="limit"):
                session.semaphore("/a", limit)
        with pytest.raises(TypeError, match="limit"):
            session.semaphore("/a", True)
        for timeout in (0, -1.0, inf):
            with pytest.raises(ValueError, match="timeout"):
                await session.lock("/a").acquire(timeout=timeout)

        await other.keys.set("/a", "a file")
        with pytest.raises(NotDir):
            await session.lock("/a").acquire(timeout=SOON)
        with pytest.raises(NotDir):
            await session.lock("/a").try_acquire()
        with pytest.raises(NotDir):
            await session.lock("/a").contenders()
