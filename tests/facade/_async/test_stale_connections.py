"""Idle connections that have died together: what a firewall, a balancer or a machine in between has forgotten.

A write pays once at most, a read not at all but for its time, and both go on over new connections.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from etcdv2 import AsyncClient, OutcomeUnknown, Timeout
from etcdv2._runtime.primitives import AsyncWorker
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.facade._async.conftest import Connect
from tests.tools.waiting import SOON, async_until

MANY = 10


class All(random.Random):
    """Of all it chooses every one."""

    def random(self) -> float:
        return 0.0


@pytest.fixture
async def link(etcd: Server) -> AsyncIterator[Link]:
    with Link(etcd.port) as link:
        yield link


async def pooled(connect: Connect, link: Link, timeout: Timeout) -> AsyncClient:
    """A client with MANY idle connections."""
    client = connect(link.endpoint.url, timeout=timeout)
    link.stall()

    async def ask() -> None:
        await client.keys.set("/a", "0")

    workers = [AsyncWorker(ask, "asks") for _ in range(MANY)]
    await async_until(lambda: len(link._flows) == MANY)
    link.go()
    for worker in workers:
        await worker.join(SOON)
    return client


def kill(link: Link, how: str) -> None:
    link.lose_flows(All())
    link.resets = how == "reset"


def times(how: str) -> Timeout:
    """Silence is found out by time, so a write that is only slow is not to come to its end."""
    silent = how == "silence"
    return Timeout(attempt=1 if silent else SOON, commit=5 if silent else SOON, total=60)


@pytest.mark.parametrize("how", ["silence", "reset"])
async def test_reads_and_writes_go_on_over_new_connections(connect: Connect, link: Link, how: str) -> None:
    client = await pooled(connect, link, times(how))
    kill(link, how)
    assert (await client.keys.get("/a")).value == "0"
    for number in range(MANY):
        assert (await client.keys.set("/a", f"{number}")).value == f"{number}"


@pytest.mark.parametrize("how", ["silence", "reset"])
async def test_writes_pay_once(connect: Connect, link: Link, how: str) -> None:
    client = await pooled(connect, link, times(how))
    kill(link, how)
    unknown = 0
    for number in range(MANY):
        try:
            assert (await client.keys.set("/a", f"{number}")).value == f"{number}"
        except OutcomeUnknown:
            unknown += 1
    assert unknown <= 1


async def test_read_whose_idle_connection_is_reset_does_not_fail(connect: Connect, link: Link, transport: str) -> None:
    """It is asked again at once, and its endpoint does not rest. What httpx says is not enough for that."""
    client = await pooled(connect, link, Timeout(attempt=SOON, commit=SOON, total=SOON))
    kill(link, "reset")
    assert (await client.keys.get("/a")).value == "0"
    health = client._dispatcher.pool._health[link.endpoint]
    assert health.failures == 0 or transport == "httpx"


async def test_watch_is_registered_over_a_new_connection(connect: Connect, link: Link, client: AsyncClient) -> None:
    stale = await pooled(connect, link, Timeout(attempt=1, commit=1, total=60))
    kill(link, "silence")
    async with stale.keys.watch("/a") as watcher:
        await client.keys.set("/a", "1")
        event = await watcher.next(timeout=SOON)
        assert event is not None
        assert event.value == "1"
