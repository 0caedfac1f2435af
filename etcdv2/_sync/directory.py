# Derived from etcdv2/_async/directory.py by scripts/unasync.py: change that file, make generate.
"""Calls that are about a directory, with its key as the roles of the user have it.

A role permits `/app/` by the pattern `/app/*`, and `/app` by the exact pattern `/app`, though that
is one directory (spec/protocol.md section 12). Which of them to send, and what next after a
refusal, is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._types.api_errors import Unauthorized
from etcdv2._types.settings import TimeoutLike, Unset

R = TypeVar("R")


def as_permitted(
    dispatcher: Dispatcher,
    spellings: tuple[str, ...],
    timeout: TimeoutLike | Unset,
    send: Callable[[str, Deadline], R],
) -> R:
    """`send` with the first of the spellings that is not refused, within one total time.

    A refusal is a proof that nothing was done, so this holds for writes as well.
    """
    first, *others = spellings
    if not others:
        return send(first, NEVER)

    deadline = Deadline.after(dispatcher.times(timeout).total, time.monotonic())
    try:
        return send(first, deadline)
    except Unauthorized:
        return send(others[0], deadline)
