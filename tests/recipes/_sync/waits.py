# Derived from tests/recipes/_async/waits.py by scripts/unasync.py: change that file, make generate.
"""Waiting until a server shows something."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from etcdv2 import Client
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes import Lease, Registration, Session
from tests.tools.waiting import SOON


def comes(condition: Callable[[], bool]) -> None:
    """Waits for it, not for ever."""
    ends = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < ends, "it never came true"
        sleep(0.01)


def waits(session: Session, before: Collection[object]) -> None:
    """Waits until one more of the session waits than `before`, which was `_keeping.waits.all()`."""

    def one_more() -> bool:
        return any(wait not in before for wait in session._keeping.waits.all())

    comes(one_more)


def is_gone(client: Client, key: str) -> None:
    """Waits until there is no such key."""

    def gone() -> bool:
        return client.keys.get(key, default=None) is None

    comes(gone)


def renew_now(session: Session, kept: Lease | Registration) -> None:
    """What is due later: so its TTL can be longer than any machine is slow."""
    session._keeping.look_at(kept._held_key if isinstance(kept, Lease) else kept._presence)
