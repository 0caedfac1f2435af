# Derived from etcdv2/recipes/_async/contest.py by scripts/unasync.py: change that file, make generate.
"""One acquisition: an entry among the others of a contest, until it is its turn or the wait has ended.

Owns the entry and its clean-up on every way out. Whose turn it is, `_contest` says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from etcdv2 import ClusterChanged
from etcdv2._runtime import clock
from etcdv2.recipes._contest import MARK, Await, Entry, Hold, Kind, decide, prefix_of
from etcdv2.recipes._lease import GONE, LeaseTimes
from etcdv2.recipes._sync.common_watch import CommonWatch
from etcdv2.recipes._sync.ephemeral import PASSING, Creation
from etcdv2.recipes._sync.held_key import HeldKey, within
from etcdv2.recipes._sync.keeping import Keeping
from etcdv2.recipes._sync.listing import Found, list
from etcdv2.recipes._sync.waiting import Wait

L = TypeVar("L")

logger = logging.getLogger("etcdv2")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is contended for, and how."""

    key: str
    """The directory, absolute."""
    kind: Kind
    limit: int
    owner: str
    times: LeaseTimes
    tidy: bool
    """Whether the directory is removed with the last entry."""


class Contest(Wait):
    """One contender's way to its turn."""

    def __init__(self, keeping: Keeping, terms: Terms, until: float = inf) -> None:
        super().__init__(keeping.client, terms.key, until, keeping.rng)
        self._keeping = keeping
        self.terms = terms
        self._creation: Creation | None = None
        self._index = 0
        self._is_new = False
        """Whether `seen` is what there was after the change that was waited for."""
        self._common: CommonWatch | None = None
        """From its first wait on."""
        self.seen: tuple[Entry, ...] = ()
        """The entries, as last seen."""

    def run(self, make: Callable[[HeldKey], L], *, wait: bool = True) -> L | None:
        """What `make` makes of the own entry, when it is its turn; with `wait=False` None when it is not at once.

        Raises AcquireCancelled, WaitOver, and what no other try can mend. Whatever it raises: the
        entry is deleted by then, or is being deleted in the background.
        """
        try:
            while True:
                held = self._enter()
                if self._turn(held, wait=wait):
                    return make(held)
                if not wait:
                    self.leave()
                    return None

                # Its entry was lost while it waited, to an operator or to an outage: to the end of the queue.
                self.check()
                logger.info(
                    "an entry of %s was lost while it waited (%s); it queues again", self._key, held.state.reason
                )
                self._keeping.look_at(held)
        except ClusterChanged:
            if self._creation is not None and self._creation.made is not None:
                self._creation.made.abandon()
            self.leave()
            raise
        except BaseException:
            self.leave()
            raise

    def list_entries(self, *, quorum: bool = False) -> tuple[Entry, ...]:
        """All entries there are, in one request, which others may share. Raises what a read raises."""
        if quorum:
            self._index, self.seen = self._list(quorum=True)
        else:
            shared = self._keeping.listing(self._key)
            self._index, self.seen = shared.begun_from_now_on(self._list, self._left_of_a_try)
        return self.seen

    def _list(self, *, quorum: bool = False) -> Found:
        return list(self._client, self._key, within(self._left_of_a_try()), quorum=quorum)

    def _left_of_a_try(self) -> float:
        """Seconds."""
        return max(0.0, min(self.terms.times.one_try, self._until - clock.now()))

    # --- the way -----------------------------------------------------------------------------------------------------

    def _enter(self) -> HeldKey:
        """Create the entry; from then on it is renewed in the background. Raises what the last try ended in."""
        terms = self.terms
        name = f"{prefix_of(terms.kind)}{terms.owner}-{self._rng.getrandbits(64):016x}"
        self._creation = Creation(self._client, f"{self._key}/{name}", terms.owner, terms.times, self._rng)
        self._keeping.gate.enter(self)
        try:
            held = self._creation.create(self._until, self.check)
        finally:
            self._keeping.gate.leave()
        if terms.tidy:
            held.parent = self._key
        self._keeping.plan(held, held)
        return held

    def _turn(self, held: HeldKey, *, wait: bool) -> bool:
        """True when it is its turn, False when the entry was lost (or it is not its turn and `wait` is False)."""
        name, waited = held.key.rpartition("/")[2], False
        while held.state.held(clock.now()):
            self.check()

            # 1. Not older than the own entry: then who comes before is in it.
            try:
                if not self._is_new:
                    self.list_entries()
            except PASSING as error:
                self.pause(error)
                continue
            self._is_new = False
            if self._index < held.token:
                continue

            # 2. What is to be done.
            decision = decide(self.seen, name, self.terms.kind, self.terms.limit)
            if decision is None:
                held.state.lose(GONE)
            elif isinstance(decision, Hold):
                return self._holds(held, waited or decision.followed)
            elif not wait:
                return False
            else:
                if self._passed(decision, held):
                    return self._holds(held, True)
                waited = True
        return False

    def _passed(self, decision: Await, held: HeldKey) -> bool:
        """Wait for a change; whether it alone made it this entry's turn, so that no listing is needed.

        No entry can come before this one any more, as created indexes rise.
        """
        self._common = common = self._common or self._keeping.common_watch(self._key)
        with common.one_more() as are_many:
            if are_many:
                found = common.change(self, (self._index, self.seen), decision.name, held)
                if found is not None:
                    (self._index, self.seen), self._is_new = found, True
                return False

            target = self._key if decision.name is None else f"{self._key}/{decision.name}"
            event = self.change_of(target, self._index, recursive=decision.name is None, held=held)
            return event is not None and decision.alone and event.deleted and not event.ancestor

    def _holds(self, held: HeldKey, needs_mark: bool) -> bool:
        """Its turn, unless the entry has been lost by now."""
        if not held.state.held(clock.now()):
            return False
        if self.terms.kind == "semaphore" and needs_mark:
            held.wanted = held.value + MARK
            self._keeping.look_at(held)
        return True

    def leave(self) -> None:
        """Delete the entry: briefly here, then in the background, late creates included."""
        if self._creation is not None:
            self._keeping.give_up(self._creation)
