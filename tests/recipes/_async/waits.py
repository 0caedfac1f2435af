"""Waiting until a server shows something."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection

from etcdv2 import AsyncClient
from etcdv2._runtime.primitives import async_sleep
from etcdv2.recipes import AsyncLease, AsyncRegistration, AsyncSession
from tests.tools.waiting import SOON


async def async_comes(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for it, not for ever."""
    ends = time.monotonic() + SOON
    while not await condition():
        assert time.monotonic() < ends, "it never came true"
        await async_sleep(0.01)


async def async_waits(session: AsyncSession, before: Collection[object]) -> None:
    """Waits until one more of the session waits than `before`, which was `_keeping.waits.all()`."""

    async def one_more() -> bool:
        return any(wait not in before for wait in session._keeping.waits.all())

    await async_comes(one_more)


async def async_is_gone(client: AsyncClient, key: str) -> None:
    """Waits until there is no such key."""

    async def gone() -> bool:
        return await client.keys.get(key, default=None) is None

    await async_comes(gone)


def async_renew_now(session: AsyncSession, kept: AsyncLease | AsyncRegistration) -> None:
    """What is due later: so its TTL can be longer than any machine is slow."""
    session._keeping.look_at(kept._held_key if isinstance(kept, AsyncLease) else kept._presence)
