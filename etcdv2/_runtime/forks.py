"""Who is told in a child process after `os.fork`: whoever holds locks, threads or sockets, which are the parent's."""

from __future__ import annotations

import logging
import os
from typing import Protocol
from weakref import WeakSet

logger = logging.getLogger("etcdv2")


class Forked(Protocol):
    def after_fork(self) -> None: ...


_living: WeakSet[Forked] = WeakSet()


def tell_after_fork(one: Forked) -> None:
    """Call its `after_fork` in forked children, as long as it lives."""
    _living.add(one)


def _tell() -> None:
    for one in list(_living):
        try:
            one.after_fork()
        except Exception:  # the others must be told all the same
            logger.exception("after a fork")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
