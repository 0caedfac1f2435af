"""Async calls cancelled at every one of their awaits, and at random moments under load: the client stays sound."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from etcdv2 import TLS, AsyncClient, AttemptInfo
from etcdv2._core.wire import Sent
from etcdv2._transport import loop as loop_transport
from etcdv2._transport.failures import failure
from etcdv2._transport.loop_connection import AsyncConnection
from etcdv2.testing import Certificates, Server
from tests.conftest import FIRST_VERSION
from tests.tools.faces import over
from tests.tools.leftovers import async_nothing_left, collect_lost_by_anyio, held
from tests.tools.stepping import MOMENTS, Moment, Work, alone, cancel_at, series, sound
from tests.tools.waiting import SOON

pytestmark = FIRST_VERSION

# -- what is cancelled ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _collected_when_a_test_says_so() -> Iterator[None]:
    """Before that, what anyio lost would be told of wherever the collector came by."""
    gc.disable()
    yield
    gc.enable()


async def get(client: AsyncClient) -> None:
    assert (await client.keys.get("/tree/a")).value == "a"


async def quorum(client: AsyncClient) -> None:
    assert (await client.keys.get("/tree/b", quorum=True)).value == "b"


async def write(client: AsyncClient) -> None:
    assert (await client.keys.set("/w", "written")).value == "written"


async def tree(client: AsyncClient) -> None:
    found = await client.keys.get("/tree", recursive=True, sorted=True)
    assert {node.name: node.value for node in found.leaves()} == {"a": "a", "b": "b", "large": "l" * 100_000}


async def long_line(client: AsyncClient) -> None:
    assert not await client.keys.exists("/" + "x" * 5000)


async def modify(client: AsyncClient) -> None:
    assert (await client.keys.modify("/count", lambda text: f"{int(text) + 1}", default="0")).value is not None


async def health(client: AsyncClient) -> None:
    assert (await client.health()).healthy


async def sync(client: AsyncClient) -> None:
    assert len(await client.sync()) == 1


async def auth(client: AsyncClient) -> None:
    assert not await client.auth.enabled()
    assert await client.auth.users.list() == ()


async def watch(client: AsyncClient) -> None:
    written = await client.keys.get("/tree/a")  # long ago, or by the test before, others were
    async with client.keys.watch("/tree", recursive=True, after_index=written.node.modified_index - 1) as watcher:
        for name in ("a", "b"):
            event = await watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == name


async def quiet_watch(client: AsyncClient) -> None:
    async with client.keys.watch("/quiet") as watcher:
        assert await watcher.next(timeout=0.01) is None


async def snapshots(client: AsyncClient) -> None:
    async with client.keys.watch("/tree", recursive=True, snapshots=True) as watcher:
        assert await watcher.next(timeout=SOON) is not None


async def mirror(client: AsyncClient) -> None:
    async with client.keys.mirror("/tree") as copy:
        assert copy["/tree/a"].value == "a"
        assert await copy.wait_for(lambda state: "/tree/b" in state)
        assert not await copy.wait_for(lambda state: "/tree/z" in state, timeout=0.01)


async def changes(client: AsyncClient) -> None:
    async with client.keys.mirror("/tree") as copy:
        reading = copy.changes(existing=True)
        assert [change.key async for change in _first(reading, 3)] == ["/tree/a", "/tree/b", "/tree/large"]
        assert await reading.next(timeout=0.01) is None


async def _first(reading: Any, count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await reading.next(timeout=SOON)


WORKS: list[Work] = [get, quorum, write, tree, long_line, modify, health, sync, auth]
WATCHING: list[Work] = [watch, quiet_watch, snapshots, mirror, changes]


async def prepare(client: AsyncClient) -> None:
    for name, value in (("a", "a"), ("b", "b"), ("large", "l" * 100_000)):
        await client.keys.set(f"/tree/{name}", value)


@pytest.mark.thorough
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("work", WORKS + WATCHING)
async def test_call_cancelled_at_any_await_leaves_the_client_sound(
    etcd: Server, transport: str, work: Work, moment: Moment
) -> None:
    if work is long_line and transport == "httpx":
        work = get  # httpx does not say whether a connection is fresh, so such a line is refused
    before = held()
    async with AsyncClient(etcd.url, max_connections=1, **over(transport)) as client:
        await prepare(client)
        assert await series(client, work, moment) >= 1
    collect_lost_by_anyio(transport)
    await async_nothing_left(before)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_first_call_cancelled_at_any_await_leaves_nothing_over_tls(
    secure: Server, certificates: Certificates, moment: Moment
) -> None:
    tls = TLS(ca_file=certificates.ca_file)
    async with AsyncClient(secure.url, tls=tls) as client:
        await prepare(client)
    before = held()
    for work in (get, write, watch):
        number, more = 1, True
        while more:
            async with AsyncClient(secure.url, tls=tls, max_connections=1) as client:
                more = await cancel_at(work(client), number, moment)
                await sound(client, number)
            number += 1
        assert number > 3
    await async_nothing_left(before)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_close_cancelled_at_any_await_can_be_called_again(etcd: Server, transport: str, moment: Moment) -> None:
    before = held()
    number, more = 1, True
    while more:
        client = AsyncClient(etcd.url, **over(transport))
        await prepare(client)
        watcher = await client.keys.watch("/tree").__aenter__()
        copy = await client.keys.mirror("/tree").__aenter__()
        more = await cancel_at(client.close(), number, moment)
        async with asyncio.timeout(SOON):
            await client.close()
        assert copy.closed
        for call in (watcher.next(), copy.wait_for(bool), client.keys.get("/tree")):
            with pytest.raises(ValueError, match="closed"):
                await call
        await alone()
        number += 1
    collect_lost_by_anyio(transport)
    await async_nothing_left(before)


async def late_answer(server: Server, client: AsyncClient) -> None:
    """The server answers only when the call was cancelled and the next ones were sent."""
    await sound(client, 0)
    server.pause()
    try:
        calls: list[asyncio.Task[None]] = [asyncio.create_task(get(client))]
        await turns()
        calls[0].cancel()
        await asyncio.wait(calls)
        assert calls[0].cancelled()
        following = asyncio.create_task(sound(client, 1))
        await turns()
    finally:
        server.resume()
    await following


async def turns() -> None:
    """So many turns of the loop that a request is written."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def test_answer_that_comes_after_its_call_was_cancelled_is_given_to_nobody(etcd: Server, transport: str) -> None:
    async with AsyncClient(etcd.url, max_connections=1, **over(transport)) as client:
        await prepare(client)
        await late_answer(etcd, client)


