"""What a hook around each attempt gets. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

logger = logging.getLogger("etcdv2")


class AttemptInfo(NamedTuple):
    """One attempt of one call. Holds no value, no password."""

    operation: str
    """The operationId, such as `put_key`; `watch` for a poll."""
    method: str
    """HTTP method."""
    path: str
    """Such as `/v2/keys/a`, without the query."""
    endpoint: str
    """Its URL."""
    number: int
    """1 for the first attempt of a call."""
    status: int | None = None
    """After the attempt: HTTP status, None when there was no answer."""
    elapsed: float = 0.0
    """After the attempt: seconds."""
    error: str | None = None
    """After the attempt: why there was no answer."""


Hook: TypeAlias = Callable[[AttemptInfo], None]


def call_hook(hook: Hook, info: AttemptInfo) -> None:
    """Call a hook; its errors are logged, so that they cannot hide the outcome of a write."""
    try:
        hook(info)
    except Exception:
        logger.exception("a hook around attempts raised")
