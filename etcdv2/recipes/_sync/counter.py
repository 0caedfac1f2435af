# Derived from etcdv2/recipes/_async/counter.py by scripts/unasync.py: change that file, make generate.
"""A number that any number of programs add to, each addition exactly once.

Owns how it is called. The settling of lost answers is the client's (`unique=True` of `keys.modify`).
"""

from __future__ import annotations

from etcdv2 import KeyNotFound
from etcdv2.recipes._arguments import check_int
from etcdv2.recipes._counter import number_in, with_nonce
from etcdv2.recipes._sync.keeping import Keeping


class Counter:
    """A number in a key: made by a session, used by any number of tasks or threads.

    The key holds the number and a word that only one write has ("42 9f86d081884c7d65"). A key that
    another program has set to a plain number counts on from there.

    Guarantees: an `add` that returns was applied once, also where its answer was lost; one that
    raises anything but OutcomeUnknown was not applied.
    """

    def __init__(self, keeping: Keeping, key: str, default: int) -> None:
        self._keeping = keeping
        self._key = key
        self._default = default

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    @property
    def key(self) -> str:
        """Absolute."""
        return self._key

    @property
    def value(self) -> int:
        """The number, by a quorum read; the default where there is no key.

        Raises ValueError for a value that is no number, NotFile for a directory, and what a read raises.
        """
        self._keeping.check_open()
        try:
            found = self._keeping.client.keys.get(self._key, quorum=True)
        except KeyNotFound:
            return self._default
        return number_in(found.value, self._key)

    def add(self, amount: int = 1) -> int:
        """Add to it, and return the number after that. A negative amount is taken away.

        Where others add at the same time it is tried again, within the client's total time. Raises
        DeadlineExceeded when that is over, OutcomeUnknown when it is over, or the server's history,
        before a lost answer could be settled; ValueError for a value that is no number, and what a
        write raises.
        """
        check_int("amount", amount)
        self._keeping.check_open()

        def added(value: str) -> str:
            number = number_in(value, self._key) + amount
            return with_nonce(number, f"{self._keeping.rng.getrandbits(64):016x}")

        answer = self._keeping.client.keys.modify(self._key, added, default=str(self._default), unique=True)
        return number_in(answer.value, self._key)
