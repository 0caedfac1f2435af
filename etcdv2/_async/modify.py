"""Read, change, compare and swap; again after each lost race, until it succeeds or time is over."""

from __future__ import annotations

import time

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._async.settle import async_write_settled
from etcdv2._core import keys as key_calls
from etcdv2._core.call.policy import READS, WRITES
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline, backoff
from etcdv2._core.keys import TTL, KeysCall
from etcdv2._core.modify import AnyChange, NewTTL, new_state
from etcdv2._runtime.primitives import async_sleep
from etcdv2._types.api_errors import CompareFailed, KeyExists, KeyNotFound
from etcdv2._types.call_errors import DeadlineExceeded
from etcdv2._types.results import Response
from etcdv2._types.settings import TimeoutLike, Unset
from etcdv2_api import Node
from etcdv2_api.call import shortened

FIRST_PAUSE_SECONDS = 0.004
MAX_PAUSE_SECONDS = 0.1


async def async_modify(
    dispatcher: AsyncDispatcher,
    key: str,
    change: AnyChange,
    timeout: TimeoutLike | Unset,
    *,
    ttl: NewTTL = None,
    default: str | None = None,
    unique: bool = False,
) -> Response:
    """Read a key, change it, write it if nobody did meanwhile; return the write's response.

    `change` gets the value and its node, None for the `default`, and returns the new value, or None
    to leave the key alone. Reads through raft: a member that lags could make it leave alone what
    has changed long ago. `unique`: nobody else writes what it returns, so a lost answer is settled.
    """
    total = dispatcher.times(timeout).total
    deadline = Deadline.after(total, time.monotonic())
    read = key_calls.get(key, recursive=False, sort=False, quorum=True)
    tries = 0
    while True:
        tries += 1

        # 1. What is there, and what it is to become.
        found: Response | None = None
        try:
            found = response_of(await dispatcher.perform(read, READS["quorum"], timeout, deadline))
        except KeyNotFound:
            if default is None:
                raise
            state = new_state(change(default, None), ttl, None)
            if state is None:
                raise
        else:
            state = new_state(change(found.value, found.node), ttl, found.node)
            if state is None:
                return found
        call = _write_of(key, state, None if found is None else found.node, unique=unique)

        # 2. Written only if nobody has changed it since. Else again, after a pause that keeps rivals apart.
        try:
            if unique:
                return await async_write_settled(dispatcher, call, timeout, deadline)
            return response_of(await dispatcher.perform(call, WRITES[False], timeout, deadline))
        except (CompareFailed, KeyExists, KeyNotFound) as error:
            pause = backoff(tries, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, least=0.0)
            if time.monotonic() + pause >= deadline:
                times = "once" if tries == 1 else f"{tries} times"
                raise DeadlineExceeded(f"{shortened(key)}: lost the compare-and-swap race {times}") from error
        await async_sleep(pause)


def _write_of(key: str, state: tuple[str, TTL | None], node: Node | None, *, unique: bool) -> KeysCall:
    """The write that holds only while the key is as it was read. Raises ValueError and TypeError."""
    value, ttl = state
    if node is None:
        return key_calls.put(key, value, ttl=ttl, prev_exist=False)
    if unique and value == node.value:
        raise ValueError("unique=True: change returned the value that is there; nobody may have written it before")
    return key_calls.put(key, value, ttl=ttl, prev_index=node.modified_index)
