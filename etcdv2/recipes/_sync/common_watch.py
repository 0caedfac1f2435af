# Derived from etcdv2/recipes/_async/common_watch.py by scripts/unasync.py: change that file, make generate.
"""One watch of a contest's directory for all of a session that wait in it, where these are many.

Owns the watch, what it has shown, and who is to be woken by it. Who waits for what is the affair of
`contest`. With a watch for each waiter, the renewals of a thousand entries would turn the server's
history over so fast that to keep a thousand watches within it takes more than the renewals; and each
hand-over would take a listing of all entries.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Generator, Iterable
from random import Random
from typing import Protocol

from etcdv2 import Client, EtcdError, Event, HistoryCleared, Watcher
from etcdv2._runtime.primitives import Pulse, Worker, sleep
from etcdv2.recipes._contest import Entries, Entry
from etcdv2.recipes._lease import AGAIN_SECONDS, TRY_SECONDS
from etcdv2.recipes._sync.ephemeral import PASSING
from etcdv2.recipes._sync.held_key import HeldKey, within
from etcdv2.recipes._sync.listing import Found, list

logger = logging.getLogger("etcdv2")

FEW = 8
"""So many of a session wait by watches of their own, which wake nobody else's program for nothing."""


class Sleeper(Protocol):
    """See `Wait`."""

    def sleep_on(self, pulse: Pulse, held: HeldKey | None = None) -> None: ...


class CommonWatch:
    """Begun by the first who uses it, and ended by the last. See `Contest`."""

    def __init__(self, client: Client, key: str, rng: Random) -> None:
        self._client = client
        self._rng = rng
        self._waiting = 0
        self._entries = Entries(key)
        self._users: set[Pulse] = set()
        self._sleepers: dict[str | None, dict[Pulse, Entry | None]] = {}
        """By the name of the entry for which they wait, None for any: and as what each of them has seen it."""
        self._runs = False
        self._stopped = False
        self._watcher: Watcher[Event] | None = None
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self.key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}: {len(self._users)} of {self._waiting} who wait>"

    @contextlib.contextmanager
    def one_more(self) -> Generator[bool]:
        """Somebody waits in this directory; whether so many do that they share the watch."""
        with self._lock:
            self._waiting += 1
            are_many = self._waiting > FEW
        try:
            yield are_many
        finally:
            with self._lock:
                self._waiting -= 1

    def change(self, wait: Sleeper, known: Found, name: str | None, held: HeldKey) -> Found | None:
        """What there is after a change of the entry with this name, or the deletion of any; also of the own entry.

        `known`: what the caller has seen. None where its wait is over, or nobody can watch: then it is
        to list again.
        """
        turn, own = Pulse(), held.key.rpartition("/")[2]
        awaited = {each: next((entry for entry in known[1] if entry.name == each), None) for each in (name, own)}

        # 1. It is known already here, or will be shown.
        with self._lock:
            begins = not self._runs
            if begins:
                self._runs = True
                self._entries.listed(*known)
            elif self._entries.index > known[0] and any(self._differs(*one) for one in awaited.items()):
                return self._entries.index, self._entries.all()
            self._users.add(turn)
            for each, seen in awaited.items():
                self._sleepers.setdefault(each, {})[turn] = seen

        # 2. Until then.
        try:
            if begins:
                self._begin()
            wait.sleep_on(turn, held)
            with self._lock:
                is_newer = self._runs and self._entries.index > known[0]
                return (self._entries.index, self._entries.all()) if is_newer else None
        finally:
            self._leave(turn, awaited)

    def stop(self, reason: str) -> None:
        """For the session, which ends."""
        del reason
        self._stopped = True
        self._close()

    # --- who waits ---------------------------------------------------------------------------------------------------

    def _leave(self, turn: Pulse, names: Iterable[str | None]) -> None:
        with self._lock:
            self._users.discard(turn)
            for name in names:
                sleepers = self._sleepers.get(name, {})
                sleepers.pop(turn, None)
                if not sleepers:
                    self._sleepers.pop(name, None)
            is_last = not self._users
        if is_last:
            self._close()

    def _close(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher.close()

    def _differs(self, name: str | None, seen: Entry | None) -> bool:
        """Whether there may have been what is waited for, since it was seen so."""
        return name is None or self._entries.get(name) != seen

    def _wake(self, *names: str | None) -> None:
        """Those who wait for one of these. With the lock."""
        for name in names:
            for turn in self._sleepers.get(name, ()):
                turn.set()

    # --- the watch ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Raises RuntimeError where no thread can be started."""
        try:
            self._worker = Worker(self._run, "etcdv2-contest")
        except BaseException:
            with self._lock:
                self._runs = False
            raise

    def _run(self) -> None:
        failed = True
        try:
            while not self._is_over():
                self._follow()
                if self._is_over():
                    break
                self._list_again()
            failed = False
        except (EtcdError, ValueError):  # who waits lists again, and finds out by itself
            pass
        finally:
            if failed:
                with self._lock:
                    self._runs = False
                    self._wake(*self._sleepers)

    def _is_over(self) -> bool:
        """Whether nobody uses it any more: from then on it can be begun once more."""
        with self._lock:
            is_over = self._stopped or not self._users
            if is_over:
                self._runs = False
            return is_over

    def _follow(self) -> None:
        """Until the watch ends, which goes on through failures of members."""
        watcher = self._watcher = self._client.keys.watch(self.key, after_index=self._entries.index, recursive=True)
        try:
            while self._users and not self._stopped and (event := watcher.next()) is not None:
                with self._lock:
                    changed = self._entries.step(event)
                    self._wake(*changed, *([None] if event.deleted else []))
        except HistoryCleared:
            logger.info("the server has forgotten what came after a listing of %s; it is listed again", self.key)
        except PASSING:
            sleep(self._rng.uniform(*AGAIN_SECONDS))
        finally:
            self._watcher = None
            watcher.close()

    def _list_again(self) -> None:
        """Raises what another try cannot mend."""
        try:
            found = list(self._client, self.key, within(TRY_SECONDS[1]))
        except PASSING:
            sleep(self._rng.uniform(*AGAIN_SECONDS))
            return
        with self._lock:
            if found[0] < self._entries.index:
                return
            self._entries.listed(*found)
            for name, turns in self._sleepers.items():
                for turn, seen in turns.items():
                    if self._differs(name, seen):
                        turn.set()
