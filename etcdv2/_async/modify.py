"""Read, change, compare and swap: again and again until nobody else was quicker, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core import keys as _keys
from etcdv2._core.call.policy import READS, WRITES
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline, backoff
from etcdv2._core.keys import TTL
from etcdv2._runtime.primitives import async_sleep
from etcdv2._types.api_errors import CompareFailed, KeyExists, KeyNotFound
from etcdv2._types.call_errors import DeadlineExceeded
from etcdv2._types.results import Response
from etcdv2._types.settings import TimeoutLike, Unset, timeout_from

FIRST_PAUSE = 0.004
LONGEST_PAUSE = 0.1


async def async_modify(
    dispatcher: AsyncDispatcher,
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
    total = timeout_from(timeout, dispatcher.timeout).total
    deadline = Deadline.after(total, time.monotonic())
    read = _keys.get(key, recursive=False, sort=False, quorum=True)
    tries = 0
    while True:
        tries += 1
        try:
            found = response_of(await dispatcher.perform(read, READS["quorum"], timeout, deadline))
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
            return response_of(await dispatcher.perform(call, WRITES[False], timeout, deadline))
        except (CompareFailed, KeyExists, KeyNotFound) as error:
            pause = backoff(tries, FIRST_PAUSE, LONGEST_PAUSE, least=0.0)
            if time.monotonic() + pause >= deadline:
                raise DeadlineExceeded(f"{key}: somebody else was quicker {tries} times") from error
        await async_sleep(pause)
