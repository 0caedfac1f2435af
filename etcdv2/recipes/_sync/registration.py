# Derived from etcdv2/recipes/_async/registration.py by scripts/unasync.py: change that file, make generate.
"""A key that says "I am here" for as long as it is open: made again after every outage.

Owns when it is tried again. The requests are those of `ephemeral` and `held_key`.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Self

from etcdv2 import Client, EtcdError, KeyExists
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import Pulse
from etcdv2.recipes._arguments import check_timeout
from etcdv2.recipes._lease import LeaseTimes
from etcdv2.recipes._sync.ephemeral import Creation
from etcdv2.recipes._sync.held_key import HeldKey
from etcdv2.recipes._sync.keeping import Keeping

logger = logging.getLogger("etcdv2")

FIRST_PAUSE = 0.1
"""Seconds between tries to make the key again; doubled each time, up to the most."""
MOST_PAUSE = 3.0


class Presence:
    """What the keeper does for a registration: keep the key, or make it again."""

    def __init__(self, client: Client, held: HeldKey, times: LeaseTimes, rng: Random, takeover: bool) -> None:
        self._client = client
        self._times = times
        self._rng = rng
        self._takeover = takeover
        self._pause = FIRST_PAUSE
        self._creation: Creation | None = None
        self._closed = False
        self.key = held.key
        self.value = held.value
        """What the key has, or is to have when it is made again."""
        self.held = held
        self.away_since: float | None = None
        self.reason = ""
        self.made: Callable[[HeldKey], None] | None = None
        """Called with each key that is made again."""
        self.gone = Pulse()
        """Set when it was closed, and the key is deleted."""

    # --- as `HeldKey` has it ------------------------------------------------------------------------------------

    def work(self) -> float | None:
        """See `Work`."""
        # 1. While it is there it is a lease; once it is closed, or away, one that is to be deleted.
        due = self.held.work()
        if self._closed:
            return self._clean_up(due)
        if not self.held.state.ended or (due is not None and not self.held.is_gone):
            return due

        # 2. It is away, and nothing of it is left: at once another one, then after pauses.
        if self.away_since is None:
            self.away_since, self.reason = time.monotonic(), self.held.state.reason
            self._creation, self._pause = None, FIRST_PAUSE
        try:
            self._make()
        except (EtcdError, ValueError) as error:
            self._say(error)
            pause, self._pause = self._pause, min(MOST_PAUSE, 2 * self._pause)
            return clock.now() + pause * self._rng.uniform(0.5, 1)
        return self.held.next_due() if not self._closed else clock.now()

    def end(self) -> bool:
        """The holder gives it up; False when it has done so before."""
        was, self._closed = self._closed, True
        self.held.state.release()
        return not was

    def delete_until(self, moment: float) -> None:
        self.held.delete_until(moment)

    def after_fork(self) -> None:
        self._closed = True
        self.held.after_fork()
        self.reason = self.held.state.reason

    # --- its own -----------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._closed

    def change(self, value: str) -> None:
        """The value from the next write on."""
        self.value = value
        self._creation = None
        self.held.settled.clear()
        self.held.wanted = value

    def _make(self) -> None:
        value = self.value
        if self._creation is None:
            self._creation = Creation(self._client, self.key, value, self._times, self._rng)
        held = self._creation.create(clock.now() + self._times.one_try, takeover=self._takeover)
        if self.value != value:
            held.wanted = self.value
        held.clocks = self.held.clocks
        self.held, self.away_since, self.reason, self._creation = held, None, "", None
        if self.made is not None:
            self.made(held)
        if self._closed:
            held.state.release()
        logger.info("%s is registered again, token %d", self.key, held.token)

    def _say(self, error: Exception) -> None:
        reason = "somebody else has the key" if isinstance(error, KeyExists) else str(error)
        if reason != self.reason:
            logger.warning("%s is not registered: %s", self.key, reason)
        self.reason = reason

    def _clean_up(self, due: float | None) -> float | None:
        """Closed: a create that was given up may still come."""
        if self.held.is_gone:
            self.gone.set()
        if self._creation is None or not self._creation.may_come:
            return due
        later = self._creation.work()
        return later if due is None else min(due, later or due)


class Registration:
    """A key that is there for as long as this is open: renewed in the background, and made again when it is gone.

    An outage longer than its TTL, or an operator, may take the key away: then `held` is False and
    `away_since` says since when, until it is there again, with another token. `with` and `release`
    delete it. Guarantees: without faults it is there all the time; after one, soon after the cluster
    can be written again.
    """

    def __init__(self, keeping: Keeping, presence: Presence) -> None:
        self._keeping = keeping
        self._presence = presence

    def __repr__(self) -> str:
        state = "closed" if self._presence.closed else "there" if self.held else f"away: {self.reason}"
        return f"<{type(self).__name__} of {self.key}, {state}>"

    @property
    def key(self) -> str:
        """The key, absolute."""
        return self._presence.key

    @property
    def value(self) -> str:
        """What it has, or is to have."""
        return self._presence.value

    @property
    def ttl(self) -> int:
        """Seconds."""
        return self._presence.held.state.times.ttl

    @property
    def token(self) -> int:
        """The key's created index: another one each time that it was made again."""
        return self._presence.held.token

    @property
    def held(self) -> bool:
        """Whether the key is there, as far as is known. No I/O."""
        return self._presence.held.state.held(clock.now())

    @property
    def away_since(self) -> float | None:
        """When it was found to be gone, on the clock of `time.monotonic`; None while it is there."""
        return self._presence.away_since

    @property
    def reason(self) -> str:
        """Why it is away; "" while it is there."""
        return self._presence.reason

    def update(self, value: str, *, timeout: float | None = None) -> bool:
        """Give the key another value; whether it has it by now. Else it gets it with the next write that succeeds.

        Waits at most `timeout` seconds, by default a sixth of the TTL, at most 2 s. ValueError when it was released.
        """
        check_timeout(timeout)
        presence = self._presence
        if presence.closed:
            raise ValueError(f"the registration of {self.key} was released")
        presence.change(value)
        self._keeping.look_at(presence)
        presence.held.settled.wait(presence.held.state.times.one_try if timeout is None else timeout)
        return presence.held.value == value and self.held

    def release(self, *, timeout: float | None = None) -> bool:
        """Delete the key; whether it is certainly gone by now. Else the session goes on deleting it.

        Waits at most `timeout` seconds, by default a sixth of the TTL, at most 2 s. May be called again.
        """
        check_timeout(timeout)
        presence = self._presence
        if presence.end():
            self._keeping.look_at(presence)
        return presence.gone.wait(presence.held.state.times.one_try if timeout is None else timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        presence = getattr(self, "_presence", None)
        if presence is not None and not presence.closed and not sys.is_finalizing():
            warnings.warn(
                f"a registration was forgotten, its key is deleted: {self!r}",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )
            self._keeping.forget(presence)