# -- at random moments ---------------------------------------------------------------------------------------------


async def random_ends(client: AsyncClient, tasks: int, rng: random.Random) -> int:
    """Tasks that end their calls by `timeout`, `wait_for` and `cancel`; how many were ended."""
    ended = 0

    async def talk(who: int) -> None:
        nonlocal ended
        for number in range(12):
            value = f"{who}-{number}"
            with contextlib.suppress(TimeoutError):
                ended += 1
                if number % 3 == 0:
                    await asyncio.wait_for(client.keys.set(f"/talk/{who}", value), rng.uniform(0, 0.01))
                else:
                    async with asyncio.timeout(rng.uniform(0, 0.01)):
                        await client.keys.get(f"/talk/{who}")
                ended -= 1
            own = await client.keys.set(f"/talk/{who}", value)
            assert own.node.key == f"/talk/{who}"
            found = await client.keys.get(f"/talk/{who}")
            assert found.node.key == f"/talk/{who}"
            assert found.value == value or ended

    for who in range(tasks):
        await client.keys.set(f"/talk/{who}", "")
    await asyncio.gather(*(talk(who) for who in range(tasks)))
    return ended


async def test_calls_ended_at_random_moments_under_load_never_mix_answers(etcd: Server, transport: str) -> None:
    before = held()
    errors: list[AttemptInfo] = []

    def note(info: AttemptInfo) -> None:
        if info.error not in (None, "CancelledError"):
            errors.append(info)

    settings: dict[str, Any] = (
        {"after_attempt": note} if transport == "fast" else {}
    )  # httpx reports its own end as a failure
    async with AsyncClient(etcd.url, max_connections=3, **settings, **over(transport)) as client:
        tasks = 24 if transport == "fast" else 6
        assert await random_ends(client, tasks, random.Random(7)) > tasks
        await sound(client, 0)
        await alone()
    assert not errors
    collect_lost_by_anyio(transport)
    await async_nothing_left(before)


