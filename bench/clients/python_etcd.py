"""python-etcd, and what has the same names for these calls: this client's own layer, and k3etcd.

Option `module`: "etcd", "etcdv2.compat.python_etcd" or "k3etcd".
"""

from __future__ import annotations

import importlib
import json
import ssl
import sys
import time
from importlib.metadata import version
from typing import Any

from . import measure
from .measure import Figures, Order
from .watched import AGAIN, TRIES, Record


class Driver:
    def __init__(self) -> None:
        self._client: Any = None

    def measure(self, order: Order, said: dict[str, Any]) -> Figures:
        if self._client is None:
            self._client = connect(order)
        client = self._client

        # python-etcd and k3etcd have the same names for all of these.
        match order.case:
            case "get" | "tls":
                return measure.repeat(lambda: client.get(order.key).value, order)
            case "set":
                return measure.repeat(lambda: client.set(order.key, order.value), order)
            case "past":
                index = client.set(order.key, order.value).modifiedIndex
                return measure.repeat(lambda: client.watch(order.key, index=index).value, order)
            case "threads":
                return measure.threads(lambda: client.get(order.key).value, order.seconds, order.workers)
            case "tree":
                return measure.read_tree(lambda: walk(client.read(order.key, recursive=True)), order)
            case "load":
                return measure.load_threads(client.set, order)
            case "delay" | "burst":
                return watch(client, order, said)
            case "loaded" | "complete" | "quiet":
                return follow(client, order, said)
            case _:
                raise ValueError(order.case)


def connect(order: Order) -> Any:
    module: Any = importlib.import_module(order.options["module"])
    settings: dict[str, Any] = {"host": order.host, "port": order.port, "allow_reconnect": False}
    if order.ca:
        settings["protocol"] = "https"
        if order.options["module"] == "k3etcd":
            settings["https_context"] = ssl.create_default_context(cafile=order.ca)
        else:
            settings["ca_cert"] = order.ca
    return module.Client(**settings)


def walk(result: Any) -> tuple[int, int]:
    leaves = length = 0
    for leaf in result.leaves:
        leaves += 1
        length += len(leaf.value)
    return leaves, length


def watch(client: Any, order: Order, said: dict[str, Any]) -> Figures:
    delays: list[float] = []
    meter = measure.Meter()
    for result in client.eternal_watch(order.key, said["after"] + 1, recursive=True):
        delays.append(measure.delay(result.value))
        if len(delays) == said["events"]:
            break
    return meter.stop(len(delays), delays=delays)


def follow(client: Any, order: Order, said: dict[str, Any]) -> Figures:
    record = Record(said["events"])
    index, tries = said["after"] + 1, 0
    while True:
        try:
            for result in client.eternal_watch(order.key, index, recursive=True):
                index, tries = result.modifiedIndex + 1, 0
                if record.take(result.value):
                    return record.figures()
        except Exception as error:
            tries += 1
            if tries == TRIES:
                return record.figures(error)
            time.sleep(AGAIN)


if __name__ == "__main__":
    module = json.loads(sys.argv[1])["options"]["module"]
    if module.startswith("etcdv2."):
        versions = {"etcdv2": str(importlib.import_module("etcdv2").__version__)}
    else:
        package = {"etcd": "python-etcd", "k3etcd": "k3etcd"}[module]
        versions = {package: version(package)}
    measure.serve(Driver().measure, versions)
