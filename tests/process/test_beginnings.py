"""Calls in a loop of what has ended, and beginnings that are interrupted: nothing else suffers from either."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2 import AsyncClient, Client, EtcdError, Timeout
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.faces import over
from tests.tools.leftovers import async_nothing_left, held, nothing_left
from tests.tools.waiting import SOON, async_until, until

pytestmark = FIRST_VERSION

REPEATED = 500


# -- calls in a loop ---------------------------------------------------------------------------------------------------


async def watch(client: AsyncClient) -> Callable[[], Any]:
    watcher = client.keys.watch("/x")
    assert await watcher.next(timeout=0.01) is None
    return lambda: watcher.next(timeout=SOON)


async def unbegun(client: AsyncClient) -> Callable[[], Any]:
    watcher = client.keys.watch("/x")
    return lambda: watcher.next(timeout=SOON)


async def entering(client: AsyncClient) -> Callable[[], Any]:
    return (await client.keys.watch("/x").__aenter__()).__aenter__


async def iterating(client: AsyncClient) -> Callable[[], Any]:
    watcher = await client.keys.watch("/x").__aenter__()

    async def iterate() -> None:
        async for _ in watcher:
            pytest.fail("no event was due")

    return iterate


async def changes(client: AsyncClient) -> Callable[[], Any]:
    reader = (await client.keys.mirror("/x").__aenter__()).changes()
    return lambda: reader.next(timeout=SOON)


async def closed_changes(client: AsyncClient) -> Callable[[], Any]:
    reader = (await client.keys.mirror("/x").__aenter__()).changes()
    reader.close()
    return lambda: reader.next(timeout=SOON)


async def iterating_changes(client: AsyncClient) -> Callable[[], Any]:
    reader = (await client.keys.mirror("/x").__aenter__()).changes()

    async def iterate() -> None:
        async for _ in reader:
            pytest.fail("no change was due")

    return iterate


async def wait_for(client: AsyncClient) -> Callable[[], Any]:
    mirror = await client.keys.mirror("/x").__aenter__()
    return lambda: mirror.wait_for(lambda state: False, timeout=SOON)


async def entering_mirror(client: AsyncClient) -> Callable[[], Any]:
    return (await client.keys.mirror("/x").__aenter__()).__aenter__


async def reading(client: AsyncClient) -> Callable[[], Any]:
    return lambda: client.keys.get("/x")


async def health(client: AsyncClient) -> Callable[[], Any]:
    return client.health


CLOSED = [
    watch,
    unbegun,
    entering,
    iterating,
    changes,
    closed_changes,
    iterating_changes,
    wait_for,
    entering_mirror,
    reading,
    health,
]


async def is_fair(call: Callable[[], Any]) -> None:
    """Whoever repeats it, whatever comes of it, lets another task run each time."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    try:
        before = turns
        for _ in range(REPEATED):
            with contextlib.suppress(ValueError, EtcdError):
                await call()
        assert turns - before >= REPEATED
    finally:
        task.cancel()


@pytest.mark.parametrize("what", CLOSED)
async def test_calls_of_what_was_closed_let_others_run(etcd: Server, transport: str, what: Any) -> None:
    client = AsyncClient(etcd.url, **over(transport))
    call = await what(client)
    await client.close()
    await is_fair(call)


@pytest.mark.load
async def test_calls_of_what_an_error_has_ended_let_others_run(etcd: Server, transport: str) -> None:
    async with AsyncClient(etcd.url, timeout=0.5, **over(transport)) as client:
        mirror = await client.keys.mirror("/x", patience=3).__aenter__()
        reader, watcher = mirror.changes(), client.keys.watch("/x")
        etcd.kill()
        await async_until(lambda: mirror.closed)
        with pytest.raises(EtcdError):
            await watcher.next()
        for call in (reader.next, watcher.next, watcher.__aenter__, lambda: mirror.wait_for(bool)):
            await is_fair(call)


async def test_calls_without_time_and_calls_that_are_fulfilled_at_once_let_others_run(
    etcd: Server, transport: str
) -> None:
    async with AsyncClient(etcd.url, **over(transport)) as client, client.keys.mirror("/x") as mirror:
        await is_fair(lambda: client.keys.get("/x", timeout=Timeout(total=1e-9)))
        await is_fair(lambda: mirror.wait_for(lambda state: True))


