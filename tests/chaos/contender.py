"""One contender of `contended`: `python -m tests.chaos.contender KIND WHO SEED ENDPOINTS KEY TTL BOOK MUTANT`.

Owns what it does with the lock, or what else is contended for, and what it writes down: a line for each thing, in a
file that all share.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import etcdv2
from etcdv2._runtime import clock
from etcdv2.recipes import AcquireTimeout, Lease, LeaseLost, Session
from etcdv2.recipes._lease import LeaseState
from tests.tools.stalls import Stalls

LIMIT = 2
"""Of the semaphore."""


class SharedBook:
    """Lines in a file, under a lock of the kernel; beside it the store that refuses lower tokens."""

    def __init__(self, path: Path, who: str) -> None:
        self._path = path
        self._highest = path.with_suffix(".highest")
        self._who = who

    def note(self, what: str, **facts: Any) -> None:
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps({"what": what, "who": self._who, "at": clock.now(), **facts}) + "\n")

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


class Contender:
    """What one process does, again and again."""

    def __init__(
        self, session: Session, key: str, ttl: int, rng: random.Random, book: SharedBook, stalls: Stalls
    ) -> None:
        self._session = session
        self._ttl = ttl
        self._key = key
        self._rng = rng
        self._book = book
        self._stalls = stalls
        self._numbers = itertools.count()
        self.ended = threading.Event()

    # --- what is held: a lock, one side of a read/write lock, a permit, leadership -----------------------------------

    def lock(self) -> None:
        self._hold(self._session.lock(self._key).acquire, fences=True)

    def election(self) -> None:
        self._hold(self._session.election(self._key).campaign, fences=True)

    def rwlock(self) -> None:
        lock, writes = self._session.rwlock(self._key), self._rng.random() < 0.5
        self._hold((lock.write if writes else lock.read).acquire, fences=writes)

    def semaphore(self) -> None:
        self._hold(self._session.semaphore(self._key, LIMIT).acquire, fences=False)

    def _hold(self, acquire: Callable[..., Lease], *, fences: bool) -> None:
        """One acquisition, and three writes, made without looking."""
        timeout = self._rng.choice([0.5, 5.0, 60.0])
        began = time.monotonic()
        try:
            lease = acquire(timeout=timeout)
        except AcquireTimeout:
            now = time.monotonic()
            self._book.note("timeout", over=now - began - timeout - self._stalls.within(began, now))
            return

        since, state = clock.now(), lease._held_key.state
        self._book.note("held", token=lease.token)
        lost = False
        try:
            with lease:
                for _ in range(3):
                    self.ended.wait(self._rng.uniform(0, 0.3))
                    if fences:
                        self._book.store(lease)
                until = min(clock.now(), state.deadline)
        except LeaseLost:
            lost, until = True, min(clock.now(), state.deadline)
        self._book.note("ended", token=lease.token, since=since, until=until, lost=lost, alone=fences)

    # --- a queue, and a counter beside it ----------------------------------------------------------------------------

    def queue(self) -> None:
        """Put one or two, and do one or two; each put is counted."""
        queue, book, rng = self._session.queue(f"{self._key}/jobs", ttl=self._ttl), self._book, self._rng
        for _ in range(rng.randrange(3)):
            value = f"{self._session.owner}-{next(self._numbers)}"
            try:
                queue.put(value)
            except etcdv2.EtcdError as error:
                book.note("put unknown", value=value, error=repr(error))
            else:
                book.note("put", value=value)
            try:
                book.note("added", number=self._session.counter(f"{self._key}/count").add())
            except etcdv2.OutcomeUnknown:
                book.note("add unknown")
            except etcdv2.EtcdError as error:
                book.note("not added", error=repr(error))

        for _ in range(rng.randrange(3)):
            timeout = rng.choice([0.5, 2.0])
            item = queue.get(timeout=timeout)
            if item is None:
                continue
            since, state = clock.now(), item.lease._held_key.state
            book.note("given", value=item.value, token=item.lease.token)
            end, until = "acked", since
            try:
                self.ended.wait(rng.uniform(0, 0.2))
                until = min(clock.now(), state.deadline)
                if rng.random() < 0.9:
                    item.ack()
                else:
                    end = "given back"
                    item.give_back()
            except LeaseLost:
                end = "lost"
                item.give_back()
            book.note("done", value=item.value, token=item.lease.token, since=since, until=until, end=end)

    # --- a registration ----------------------------------------------------------------------------------------------

    def registration(self) -> None:
        """There for the whole run."""
        with self._session.register(f"{self._key}/{self._session.owner}", self._session.owner, takeover=True):
            self._book.note("held")
            while not self.ended.wait(0.5):
                pass


def main(kind: str, who: str, seed: str, endpoints: str, key: str, ttl: str, path: str, mutant: str) -> None:
    logging.getLogger("etcdv2").setLevel(logging.CRITICAL)
    if mutant == "no-deadline":
        LeaseState.deadline = property(lambda self: inf)  # type: ignore[method-assign,assignment]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    rng, book = random.Random(f"{seed} {who}"), SharedBook(Path(path), who)
    with (
        Stalls() as stalls,
        etcdv2.Client(endpoints.split(",")) as client,
        Session(client, ttl=int(ttl), owner=who) as session,
    ):
        contender = Contender(session, key, int(ttl), rng, book, stalls)
        ended = contender.ended

        def stop() -> None:
            signal.sigwait({signal.SIGTERM})  # a handler would set the event in the midst of a wait for it
            ended.set()
            if kind not in ("queue", "registration"):  # their rounds end soon by themselves
                session.close()

        threading.Thread(target=stop, daemon=True).start()
        book.note("begun")
        while not ended.is_set():
            try:
                getattr(contender, kind)()
            except Exception as error:
                if not ended.is_set():
                    book.note("raised", error=repr(error))
                    time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
