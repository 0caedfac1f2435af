"""How long a lease is held and when it is renewed: decisions about one key with a TTL.

Owns no I/O and no clock: `now` is an argument, in seconds of a clock that counts a machine's sleep.

Theory of operation
-------------------
The server removes the key `ttl` seconds after the member that received its newest applied write
parsed that write (spec/protocol.md section 7). No client knows that moment, but it is not before
the write was sent. So all times count from `sent`, taken before the newest write whose
acknowledgement proves the ownership:

1. **Deadline.** After `sent + ttl - margin` nobody may believe that the lease is held. The margin is
   for members whose clocks differ, and for clocks that run at different speeds. A lease that has
   reached its deadline is lost for good, even where a later refresh would have worked: what is lost
   never comes back, so a token stands for one unbroken time of holding.

2. **A refresh names the index of the write before it** (prevIndex), beside its value. A refresh that
   was given up and is carried out late then fails, where it would otherwise shorten the TTL: the
   expiry is absolute, set when the request is parsed (spec/protocol.md section 8). At most one of the
   unanswered refreshes can have been applied, and it is known which index each would need.

3. **A refused refresh is settled by a quorum read.** The key with our value and our created index has
   been refreshed by one of our own unanswered requests, by the refused one included (a proxy may
   have sent it twice). It is not known by which, so all times count from the earliest of them, and
   not beyond what the TTL that was read leaves. Anything else there: the lease is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random
from typing import Literal

LEAST_TTL = 2
"""Seconds. The server removes what has expired every 0.5 s, and a refresh has to fit in several times."""
RENEW_AFTER = (0.85 / 3, 1 / 3)
"""Shares of the TTL between which a refresh falls due: spread, so that keys made together part."""
TOGETHER_SHARE, TOGETHER_SECONDS = 1 / 50, 0.2
"""Refreshes fall due at multiples of this share of the TTL, 0.2 s at the most: keys are renewed several at a time.

1,000 keys with a TTL of 15 s take half the CPU so (`python -m bench.coordination`).
"""
TRY_SHARE = 1 / 6
"""Of the TTL, for one try: several have to fit in before the deadline."""
TRY_SECONDS = (0.3, 2.0)
"""The least and the most for one try."""
AGAIN_SECONDS = (0.1, 0.2)
"""Until the next try after one without an answer."""
TTL_ROUNDING = 1.0
"""Seconds by which a TTL that was read may be too long: the server rounds up."""

NOT_RENEWED = "it was not renewed in time"
GONE = "its key is gone"
CHANGED = "its key was changed by somebody else"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """What follows from the TTL, in seconds."""

    ttl: int
    margin: float

    @classmethod
    def of(cls, ttl: int, margin: float | None = None) -> LeaseTimes:
        """With the usual margin, a tenth of the TTL and at least 0.5 s, unless another is given."""
        return cls(ttl, max(0.5, ttl / 10) if margin is None else margin)

    @property
    def one_try(self) -> float:
        """For one try of a refresh or a deletion."""
        least, most = TRY_SECONDS
        return min(most, max(least, self.ttl * TRY_SHARE))

    def deadline(self, sent: float) -> float:
        """Until when a write that was sent at `sent` proves the ownership."""
        return sent + self.ttl - self.margin


class LeaseState:
    """One lease, from the acknowledged write that made its key."""

    def __init__(self, times: LeaseTimes, index: int, sent: float, rng: Random) -> None:
        self._times = times
        self._rng = rng
        self._sent = sent
        self._longest = inf  # by a TTL that was read: not held beyond this
        self._unanswered: list[float] = []
        self._trying: float | None = None
        self.index = index
        """The modified index that the next conditional write names, the deletion included."""
        self.due = 0.0
        """When the next refresh is to be sent."""
        self.ended: Literal["", "released", "lost"] = ""
        self.reason = ""
        """Why it was lost."""
        self._plan()

    def __repr__(self) -> str:
        state = f"{self.ended}: {self.reason}" if self.reason else self.ended or f"until {self.deadline:.3f}"
        return f"<{type(self).__name__} {state}>"

    @property
    def times(self) -> LeaseTimes:
        return self._times

    @property
    def deadline(self) -> float:
        """After this it is lost, whatever is answered then."""
        return min(self._times.deadline(self._sent), self._longest)

    def held(self, now: float) -> bool:
        """Who was told once that it is not held is never told otherwise: at the deadline it is lost."""
        return not self.tick(now) and not self.ended

    # --- a refresh, or another conditional write with the TTL --------------------------------------------------------

    def try_begins(self, now: float) -> None:
        """A conditional write is about to be sent."""
        self._trying = now

    def renewed(self, index: int, now: float) -> None:
        """It was acknowledged: the key has this modified index. Nothing that was unanswered can be applied any more."""
        assert self._trying is not None
        self.index = index
        if not self.tick(now):
            self._prove(self._trying, inf)

    def unanswered(self, now: float) -> None:
        """No answer came, or one that says nothing about whether it was applied."""
        assert self._trying is not None
        self._unanswered.append(self._trying)
        self._trying = None
        self.due = now + self._rng.uniform(*AGAIN_SECONDS)

    def not_done(self, now: float) -> None:
        """It was certainly not applied, for a reason that may pass."""
        self._trying = None
        self.due = now + self._rng.uniform(*AGAIN_SECONDS)

    def found(self, index: int, ttl: int | None, read_sent: float, now: float) -> None:
        """After a refusal, a quorum read found the key with our value and our created index."""
        assert self._trying is not None
        self.index = index
        if ttl is None:
            self.lose(CHANGED)
        if ttl is None or self.tick(now):
            return
        earliest = min([*self._unanswered, self._trying])
        self._prove(earliest, read_sent + ttl - TTL_ROUNDING - self._times.margin)
        self.due = read_sent  # what is known now is little: once more, at once

    # --- its end -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> bool:
        """Whether it was lost by now, because it was not renewed in time."""
        if not self.ended and now >= self.deadline:
            self.lose(NOT_RENEWED)
        return self.ended == "lost"

    def lose(self, reason: str) -> None:
        if not self.ended:
            self.ended, self.reason = "lost", reason

    def release(self) -> bool:
        """The holder gives it up; False when it had ended before."""
        if self.ended:
            return False
        self.ended = "released"
        return True

    def _prove(self, sent: float, longest: float) -> None:
        self._sent, self._longest = sent, longest
        self._unanswered.clear()
        self._trying = None
        self._plan()

    def _plan(self) -> None:
        ttl = self._times.ttl
        due = self._sent + ttl * self._rng.uniform(*RENEW_AFTER)
        self.due = due - due % min(TOGETHER_SECONDS, ttl * TOGETHER_SHARE)