async def test_service_that_reads_a_watch_in_a_loop_can_be_stopped(etcd: Server, transport: str) -> None:
    """As it was reported: nothing could stop it, neither `cancel` nor a time limit, after the client was closed."""
    rounds = 0

    async def consume() -> None:
        nonlocal rounds
        while rounds < 100_000:  # in place of for ever, so that this fails where it would hang
            rounds += 1
            with contextlib.suppress(ValueError):
                await watcher.next(timeout=SOON)

    client = AsyncClient(etcd.url, **over(transport))
    watcher = client.keys.watch("/x")
    assert await watcher.next(timeout=0.01) is None
    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    await client.close()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


# -- interrupted beginnings --------------------------------------------------------------------------------------------


async def test_watch_whose_beginning_was_cancelled_can_be_begun_again(etcd: Server, transport: str) -> None:
    before = held()
    async with AsyncClient(etcd.url, **over(transport)) as client:
        await client.keys.set("/m/a", "1")
        for snapshots in (False, True):
            watcher: Any = client.keys.watch("/m", recursive=True, snapshots=snapshots)
            for begin in (watcher.next, watcher.__aenter__, watcher.__anext__):
                etcd.pause()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await begin()
                etcd.resume()
                assert not watcher.closed

            async with watcher:
                if snapshots:
                    assert (await watcher.next(timeout=SOON)).node.nodes[0].value == "1"
                await client.keys.set("/m/b", "1")
                assert (await watcher.next(timeout=SOON)).key == "/m/b"
    await async_nothing_left(before)


async def test_task_whose_watch_was_begun_by_a_cancelled_one_gets_its_events(etcd: Server, transport: str) -> None:
    async with AsyncClient(etcd.url, **over(transport)) as client:
        watcher = client.keys.watch("/a")
        etcd.pause()
        first = asyncio.create_task(watcher.next())
        await asyncio.sleep(0.01)
        second = asyncio.create_task(watcher.__anext__())
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        etcd.resume()
        while not second.done():
            await client.keys.set("/a", "1")
            await asyncio.sleep(0.01)
        assert (await second).value == "1"


async def test_mirror_whose_beginning_was_cancelled_can_be_begun_again(etcd: Server, transport: str) -> None:
    before = held()
    async with AsyncClient(etcd.url, **over(transport)) as client:
        await client.keys.set("/m/a", "1")
        mirror = client.keys.mirror("/m")
        for _ in range(2):
            etcd.pause()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await mirror.__aenter__()
            etcd.resume()
            assert not mirror.closed
        async with mirror:
            assert list(mirror) == ["/m/a"]
    await async_nothing_left(before)


class Interrupted(Exception):
    """What a signal handler raises."""


@contextlib.contextmanager
def interrupted_when(condition: Callable[[], object]) -> Iterator[None]:
    """A signal handler raises Interrupted out of the block when the condition has come true."""

    def handler(*_: object) -> None:
        raise Interrupted

    def send() -> None:
        until(condition)
        time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGUSR1)

    main = threading.get_ident()
    previous = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, previous)


def test_beginning_that_a_signal_interrupts_leaves_watch_and_mirror_unbegun(etcd: Server, transport: str) -> None:
    before = held()
    asked: list[str] = []
    client = Client(etcd.url, before_attempt=lambda info: asked.append(info.operation), **over(transport))
    with client:
        client.keys.set("/m/a", "1")
        watcher, mirror = client.keys.watch("/m", recursive=True), client.keys.mirror("/m")
        for begin in (watcher.next, watcher.__enter__, mirror.__enter__):
            etcd.pause()
            asked.clear()
            with pytest.raises(Interrupted), interrupted_when(lambda: asked):
                begin()
            etcd.resume()
        assert (watcher.closed, mirror.closed) == (False, False)
        with watcher, mirror:
            assert list(mirror) == ["/m/a"]
            client.keys.set("/m/a", "2")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "2"
    nothing_left(before)
