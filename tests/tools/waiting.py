"""Waiting until something is so, and how long at most.

What a test of `make test` asserts holds on a machine of any speed. So a wait ends when what it
waits for has come, and its limit is there for what would hang otherwise. Where a call has to end
before its time, its own limits are `PATIENT`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from etcdv2 import Timeout

SOON = 60.0
"""Seconds within which all comes that must come, on any machine: only what hangs takes as long."""
PATIENT = Timeout(connect=10 * SOON, attempt=10 * SOON, commit=10 * SOON, total=10 * SOON)
"""Limits of a call that must end for another reason."""


def never() -> str:
    return "it never came true"


def until(condition: Callable[[], object], what: Callable[[], object] = never, within: float = SOON) -> None:
    """Waits for it, not for ever; `what` is shown when it does not come."""
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, what()
        time.sleep(0.005)


async def async_until(
    condition: Callable[[], object], what: Callable[[], object] = never, within: float = SOON
) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, what()
        await asyncio.sleep(0.005)
