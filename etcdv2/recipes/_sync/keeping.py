# Derived from etcdv2/recipes/_async/keeping.py by scripts/unasync.py: change that file, make generate.
"""What a session keeps: its leases, its waits, and what the background has to do for them.

Owns the life of a key from the write that made it to its deletion. Its requests are those of `held_key`.
"""

from __future__ import annotations

from random import Random
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from etcdv2 import Client, Event, Watcher
from etcdv2._runtime import clock
from etcdv2._runtime.forks import register_after_fork
from etcdv2._runtime.interruption import who
from etcdv2._runtime.primitives import call_each
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._clocks import MemberClocks
from etcdv2.recipes._lease import LeaseTimes
from etcdv2.recipes._registry import Registry
from etcdv2.recipes._sync.common_watch import CommonWatch
from etcdv2.recipes._sync.ephemeral import Creation
from etcdv2.recipes._sync.gate import Gate
from etcdv2.recipes._sync.held_key import HeldKey
from etcdv2.recipes._sync.keeper import Keeper, Work
from etcdv2.recipes._sync.listing import Listing
from etcdv2.recipes._sync.own_watch import OwnWatch

CLOSE_SECONDS = 2.0
"""For the deletion of all keys at `close`; what is left then expires."""
LEAVE_SECONDS = 0.3
"""For the deletion of an entry whose wait has ended, before the background goes on with it."""


class Held(Work, Protocol):
    """A key that is kept."""

    def end(self) -> bool: ...

    def delete_until(self, moment: float) -> None: ...

    def after_fork(self) -> None: ...


class Stoppable(Protocol):
    """A wait that others can end."""

    def stop(self, reason: str) -> None: ...


class Kept(Protocol):
    """What users hold of a key."""

    @property
    def token(self) -> int: ...


_holders: WeakKeyDictionary[Client, Registry[HeldKey]] = WeakKeyDictionary()
"""Of each client: the locks that are held through it, in whichever session."""


