"""Calls that are about a directory, with its key as the roles of the user have it.

A role permits `/app/` by the pattern `/app/*`, and `/app` by the exact pattern `/app`, though that
is one directory (spec/protocol.md section 12). Which of them to send, and what next after a
refusal, is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._types.api_errors import Unauthorized
from etcdv2._types.settings import TimeoutLike, Unset

R = TypeVar("R")


async def async_as_permitted(
    dispatcher: AsyncDispatcher,
    spellings: tuple[str, ...],
    timeout: TimeoutLike | Unset,
    send: Callable[[str, Deadline], Awaitable[R]],
) -> R:
    """`send` with the first of the spellings that is not refused, within one total time.

    A refusal is a proof that nothing was done, so this holds for writes as well.
    """
    first, *others = spellings
    if not others:
        return await send(first, NEVER)

    deadline = Deadline.after(dispatcher.times(timeout).total, time.monotonic())
    try:
        return await send(first, deadline)
    except Unauthorized:
        return await send(others[0], deadline)
