"""The way of many keys out of a cluster and into one, step by step: `moving.py KEYS [ETCD]` prints a line of JSON.

Each step has its seconds, its CPU, and the most memory that the process has had until its end.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import etcdv2
from etcdv2.testing import Server
from etcdv2.transfer import (
    DataDirectory,
    DumpNode,
    Tree,
    async_load,
    compare,
    load,
    read_dump,
    read_tree,
    write_dump,
)

R = TypeVar("R")
VALUE = "0123456789abcdef" * 4
AT_ONCE = 32
steps: dict[str, dict[str, float]] = {}


def step(name: str, work: Callable[[], R]) -> R:
    spent, began = time.process_time(), time.perf_counter()
    answer = work()
    steps[name] = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
    steps[name]["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return answer


def planted(keys: int) -> Tree:
    """So many keys, a thousand in each directory."""
    nodes = {f"/bench/{number:03}": DumpNode(f"/bench/{number:03}", None) for number in range(-(-keys // 1000))}
    for number in range(keys):
        key = f"/bench/{number // 1000:03}/{number:06}"
        nodes[key] = DumpNode(key, VALUE)
    return Tree(dict(sorted({"/bench": DumpNode("/bench", None), **nodes}.items())), made=time.time_ns())


async def loaded(url: str, tree: Tree) -> None:
    async with etcdv2.AsyncClient(url, timeout=300) as client:
        await async_load(client, tree, concurrency=AT_ONCE)


def main(keys: int, binary: str | None) -> None:
    tree = planted(keys)
    with Server(binary, fsync=False) as server, tempfile.TemporaryDirectory() as folder:
        with etcdv2.Client(server.url, timeout=300) as client:
            step("load, async, 32 at once", lambda: asyncio.run(loaded(server.url, tree)))
            client.keys.delete("/bench", recursive=True)
            step("load, 8 threads", lambda: load(client, tree))
            online = step("read over HTTP", lambda: read_tree(client))
            dump = Path(folder) / "dump.jsonl"
            step("write a dump", lambda: write_dump(online, dump))
            step("write a dump, gzip", lambda: write_dump(online, Path(folder) / "dump.jsonl.gz"))
            again = step("read a dump", lambda: read_dump(dump))
            differences = step("compare", lambda: list(compare(online, again, indexes=True)))
            done = step("load again what is there", lambda: load(client, again, if_="changed")).done
        server.stop()
        directory = DataDirectory(server.data_dir, all_entries=True)
        offline = step("read a member's disk, no snapshot", directory.tree)
        differences += compare(online, offline, indexes=True)
    if differences or done:
        raise SystemExit(f"{len(differences)} differences, {len(done)} writes of what was there")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    print(json.dumps(steps))
