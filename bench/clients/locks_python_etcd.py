"""python-etcd's lock in several processes. Run by `bench.coordination`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any


def lock(order: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Of each round: when it was asked for, when it was held, when it was released."""
    etcd: Any = importlib.import_module("etcd")
    host, _, port = order["url"].partition("://")[2].partition(":")
    client = etcd.Client(host=host, port=int(port), allow_reconnect=False)

    def one() -> tuple[int, int, int]:
        contended = etcd.Lock(client, order["key"].strip("/").replace("/", "-"))
        began = time.monotonic_ns()
        if not contended.acquire(blocking=True, lock_ttl=60):
            raise RuntimeError("it was not acquired")
        held = time.monotonic_ns()
        contended.release()
        return began, held, time.monotonic_ns()

    one()
    print(json.dumps({"python-etcd": version("python-etcd")}), flush=True)
    sys.stdin.readline()
    return [one() for _ in range(order["count"])]


if __name__ == "__main__":
    print(json.dumps(lock(json.loads(sys.argv[1]))))
