#!/usr/bin/env python3
"""A service that registers itself and finds the others, with asyncio.

    python service_registry.py http://127.0.0.1:2379

Three instances register. One ends in an orderly way, and an operator deletes the key of another one,
which is made again.
"""

import asyncio
import logging
import sys

import etcdv2
from etcdv2.recipes import AsyncSession

SERVICES = "/services/web"


async def instance(endpoint: str, name: str, address: str, leave: asyncio.Event) -> None:
    """There until it is to leave."""
    async with etcdv2.AsyncClient(endpoint) as client, AsyncSession(client, ttl=6, owner=name) as session:
        async with await session.register(f"{SERVICES}/{name}", address, takeover=True):
            await leave.wait()


async def main(endpoint: str) -> None:
    leave = {name: asyncio.Event() for name in ("a", "b", "c")}
    async with etcdv2.AsyncClient(endpoint) as client, asyncio.TaskGroup() as group:
        for number, name in enumerate(leave, start=1):
            group.create_task(instance(endpoint, name, f"10.0.0.{number}:80", leave[name]))

        async with client.keys.mirror(SERVICES) as services:
            await services.wait_for(lambda state: len(state) == 3)
            print("all three:", sorted(node.value or "" for node in services.values()))

            leave["b"].set()
            await services.wait_for(lambda state: len(state) == 2)
            print("b has left:", sorted(node.value or "" for node in services.values()))

            await client.keys.delete(f"{SERVICES}/c")
            await services.wait_for(lambda state: len(state) == 1)
            await services.wait_for(lambda state: len(state) == 2)
            print("c was deleted, and is there again:", sorted(node.value or "" for node in services.values()))
        for event in leave.values():
            event.set()


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)  # that a key is gone is logged as a warning
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2379"))
