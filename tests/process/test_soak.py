"""Hours of calls, shortened: memory, descriptors, threads and tasks stay flat.

ETCDV2_SOAK_SECONDS=3600 says how long each of the two tests runs (6 seconds without it): calls of all kinds, failures,
timeouts, connections cut every moment, watches and mirrors opened and closed, cancellations. `-s` prints the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import itertools
import logging
import multiprocessing
import os
import random
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from etcdv2 import AsyncClient, Client, EtcdError, Timeout
from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.fault_server import TcpProxy
from tests.tools.leftovers import Held, async_nothing_left, held, nothing_left
from tests.tools.waiting import SOON

SECONDS = float(os.environ.get("ETCDV2_SOAK_SECONDS", "6"))
WINDOWS = 5
"""The first one warms up; then the end of each is a sample."""
WINDOW_CALLS = 2000
"""So many at least in each, however slow the machine is: enough for an object a call to stand out of chance."""
CONNECTIONS = 4
"""Few, so that it makes little difference how many are open at the moment of a sample."""
LOOKS, BETWEEN_LOOKS = 40, 0.02
"""At what is held for a sample, and seconds between two."""
CUT_EVERY = 0.15
CALLS_BETWEEN_CUTS = 20
"""One after another of a plain client."""
TIMES = Timeout(connect=1, attempt=1, commit=2, total=5)
CALLS = 30
"""In a cycle, beside the rest."""

pytestmark = [pytest.mark.load, FIRST_VERSION, pytest.mark.timeout(300 + 4 * SECONDS)]


class Sample(NamedTuple):
    calls: int
    cycles: int
    blocks: int
    """Of Python's allocator: objects of every kind, those that the collector does not track too."""
    resident: int
    held: Held


def cut_again_and_again(port: int, ports: Connection) -> None:
    """On a busy machine less often, so that calls get through between two cuts."""
    with TcpProxy("127.0.0.1", port) as proxy:
        ports.send(proxy.port)
        pause = CUT_EVERY
        while not ports.poll(pause):
            proxy.cut()
            began = time.monotonic()
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=SOON)) as connection:
                connection.request("GET", "/v2/keys/")
                connection.getresponse().read()
            pause = max(CUT_EVERY, CALLS_BETWEEN_CUTS * (time.monotonic() - began))


@pytest.fixture
def rough(etcd: Server, caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """The way to the server, on which every connection is cut after a moment; in a process of its own."""
    caplog.set_level(logging.CRITICAL, "etcdv2")  # pytest keeps every record
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=cut_again_and_again, args=(etcd.port, theirs))
    process.start()
    theirs.close()
    yield f"http://127.0.0.1:{ours.recv()}"
    ours.send(None)
    process.join()
    process.close()
    ours.close()


