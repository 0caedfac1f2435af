"""What a run of the watch machine is made of: which servers, which paths, which faults may come."""

from __future__ import annotations

from dataclasses import dataclass, replace

KEPT = 12
"""Events that the model's servers keep (1,000 in truth), so that losses come soon. The other numbers go with it."""
RENEW_AFTER = 3
RENEW_SOONER = 2
URGENT = 6
SNAPSHOT = 10
"""Raft entries that a member has to miss before it is caught up by a snapshot (5,000 in truth)."""
STREAM_BUFFER = 3
"""Events for which a stream that is not read has room at the server (100 in truth)."""


@dataclass(frozen=True)
class Ground:
    """The default: a direct path, where half-closes are answered, and every fault but those named below."""

    endpoints: tuple[int, ...] = (1,)
    """Members behind each endpoint: more than one behind a balancer."""
    members_known: bool = True
    """Whether the client learns which member a connection goes to."""
    answers_ends: bool = True
    """Whether the path passes a half-close on to the server, and the client has seen it once."""
    half_close: bool = True
    """Whether the transport can half-close."""
    prompt: bool = False
    """What a poll finds in the history arrives before two more requests are answered, unless its connection is deaf."""
    deaf_in_a_row: int = 0
    """So many polls in a row may lose all that comes behind their headers."""
    tosses_in_a_row: int = 1
    """So many polls in a row may end empty though their server had an event for them."""
    flows_die: bool = True
    snapshots: bool = True
    wrong_history: bool = False
    """A history that came by a snapshot passes over some events."""
    first_contact: bool = False
    """The client may meet a member for the first time while that is being caught up by a snapshot."""
    swaps: str = "new id"
    """Another history in place of this one: "new id", "same id" of the cluster, or "" for none."""
    strictly: bool = True
    """Whether it counts that the settled index went past an event, also when that is delivered in the end."""
    trouble: float | None = None
    watched_share: float | None = None
    stalls: float | None = None
    """How many of the steps are faults, of the entries the watched key's, of the handlers slow to come to their wait.

    None: now few, now many.
    """
    steps: int = 500


_FAR = Ground(snapshots=False, swaps="", stalls=0.8, watched_share=0.1, steps=1500)
"""Long runs without the faults that name a loss: many polls in a row."""
SWAPS = Ground(snapshots=False, swaps="same id", trouble=0.05)
DIRECT = {
    "one member": Ground(),
    "one member, far": _FAR,
    "one member, much trouble": Ground(wrong_history=True, trouble=0.05),
    "one member, not known": Ground(members_known=False, wrong_history=True),
    "three endpoints": Ground(endpoints=(1, 1, 1), wrong_history=True),
    "balancer": Ground(endpoints=(3,), wrong_history=True),
    "balancer, far": replace(_FAR, endpoints=(2,)),
    "balancer, members not known": Ground(endpoints=(3,), members_known=False, snapshots=False),
    "balancer and one more": Ground(endpoints=(2, 1), wrong_history=True),
    "another history under the same id": SWAPS,
    "another history under the same id, three endpoints": replace(SWAPS, endpoints=(1, 1, 1)),
    "another history under the same id, balancer": replace(SWAPS, endpoints=(2,), trouble=0.02),
}
"""Paths that answer half-closes: nothing may be lost silently, whatever the order of steps."""
_WEAK = Ground(answers_ends=False, prompt=True, deaf_in_a_row=1, tosses_in_a_row=0, wrong_history=True)
WEAK = {
    "one member": _WEAK,
    "no half-close": replace(_WEAK, half_close=False, members_known=False),
    "three endpoints": replace(_WEAK, endpoints=(1, 1, 1)),
    "balancer": replace(_WEAK, endpoints=(3,)),
    "balancer, members not known": replace(_WEAK, endpoints=(3,), members_known=False, snapshots=False),
}
"""Paths that do not: of two polls in a row one may lose all that comes behind its headers, the other one is prompt."""
_TWO_CAUGHT_UP = Ground(endpoints=(2,), trouble=0.02, swaps="", flows_die=False)
LIMITS = {
    "both of two polls lose the toss": replace(_FAR, tosses_in_a_row=2),
    "both of two polls are deaf": replace(_WEAK, snapshots=False, swaps="", deaf_in_a_row=2),
    "slow, on a path not yet seen to answer": replace(_FAR, answers_ends=False, trouble=0.02),
    "a member first met in a leap": Ground(endpoints=(1, 1, 1), swaps="", first_contact=True, trouble=0.05),
    "another history under the same id, members not known": replace(SWAPS, members_known=False),
    "snapshots, members not known": replace(_TWO_CAUGHT_UP, members_known=False),
}
"""What a watch cannot know."""
