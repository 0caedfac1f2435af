"""The background of a session: renews its leases and deletes what has to go, for as long as there is any.

Owns its workers and when they run. What is to be done with one key is the affair of `held_key`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Protocol

from etcdv2._runtime import clock
from etcdv2._runtime.primitives import AsyncPulse, AsyncWorker
from etcdv2.recipes._agenda import Agenda

logger = logging.getLogger("etcdv2")

MOST_WORKERS = 8
"""So many requests of one session at once: a member that is silent holds each up for one try."""


class AsyncWork(Protocol):
    async def work(self) -> float | None:
        """Do it; the moment when it is to be done again, None when it needs nothing more."""


class AsyncKeeper:
    """Does each piece of work when it is due. Has no task and no thread while nothing is planned."""

    def __init__(self) -> None:
        self._agenda: Agenda[AsyncWork] = Agenda()
        self._in_hand: set[int] = set()
        self._again: dict[int, float] = {}
        self._dropped: set[int] = set()
        self._forgotten: deque[AsyncWork] = deque()
        self._workers = 0
        self._running: set[AsyncWorker] = set()
        self._sleeper: AsyncPulse | None = None
        self._sleeps_until = 0.0
        """When the sleeper wakes by itself: only what is due before that has to wake it."""
        self._stopped = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._agenda)} keys, {self._workers} workers>"

    def put(self, work: AsyncWork, due: float) -> None:
        """Do it at that moment; where it is being done just now, once more after that.

        Raises RuntimeError where no thread can be started for it.
        """
        with self._lock:
            if self._stopped:
                return
            self._dropped.discard(id(work))
            if id(work) in self._in_hand:  # never twice at once
                self._again[id(work)] = due
                return
            self._agenda.put(work, due)
            start = self._sleeper is None and self._workers < MOST_WORKERS
            self._workers += start
            sleeper = self._sleeper if due < self._sleeps_until else None

        if sleeper is not None:
            sleeper.set()
        if start:
            self._start()

    def drop(self, work: AsyncWork) -> None:
        """It needs nothing more; where it is being done just now, it is not done again."""
        with self._lock:
            self._agenda.drop(work)
            if id(work) in self._in_hand:
                self._dropped.add(id(work))
                self._again.pop(id(work), None)

    def put_from_collector(self, work: AsyncWork) -> None:
        """Do it soon, for a piece of work that is planned already: takes no lock.

        The garbage collector may call this in a thread that has just taken the lock.
        """
        self._forgotten.append(work)
        sleeper = self._sleeper
        if sleeper is not None:
            sleeper.set()

    def stop(self) -> None:
        """Do nothing more, from any thread: a closed client could not."""
        with self._lock:
            self._stopped = True
            self._agenda = Agenda()
            sleeper = self._sleeper
        if sleeper is not None:
            sleeper.set()

    async def join(self, until: float) -> None:
        """After `stop`: wait until the workers have ended, but not beyond that moment."""
        for worker in tuple(self._running):
            await worker.join(max(0.0, until - clock.now()))

    def after_fork(self) -> None:
        """In a forked child: what was planned is the parent's."""
        self._lock = threading.Lock()
        self._agenda = Agenda()
        self._in_hand, self._again, self._dropped = set(), {}, set()
        self._running = set()
        self._workers, self._sleeper, self._stopped = 0, None, True

    # --- the workers -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        begun = AsyncPulse()
        workers: list[AsyncWorker] = []

        async def run() -> None:
            await begun.wait(None)
            try:
                await self._run()
            finally:
                self._running.difference_update(workers)

        try:
            workers.append(AsyncWorker(run, "etcdv2-keeper"))
        except BaseException:
            with self._lock:
                self._workers -= 1
            raise
        self._running.update(workers)
        begun.set()

    async def _run(self) -> None:
        try:
            while True:
                # 1. Something is due; for what comes due meanwhile there is another worker.
                work, needs_help = self._take()
                if needs_help:
                    self._start_another()
                if work is not None:
                    await self._do(work)
                    continue

                # 2. Nothing is due yet: one worker waits until something is, the others end.
                sleep = self._sleep()
                if sleep is None:
                    return
                pulse, seconds = sleep
                await pulse.wait(seconds)
                self._woken(pulse)
        except BaseException:  # its loop ends
            with self._lock:
                self._workers -= 1
                self._sleeper = None
            raise

    def _take(self) -> tuple[AsyncWork | None, bool]:
        """What is due, and whether nobody waits for the rest."""
        with self._lock:
            self._plan_forgotten()
            work = self._agenda.take(clock.now())
            if work is None:
                return None, False
            self._in_hand.add(id(work))
            needs_help = bool(len(self._agenda)) and self._sleeper is None and self._workers < MOST_WORKERS
            self._workers += needs_help
            return work, needs_help

    def _plan_forgotten(self) -> None:
        while self._forgotten:
            work = self._forgotten.popleft()
            if self._stopped:
                continue
            if id(work) in self._in_hand:
                self._again[id(work)] = clock.now()
            else:
                self._agenda.put(work, clock.now())

    def _start_another(self) -> None:
        try:
            self._start()
        except RuntimeError as error:  # no thread can be started: this worker does the rest, one after the other
            logger.warning("leases are renewed one after the other: %s", error)

    async def _do(self, work: AsyncWork) -> None:
        due: float | None = None
        try:
            due = await work.work()
        except Exception:  # a fault of ours must not end the renewal of all other leases
            logger.exception("in the background of a session")
        finally:
            with self._lock:
                self._in_hand.discard(id(work))
                dropped = id(work) in self._dropped
                self._dropped.discard(id(work))
                due = self._again.pop(id(work), due)
                if due is not None and not dropped and not self._stopped:
                    self._agenda.put(work, due)
                    if self._sleeper is not None and due < self._sleeps_until:
                        self._sleeper.set()

    def _sleep(self) -> tuple[AsyncPulse, float] | None:
        """On what to sleep for how many seconds; None when this worker is not needed, and has ended."""
        with self._lock:
            now = clock.now()
            wait = self._agenda.wait(now)
            if wait is None or self._sleeper is not None:
                self._workers -= 1
                return None
            seconds = 0.0 if self._forgotten else wait
            self._sleeper, self._sleeps_until = AsyncPulse(), now + seconds
            return self._sleeper, seconds

    def _woken(self, pulse: AsyncPulse) -> None:
        with self._lock:
            if self._sleeper is pulse:
                self._sleeper = None
