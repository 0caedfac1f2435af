"""The pool of httpcore in threads, in which a signal handler can raise at any line: what it would keep is given up.

Owns what httpcore (1.0.9) has no means for, and httpx does not show. Each function stands twice, for tasks first: no
handler interrupts these, and their cancellation httpcore allows for.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any


def async_use_own_lock(client: Any) -> None:
    del client


def use_own_lock(client: Any) -> None:
    """Give its pool a lock of C. Its own is taken by a function in Python: who is interrupted there would keep it for
    ever, and every later call, and `close`, would hang.
    """
    pool = _pool(client)
    if hasattr(pool, "_optional_thread_lock"):
        pool._optional_thread_lock = threading.Lock()


def async_leave_pool(client: Any, extensions: object) -> None:
    del client, extensions


def leave_pool(client: Any, extensions: object) -> None:
    """A request has failed, known by its extensions: take it out of the pool where that is left, with its connection.

    And any connection that is nobody's. Else their places would be taken for good.
    """
    pool = _pool(client)
    if not hasattr(pool, "_optional_thread_lock"):
        return

    # 1. What is left of it, while nobody else looks.
    with pool._optional_thread_lock:
        for one in [one for one in pool._requests if one.request.extensions is extensions]:
            pool._requests.remove(one)
        used = [one.connection for one in pool._requests]
        lost = [one for one in pool._connections if one not in used and not (one.is_idle() or one.is_available())]
        for connection in lost:
            pool._connections.remove(connection)
        closing = [*lost, *pool._assign_requests_to_connections()]

    # 2. Their sockets.
    for connection in closing:
        with contextlib.suppress(Exception):
            connection.close()


def _pool(client: Any) -> Any:
    return getattr(getattr(client, "_transport", None), "_pool", None)
