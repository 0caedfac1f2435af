"""Stops processes at random, for random spans: `python -m tests.tools.stopper SEED PID` ends with its standard input.

Stops PID, and whichever etcd and python processes it has as children just now, but not this one. Owns that all go on
when it ends.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SPANS_SECONDS = (0.005, 2.0)
"""The shortest and the longest stop; as many below 0.1 s as above it, or nearly."""
LULLS_SECONDS = (0.02, 1.0)
STOPPED = ("etcd", "python")


@contextlib.contextmanager
def stopping(seed: int) -> Iterator[None]:
    """This process and its children are stopped at random meanwhile, by a process of its own."""
    command = [sys.executable, "-m", "tests.tools.stopper", str(seed), str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as stopper:
        try:
            yield
        finally:
            stopper.communicate()
    assert stopper.returncode == 0


def victims(parent: int) -> list[int]:
    """All that may be stopped; in no order."""
    children = list[int]()
    for task in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            children += map(int, (task / "children").read_text().split())
    return [parent, *(child for child in children if child != os.getpid() and _name(child).startswith(STOPPED))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:  # it has ended
        return ""


def send(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def _spanned(rng: random.Random, shortest: float, longest: float) -> float:
    return float(shortest * (longest / shortest) ** rng.random())


def main() -> None:
    seed, parent = map(int, sys.argv[1:])
    rng = random.Random(seed)
    stopped: list[int] = []
    try:
        while not _input_ended(_spanned(rng, *LULLS_SECONDS)):
            found = victims(parent)
            stopped = rng.sample(found, rng.randint(1, len(found)))
            send(stopped, signal.SIGSTOP)
            _input_ended(_spanned(rng, *SPANS_SECONDS))
            send(stopped, signal.SIGCONT)
    finally:
        send(stopped, signal.SIGCONT)


def _input_ended(within: float) -> bool:
    """Waits so many seconds for it."""
    return bool(select.select([sys.stdin], [], [], within)[0])


if __name__ == "__main__":
    main()
