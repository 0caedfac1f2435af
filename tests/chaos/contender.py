"""One contender of `contended`: `python -m tests.chaos.contender WHO SEED ENDPOINTS KEY TTL BOOK MUTANT`.

Owns what it does with the lock, and what it writes down: a line for each thing, in a file that all share.
"""

from __future__ import annotations

import fcntl
import json
import logging
import random
import signal
import sys
import threading
import time
from math import inf
from pathlib import Path
from typing import Any

import etcdv2
from etcdv2._runtime import clock
from etcdv2.recipes import AcquireTimeout, Lease, LeaseLost, Session
from etcdv2.recipes._lease import LeaseState
from tests.tools.stalls import Stalls


class SharedBook:
    """Lines in a file, under a lock of the kernel; beside it the store that refuses lower tokens."""

    def __init__(self, path: Path, who: str) -> None:
        self._path = path
        self._highest = path.with_suffix(".highest")
        self._who = who

    def note(self, what: str, **facts: Any) -> None:
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps({"what": what, "who": self._who, **facts}) + "\n")

    def store(self, lease: Lease) -> None:
        """A write under the lease's token. What it believes is looked at when nothing can come between."""
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            highest = int(self._highest.read_text() or 0) if self._highest.exists() else 0
            believed = lease.held
            if lease.token < highest:
                file.write(json.dumps({"what": "refused", "who": self._who, "believed": believed}) + "\n")
            else:
                self._highest.write_text(str(lease.token))


def contend(
    session: Session, key: str, rng: random.Random, book: SharedBook, stalls: Stalls, ended: threading.Event
) -> None:
    """One acquisition, and three writes, made without looking."""
    timeout = rng.choice([0.5, 5.0, 60.0])
    began = time.monotonic()
    try:
        lease = session.lock(key).acquire(timeout=timeout)
    except AcquireTimeout:
        now = time.monotonic()
        book.note("timeout", over=now - began - timeout - stalls.within(began, now))
        return

    since, state = clock.now(), lease._held_key.state
    book.note("held", token=lease.token)
    lost = False
    try:
        with lease:
            for _ in range(3):
                ended.wait(rng.uniform(0, 0.3))
                book.store(lease)
            until = min(clock.now(), state.deadline)
    except LeaseLost:
        lost, until = True, min(clock.now(), state.deadline)
    book.note("ended", token=lease.token, since=since, until=until, lost=lost)


def main(who: str, seed: str, endpoints: str, key: str, ttl: str, path: str, mutant: str) -> None:
    logging.getLogger("etcdv2").setLevel(logging.CRITICAL)
    if mutant == "no-deadline":
        LeaseState.deadline = property(lambda self: inf)  # type: ignore[method-assign,assignment]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    rng, book = random.Random(f"{seed} {who}"), SharedBook(Path(path), who)
    with (
        Stalls() as stalls,
        etcdv2.Client(endpoints.split(",")) as client,
        Session(client, ttl=int(ttl), owner=who) as session,
    ):

        def stop() -> None:
            ended.wait()
            session.close()

        threading.Thread(target=stop, daemon=True).start()
        while not ended.is_set():
            try:
                contend(session, key, rng, book, stalls, ended)
            except Exception as error:
                if not ended.is_set():
                    book.note("raised", error=repr(error))
                    time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
