"""Read, change, compare and swap; again after each lost race, until it succeeds or time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core import keys as key_calls
from etcdv2._core.call.policy import READS, WRITES
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline, backoff
from etcdv2._core.keys import TTL
from etcdv2._runtime.primitives import async_sleep
from etcdv2._types.api_errors import CompareFailed, KeyExists, KeyNotFound
from etcdv2._types.call_errors import DeadlineExceeded
from etcdv2._types.results import Response
from etcdv2._types.settings import TimeoutLike, Unset

FIRST_PAUSE_SECONDS = 0.004
MAX_PAUSE_SECONDS = 0.1


async def async_modify(
    dispatcher: AsyncDispatcher,
    key: str,
    change: Callable[[str, bool], str | None],
    timeout: TimeoutLike | Unset,
    *,
    ttl: TTL | None = None,
    default: str | None = None,
) -> Response:
    """Read a key, change it, write it if nobody did meanwhile; return the write's response.

    `change` gets the value and whether it expires, and returns the new value, or None to leave the
    key alone. Reads through raft: a member that lags could make it leave alone what has changed
    long ago.
    """
    total = dispatcher.times(timeout).total
    deadline = Deadline.after(total, time.monotonic())
    read = key_calls.get(key, recursive=False, sort=False, quorum=True)
    tries = 0
    while True:
        tries += 1

        # 1. What is there, and what it is to become.
        try:
            found = response_of(await dispatcher.perform(read, READS["quorum"], timeout, deadline))
        except KeyNotFound:
            if default is None:
                raise
            new = change(default, False)
            if new is None:
                raise
            call = key_calls.put(key, new, ttl=ttl, prev_exist=False)
        else:
            new = change(found.value, found.node.expiration is not None)
            if new is None:
                return found
            call = key_calls.put(key, new, ttl=ttl, prev_index=found.node.modified_index)

        # 2. Written only if nobody has changed it since. Else again, after a pause that keeps rivals apart.
        try:
            return response_of(await dispatcher.perform(call, WRITES[False], timeout, deadline))
        except (CompareFailed, KeyExists, KeyNotFound) as error:
            pause = backoff(tries, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, least=0.0)
            if time.monotonic() + pause >= deadline:
                times = "once" if tries == 1 else f"{tries} times"
                raise DeadlineExceeded(f"{key}: lost the compare-and-swap race {times}") from error
        await async_sleep(pause)
