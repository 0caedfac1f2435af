"""No etcd client at all: httpx with `json.loads`, what a script does that needs a key now and then."""

from __future__ import annotations

import asyncio
import json
import ssl
from importlib.metadata import version
from typing import Any

import httpx

from . import measure
from .measure import Figures, Order


class Driver:
    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._async_client: httpx.AsyncClient | None = None
        self._runner = asyncio.Runner()

    def measure(self, order: Order, said: dict[str, Any]) -> Figures:
        del said
        url = f"{order.url}/v2/keys{order.key}"
        if order.case in ("async", "async-set"):
            return self._runner.run(self._measure_async(order, url))
        if self._client is None:
            self._client = httpx.Client(verify=ssl.create_default_context(cafile=order.ca) if order.ca else True)
        client = self._client

        # As a script would, which needs a key and has no client of etcd: no check of the status, no types.
        match order.case:
            case "get" | "tls":
                return measure.repeat(lambda: json.loads(client.get(url).content)["node"]["value"], order)
            case "set":
                data = {"value": order.value}
                return measure.repeat(lambda: json.loads(client.put(url, data=data).content), order)
            case "threads":
                return measure.threads(
                    lambda: json.loads(client.get(url).content)["node"]["value"], order.seconds, order.workers
                )
            case "tree":
                query = {"recursive": "true"}
                return measure.read_tree(
                    lambda: measure.walk_json(json.loads(client.get(url, params=query).content)["node"]), order
                )
            case _:
                raise ValueError(order.case)

    async def _measure_async(self, order: Order, url: str) -> Figures:
        if self._async_client is None:
            self._async_client = httpx.AsyncClient(limits=httpx.Limits(max_connections=max(order.workers, 100)))
        client = self._async_client

        async def get() -> None:
            json.loads((await client.get(url)).content)

        async def put() -> None:
            json.loads((await client.put(url, data={"value": order.value})).content)

        return await measure.tasks(put if order.case == "async-set" else get, order)


if __name__ == "__main__":
    measure.serve(Driver().measure, {"httpx": version("httpx")})
