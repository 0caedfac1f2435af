"""Locks, read/write locks and semaphores: descriptions by which leases are acquired.

Owns the ways to acquire. The way of one acquisition is the affair of `contest`.
"""

from __future__ import annotations

import threading
from math import inf
from types import TracebackType

from etcdv2._runtime import clock
from etcdv2._runtime.interruption import async_who
from etcdv2.recipes._arguments import check_wait
from etcdv2.recipes._async.contest import AsyncContest, Terms
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.waiting import WaitOver
from etcdv2.recipes._contest import Contender, Entry, Hold, contenders, decide, prefix_of
from etcdv2.recipes._errors import AcquireTimeout

CONTENDERS_SECONDS = 20.0


class AsyncLock:
    """A lock, one side of a read/write lock, or a semaphore: made by a session, used by any number of tasks or threads.

    Each acquisition is a lease of its own: what can be lost is that, and not the lock. `with` waits
    for as long as it takes and releases at the end.

        with session.lock("/locks/db") as lease:
            table.write(row, token=lease.token)

    Contenders are served in the order in which they came. It is not re-entrant: who holds it and
    acquires it again through the same client gets RuntimeError (a semaphore gives another permit).

    Guarantees: of all leases at most one is `held` at a time (of a semaphore as many as its limit),
    as long as the clocks of the members differ by less than the margin. What must be safe beyond
    that has to refuse older tokens: see the README.
    """

    def __init__(self, keeping: AsyncKeeping, terms: Terms) -> None:
        self._keeping = keeping
        self._terms = terms
        self._entered: list[tuple[object, AsyncLease]] = []
        self._entering = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} of {self.owner}>"

    @property
    def key(self) -> str:
        """The directory in which each contender has an entry, absolute."""
        return self._terms.key

    @property
    def owner(self) -> str:
        """How others see this program."""
        return self._terms.owner

    async def acquire(self, *, timeout: float | None = None) -> AsyncLease:
        """Wait until it is held: for at most `timeout` seconds, None for as long as it takes.

        Failures of members, elections and a cluster that cannot be reached are endured until then.
        Whatever it raises, its entry is deleted, if need be in the background.

        Raises AcquireTimeout; AcquireCancelled after `cancel`, or when the session is closed;
        RuntimeError when this task or thread holds it already; Unauthorized, ClusterChanged and other
        errors that no other try can mend. ValueError for a closed session and a timeout of 0: see
        `try_acquire`.
        """
        check_wait(timeout)
        until = inf if timeout is None else clock.now() + timeout
        contest = self._contest(until)
        try:
            lease = await contest.run(self._lease)
        except (WaitOver, *PASSING) as error:
            if clock.now() < until or timeout is None:
                raise
            cause = contest.failure if isinstance(error, WaitOver) else error
            raise AcquireTimeout(self.key, timeout, self._contenders(contest.seen)) from cause
        assert lease is not None
        return lease

    async def try_acquire(self) -> AsyncLease | None:
        """The lease when it can be had at once, else None. When others are there, nothing was written.

        Raises what a read or a write raises, AcquireTimeout where no answer is to be had for 20 s, and
        RuntimeError and ValueError as `acquire` does.
        """
        contest = self._contest(clock.now() + CONTENDERS_SECONDS)
        entries = await contest.list_entries()
        me = Entry(f"{prefix_of(self._terms.kind)}me", max([entry.token for entry in entries], default=0) + 1, "")
        if not isinstance(decide([*entries, me], me.name, self._terms.kind, self._terms.limit), Hold):
            return None
        try:
            return await contest.run(self._lease, wait=False)
        except WaitOver as error:
            raise AcquireTimeout(self.key, CONTENDERS_SECONDS, self._contenders(contest.seen)) from (
                contest.failure or error
            )

    async def cancel(self) -> None:
        """End all waits on this object: they raise AcquireCancelled. From any thread; later ones are not affected."""
        for wait in self._keeping.waits.all():
            if isinstance(wait, AsyncContest) and wait.terms is self._terms:
                await wait.stop("it was cancelled")

    async def contenders(self) -> tuple[Contender, ...]:
        """Who holds it and who waits, in their order. By a quorum read, at most 20 s; raises what that raises."""
        contest = AsyncContest(self._keeping, self._terms, clock.now() + CONTENDERS_SECONDS)
        return self._contenders(await contest.list_entries(quorum=True))

    async def __aenter__(self) -> AsyncLease:
        lease = await self.acquire()
        try:
            with self._entering:
                self._entered.append((async_who(), lease))
        except BaseException:  # of a signal's handler: the block is not run, so nothing ends it
            with self._entering:
                self._entered = [entered for entered in self._entered if entered[1] is not lease]
            await lease.release()
            raise
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        me = async_who()
        with self._entering:
            mine = [at for at, (who, _) in enumerate(self._entered) if who is me]
            place = mine[-1] if mine else -1  # entered by another one, as some frameworks' fixtures are
            _, lease = self._entered.pop(place)
        await lease.__aexit__(kind, error, trace)

    def _contest(self, until: float) -> AsyncContest:
        """Raises ValueError for a closed session, RuntimeError for who holds it already."""
        self._keeping.check_open()
        scope = self._scope()
        if scope:
            self._keeping.check_not_held(scope)
        contest = AsyncContest(self._keeping, self._terms, until)
        self._keeping.waits.add(contest)
        return contest

    def _lease(self, held: AsyncHeldKey) -> AsyncLease:
        lease = AsyncLease(self._keeping, held)
        self._keeping.acquired(lease, held, self._scope())
        return lease

    def _scope(self) -> str:
        """What one task or thread cannot hold twice; "" for permits, which it can."""
        return "" if self._terms.kind == "semaphore" else self.key

    def _contenders(self, entries: list[Entry] | tuple[Entry, ...]) -> tuple[Contender, ...]:
        return contenders(entries, self._terms.kind, self._terms.limit)


class AsyncRWLock:
    """A lock that any number of readers hold together, or one writer alone. See `AsyncSession.rwlock`."""

    def __init__(self, read: AsyncLock, write: AsyncLock) -> None:
        self._read = read
        self._write = write

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} of {self._read.owner}>"

    @property
    def key(self) -> str:
        """The directory, absolute."""
        return self._read.key

    @property
    def read(self) -> AsyncLock:
        """The readers' side. A reader's token is higher than that of the last writer before it."""
        return self._read

    @property
    def write(self) -> AsyncLock:
        """The writers' side: alone, and fenced by its token."""
        return self._write