async def test_failing_sibling_in_a_task_group_ends_all_calls_and_watches(etcd: Server, transport: str) -> None:
    before = held()
    async with AsyncClient(etcd.url, max_connections=2, **over(transport)) as client:
        await prepare(client)

        async def busy(who: int) -> None:
            while True:
                await (write if who % 2 else tree)(client)

        async def watching() -> None:
            async with client.keys.watch("/none") as watcher:
                await watcher.next()

        async def mirroring() -> None:
            async with client.keys.mirror("/tree") as copy:
                await copy.wait_for(lambda state: False)

        async def fail(after: float) -> None:
            await asyncio.sleep(after)
            raise LookupError("the sibling")

        async def all_of_them(after: float) -> None:
            async with asyncio.TaskGroup() as group:
                for work in (*(busy(n) for n in range(6)), watching(), watching(), mirroring(), fail(after)):
                    group.create_task(work)

        for after in (0.0, 0.003, 0.02, 0.1):
            with pytest.raises(ExceptionGroup) as caught:
                await all_of_them(after)
            assert [str(error) for error in caught.value.exceptions] == ["the sibling"]
            await sound(client, 0)
            await alone()
    collect_lost_by_anyio(transport)
    await async_nothing_left(before)


# -- broken clients are found out ----------------------------------------------------------------------------------


async def found_out(etcd: Server, work: Callable[[AsyncClient], Awaitable[object]]) -> bool:
    client = AsyncClient(etcd.url, max_connections=1, timeout=1)
    try:
        await prepare(client)
        await work(client)
    except Exception:
        return True
    except BaseExceptionGroup:
        return True
    finally:
        await client.close()
    return False


def _cancelling() -> bool:
    return isinstance(sys.exc_info()[1], asyncio.CancelledError)


async def test_connection_kept_with_its_answer_unread_is_found_out(
    etcd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = AsyncConnection.end

    def keep(self: AsyncConnection, error: BaseException) -> None:
        if _cancelling():
            transport: Any = self._on_end.__self__  # type: ignore[attr-defined]
            next(iter(transport.pools.values())).idle.append(self)
        else:
            end(self, error)

    monkeypatch.setattr(AsyncConnection, "end", keep)
    assert await found_out(etcd, lambda client: late_answer(etcd, client))


async def test_place_that_a_cancelled_call_keeps_is_found_out(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = loop_transport._leave

    def keep(pool: Any) -> None:
        if not _cancelling():
            leave(pool)

    monkeypatch.setattr(loop_transport, "_leave", keep)
    assert await found_out(etcd, lambda client: series(client, get, "waiting"))


async def test_cancellation_taken_for_a_failure_is_found_out(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    send = loop_transport.AsyncFastTransport.send

    async def fails(self: Any, *arguments: Any) -> Any:
        try:
            return await send(self, *arguments)
        except asyncio.CancelledError:
            raise failure(ConnectionResetError(), "wait", Sent.WHOLE) from None

    monkeypatch.setattr(loop_transport.AsyncFastTransport, "send", fails)
    assert await found_out(etcd, lambda client: series(client, get, "waiting"))


@pytest.mark.parametrize("moment", MOMENTS)
async def test_call_cancelled_at_any_await_breaks_no_other_one_that_gets_its_connection(
    etcd: Server, transport: str, moment: Moment
) -> None:
    async with AsyncClient(etcd.url, max_connections=1, **over(transport)) as client:
        await prepare(client)
        number, more = 1, True
        while more:
            cancelled = asyncio.create_task(cancel_at(get(client), number, moment))
            await asyncio.sleep(0)  # it is the first in the pool
            waiting = asyncio.create_task(client.keys.set("/w", f"{number}"))
            more = await cancelled
            assert (await waiting).value == f"{number}"
            number += 1
        assert number > 2