class Keeping:
    """All that is renewed together and ends together."""

    def __init__(self, client: Client, owner: str, *, watch_own: bool = False) -> None:
        self.client = client
        self.owner = owner
        self.watch_own = watch_own
        self.clocks = MemberClocks()
        self.rng = Random()
        self.closed = False
        self.keeper = Keeper()
        self.held: Registry[Held] = Registry()
        self.leases: Registry[Kept] = Registry()
        self.waits: Registry[Stoppable] = Registry()
        self.shared: dict[str, Stoppable] = {}
        """By the key of a queue: the live copy of it that all its consumers use."""
        self.gate = Gate()
        self._given_up: WeakValueDictionary[tuple[str, str, LeaseTimes], Creation] = WeakValueDictionary()
        """Creates that may be carried out even now."""
        self._listings: WeakValueDictionary[str, Listing] = WeakValueDictionary()
        self._common_watches: WeakValueDictionary[str, CommonWatch] = WeakValueDictionary()
        client.attach(self)
        register_after_fork(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.owner}: {self.keeper!r}>"

    def close(self, *, release: bool = True) -> None:
        """See `Session.close`."""
        if self.closed:
            return
        self.closed = True
        until = clock.now() + CLOSE_SECONDS
        try:
            for wait in self.waits.all():
                wait.stop("its session was closed")
            held = [one for one in self.held.all() if one.end()]
            for one in held:
                self.keeper.drop(one)
            if release:
                call_each([one.delete_until for one in held], until)
        finally:
            self.keeper.stop()
        self.keeper.join(until)

    def after_fork(self) -> None:
        """In a forked child: the leases are the parent's."""
        self.closed = True
        self.keeper.after_fork()
        self.clocks.after_fork()
        for registry in (self.held, self.leases, self.waits):
            registry.after_fork()
        for held in self.held.all():
            held.after_fork()

    # --- for what is made by a session -------------------------------------------------------------------------------

    def tokens(self) -> set[int]:
        """Of all keys that are held by this session."""
        return {lease.token for lease in self.leases.all()}

    def creation(self, key: str, value: str, times: LeaseTimes) -> Creation:
        """For a key: one that was given up goes on, as one of its creates may have made the key."""
        creation = self._given_up.pop((key, value, times), None)
        if creation is None:
            return Creation(self.client, key, value, times, self.rng, self.tokens)
        self.keeper.drop(creation)
        return creation

    def give_up(self, creation: Creation) -> None:
        """Delete what it has made: briefly here, then in the background, and there what it makes even now."""
        made = creation.made
        if creation.may_come and (made is None or made.ghosts is not creation):
            self._given_up[creation.key, creation.value, creation.times] = creation
            self.look_at(creation)
        if made is not None:
            self.leave(made)

    def listing(self, key: str) -> Listing:
        """That of all who contend below this key."""
        return self._listings.setdefault(key, Listing())

    def common_watch(self, key: str) -> CommonWatch:
        """The same."""
        found = self._common_watches.get(key)
        if found is None:
            found = self._common_watches.setdefault(key, CommonWatch(self.client, key, self.rng))
            self.waits.add(found)
        return found

    def plan(self, work: Held, held: HeldKey) -> None:
        """Keep it from now on."""
        held.clocks = self.clocks
        self.held.add(work)
        self.keeper.put(work, held.next_due())
        if self.closed:  # meanwhile
            raise ValueError("the session is closed")

    def acquired(self, lease: Kept, held: HeldKey, scope: str = "") -> None:
        """Somebody has it now. `scope`: what whoever runs this cannot acquire once more."""
        if scope:
            self._note_holder(held, scope)
        self.leases.add(lease)
        if self.watch_own:
            self.watch(held, held)

    def watch(self, held: HeldKey, work: Work) -> None:
        """Notice at once when the key is taken away."""

        def watch(after: int) -> Watcher[Event]:
            return self.client.keys.watch(held.key, after_index=after)

        def look() -> None:
            self.look_at(work)

        own = OwnWatch(watch, held, look)
        self.waits.add(own)
        own.start()

    def _note_holder(self, held: HeldKey, scope: str) -> None:
        """Who runs this has it, and cannot wait for it."""
        held.holder = (ref(who()), scope)
        _holders.setdefault(self.client, Registry()).add(held)

    def check_not_held(self, scope: str) -> None:
        """Raises RuntimeError when whoever runs this holds it: it would wait for itself."""
        me = who()
        for held in _holders.get(self.client, Registry[HeldKey]()).all():
            is_mine = held.holder is not None and held.holder[0]() is me and held.holder[1] == scope
            if is_mine and held.state.held(clock.now()):
                raise RuntimeError(f"{scope} is held already by the task or thread that acquires it")

    def release(self, held: HeldKey, timeout: float | None) -> bool:
        check_timeout(timeout)
        return self._end(held, held.state.times.one_try if timeout is None else timeout, even_lost=False)

    def leave(self, held: HeldKey) -> None:
        """Its wait has ended: delete the entry, whatever became of it."""
        self._end(held, LEAVE_SECONDS, even_lost=True)

    def _end(self, held: HeldKey, seconds: float, *, even_lost: bool) -> bool:
        """Whether it is certainly gone; else, and where this is interrupted at any line, the background goes on."""
        done = False
        try:
            if held.end():
                self.keeper.drop(held)
            if held.state.ended == "lost" and not even_lost:
                done = True
                return False
            done = held.delete(seconds)
            return done
        finally:
            if not done or held.ghosts is not None:
                self.look_at(held)

    def look_at(self, work: Work) -> None:
        """Have the background do now what there is to do for it: renew, give another value, delete, look for it."""
        self.keeper.put(work, clock.now())

    def forget(self, held: Held) -> None:
        """A lease that nobody holds any more: from any thread, in the garbage collector."""
        if held.end():
            self.keeper.put_from_collector(held)

    def check_open(self) -> None:
        if self.closed:
            raise ValueError("the session is closed")