def sample(counts: list[int], looks: list[Held]) -> Sample:
    """`looks`: at what is held, one after the other: whoever is about to end counts in the first of them only."""
    gc.collect()
    gc.collect()
    fewest = Held(*map(min, zip(*looks, strict=True)))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(counts[0], counts[1], sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE"), fewest)


def look() -> Held:
    time.sleep(BETWEEN_LOOKS)
    return held()


async def async_look() -> Held:
    await asyncio.sleep(BETWEEN_LOOKS)
    return held()


def judge(samples: list[Sample]) -> None:
    """Fails when the later half stands above the earlier: by an object in five calls, a thread, a task, four sockets.

    500 objects and 4 MiB are left to chance: they say less and less the longer it runs. Some 1,000 come with the first
    5,000 calls, and 170 with the 12,000 calls from the 10,000th on (seen in a run of 60 seconds).
    """
    middle = len(samples) // 2
    early, late = samples[:middle], samples[-middle:]
    calls = late[0].calls - early[-1].calls
    for what, allowed in (("blocks", calls // 5 + 500), ("resident", (4 << 20) + 20 * calls)):
        more = min(getattr(one, what) for one in late) - max(getattr(one, what) for one in early)
        assert more <= allowed, f"{what}: {more} more after {calls} calls: {samples}"
    for number, what in enumerate(Held._fields):
        more = min(one.held[number] for one in late) - max(one.held[number] for one in early)
        # How many connections rest in the pool depends on how many calls have once met.
        assert more <= (3 if what == "sockets" else 0), f"{what}: {more} more: {samples}"


def show(kind: str, samples: list[Sample]) -> None:
    print(f"\n{kind}")
    for one in samples:
        print(
            f"{one.calls:>9} calls {one.cycles:>7} cycles {one.blocks:>8} blocks {one.resident >> 10:>8} KiB {one.held}"
        )


def deeds_of_all_kinds(client: Any, dead: Any, rng: random.Random) -> list[Callable[[], Any]]:
    """For either kind of client. `dead`: one whose cluster is not there."""
    keys = client.keys
    return [
        lambda: keys.get("/none"),
        lambda: keys.set("/soak/a", "x", timeout=rng.uniform(0.0002, 0.002)),
        lambda: keys.modify("/count", lambda text: f"{(int(text) + 1) % 1000}", default="0"),
        lambda: keys.create_in_order("/queue", "job", ttl=60),
        lambda: keys.delete("/queue", recursive=True),
        lambda: dead.keys.get("/", timeout=0.02),
        client.health,
        client.members.list,
    ]


# -- sync ----------------------------------------------------------------------------------------------------------


def cycle(client: Client, dead: Client, number: int, rng: random.Random) -> None:
    """A bit of everything; what the cut connections make of it does not matter here."""
    keys = client.keys

    def watch() -> None:
        with keys.watch("/soak", recursive=True) as watcher:
            keys.set("/soak/a", f"{number}")
            watcher.next(timeout=1)

    def mirror() -> None:
        with keys.mirror("/soak") as copy:
            changes = copy.changes(existing=True)
            keys.set("/soak/b", f"{number}")
            changes.next(timeout=1)
            copy.wait_for(lambda state: "/soak/b" in state, timeout=1)

    deeds = [watch, mirror, *deeds_of_all_kinds(client, dead, rng)]
    deeds += [lambda: keys.set("/soak/a", "y" * rng.randrange(2000)), lambda: keys.get("/", recursive=True)] * (
        CALLS // 2
    )
    for deed in deeds:
        with contextlib.suppress(EtcdError):
            deed()


def soak(url: str, seconds: float) -> list[Sample]:
    rng, counts, samples = random.Random(5), [0, 0], []

    def count(_: object) -> None:
        counts[0] += 1

    with (
        Client(url, timeout=TIMES, max_connections=CONNECTIONS, before_attempt=count) as client,
        Client("127.0.0.1:1", timeout=1) as dead,
    ):
        with client.keys.watch("/soak", snapshots=True) as lasting, client.keys.mirror("/") as mirror:
            for _ in range(WINDOWS):
                ends, enough = time.monotonic() + seconds / WINDOWS, counts[0] + WINDOW_CALLS
                while time.monotonic() < ends or counts[0] < enough:
                    cycle(client, dead, counts[1], rng)
                    counts[1] += 1
                    while lasting.next(timeout=0.001) is not None:
                        pass
                    assert mirror.error is None
                samples.append(sample(counts, [look() for _ in range(LOOKS)]))
    return samples[1:]


def test_sync_client_stays_flat(rough: str) -> None:
    before = held()
    samples = soak(rough, SECONDS)
    show("sync", samples)
    judge(samples)
    nothing_left(before)


# -- async ---------------------------------------------------------------------------------------------------------


async def async_cycle(client: AsyncClient, dead: AsyncClient, number: int, rng: random.Random) -> None:
    keys = client.keys

    async def watch() -> None:
        async with keys.watch("/soak", recursive=True) as watcher:
            await keys.set("/soak/a", f"{number}")
            await watcher.next(timeout=1)

    async def mirror() -> None:
        async with keys.mirror("/soak") as copy:
            changes = copy.changes(existing=True)
            await keys.set("/soak/b", f"{number}")
            await changes.next(timeout=1)
            await copy.wait_for(lambda state: "/soak/b" in state, timeout=1)

    async def cancelled() -> None:
        async with asyncio.timeout(rng.uniform(0, 0.004)):
            await asyncio.gather(watch(), mirror(), *(keys.get("/", recursive=True) for _ in range(5)))

    deeds = [watch, mirror, cancelled, cancelled, *deeds_of_all_kinds(client, dead, rng)]
    for deed in deeds:
        with contextlib.suppress(EtcdError, TimeoutError):
            await deed()
    reads = [keys.get("/", recursive=True) for _ in range(CALLS // 2)]
    writes = [keys.set("/soak/a", "y" * rng.randrange(2000)) for _ in range(CALLS // 2)]
    for outcome in await asyncio.gather(*reads, *writes, return_exceptions=True):
        assert not isinstance(outcome, BaseException) or isinstance(outcome, EtcdError), outcome


async def async_soak(url: str, seconds: float) -> list[Sample]:
    rng, counts, samples = random.Random(5), [0, 0], []

    def count(_: object) -> None:
        counts[0] += 1

    async with AsyncClient(url, timeout=TIMES, max_connections=CONNECTIONS, before_attempt=count) as client:
        async with AsyncClient("127.0.0.1:1", timeout=1) as dead:
            async with client.keys.watch("/soak", snapshots=True) as lasting, client.keys.mirror("/") as mirror:
                for _ in range(WINDOWS):
                    ends, enough = time.monotonic() + seconds / WINDOWS, counts[0] + WINDOW_CALLS
                    while time.monotonic() < ends or counts[0] < enough:
                        await async_cycle(client, dead, counts[1], rng)
                        counts[1] += 1
                        while await lasting.next(timeout=0.001) is not None:
                            pass
                        assert mirror.error is None
                    looks = [await async_look() for _ in range(LOOKS)]
                    samples.append(sample(counts, looks))
    return samples[1:]


async def test_async_client_stays_flat(rough: str) -> None:
    before = held()
    samples = await async_soak(rough, SECONDS)
    show("async", samples)
    judge(samples)
    await async_nothing_left(before)


# -- leaks are found out -------------------------------------------------------------------------------------------


def test_hundred_bytes_a_call_are_found_out(rough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leaked: list[bytes] = []

    def leaking(does: Any) -> Any:
        def leaks(self: Dispatcher, *arguments: Any) -> Any:
            leaked.append(bytes(100))
            return does(self, *arguments)

        return leaks

    monkeypatch.setattr(Dispatcher, "_attempt", leaking(Dispatcher._attempt))
    monkeypatch.setattr(Dispatcher, "_open", leaking(Dispatcher._open))
    with pytest.raises(AssertionError, match="blocks"):
        judge(soak(rough, 0))


async def test_object_left_by_each_async_call_is_found_out(rough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leaked: list[Any] = []

    def leaking(does: Any) -> Any:
        async def leaks(self: AsyncDispatcher, *arguments: Any) -> Any:
            leaked.append(object())
            return await does(self, *arguments)

        return leaks

    # All that is counted as a call: on a busy machine most of them are the watch's and the mirror's.
    monkeypatch.setattr(AsyncDispatcher, "_attempt", leaking(AsyncDispatcher._attempt))
    monkeypatch.setattr(AsyncDispatcher, "_open", leaking(AsyncDispatcher._open))
    with pytest.raises(AssertionError, match="blocks"):
        judge(await async_soak(rough, 0))


def test_socket_left_now_and_then_is_found_out(rough: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drop, number, leaked = FastTransport._drop, itertools.count(), []

    def leaking(self: FastTransport, connection: Any) -> None:
        if next(number) % 2 == 0:
            leaked.append(connection)
            self._live.discard(weakref.ref(connection))
        else:
            drop(self, connection)

    monkeypatch.setattr(FastTransport, "_drop", leaking)
    try:
        with pytest.raises(AssertionError, match="sockets"):
            judge(soak(rough, 0))
    finally:
        for connection in leaked:
            connection.close()
