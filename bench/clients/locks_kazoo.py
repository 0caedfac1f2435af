"""kazoo's lock in several processes, on a ZooKeeper. Run by `bench.coordination`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any


def lock(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Of each round: when it was asked for, when it was held, when it was released."""
    kazoo: Any = importlib.import_module("kazoo.client")
    client = kazoo.KazooClient(hosts=order["url"])
    client.start()
    contended = client.Lock(order["key"])

    def one() -> tuple[int, int, int]:
        began = time.monotonic_ns()
        contended.acquire()
        held = time.monotonic_ns()
        contended.release()
        return began, held, time.monotonic_ns()

    one()
    print(json.dumps({"kazoo": version("kazoo")}), flush=True)
    sys.stdin.readline()
    rounds = [one() for _ in range(order["count"])]
    client.stop()
    return rounds


if __name__ == "__main__":
    print(json.dumps(lock(json.loads(sys.argv[1]))))
