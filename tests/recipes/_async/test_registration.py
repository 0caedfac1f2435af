"""Registrations at a real server: there for as long as they are open, and made again."""

from __future__ import annotations

import gc

import pytest

from etcdv2 import AsyncClient, KeyExists
from etcdv2.recipes import AsyncSession
from etcdv2.testing import Server
from tests.recipes._async.waits import async_comes, async_is_gone, async_renew_now
from tests.tools.waiting import SOON


async def value_of(client: AsyncClient, key: str) -> str | None:
    found = await client.keys.get(key, default=None)
    return None if found is None else found.value


async def test_it_is_made_again_when_it_was_deleted_with_its_new_value(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session:
        registration = await session.register("/services/web/a", "10.0.0.7:80")
        first = registration.token
        assert registration.held
        assert registration.away_since is None
        assert await value_of(other, "/services/web/a") == "10.0.0.7:80"

        assert await registration.update("10.0.0.7:81", timeout=SOON) is True
        assert (registration.value, registration.token) == ("10.0.0.7:81", first)
        assert await value_of(other, "/services/web/a") == "10.0.0.7:81"

        await other.keys.delete("/services/web/a")
        async_renew_now(session, registration)

        async def is_back() -> bool:
            return registration.token > first and registration.held

        await async_comes(is_back)
        assert await value_of(other, "/services/web/a") == "10.0.0.7:81"
        assert (registration.away_since, registration.reason) == (None, "")

        assert await registration.release(timeout=SOON) is True
        assert await value_of(other, "/services/web/a") is None
        assert await registration.release(timeout=SOON) is True
        with pytest.raises(ValueError, match="released"):
            await registration.update("late")


async def test_somebody_elses_key_is_taken_only_where_that_is_asked_for(
    client: AsyncClient, other: AsyncClient
) -> None:
    await other.keys.set("/services/web/a", "theirs")
    async with AsyncSession(client, ttl=600) as session:
        with pytest.raises(KeyExists):
            await session.register("/services/web/a", "mine")
        async with await session.register("/services/web/a", "mine", takeover=True) as registration:
            assert registration.held
            assert await value_of(other, "/services/web/a") == "mine"
        await async_is_gone(other, "/services/web/a")


async def test_while_somebody_else_has_the_key_it_is_away_and_says_so(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=600) as session:
        registration = await session.register("/services/web/a", "mine")
        await other.keys.set("/services/web/a", "theirs")
        async_renew_now(session, registration)

        async def is_away() -> bool:
            return registration.reason == "somebody else has the key"

        await async_comes(is_away)
        assert not registration.held
        assert registration.away_since is not None
        assert await value_of(other, "/services/web/a") == "theirs"

        await other.keys.delete("/services/web/a")

        async def is_back() -> bool:
            return registration.held

        await async_comes(is_back)
        assert await value_of(other, "/services/web/a") == "mine"


async def test_it_is_back_after_an_outage_longer_than_its_ttl(etcd: Server, other: AsyncClient) -> None:
    async with AsyncClient(etcd.url) as client, AsyncSession(client, ttl=2) as session:
        registration = await session.register("/services/web/a", "mine")
        first = registration.token
        etcd.pause()
        try:

            async def is_away() -> bool:
                return not registration.held

            await async_comes(is_away)
        finally:
            etcd.resume()

        async def is_back() -> bool:
            return registration.token > first and await value_of(other, "/services/web/a") == "mine"

        await async_comes(is_back)


async def test_one_that_was_forgotten_is_deleted_with_a_warning(client: AsyncClient, other: AsyncClient) -> None:
    async with AsyncSession(client, ttl=3600) as session:
        registration = await session.register("/services/web/a", "mine")
        with pytest.warns(ResourceWarning, match="forgotten"):  # noqa: PT031 - the collector warns
            del registration
            gc.collect()
        await async_is_gone(other, "/services/web/a")


async def test_the_session_and_the_client_delete_it(etcd: Server, other: AsyncClient) -> None:
    async with AsyncClient(etcd.url) as client:
        async with AsyncSession(client, ttl=3600) as session:
            kept = await session.register("/services/web/a", "mine")
        assert not kept.held
        assert await value_of(other, "/services/web/a") is None
        left = await AsyncSession(client, ttl=3600).register("/services/web/b", "mine")
    assert not left.held
    assert await value_of(other, "/services/web/b") is None
