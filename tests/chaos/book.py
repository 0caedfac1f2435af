"""What happened to every call: counts for the summary, and complaints where a promise was broken.

Owns the judgement that needs no knowledge of keys: late, unknown without a fault, an error nobody promised.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import etcdv2
from tests.chaos.journal import Journal
from tests.chaos.schedule import Window
from tests.tools.stalls import Stalls

Kind = Literal["lost", "doubled", "stale", "late", "unfounded", "strange"]
KINDS: tuple[Kind, ...] = ("lost", "doubled", "stale", "late", "unfounded", "strange")
"""lost: confirmed and gone, or never delivered to a watcher. doubled: took effect too often, or though refused. stale:
a read went back in time. late: a call outlived its deadline. unfounded: unknown or refused while nothing was wrong,
or unknown while nobody could be reached. strange: an error that nobody promised, an event of nobody's write."""

MARGIN = 1.0
"""Seconds after its deadline, without those of stalls, in which a call may still end: all share the machine."""
UNOBSERVED_MARGIN = 30.0
"""Where nobody observes stalls."""
UNHURRIED = 2.0
"""Seconds. A call that has less can run out of time without a fault, when the machine is busy: that is not judged."""
STARVED = 0.1
"""Part of a call's time in which its process had no turn: it can run out of time without a fault, then. Who observes it
sleeps most of the time and is served first, so a thread with work to do, and a member, had still less."""
EASE = 20.0
"""So many times as long does a worker wait between its calls where the process has no turn at all."""
SHOWN = 30
"""Different complaints that are kept in words."""


class Outcome(NamedTuple):
    """The end of one call; times are monotonic."""

    begun: float
    ended: float
    response: Any = None
    error: Exception | None = None

    @property
    def confirmed(self) -> bool:
        return self.error is None

    @property
    def unknown(self) -> bool:
        return isinstance(self.error, etcdv2.OutcomeUnknown)

    @property
    def refused(self) -> bool:
        """The client says that nothing was done."""
        return isinstance(self.error, (etcdv2.ClusterUnavailable, etcdv2.StaleRead))


class Doubt(NamedTuple):
    """A call that ended unknown or refused."""

    workload: str
    call: str
    begun: float
    ended: float
    unknown: bool
    error: str
    stalled: float
    """Seconds in which its process had no turn."""


@dataclass
class Page:
    """The counts of one workload."""

    calls: int = 0
    confirmed: int = 0
    unknown: int = 0
    refused: int = 0
    latest: float = 0.0
    """Seconds after its deadline, of the call that was latest."""
    complaints: Counter[Kind] = field(default_factory=Counter)


def _reach(window: Window, doubt: Doubt) -> float:
    """Until when a fault may have been the cause of a doubt.

    TCP sends again in steps that double. So the other side may hear of what was dropped, and reset the connection, as
    long after a fault as it lasted; whoever uses it then finds it broken.
    """
    broken = doubt.unknown and "timed out" not in doubt.error
    return window.until + (window.until - window.since if broken else 0.0)


class Book:
    """Safe from any thread."""

    def __init__(
        self, margin: float | None = None, journal: Journal | None = None, stalls: Stalls | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._margin = margin or (UNOBSERVED_MARGIN if stalls is None else MARGIN)
        self._journal = journal
        self._stalls = stalls
        self.pages: dict[str, Page] = {}
        self.texts: Counter[str] = Counter()
        self.doubts: list[Doubt] = []
        self.confirmed: Counter[tuple[str, str]] = Counter()
        """Of each workload and by each of its workers."""

    def page(self, workload: str) -> Page:
        with self._lock:
            return self.pages.setdefault(workload, Page())

    def complain(self, workload: str, kind: Kind, text: str, times: int = 1) -> None:
        page = self.page(workload)
        with self._lock:
            page.complaints[kind] += times
            line = f"{workload}: {kind}: {text}"
            if len(self.texts) < SHOWN or line in self.texts:
                self.texts[line] += 1

    def enter(
        self,
        workload: str,
        call: str,
        within: float,
        outcome: Outcome,
        *,
        writes: bool,
        by: str = "",
        in_loop: bool = False,
    ) -> None:
        """A call that was to end `within` seconds. `by`: who made it, in a loop or in a thread."""
        page, error = self.page(workload), outcome.error
        if self._journal is not None:
            result = outcome.response if error is None else error
            self._journal.call(workload, by, call, outcome.begun, outcome.ended, result)
        call = f"{call} by {by}" if by else call
        over = outcome.ended - outcome.begun - within
        stalled = 0.0 if self._stalls is None else self._stalls.within(outcome.begun, outcome.ended, in_loop=in_loop)
        with self._lock:
            page.calls += 1
            page.confirmed += outcome.confirmed
            self.confirmed[workload, by] += outcome.confirmed
            page.unknown += outcome.unknown
            page.refused += outcome.refused
            page.latest = max(page.latest, over)
            hurried = within < UNHURRIED and (isinstance(error, TimeoutError) or "timed out while" in str(error))
            if (outcome.unknown or outcome.refused) and not hurried:
                times = (outcome.begun, outcome.ended)
                self.doubts.append(Doubt(workload, call, *times, outcome.unknown, str(error), stalled))
        if over - stalled > self._margin:
            self.complain(
                workload, "late", f"{call} ended {over:.2f} s after its deadline of {within:.2f} s: {error!r}"
            )
        foreseen = outcome.refused or (outcome.unknown and writes) or isinstance(error, etcdv2.ApiError)
        if error is not None and not foreseen:
            self.complain(workload, "strange", f"{call}: {error!r}")

    def eased(self, seconds: float) -> float:
        """How long a worker waits that would wait so long: a busy process makes fewer calls, and each has its turns."""
        return seconds * (1.0 if self._stalls is None else 1.0 + (EASE - 1.0) * self._stalls.busy)

    def judge_doubts(self, windows: Sequence[Window]) -> None:
        """Each unknown or refused call must have met a fault, and an unknown one somebody who may have taken it."""
        for doubt in self.doubts:
            met = [window for window in windows if window.since <= doubt.ended and doubt.begun <= _reach(window, doubt)]
            starved = doubt.stalled > STARVED * (doubt.ended - doubt.begun)
            if not met and not starved:
                self.complain(doubt.workload, "unfounded", f"{doubt.call}, with no fault about: {doubt.error}")
            elif doubt.unknown and any(one.deaf and one.since < doubt.begun < doubt.ended < one.until for one in met):
                self.complain(doubt.workload, "unfounded", f"{doubt.call}, with nobody to send it to: {doubt.error}")

    def total(self, kind: Kind) -> int:
        return sum(page.complaints[kind] for page in self.pages.values())

    def summary(self, faults: int) -> str:
        """The line for people."""
        pages = self.pages.values()
        calls, unknown = sum(page.calls for page in pages), sum(page.unknown for page in pages)
        totals = [f"{kind} {self.total(kind)}" for kind in KINDS]
        return ", ".join([f"calls {calls}", f"faults {faults}", f"unknown {unknown}", *totals])

    @property
    def found(self) -> dict[str, int]:
        """The complaints by kind, those that there are."""
        return {kind: self.total(kind) for kind in KINDS if self.total(kind)}

    @property
    def sound(self) -> bool:
        return not self.found
