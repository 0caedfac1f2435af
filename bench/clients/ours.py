"""This client: sync for most cases, async where the case says so.

Options: `transport` is None or "httpx"; with `uvloop` the event loop is that one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

import etcdv2

from . import measure
from .measure import Figures, Order
from .watched import Record, resident

PATIENT = etcdv2.Timeout(connect=60.0, attempt=60.0, total=60.0)
"""For watches that all begin at once, which is not measured."""


class Driver:
    def __init__(self) -> None:
        self._client: etcdv2.Client | None = None
        self._async_client: etcdv2.AsyncClient | None = None
        self._runner: asyncio.Runner | None = None

    def measure(self, order: Order, said: dict[str, Any]) -> Figures:
        if order.options.get("async"):
            if self._runner is None:
                self._runner = runner(uvloop=order.options.get("uvloop", False))
            return self._runner.run(self._measure_async(order, said))

        if self._client is None:
            tls = etcdv2.TLS(ca_file=order.ca) if order.ca else None
            self._client = etcdv2.Client(order.url, tls=tls, transport=order.options.get("transport"))
        keys = self._client.keys

        # The value is taken out, as whoever reads a key does.
        match order.case:
            case "get" | "tls":
                return measure.repeat(lambda: keys.get(order.key).value, order)
            case "set":
                return measure.repeat(lambda: keys.set(order.key, order.value), order)
            case "past":
                index = keys.set(order.key, order.value).index
                return measure.repeat(lambda: _past(keys, order.key, index), order)
            case "threads":
                return measure.threads(lambda: keys.get(order.key).value, order.seconds, order.workers)
            case "tree":
                return measure.read_tree(lambda: _walk(keys.get(order.key, recursive=True)), order)
            case "delay" | "burst":
                delays: list[float] = []
                meter = measure.Meter()
                with keys.watch(order.key, recursive=True, after_index=said["after"]) as watcher:
                    for event in watcher:
                        delays.append(measure.delay(event.value))
                        if len(delays) == said["events"]:
                            break
                    return meter.stop(len(delays), delays=delays)
            case "loaded" | "complete" | "quiet":
                return _follow(keys, order, said)
            case _:
                raise ValueError(order.case)

    async def _measure_async(self, order: Order, said: dict[str, Any]) -> Figures:
        if self._async_client is None:
            self._async_client = etcdv2.AsyncClient(
                order.url,
                transport=order.options.get("transport"),
                max_connections=max(order.workers, 100),
                timeout=PATIENT if order.case == "many" else etcdv2.Timeout(),
            )
        keys = self._async_client.keys

        # As many connections as tasks: who waits for a connection is not what is measured.
        match order.case:
            case "async":
                return await measure.tasks(lambda: keys.get(order.key), order)
            case "async-set":
                return await measure.tasks(lambda: keys.set(order.key, order.value), order)
            case "load":
                return await measure.load_tasks(keys.set, order)
            case "delay" | "burst":
                delays: list[float] = []
                meter = measure.Meter()
                async with keys.watch(order.key, recursive=True, after_index=said["after"]) as watcher:
                    async for event in watcher:
                        delays.append(measure.delay(event.value))
                        if len(delays) == said["events"]:
                            break
                    return meter.stop(len(delays), delays=delays)
            case "loaded" | "complete" | "quiet":
                return await _follow_async(keys, order, said)
            case "many":
                return await _many(keys, order, said)
            case _:
                raise ValueError(order.case)


def _past(keys: etcdv2.KeysAPI, key: str, index: int) -> str | None:
    with keys.watch(key, after_index=index - 1) as watcher:
        event = watcher.next()
    return None if event is None else event.value


def runner(*, uvloop: bool) -> asyncio.Runner:
    """On asyncio's own event loop, or on uvloop's where that is installed."""
    if not uvloop:
        return asyncio.Runner()
    from uvloop import new_event_loop

    return asyncio.Runner(loop_factory=new_event_loop)


def _follow(keys: etcdv2.KeysAPI, order: Order, said: dict[str, Any]) -> Figures:
    record = Record(said["events"])
    try:
        with keys.watch(order.key, recursive=True, after_index=said["after"]) as watcher:
            for event in watcher:
                if record.take(event.value):
                    break
            return record.figures()
    except etcdv2.EtcdError as error:
        return record.figures(error)


async def _follow_async(keys: etcdv2.AsyncKeysAPI, order: Order, said: dict[str, Any]) -> Figures:
    record = Record(said["events"])
    try:
        async with keys.watch(order.key, recursive=True, after_index=said["after"]) as watcher:
            async for event in watcher:
                if record.take(event.value):
                    break
            return record.figures()
    except etcdv2.EtcdError as error:
        return record.figures(error)


async def _many(keys: etcdv2.AsyncKeysAPI, order: Order, said: dict[str, Any]) -> Figures:
    """One watcher for each key. What the first one of a process needs once is not counted as memory of a watcher."""
    async with keys.watch(order.key):
        pass

    watchers = [keys.watch(f"{order.key}/k{number}") for number in range(order.workers)]
    before = resident()
    await asyncio.gather(*(watcher.__aenter__() for watcher in watchers))
    measure.say({"bytes": resident() - before})

    record = Record(said["events"])
    over = asyncio.Event()

    async def consume(watcher: etcdv2.AsyncWatcher[etcdv2.Event]) -> None:
        async for event in watcher:
            if record.take(event.value):
                over.set()

    tasks = [asyncio.create_task(consume(watcher)) for watcher in watchers]
    await over.wait()
    figures = record.figures()

    # What ending them costs is not in the figures.
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(watcher.close() for watcher in watchers))
    return figures


def _walk(response: etcdv2.Response) -> tuple[int, int]:
    leaves = length = 0
    for node in response.leaves():
        leaves += 1
        length += len(node.value or "")
    return leaves, length


if __name__ == "__main__":
    packages = ["pydantic", "httptools", "httpx"]
    if json.loads(sys.argv[1])["options"].get("uvloop"):
        packages.append("uvloop")
    measure.serve(Driver().measure, {"etcdv2": etcdv2.__version__, **{name: version(name) for name in packages}})
