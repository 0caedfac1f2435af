"""Those who contend at the same time share listings, and none takes one that was begun before it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from etcdv2.recipes._async.listing import AsyncListing, Found
from tests.tools.waiting import SOON, async_until


class Store:
    """Counts its listings; each is let go by `go`."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.fails: list[Exception] = []

    async def read(self) -> Found:
        self.begun += 1
        index = self.begun
        await self.go.wait()
        if self.fails:
            raise self.fails.pop(0)
        return index, ()


def within(seconds: float = SOON) -> Callable[[], float]:
    return lambda: seconds


async def test_whoever_comes_while_one_is_under_way_shares_the_next() -> None:
    store, listing = Store(), AsyncListing()
    first = asyncio.create_task(listing.begun_from_now_on(store.read, within()))
    await async_until(lambda: store.begun == 1, lambda: store.begun)
    others = [asyncio.create_task(listing.begun_from_now_on(store.read, within())) for _ in range(100)]
    await asyncio.sleep(0)
    store.go.set()
    assert (await first)[0] == 1
    assert {(await one)[0] for one in others} == {2}
    assert store.begun == 2


async def test_one_that_was_there_before_is_not_taken() -> None:
    store, listing = Store(), AsyncListing()
    store.go.set()
    assert [(await listing.begun_from_now_on(store.read, within()))[0] for _ in range(3)] == [1, 2, 3]


async def test_a_listing_that_fails_is_the_failure_of_its_own_caller() -> None:
    store, listing = Store(), AsyncListing()
    store.fails.append(OSError("lost"))
    tasks = [asyncio.create_task(listing.begun_from_now_on(store.read, within())) for _ in range(3)]
    await asyncio.sleep(0)
    store.go.set()
    with pytest.raises(OSError, match="lost"):
        await tasks[0]
    assert [(await one)[0] for one in tasks[1:]] == [2, 2]


@pytest.mark.parametrize("how", ["cancelled", "silent"])
async def test_a_listing_that_is_given_up_or_never_ends_holds_nobody(how: str) -> None:
    store, listing = Store(), AsyncListing()
    first = asyncio.create_task(listing.begun_from_now_on(store.read, within()))
    await async_until(lambda: store.begun == 1, lambda: store.begun)
    other = asyncio.create_task(listing.begun_from_now_on(store.read, within(0.01 if how == "silent" else SOON)))
    await asyncio.sleep(0)
    if how == "cancelled":
        first.cancel()
    await async_until(lambda: store.begun == 2, lambda: store.begun)  # by itself
    store.go.set()
    assert (await other)[0] == 2
    await asyncio.gather(first, return_exceptions=True)
