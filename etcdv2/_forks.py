"""Who is told in a child process after `os.fork`: whoever holds locks, threads or sockets, which are the parent's."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    def after_fork(self) -> None: ...


_living: WeakSet[Forked] = WeakSet()


def tell_after_fork(one: Forked) -> None:
    """Call its `after_fork` in forked children, as long as it lives."""
    _living.add(one)


def _tell() -> None:
    for one in list(_living):
        one.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
