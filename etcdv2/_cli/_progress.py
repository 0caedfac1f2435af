"""How far long work has come, on stderr: a bar on a terminal where rich is installed, else a line every 10 seconds.

Owns nothing of the work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

LINE_SECONDS = 10.0


@contextmanager
def progress(what: str, *, quiet: bool) -> Generator[Callable[[int, int], object], None, None]:
    """To be called with how much is done, and how much there is."""
    if quiet:
        yield lambda done, total: None
        return
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import Progress
        except ImportError:
            pass
        else:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task(what, total=None)
                yield lambda done, total: bar.update(task, completed=done, total=total)
            return
    yield _Lines(what)


class _Lines:
    """One line each 10 seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = time.monotonic() + LINE_SECONDS

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            print(f"etcdv2: {self._what}: {done} of {total}", file=sys.stderr, flush=True)
