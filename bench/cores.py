"""Which core is whose: the client has one for itself, etcd and the comparing program have the others."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    client: frozenset[int]
    server: frozenset[int]

    @property
    def pinned(self) -> bool:
        return self.client != self.server


def share(*, pin: bool) -> Cores:
    """All to both where there is only one, where the system cannot pin, or where it is not wanted."""
    every = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset[int]()
    if not pin or len(every) < 2:
        return Cores(every, every)
    first = min(every)
    return Cores(frozenset({first}), every - {first})


@contextmanager
def on(cores: frozenset[int]) -> Generator[None]:
    """Processes started within run on these cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
