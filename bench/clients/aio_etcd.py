"""aio-etcd. Each case runs on its event loop."""

from __future__ import annotations

import asyncio
import importlib
from importlib.metadata import version
from typing import Any

from . import measure
from .measure import Figures, Order
from .watched import AGAIN, TRIES, Record


class Driver:
    def __init__(self) -> None:
        self._client: Any = None
        self._runner = asyncio.Runner()

    def measure(self, order: Order, said: dict[str, Any]) -> Figures:
        return self._runner.run(self._measure(order, said))

    async def _measure(self, order: Order, said: dict[str, Any]) -> Figures:
        # The client binds itself to an event loop when it is made, so it is made on that one.
        if self._client is None:
            module: Any = importlib.import_module("aio_etcd")
            self._client = module.Client(
                host=order.host,
                port=order.port,
                allow_reconnect=False,
                loop=asyncio.get_running_loop(),
                **({"protocol": "https", "ca_cert": order.ca} if order.ca else {}),
            )
        client = self._client

        match order.case:
            case "get" | "tls" | "async":
                return await measure.tasks(lambda: client.get(order.key), order)
            case "set":
                return await measure.tasks(lambda: client.set(order.key, order.value), order)
            case "load":
                return await measure.load_tasks(client.set, order)
            case "tree":
                return await self._tree(order)
            case "delay" | "burst":
                # One poll for each event, from behind the one before it.
                delays: list[float] = []
                meter = measure.Meter()
                index = said["after"] + 1
                while len(delays) < said["events"]:
                    result = await client.watch(order.key, index, recursive=True)
                    delays.append(measure.delay(result.value))
                    index = result.modifiedIndex + 1
                return meter.stop(len(delays), delays=delays)
            case "loaded" | "complete" | "quiet":
                return await self._follow(order, said)
            case _:
                raise ValueError(order.case)

    async def _tree(self, order: Order) -> Figures:
        meter = measure.Meter()
        result = await self._client.read(order.key, recursive=True)
        leaves = length = 0
        for leaf in result.leaves:
            leaves += 1
            length += len(leaf.value)
        if leaves != order.keys or length != order.keys * len(order.value):
            raise RuntimeError(f"saw {leaves} leaves with {length} characters, not {order.keys}")
        return meter.stop(1)

    async def _follow(self, order: Order, said: dict[str, Any]) -> Figures:
        record = Record(said["events"])
        index, tries = said["after"] + 1, 0
        while True:
            try:
                result = await self._client.watch(order.key, index, recursive=True)
                index, tries = result.modifiedIndex + 1, 0
                if record.take(result.value):
                    return record.figures()
            except Exception as error:
                tries += 1
                if tries == TRIES:
                    return record.figures(error)
                await asyncio.sleep(AGAIN)


if __name__ == "__main__":
    measure.serve(Driver().measure, {name: version(name) for name in ("aio-etcd", "aiohttp")})
