"""This client's recipes: a lock in several processes, 1,000 waiters or keys in one, a queue.

Run by `bench.coordination`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from typing import Any

import etcdv2
from etcdv2.recipes import AsyncSession, Session

TTL = 60


def lock(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Of each round: when it was asked for, when it was held, when it was released."""
    with etcdv2.Client(order["url"]) as client, Session(client, ttl=TTL) as session:
        contended = session.lock(order["key"])

        def one() -> tuple[int, int, int]:
            began = time.monotonic_ns()
            lease = contended.acquire()
            held = time.monotonic_ns()
            lease.release()
            return began, held, time.monotonic_ns()

        one()
        ready()
        return [one() for _ in range(order["count"])]


def plain(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """The three requests that an uncontended lock cannot do without: create, read the directory, delete."""
    with etcdv2.Client(order["url"]) as client:

        def one() -> tuple[int, int, int]:
            key = f"{order['key']}/a-0123456789abcdef"
            began = time.monotonic_ns()
            made = client.keys.create(key, "a", ttl=TTL)
            client.keys.get(order["key"], consistency="session")
            held = time.monotonic_ns()
            client.keys.delete(key, prev_index=made.node.modified_index)
            return began, held, time.monotonic_ns()

        one()
        ready()
        return [one() for _ in range(order["count"])]


def waiters(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """So many tasks at once, each of which holds it once."""

    async def run() -> list[tuple[int, int, int]]:
        rounds: list[tuple[int, int, int]] = []
        async with etcdv2.AsyncClient(order["url"]) as client, AsyncSession(client, ttl=10 * TTL) as session:
            contended = session.lock(order["key"])
            first = await contended.acquire()

            async def one() -> None:
                began = time.monotonic_ns()
                lease = await contended.acquire()
                held = time.monotonic_ns()
                await lease.release()
                rounds.append((began, held, held))  # the next one is woken by the call of release

            tasks = [asyncio.create_task(one()) for _ in range(order["count"])]
            while len(await contended.contenders()) <= order["count"]:  # noqa: ASYNC110 - the server says it
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)  # for the watches
            ready()
            await first.release()
            await asyncio.gather(*tasks)
        return rounds

    return asyncio.run(run())


def renewals(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """So many keys of one session, for 15 s: nanoseconds of CPU, renewals by the server's count, leases lost."""

    async def run() -> list[tuple[int, int, int]]:
        async with etcdv2.AsyncClient(order["url"]) as client, AsyncSession(client, ttl=15) as session:
            leases = [await session.create(f"{order['key']}/{number}", "here") for number in range(order["count"])]
            await asyncio.sleep(15)  # their first renewals are as close together as their creates
            ready()
            began, before = time.process_time_ns(), (await client.stats.store()).compare_and_swap_success
            await asyncio.sleep(15)
            spent, after = time.process_time_ns() - began, (await client.stats.store()).compare_and_swap_success
            return [(spent, after - before, sum(not lease.held for lease in leases))]

    return asyncio.run(run())


def crash(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """The holder, a process of its own, is killed: when, and when the next one holds it."""
    rounds: list[tuple[int, int, int]] = []
    with etcdv2.Client(order["url"]) as client, Session(client, ttl=5) as session:
        contended = session.lock(order["key"])
        ready()
        for _ in range(order["count"]):
            holder = subprocess.Popen(
                [sys.executable, "-m", "bench.clients.locks_ours", json.dumps({**order, "case": "hold"})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert holder.stdout is not None
            assert holder.stdout.readline()
            holder.kill()
            killed = time.monotonic_ns()
            holder.wait()
            lease = contended.acquire()
            held = time.monotonic_ns()
            lease.release()
            rounds.append((killed, held, held))
    return rounds


def hold(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Hold it until this process is killed."""
    with etcdv2.Client(order["url"]) as client, Session(client, ttl=5) as session, session.lock(order["key"]):
        ready()
    return []


def queue(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """An item is put, then taken and acknowledged: when it began, when it was in, when it was done."""
    with etcdv2.Client(order["url"]) as client, Session(client) as session:
        jobs = session.queue(order["key"], ttl=TTL)

        def one() -> tuple[int, int, int]:
            began = time.monotonic_ns()
            jobs.put("job")
            put = time.monotonic_ns()
            item = jobs.get()
            assert item is not None
            item.ack()
            return began, put, time.monotonic_ns()

        one()
        ready()
        return [one() for _ in range(order["count"])]


def ready() -> None:
    """Say so, and wait for the others."""
    print(json.dumps({"etcdv2": etcdv2.__version__}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)  # nobody reads it while it is measured
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each waiter has a connection
    wanted = json.loads(sys.argv[1])
    cases = (lock, plain, waiters, renewals, crash, hold, queue)
    print(json.dumps({case.__name__: case for case in cases}[wanted["case"]](wanted)))
