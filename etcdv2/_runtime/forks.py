"""What is called in a child process after `os.fork`: objects with locks, threads or sockets, which are the parent's."""

from __future__ import annotations

import logging
import os
from typing import Protocol
from weakref import WeakSet

logger = logging.getLogger("etcdv2")


class Forked(Protocol):
    def after_fork(self) -> None: ...


_registered: WeakSet[Forked] = WeakSet()


def register_after_fork(one: Forked) -> None:
    """Call its `after_fork` in forked children, as long as it lives."""
    _registered.add(one)


def _call_registered() -> None:
    for one in list(_registered):
        try:
            one.after_fork()
        except Exception:  # the others must be called all the same
            logger.exception("after a fork")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_call_registered)
