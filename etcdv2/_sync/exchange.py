# Derived from etcdv2/_async/exchange.py by scripts/unasync.py: change that file, make generate.
"""Read, change, compare and swap: again and again until nobody else was quicker, or the time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from etcdv2 import _keys
from etcdv2._errors import CompareFailed, DeadlineExceeded, KeyExists, KeyNotFound
from etcdv2._keys import TTL
from etcdv2._primitives import sleep
from etcdv2._results import Response
from etcdv2._rules import READS, WRITES
from etcdv2._settings import TimeoutLike, Unset, timeout_from
from etcdv2._steps import response_of
from etcdv2._sync.caller import Caller

LONGEST_PAUSE = 0.1


def exchange(
    caller: Caller,
    key: str,
    change: Callable[[str, bool], str | None],
    timeout: TimeoutLike | Unset,
    *,
    ttl: TTL | None = None,
    default: str | None = None,
) -> Response:
    """`change` gets the value and whether it expires, and returns the new value, or None to leave the key alone.

    Reads through raft, so that a lagging member cannot make it leave alone what has changed long ago.
    """
    total = timeout_from(timeout, caller.timeout).total
    deadline = None if total is None else time.monotonic() + total
    read = _keys.get(key, recursive=False, sort=False, quorum=True)
    tries = 0
    while True:
        tries += 1
        try:
            found = response_of(caller.perform(read, READS["quorum"], timeout, deadline))
        except KeyNotFound:
            if default is None:
                raise
            new = change(default, False)
            if new is None:
                raise
            call = _keys.put(key, new, ttl=ttl, prev_exist=False)
        else:
            new = change(found.value, found.node.expiration is not None)
            if new is None:
                return found
            call = _keys.put(key, new, ttl=ttl, prev_index=found.node.modified_index)
        try:
            return response_of(caller.perform(call, WRITES[False], timeout, deadline))
        except (CompareFailed, KeyExists, KeyNotFound) as error:
            pause = random.uniform(0, min(LONGEST_PAUSE, 0.002 * 2.0 ** min(tries, 10)))
            if deadline is not None and time.monotonic() + pause >= deadline:
                raise DeadlineExceeded(f"{key}: somebody else was quicker {tries} times") from error
        sleep(pause)
