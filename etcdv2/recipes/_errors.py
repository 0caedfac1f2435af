"""Errors of the recipes.

EtcdError
|- LeaseLost           what was held is held no more; .key .token .reason
|- AcquireTimeout      not held within the time; also TimeoutError; .key .contenders
'- AcquireCancelled    the wait was ended by `cancel`; .key
"""

from __future__ import annotations

from etcdv2 import EtcdError
from etcdv2.recipes._contest import Contender


class LeaseLost(EtcdError):
    """The lease has ended, for good: whatever was done under it may be done by another holder now."""

    def __init__(self, key: str, token: int, reason: str) -> None:
        super().__init__(f"the lease of {key} (token {token}) was lost: {reason}")
        self.key = key
        """The lease's key, absolute; of a lock the entry in its directory, and not the lock's own key."""
        self.token = token
        """The lease's token, which is the created index of its key."""
        self.reason = reason
        """What became of it, for people: "its key is gone", or "it was released"."""


class AcquireCancelled(EtcdError):
    """A wait for it was ended by `cancel`, or its session was closed."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the wait for {key} ended: {reason}")
        self.key = key
        """Of what was waited for, absolute: a lock or queue, an election, a barrier of either kind."""
        self.reason = reason
        """What ended the wait, for people: "it was cancelled", "its session was closed" or "the queue was closed"."""


class AcquireTimeout(EtcdError, TimeoutError):
    """It was not our turn within the time. The own entry is deleted; `__cause__` is the last failure, if any."""

    def __init__(self, key: str, timeout: float, contenders: tuple[Contender, ...]) -> None:
        held = [contender.owner for contender in contenders if contender.held]
        seen = f"; held by {', '.join(held)}, {len(contenders)} entries" if held else ""
        super().__init__(f"{key} was not acquired within {timeout:g} s{seen}")
        self.key = key
        """Of what was to be acquired, absolute: the directory of a lock or a double barrier, the key of an election."""
        self.timeout = timeout
        """Seconds, as they were given."""
        self.contenders = contenders
        """As last seen, the own entry included; empty where nothing was seen."""
