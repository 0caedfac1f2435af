# Derived from etcdv2/recipes/_async/putting.py by scripts/unasync.py: change that file, make generate.
"""The putting of an item into a queue, once, however often its answer is lost.

Owns the names of items. Why a name is barred is in `_queue`.
"""

from __future__ import annotations

from random import Random

from etcdv2 import Client, EtcdError, KeyExists, KeyNotFound, OutcomeUnknown
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes._lease import AGAIN_SECONDS, LeaseTimes
from etcdv2.recipes._queue import BARRED, items_of
from etcdv2.recipes._sync.ephemeral import PASSING
from etcdv2.recipes._sync.held_key import within


class Putting:
    """One item on its way into a queue."""

    def __init__(self, client: Client, key: str, value: str, times: LeaseTimes, rng: Random, until: float) -> None:
        self._client = client
        self._items = items_of(key)
        self._value = value
        self._times = times
        self._rng = rng
        self._until = until

    def named(self, name: str) -> str:
        """The item with this name, the one that is there included. Raises at `until` what the last try ended in."""
        while True:
            try:
                self._create(name, self._value, None)
                return name
            except KeyExists:
                return name
            except PASSING as error:
                self._pause(error)

    def unnamed(self) -> str:
        """The item with a name of its own, in the queue once. Raises at `until` what the last try ended in."""
        name = self._new_name()
        while True:
            try:
                self._create(name, self._value, None)
                return name
            except OutcomeUnknown as error:
                if self._is_in(name, error):
                    return name
                name = self._new_name()
            except PASSING as error:
                self._pause(error)

    def _is_in(self, name: str, lost: OutcomeUnknown) -> bool:
        """Whether it was put, and perhaps done since. When not, it cannot be any more: the name is barred."""
        # 1. The name is barred, unless the item is there.
        while True:
            if clock.now() >= self._until:
                raise lost
            try:
                self._create(name, BARRED, 2 * self._times.ttl)
                break
            except KeyExists:
                found = self._value_of(name)
                if found is not None:
                    if found != BARRED:
                        return True
                    break
            except PASSING:
                self._pause(lost)

        # 2. It was there, and was done, before that: or not.
        while True:
            try:
                outcome = self._client.keys.resolve(lost, timeout=max(0.001, self._until - clock.now()))
            except PASSING:
                self._pause(lost)
                continue
            if outcome.state == "unknown":
                raise lost
            return outcome.state == "applied"

    def _value_of(self, name: str) -> str | None:
        """That of the file; None where it has gone, or nobody says."""
        try:
            limit = within(min(self._times.one_try, self._until - clock.now()))
            return (self._client.keys.get(f"{self._items}/{name}", quorum=True, timeout=limit)).value
        except (KeyNotFound, *PASSING):
            return None

    def _create(self, name: str, value: str, ttl: int | None) -> None:
        limit = within(min(self._times.one_try, self._until - clock.now()))
        self._client.keys.create(f"{self._items}/{name}", value, ttl=ttl, repeat_writes=False, timeout=limit)

    def _pause(self, error: EtcdError) -> None:
        """Before another try. Raises this when the time is over."""
        if clock.now() >= self._until:
            raise error
        sleep(min(self._rng.uniform(*AGAIN_SECONDS), max(0.0, self._until - clock.now())))

    def _new_name(self) -> str:
        return f"{self._rng.getrandbits(64):016x}"
