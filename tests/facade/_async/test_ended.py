"""Watches and mirrors that have ended: what their calls raise, again and again, and how iterations end."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterUnavailable, EtcdError, HistoryCleared
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.waiting import SOON
from tests.tools.writers import async_foreign_writes

Call = Callable[[], Any]


async def has_ended(iterator: AsyncIterator[Any]) -> None:
    async for item in iterator:
        pytest.fail(f"{item} was not due")


async def test_next_of_a_closed_watch_is_refused_and_its_iteration_ends(client: AsyncClient) -> None:
    async with client.keys.watch("/x") as watcher:
        await client.keys.set("/x", "never taken")
    unbegun = client.keys.watch("/x")
    await unbegun.close()
    for closed in (watcher, unbegun):
        await has_ended(closed)
        for timeout in (None, SOON):
            with pytest.raises(ValueError, match=r"^the watch of /x is closed$"):
                await closed.next(timeout)
        with pytest.raises(ValueError, match=r"^the watch of /x is closed$"):
            await closed.__aenter__()


@pytest.mark.parametrize("what", ["mirror", "client"])
async def test_calls_of_a_closed_mirror_are_refused_and_its_iteration_ends(client: AsyncClient, what: str) -> None:
    await client.keys.set("/m/a", "1")
    async with client.keys.mirror("/m") as mirror:
        changes, other = mirror.changes(), mirror.changes(existing=True)
        other.close()
        with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
            await other.next()
        await has_ended(other)

        await client.keys.set("/m/b", "1")
        await mirror.wait_for(lambda state: "/m/b" in state, SOON)
        await (client if what == "client" else mirror).close()
        left = await changes.next()
        assert left is not None
        assert left.key == "/m/b"  # what came before the end is still given
        for predicate in (lambda state: True, lambda state: False):
            with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
                await mirror.wait_for(predicate)
        for reader in (changes, other):
            with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
                await reader.next(SOON)
            await has_ended(reader)
    assert mirror["/m/a"].value == "1"


async def again_and_again(call: Call) -> EtcdError:
    """What the call raises each time: the same error, with the same traceback, in an object of its own."""
    errors: list[EtcdError] = []
    for _ in range(20):
        with pytest.raises(EtcdError) as caught:
            await call()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == len(errors)
    first = errors[0]
    for error in errors[1:]:
        assert (type(error), error.args, error.__dict__) == (type(first), first.args, first.__dict__)
        assert error.__cause__ is first.__cause__
        assert len(traceback.extract_tb(error.__traceback__)) <= len(traceback.extract_tb(first.__traceback__)) + 2
    return first


async def test_error_of_an_ended_watch_is_as_large_the_last_time_as_the_first(
    client: AsyncClient, etcd: Server
) -> None:
    await async_foreign_writes(etcd, 1010)
    watcher = client.keys.watch("/x", after_index=1)
    assert isinstance(await again_and_again(lambda: watcher.next(SOON)), HistoryCleared)
    assert isinstance(await again_and_again(watcher.__aenter__), HistoryCleared)
    assert isinstance(await again_and_again(watcher.__anext__), HistoryCleared)


@pytest.mark.load
async def test_error_of_an_ended_mirror_is_as_large_the_last_time_as_the_first(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=10)
    async with client.keys.mirror("/m", patience=3) as mirror:
        changes = mirror.changes()
        etcd.kill()
        error = await again_and_again(lambda: mirror.wait_for(lambda state: False, SOON))
        assert isinstance(error, ClusterUnavailable)
        for call in (lambda: mirror.wait_for(lambda state: True), lambda: changes.next(SOON), changes.__anext__):
            assert str(await again_and_again(call)) == str(error)
        assert str(await again_and_again(mirror.__aenter__)) == str(error)
