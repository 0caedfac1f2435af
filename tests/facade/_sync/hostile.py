# Derived from tests/facade/_async/hostile.py by scripts/unasync.py: change that file, make generate.
"""What is tried against a server that means harm, and how each try must end. For `test_hostile*.py` beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from etcdv2 import Client, EtcdError, Timeout
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import Behaviour, FaultServer
from tests.tools.hostile_server import well
from tests.tools.waiting import SOON

QUICK = Timeout(connect=0.25, attempt=0.25, commit=0.25, total=0.25)
"""So short that there is no second round."""

Use = Callable[[Client], Any]


def watched(client: Client, **options: Any) -> object:
    with client.keys.watch("/a", **options) as watcher:
        return watcher.next(timeout=0.05)


def mirrored(client: Client) -> object:
    with client.keys.mirror("/a") as mirror:
        return mirror.state


OPERATIONS: dict[str, Use] = {
    "get": lambda c: c.keys.get("/a"),
    "set": lambda c: c.keys.set("/a", "v"),
    "delete": lambda c: c.keys.delete("/a"),
    "watch": watched,
    "mirror": mirrored,
    "members": lambda c: c.members.list(),
    "user": lambda c: c.auth.users.get("u"),
    "version": lambda c: c.version(),
    "health": lambda c: c.health(),
    "ready": lambda c: c.ready(),
    "machines": lambda c: c.machines(),
    "sync": lambda c: c.sync(),
}


def outcome(client: Client, use: Use, seconds: float = 0.25) -> object:
    """What it returns or which of our errors it raises, in time. Every other exception is a failure of the test."""
    began = time.monotonic()
    found: object
    try:
        found = use(client)
    except EtcdError as error:
        found = error
    assert time.monotonic() - began < seconds + SOON
    return found


def endure(connect: Connect, behaviour: Behaviour, use: Use, timeout: Timeout = QUICK) -> tuple[object, list[str]]:
    """The outcome and the methods that were sent; afterwards the client works with a well server."""
    with FaultServer(default=behaviour) as server:
        client = connect(server.endpoint.url, timeout=timeout)
        found = outcome(client, use, timeout.total or 0)
        methods = [received.method for received in server.requests]
        assert methods.count("PUT") + methods.count("DELETE") <= 1
        server.default = well()
        assert (client.keys.get("/a", timeout=Timeout(total=10))).value == "v"
        client.close()
        return found, methods
