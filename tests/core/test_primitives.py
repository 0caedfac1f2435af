"""Both halves of each pair behave alike: the same steps, once for asyncio and once for threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import pytest

from etcdv2._runtime import channels as _channels
from etcdv2._runtime import primitives as _primitives
from etcdv2._runtime.channels import AsyncChannel, Channel
from etcdv2._runtime.primitives import (
    AsyncPulse,
    AsyncWorker,
    Pulse,
    Worker,
    async_deadline,
    async_sleep,
    deadline,
    sleep,
)
from tests.tools.waiting import async_until

SOON = 0.02
LONG = 60.0
"""Seconds; never spent where a primitive works."""


class AsyncHalf:
    """The steps of a test in tasks of one event loop."""

    pulse = AsyncPulse
    channel: type[AsyncChannel[int]] = AsyncChannel

    async def run(self, step: Any) -> Any:
        return await step

    def beside(self, step: Callable[[], Any]) -> asyncio.Task[Any]:
        """Begin a step without waiting for it."""

        async def body() -> Any:
            return await step()

        return asyncio.get_running_loop().create_task(body())

    async def result(self, running: asyncio.Task[Any]) -> Any:
        return await asyncio.wait_for(running, LONG)

    async def pause(self) -> None:
        await asyncio.sleep(SOON)

    def worker(self, run: Callable[[], Any]) -> AsyncWorker:
        async def body() -> None:
            result = run()
            if isinstance(result, Coroutine):
                await result

        return AsyncWorker(body, "test")


class Beside(threading.Thread):
    """A thread with a result."""

    def __init__(self, step: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._step = step
        self.value: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self._step()
        except BaseException as error:
            self.error = error

    def done(self) -> bool:
        return not self.is_alive()


class ThreadHalf:
    """The steps of a test in threads. Awaiting here never suspends anything: the calls block by themselves."""

    pulse = Pulse
    channel: type[Channel[int]] = Channel

    async def run(self, step: Any) -> Any:
        return step

    def beside(self, step: Callable[[], Any]) -> Beside:
        return Beside(step)

    async def result(self, running: Beside) -> Any:
        running.join(LONG)
        assert running.done()
        if running.error is not None:
            raise running.error
        return running.value

    async def pause(self) -> None:
        time.sleep(SOON)  # noqa: ASYNC251  # blocks on purpose

    def worker(self, run: Callable[[], Any]) -> Worker:
        return Worker(run, "test")


@pytest.fixture(params=[AsyncHalf, ThreadHalf], ids=["asyncio", "threads"])
def half(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def test_pulse_that_is_not_set_is_waited_for_so_long(half: Any) -> None:
    pulse = half.pulse()
    began = time.monotonic()
    assert await half.run(pulse.wait(SOON)) is False
    assert SOON * 0.9 <= time.monotonic() - began < LONG / 2


async def test_pulse_wakes_every_waiter_and_stays_set(half: Any) -> None:
    pulse = half.pulse()
    waiters = [half.beside(lambda: pulse.wait(LONG)) for _ in range(3)] + [half.beside(lambda: pulse.wait(None))]
    await half.pause()
    pulse.set()
    pulse.set()
    assert [await half.result(waiter) for waiter in waiters] == [True] * 4
    assert await half.run(pulse.wait(SOON)) is True


async def test_channel_gives_items_in_order(half: Any) -> None:
    channel = half.channel(10)
    for item in range(3):
        await half.run(channel.put(item))
    assert [await half.run(channel.get(SOON)) for _ in range(3)] == [0, 1, 2]


async def test_empty_channel_gives_none_after_the_time(half: Any) -> None:
    channel = half.channel(1)
    began = time.monotonic()
    assert await half.run(channel.get(SOON)) is None
    assert SOON * 0.9 <= time.monotonic() - began < LONG / 2
    assert not channel.ended


async def test_waiting_reader_is_woken_by_an_item(half: Any) -> None:
    channel = half.channel(1)
    reader = half.beside(lambda: channel.get(None))
    await half.pause()
    await half.run(channel.put(7))
    assert await half.result(reader) == 7


async def test_full_channel_holds_the_writer_back(half: Any) -> None:
    channel = half.channel(2)
    for item in range(2):
        await half.run(channel.put(item))
    writer = half.beside(lambda: channel.put(2))
    await half.pause()
    assert not writer.done()
    assert await half.run(channel.get(LONG)) == 0
    await half.result(writer)
    assert [await half.run(channel.get(LONG)) for _ in range(2)] == [1, 2]


async def test_end_lets_the_queued_items_be_read_first(half: Any) -> None:
    channel = half.channel(3)
    await half.run(channel.put(1))
    channel.end()
    assert channel.ended
    assert await half.run(channel.get(None)) == 1
    assert await half.run(channel.get(None)) is None


async def test_error_comes_after_the_items_and_again(half: Any) -> None:
    channel = half.channel(3)
    await half.run(channel.put(1))
    channel.end(LookupError("gone"))
    assert await half.run(channel.get(None)) == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            await half.run(channel.get(None))


async def test_first_end_counts(half: Any) -> None:
    channel = half.channel(3)
    channel.end()
    channel.end(LookupError("too late"))
    assert await half.run(channel.get(None)) is None


async def test_end_wakes_waiting_readers(half: Any) -> None:
    channel = half.channel(1)
    readers = [half.beside(lambda: channel.get(None)) for _ in range(2)]
    await half.pause()
    channel.end()
    assert [await half.result(reader) for reader in readers] == [None, None]


async def test_end_wakes_a_waiting_writer_whose_item_is_dropped(half: Any) -> None:
    channel = half.channel(1)
    await half.run(channel.put(1))
    writer = half.beside(lambda: channel.put(2))
    await half.pause()
    channel.end()
    await half.result(writer)
    assert await half.run(channel.get(None)) == 1
    assert await half.run(channel.get(None)) is None


async def test_item_for_an_ended_channel_is_dropped(half: Any) -> None:
    channel = half.channel(1)
    channel.end()
    await half.run(channel.put(1))
    assert await half.run(channel.get(None)) is None


async def test_discard_forgets_what_is_queued_and_wakes_everybody(half: Any) -> None:
    channel = half.channel(1)
    await half.run(channel.put(1))
    writer = half.beside(lambda: channel.put(2))
    await half.pause()
    channel.discard()
    await half.result(writer)
    assert channel.ended
    assert await half.run(channel.get(None)) is None


async def test_every_item_reaches_one_of_several_readers_once(half: Any) -> None:
    channel = half.channel(3)
    readers = [half.beside(lambda: channel.get(LONG)) for _ in range(8)]
    for item in range(8):
        await half.run(channel.put(item))
    assert sorted([await half.result(reader) for reader in readers]) == list(range(8))


async def test_worker_runs_beside_and_is_joined(half: Any) -> None:
    pulse, ran = half.pulse(), list[int]()

    def run() -> Any:
        ran.append(1)
        return pulse.wait(LONG)

    worker = half.worker(run)
    await async_until(lambda: ran == [1])
    began = time.monotonic()
    await half.run(worker.join(SOON))
    assert time.monotonic() - began >= SOON * 0.9
    pulse.set()
    await half.run(worker.join(LONG))
    assert time.monotonic() - began < LONG / 2


async def test_worker_may_join_itself_without_waiting(half: Any) -> None:
    joined = half.pulse()
    workers: list[Any] = []
    ready = half.pulse()

    if isinstance(half, AsyncHalf):

        async def run_async() -> None:
            await ready.wait(LONG)
            await workers[0].join(LONG)
            joined.set()

        workers.append(half.worker(run_async))
    else:

        def run() -> None:
            ready.wait(LONG)
            workers[0].join(LONG)
            joined.set()

        workers.append(half.worker(run))
    ready.set()
    assert await half.run(joined.wait(LONG / 2))


async def test_cancel_of_a_worker_that_has_ended_does_nothing(half: Any) -> None:
    worker = half.worker(lambda: None)
    await half.run(worker.join(LONG))
    worker.cancel()
    worker.cancel()
    await half.run(worker.join(LONG))


async def test_cancel_from_another_thread_stops_a_task_at_once() -> None:
    ended = asyncio.Event()

    async def run() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.set()

    worker = AsyncWorker(run, "test")
    await asyncio.sleep(0)
    began = time.monotonic()
    thread = threading.Thread(target=worker.cancel)
    thread.start()
    await asyncio.wait_for(ended.wait(), LONG)
    thread.join()
    assert time.monotonic() - began < LONG / 2


def test_cancel_after_the_loop_has_ended_does_nothing() -> None:
    async def begin() -> AsyncWorker:
        async def run() -> None:
            await asyncio.sleep(LONG)

        return AsyncWorker(run, "test")

    asyncio.run(begin()).cancel()


async def test_pulse_set_from_another_thread_wakes_a_task_at_once() -> None:
    """A watcher may be closed from any thread: `abandon` sets its pulses."""
    pulse = AsyncPulse()
    thread = threading.Timer(SOON, pulse.set)
    thread.start()
    began = time.monotonic()
    assert await pulse.wait(LONG)
    assert time.monotonic() - began < LONG / 2
    thread.join()


def test_workers_are_daemons_so_that_a_program_can_end() -> None:
    names: list[tuple[str, bool]] = []
    worker = Worker(lambda: names.append((threading.current_thread().name, threading.current_thread().daemon)), "w")
    worker.join(LONG)
    assert names == [("w", True)]


async def test_sleep_sleeps(half: Any) -> None:
    began = time.monotonic()
    await half.run((async_sleep if isinstance(half, AsyncHalf) else sleep)(SOON))
    assert time.monotonic() - began >= SOON * 0.9


async def test_async_deadline_ends_the_block_and_none_does_not() -> None:
    with pytest.raises(TimeoutError):
        async with async_deadline(time.monotonic() + SOON):
            await asyncio.sleep(LONG)
    with pytest.raises(TimeoutError):
        async with async_deadline(time.monotonic() - 1):
            await asyncio.sleep(LONG)
    async with async_deadline(inf):
        await asyncio.sleep(0)


def test_deadline_of_threads_leaves_the_block_alone() -> None:
    with deadline(time.monotonic() - 1):
        ended = True
    assert ended


def test_every_pair_has_both_halves_with_the_same_methods() -> None:
    things = {**vars(_primitives), **vars(_channels)}
    pairs = sorted(name for name, thing in things.items() if isinstance(thing, type) and f"Async{name}" in things)
    assert pairs == ["Channel", "Pulse", "SocketThread", "Worker"]
    for name in pairs:
        plain, twin = things[name], things[f"Async{name}"]
        assert {n for n in vars(plain) if not n.startswith("_")} == {n for n in vars(twin) if not n.startswith("_")}
