"""What only the asyncio transport promises: cancellation, event loops that come and go, many tasks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from etcdv2._core.deadline import NEVER
from etcdv2._core.wire import Limits, Request, Sent, TransportFailure
from etcdv2._transport.loop import AsyncFastTransport
from tests.tools.fault_server import FaultServer, answer_bytes, before_reading, drip, echo, raw, stall
from tests.tools.transport_drivers import GET, LATE, PUT, SOON
from tests.tools.waiting import async_until

MANY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FOR_EVER = Limits(None, None, NEVER)


@pytest.fixture
async def one_place() -> AsyncIterator[AsyncFastTransport]:
    transport = AsyncFastTransport(max_connections=1)
    yield transport
    await transport.close()


async def until_received(server: FaultServer, number: int) -> None:
    async with asyncio.timeout(5):
        while len(server.requests) < number:  # noqa: ASYNC110 - the server lives in a thread
            await asyncio.sleep(0.002)


async def cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("begun", [b"", answer_bytes(body=b"wrong")[:-2]])
async def test_cancelled_call_closes_its_connection_and_leaves_its_place(
    one_place: AsyncFastTransport, begun: bytes
) -> None:
    with FaultServer(drip([begun, b"ng"], 0.1), default=echo()) as server:
        task: asyncio.Task[object] = asyncio.create_task(one_place.send(server.endpoint, GET, FOR_EVER))
        await until_received(server, 1)
        await asyncio.sleep(0.02)
        await cancel(task)
        assert (await one_place.send(server.endpoint, GET, SOON)).body == b"/v2/keys/a"
        assert [received.connection for received in server.requests] == [1, 2]
        async with asyncio.timeout(5):
            while server.open_connections > 1:  # noqa: ASYNC110 - the server lives in a thread
                await asyncio.sleep(0.002)


async def test_call_cancelled_while_connecting_leaves_its_place(one_place: AsyncFastTransport) -> None:
    with FaultServer(default=before_reading(stall())) as silent, FaultServer(default=echo()) as server:
        endpoint = silent.endpoint._replace(scheme="https")
        for number in (1, 2):
            task: asyncio.Task[object] = asyncio.create_task(one_place.send(endpoint, GET, FOR_EVER))
            await async_until(lambda: silent.connections == number)  # noqa: B023
            await cancel(task)
        assert (await one_place.send(server.endpoint, GET, SOON)).body == b"/v2/keys/a"


async def test_call_cancelled_in_the_queue_does_not_lose_the_place(one_place: AsyncFastTransport) -> None:
    with FaultServer(drip(answer_bytes(), 0.002), default=echo()) as server:
        holder = asyncio.create_task(one_place.send(server.endpoint, GET, SOON))
        await until_received(server, 1)
        queued: list[asyncio.Task[object]] = [
            asyncio.create_task(one_place.send(server.endpoint, GET, SOON)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        await cancel(queued[1])
        await holder
        await cancel(queued[0]) if not queued[0].done() else await queued[0]
        await queued[2]
        assert (await one_place.send(server.endpoint, GET, SOON)).body == b"/v2/keys/a"


async def test_place_given_to_a_call_that_is_cancelled_at_that_moment_is_passed_on(
    one_place: AsyncFastTransport,
) -> None:
    with FaultServer(stall(), default=echo()) as server:
        holder: asyncio.Task[object] = asyncio.create_task(one_place.send(server.endpoint, GET, FOR_EVER))
        await until_received(server, 1)
        first: asyncio.Task[object] = asyncio.create_task(one_place.send(server.endpoint, GET, SOON))
        second = asyncio.create_task(one_place.send(server.endpoint, GET, SOON))
        await asyncio.sleep(0)
        holder.cancel()
        await asyncio.sleep(0)  # now the place was handed to `first`, which has not run since
        first.cancel()
        assert (await second).body == b"/v2/keys/a"
        results = await asyncio.gather(holder, first, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2


async def test_cancelled_read_of_a_stream_loses_nothing(one_place: AsyncFastTransport) -> None:
    with FaultServer(drip([MANY, b"3\r\none\r\n", b"0\r\n\r\n"], 0.1)) as server:
        stream = await one_place.open(server.endpoint, GET, SOON)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await stream.read()
        assert await stream.read() == b"one"
        assert await stream.read() == b""
        await stream.close()


async def test_abort_on_the_loop_itself_wakes_the_reader(one_place: AsyncFastTransport) -> None:
    with FaultServer(raw(MANY, stall=True)) as server:
        stream = await one_place.open(server.endpoint, GET, SOON)
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0.02)
        stream.abort()
        with pytest.raises(TransportFailure) as caught:
            await reading
        assert caught.value.aborted
        await stream.close()


async def test_many_tasks_share_few_connections_and_get_their_own_answers() -> None:
    transport = AsyncFastTransport(max_connections=4)

    async def ask(who: int) -> bool:
        target = f"/{who}"
        return (await transport.send(server.endpoint, GET._replace(target=target), SOON)).body == target.encode()

    with FaultServer(default=echo()) as server:
        assert all(await asyncio.gather(*(ask(who) for who in range(400))))
        assert server.connections <= 4
        await transport.close()


async def test_tasks_cancelled_at_any_moment_never_mix_answers() -> None:
    transport = AsyncFastTransport(max_connections=3)
    wrong: list[bytes] = []

    async def ask(who: int) -> None:
        target = f"/{who}"
        async with asyncio.timeout((who % 40) / 10000):
            reply = await transport.send(server.endpoint, GET._replace(target=target), SOON)
        if reply.body != target.encode():
            wrong.append(reply.body)

    with FaultServer(default=echo()) as server:
        await asyncio.gather(*(ask(who) for who in range(600)), return_exceptions=True)
        assert wrong == []
        assert (await transport.send(server.endpoint, GET, SOON)).body == b"/v2/keys/a"
        await transport.close()


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_loop_after_loop_has_its_own_connections(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def run(work: Coroutine[Any, Any, bytes]) -> bytes:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(work)

    transport = AsyncFastTransport()

    async def ask() -> bytes:
        return (await transport.send(server.endpoint, GET, SOON)).body

    async def ask_and_close() -> bytes:
        body = await ask()
        async with asyncio.timeout(2):
            while server.open_connections > 1:  # noqa: ASYNC110 - the server lives in a thread
                await asyncio.sleep(0.002)
        await transport.close()
        return body

    with FaultServer(default=echo()) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # asyncio's own, about the loop that was left open-handed
            assert run(ask()) == b"/v2/keys/a"
            gc.disable()  # the first loop's connection is not to end by chance
            try:
                assert run(ask_and_close()) == b"/v2/keys/a"
            finally:
                gc.enable()
            gc.collect()
        assert [received.connection for received in server.requests] == [1, 2]
        end = time.monotonic() + LATE
        while server.open_connections and time.monotonic() < end:
            time.sleep(0.002)
        assert server.open_connections == 0


def test_close_on_one_loop_frees_a_call_on_another() -> None:
    transport = AsyncFastTransport()
    failures: list[TransportFailure] = []

    def other() -> None:
        try:
            asyncio.run(transport.send(server.endpoint, PUT, FOR_EVER))
        except TransportFailure as failure:
            failures.append(failure)

    with FaultServer(default=stall()) as server:
        thread = threading.Thread(target=other)
        thread.start()
        asyncio.run(until_received(server, 1))
        asyncio.run(transport.close())
        thread.join(2)
    assert [(failure.aborted, failure.sent) for failure in failures] == [(True, Sent.WHOLE)]


async def test_few_objects_are_left_after_many_calls(one_place: AsyncFastTransport) -> None:
    with FaultServer(default=echo()) as server:
        for _ in range(10):
            await one_place.send(server.endpoint, GET, SOON)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(200):
            await one_place.send(server.endpoint, GET, SOON)
        gc.collect()
        assert len(gc.get_objects()) - before < 200 * 3  # the server keeps each request: a tuple and a dict
        handles = getattr(asyncio.get_running_loop(), "_scheduled", [])
        assert len(handles) < 10


async def test_request_whose_line_is_long_is_warmed_up_within_the_same_place(one_place: AsyncFastTransport) -> None:
    with FaultServer(default=echo()) as server:
        long = Request("GET", "/" + "a" * 5000, ())
        assert (await one_place.send(server.endpoint, long, SOON)).body == long.target.encode()
        assert server.connections == 1


async def test_connection_closed_while_the_loop_was_held_up_is_not_used(one_place: AsyncFastTransport) -> None:
    with FaultServer(default=echo()) as server:
        await one_place.send(server.endpoint, GET, SOON)
        server.hang_up()
        time.sleep(0.1)  # noqa: ASYNC251 - so that the loop cannot see the end
        assert (await one_place.send(server.endpoint, PUT, SOON)).body == b"/v2/keys/a"
        assert server.connections == 2
