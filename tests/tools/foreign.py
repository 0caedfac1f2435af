"""Other people's traffic for the tests of watches: many writes, quickly, past the client under test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

from etcdv2.testing import Server

_AT_ONCE = 50


def foreign_writes(server: Server, count: int, *, connections: int = 8, pause: float = 0.0) -> None:
    """At least `count` writes below /foreign; each connection sends 50 and waits for their answers and `pause` s."""
    threads = [
        threading.Thread(target=_write, args=(server.port, -(-count // connections), pause)) for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def async_foreign_writes(server: Server, count: int, *, connections: int = 8, pause: float = 0.0) -> None:
    """`foreign_writes` beside the running loop."""
    await asyncio.to_thread(foreign_writes, server, count, connections=connections, pause=pause)


def workers() -> list[str]:
    """Names of the background tasks and threads of watches that still run."""
    names = [thread.name for thread in threading.enumerate()]
    with contextlib.suppress(RuntimeError):  # no loop runs: the sync tests
        names += [task.get_name() for task in asyncio.all_tasks()]
    return sorted(name for name in names if name.startswith("etcdv2-"))


def _write(port: int, count: int, pause: float) -> None:
    one = (
        b"PUT /v2/keys/foreign HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\nvalue=x"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        while count > 0:
            asked, seen, rest = min(count, _AT_ONCE), 0, b""
            connection.sendall(one * asked)
            while seen < asked:
                rest += connection.recv(65536)
                seen += rest.count(b"HTTP/1.1 20")
                rest = rest[-10:]  # shorter than what is counted
            count -= asked
            time.sleep(pause)
