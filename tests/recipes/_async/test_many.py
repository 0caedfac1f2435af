"""Many of one session who wait for one lock: by one watch, and with no listing for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from etcdv2 import AsyncClient, AttemptInfo
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, AsyncLease, AsyncSession
from etcdv2.recipes._async import common_watch
from etcdv2.testing import Server
from tests.recipes._async.background import AsyncBackground
from tests.recipes._async.test_lock import entries, has_entries
from tests.recipes._async.waits import async_comes
from tests.tools.waiting import SOON

KEY = "/locks/db"


@pytest.fixture(autouse=True)
def two_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common_watch, "FEW", 1)


@pytest.fixture
def requests() -> list[AttemptInfo]:
    """What `watched` has sent."""
    return []


@pytest.fixture
async def watched(etcd: Server, requests: list[AttemptInfo]) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(etcd.url, after_attempt=requests.append) as client:
        yield client


def users(session: AsyncSession) -> int:
    """How many wait by the watch that they share."""
    found = session._keeping._common_watches.get(KEY)
    return 0 if found is None else len(found._users)


async def share_it(session: AsyncSession, count: int) -> None:
    async def so_many() -> bool:
        return users(session) == count

    await async_comes(so_many)


async def test_they_are_served_in_their_order_with_no_listing_and_one_watch(
    watched: AsyncClient, other: AsyncClient, requests: list[AttemptInfo]
) -> None:
    served: list[tuple[int, int]] = []
    async with AsyncSession(watched, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        first = await second.lock(KEY).acquire()
        background: list[AsyncBackground[None]] = []
        for number in range(6):

            async def contend(number: int = number) -> None:
                async with (second if number == 3 else session).lock(KEY) as lease:
                    lease.check()
                    served.append((number, lease.token))

            background.append(AsyncBackground(contend))
            await has_entries(other, number + 2)
        await share_it(session, 4)  # the first waits by a watch of its own

        requests.clear()
        await first.release()
        for one in background:
            await one.result()
    assert [number for number, _ in served] == list(range(6))
    assert [token for _, token in served] == sorted(token for _, token in served)
    listings = [one for one in requests if one.operation == "get_key" and one.path.endswith(KEY)]
    assert len(listings) <= 1  # of the first, where it was not the next one when it began
    await has_entries(other, 0)


async def test_an_entry_that_an_operator_takes_away_is_made_again_at_once(
    client: AsyncClient, other: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at the next renewal: with this TTL that is in 200 s."""
    monkeypatch.setattr(common_watch, "FEW", 0)
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        first = await second.lock(KEY).acquire()
        background = [AsyncBackground(session.lock(KEY).acquire) for _ in range(3)]
        await has_entries(other, 4)
        await share_it(session, 3)
        taken = (await entries(other))[2]
        await other.keys.delete(f"{KEY}/{taken}")

        async def another() -> bool:
            now = set(await entries(other))
            return len(now) == 4 and taken not in now

        await async_comes(another)
        await first.release()
        for _ in background:
            done = await one_of(background)
            await done.release()


async def one_of(background: list[AsyncBackground[AsyncLease]]) -> AsyncLease:
    """The next of them who holds it."""
    found: list[AsyncBackground[AsyncLease]] = []

    async def any_done() -> bool:
        found[:] = [one for one in background if one.done() and (await one.result()).held]
        return bool(found)

    await async_comes(any_done)
    return await found[0].result()


async def test_each_wait_ends_as_it_would_alone(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session, AsyncSession(other, ttl=600) as second:
        first = await second.lock(KEY).acquire()
        cancelled = session.lock(KEY)
        rest = [AsyncBackground(session.lock(KEY).acquire) for _ in range(2)]
        cancels = AsyncBackground(cancelled.acquire)
        await share_it(session, 2)
        with pytest.raises(AcquireTimeout) as caught:
            await session.lock(KEY).acquire(timeout=0.2)
        assert sum(one.held for one in caught.value.contenders) == 1
        await cancelled.cancel()
        with pytest.raises(AcquireCancelled, match="cancelled"):
            await cancels.result()
        await has_entries(other, 3)

        common = session._keeping._common_watches[KEY]
        await session.close()
        for one in rest:
            with pytest.raises(AcquireCancelled, match="session was closed"):
                await one.result()
        await has_entries(other, 1)
        assert first.held
        assert await first.release(timeout=SOON)

        async def is_over() -> bool:
            return not common._runs and common._watcher is None

        await async_comes(is_over)
