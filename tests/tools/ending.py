"""Programs whose end `tests.process.test_shutdown` looks at: `python -m tests.tools.ending PROGRAM URL TRANSPORT`.

Each is a function. "ready" on the standard output says that the program has come to where it is to be ended.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from etcdv2 import AsyncClient, Client
from tests.tools.faces import over
from tests.tools.waiting import SOON

kept: list[object] = []
"""What is still alive when the interpreter ends."""


def ready() -> None:
    print("ready", flush=True)


def in_daemon(work: Callable[[], object]) -> None:
    begun = threading.Event()

    def run() -> None:
        begun.set()
        work()

    threading.Thread(target=run, daemon=True).start()
    begun.wait()


# -- sync ----------------------------------------------------------------------------------------------------------


def closed(url: str, transport: str) -> None:
    with Client(url, **over(transport)) as client:
        client.keys.set("/a", "1")
        with client.keys.watch("/a") as watcher, client.keys.mirror("/") as mirror:
            client.keys.set("/a", "2")
            assert watcher.next(timeout=SOON) is not None
            kept.extend((watcher, mirror))
    ready()


def used_and_kept(url: str, transport: str) -> None:
    client = Client(url, **over(transport))
    client.keys.set("/a", "1")
    kept.append(client)
    ready()


def watching(url: str, transport: str) -> None:
    client = Client(url, **over(transport))
    watcher = client.keys.watch("/a").__enter__()
    in_daemon(watcher.next)
    kept.extend((client, watcher))
    ready()


def mirroring(url: str, transport: str) -> None:
    client = Client(url, **over(transport))
    client.keys.set("/a", "1")
    mirror = client.keys.mirror("/").__enter__()
    in_daemon(lambda: mirror.wait_for(lambda state: False))
    kept.append(mirror)
    ready()


def calling(url: str, transport: str) -> None:
    client = Client(url, **over(transport))

    def talk() -> None:
        while True:
            client.keys.get("/", quorum=True)

    client.keys.get("/")
    for _ in range(3):
        in_daemon(talk)
    ready()


def exit_within(url: str, transport: str) -> None:
    with Client(url, **over(transport)) as client, client.keys.watch("/a") as watcher:
        in_daemon(watcher.next)
        client.keys.mirror("/").__enter__()
        ready()
        sys.exit(0)


# -- async ---------------------------------------------------------------------------------------------------------


def async_closed(url: str, transport: str) -> None:
    async def main() -> None:
        async with AsyncClient(url, **over(transport)) as client:
            await client.keys.set("/a", "1")
            async with client.keys.watch("/a") as watcher, client.keys.mirror("/"):
                await client.keys.set("/a", "2")
                assert await watcher.next(timeout=SOON) is not None

    asyncio.run(main())
    ready()


def async_watching(url: str, transport: str) -> None:
    """The loop ends with a watch and a mirror open and tasks that wait for them; the client is closed."""

    async def main() -> None:
        async with AsyncClient(url, **over(transport)) as client:
            watcher = await client.keys.watch("/a").__aenter__()
            mirror = await client.keys.mirror("/").__aenter__()
            kept.append(asyncio.create_task(watcher.next()))
            kept.append(asyncio.create_task(mirror.wait_for(lambda state: False)))
            kept.append(watcher)
            ready()

    asyncio.run(main())


def async_abandoned(url: str, transport: str) -> None:
    """As before, and nobody closes the client."""

    async def main() -> None:
        client = AsyncClient(url, **over(transport))
        watcher = await client.keys.watch("/a").__aenter__()
        mirror = await client.keys.mirror("/").__aenter__()
        kept.append(asyncio.create_task(watcher.next()))
        kept.append(asyncio.create_task(mirror.wait_for(lambda state: False)))
        kept.extend((client, watcher, mirror))
        ready()

    asyncio.run(main())


def async_exit_within(url: str, transport: str) -> None:
    async def main() -> None:
        async with AsyncClient(url, **over(transport)) as client, client.keys.watch("/a") as watcher:
            kept.append(asyncio.create_task(watcher.next()))
            await client.keys.get("/")
            ready()
            sys.exit(0)

    asyncio.run(main())


# -- ended by SIGINT, in the main thread ---------------------------------------------------------------------------


def blocked_get(url: str, transport: str) -> None:
    with Client(url, timeout=60, **over(transport)) as client:
        ready()
        client.keys.get("/a")


def blocked_watch(url: str, transport: str) -> None:
    with Client(url, **over(transport)) as client, client.keys.watch("/a") as watcher:
        ready()
        watcher.next()


def blocked_iteration(url: str, transport: str) -> None:
    client = Client(url, **over(transport))
    client.keys.get("/")
    ready()
    for _ in client.keys.watch("/a", snapshots=True):
        pass


def blocked_mirror(url: str, transport: str) -> None:
    with Client(url, **over(transport)) as client, client.keys.mirror("/") as mirror:
        ready()
        mirror.wait_for(lambda state: False)


def async_blocked_get(url: str, transport: str) -> None:
    async def main() -> None:
        async with AsyncClient(url, timeout=60, **over(transport)) as client:
            ready()
            await client.keys.get("/a")

    asyncio.run(main())


def async_blocked_watch(url: str, transport: str) -> None:
    async def main() -> None:
        async with AsyncClient(url, **over(transport)) as client, client.keys.watch("/a") as watcher:
            ready()
            async for _ in watcher:
                pass

    asyncio.run(main())


# -- the collector -------------------------------------------------------------------------------------------------


def littered(url: str, transport: str) -> None:
    """Threads forget watchers in cycles, while others of theirs are closed; the collector runs all the time."""
    client = Client(url, **over(transport))
    ends = time.monotonic() + 2

    def litter(who: int) -> None:
        while time.monotonic() < ends:
            forgotten: Any = client.keys.watch(f"/{who}").__enter__()
            forgotten.itself = forgotten
            del forgotten
            with client.keys.watch(f"/{who}") as watcher:
                client.keys.set(f"/{who}", "1")
                assert watcher.next(timeout=SOON) is not None

    gc.freeze()
    gc.set_threshold(3, 1, 1)
    threads = [threading.Thread(target=litter, args=(who,), daemon=True) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    ready()


PROGRAMS = {name: program for name, program in globals().items() if callable(program) and name.islower()}

if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # in development mode it warns of whatever takes 0.1 s
    PROGRAMS[sys.argv[1]](sys.argv[2], sys.argv[3])
