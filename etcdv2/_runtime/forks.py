"""What is called in a child process after `os.fork`: objects with locks, threads or sockets, which are the parent's."""

from __future__ import annotations

import logging
import os
from typing import Protocol
from weakref import ref

logger = logging.getLogger("etcdv2")


class Forked(Protocol):
    def after_fork(self) -> None: ...


_registered: set[ref[Forked]] = set()
"""What has died leaves it by itself, in C: a WeakSet does it in Python, where a signal handler's exception is lost."""


def register_after_fork(one: Forked) -> None:
    """Call its `after_fork` in forked children, as long as it lives."""
    _registered.add(ref(one, _registered.discard))


def _call_registered() -> None:
    for known in _registered.copy():
        one = known()
        if one is None:
            continue
        try:
            one.after_fork()
        except Exception:  # the others must be called all the same
            logger.exception("after a fork")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_call_registered)
