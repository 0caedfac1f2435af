"""What a run of `contended` came to, and whether it was sound.

Owns the checks: exclusion, tokens that rise, a file that refuses lower tokens and whether its refusals hit somebody
who believed to hold, time-outs that are kept, items that are given again, registrations that stay away, leaders that an
observer has missed.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.chaos.contender import LIMIT

Line = dict[str, Any]

LATE = 0.5
"""Seconds by which a time-out may be exceeded, beside those in which the process stood still."""
BACK_SECONDS = 5.0
"""After the TTL: within this time a registration is there again, when nothing disturbs it any more."""


class Fault(NamedTuple):
    """Between these moments; of one contender, or of the cluster when that is ""."""

    since: float
    until: float
    who: str


@dataclass
class Account:
    """What a run came to."""

    kind: str
    version: str
    seed: int
    ttl: int
    held: int = 0
    lost: int = 0
    timeouts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    regress: int = 0
    refused: int = 0
    believed: int = 0
    """Refused, though the contender believed to hold it at that moment."""
    leaked: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    late: int = 0
    longest_gap: float = 0.0
    facts: dict[str, int | float] = field(default_factory=dict)
    """Of this kind alone."""
    wrong: list[str] = field(default_factory=list)
    """What must not be, of this kind alone."""

    @property
    def sound(self) -> bool:
        broken = self.at_once or self.regress or self.believed or self.leaked or self.raised or self.late
        return not broken and not self.wrong

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        facts = "".join(f", {name} {number:g}" for name, number in self.facts.items())
        return (
            f"{self.kind} on etcd {self.version}, seed {self.seed}, ttl {self.ttl}: "
            f"held {self.held}, lost {self.lost}, "
            f"timed out {self.timeouts}, faults {self.faults.total()} ({faults}); held at once {self.at_once}, "
            f"token regress {self.regress}, refused {self.refused} (though believed held {self.believed}), "
            f"past its timeout {self.late}, leaked {self.leaked}, raised {self.raised}, "
            f"longest gap {self.longest_gap:.1f} s{facts}, wrong {self.wrong}"
        )


def judge(account: Account, lines: Sequence[Line], faults: Sequence[Fault]) -> None:
    """Enter into the account what the book says."""
    account.raised += [one["error"] for one in lines if one["what"] == "raised"]
    if account.kind == "queue":
        _judge_queue(account, lines)
    elif account.kind == "registration":
        _judge_registration(account, lines, faults)
    else:
        _judge_held(account, lines)


def _judge_held(account: Account, lines: Sequence[Line]) -> None:
    """Locks, permits, leaderships."""
    held = sorted((one for one in lines if one["what"] == "ended"), key=lambda one: one["since"])
    account.held = len(held)
    account.lost = sum(one["lost"] for one in held)
    for one in (one for one in lines if one["what"] == "timeout"):
        account.timeouts += 1
        account.late += one["over"] > LATE

    # 1. Who held at the moment when one began.
    for place, one in enumerate(held):
        others = [other for other in held[:place] if other["until"] > one["since"]]
        if account.kind == "semaphore":
            account.at_once += len(others) >= LIMIT
        else:
            account.at_once += any(one["alone"] or other["alone"] for other in others)
    ends = itertools.accumulate((one["until"] for one in held), max)
    account.longest_gap = max([0.0, *(after["since"] - end for end, after in zip(ends, held[1:], strict=False))])

    # 2. The tokens of those who held it alone.
    if account.kind != "semaphore":
        alone = [one for one in held if one["alone"]]
        account.regress = sum(after["token"] <= before["token"] for before, after in itertools.pairwise(alone))
    refused = [one for one in lines if one["what"] == "refused"]
    account.refused = len(refused)
    account.believed = sum(one["believed"] for one in refused)


def judge_observer(account: Account, lines: Sequence[Line], seen: Sequence[tuple[str, int] | None]) -> None:
    """Each leader once, with rising tokens, and None between two of them."""
    leaders = [one for one in seen if one is not None]
    account.facts["leaders observed"] = len(leaders)
    if any(before is not None and after is not None for before, after in itertools.pairwise(seen)):
        account.wrong.append("an observer saw two leaders with nobody between them")
    if any(after[1] <= before[1] for before, after in itertools.pairwise(leaders)):
        account.wrong.append("an observer saw a leader after a later one")
    missed = {one["token"] for one in lines if one["what"] == "held"} - {token for _, token in leaders}
    if missed:
        account.wrong.append(f"an observer missed leaders: {sorted(missed)}")


def _judge_queue(account: Account, lines: Sequence[Line]) -> None:
    """Items: given at least once, one at a time, and not again after they were done."""
    put = {one["value"] for one in lines if one["what"] == "put"}
    unknown = {one["value"] for one in lines if one["what"] == "put unknown"}
    given = [one for one in lines if one["what"] == "given"]
    done = [one for one in lines if one["what"] == "done"]
    acked: dict[str, float] = {}
    for one in done:
        if one["end"] == "acked":
            acked[one["value"]] = min(one["at"], acked.get(one["value"], one["at"]))
    account.held, account.lost = len(given), sum(one["end"] == "lost" for one in done)
    account.facts.update({"put": len(put), "put unknown": len(unknown), "acknowledged": len(acked)})

    if missing := put - {one["value"] for one in given}:
        account.wrong.append(f"never given: {sorted(missing)}")
    account.wrong += [
        f"given again after it was acknowledged: {one['value']}"
        for one in given
        if one["value"] in acked and one["at"] > acked[one["value"]]
    ]
    by_value: dict[str, list[Line]] = {}
    for one in sorted(done, key=lambda one: one["since"]):
        by_value.setdefault(one["value"], []).append(one)
    for ones in by_value.values():
        account.at_once += sum(after["since"] < before["until"] for before, after in itertools.pairwise(ones))
        account.regress += sum(after["token"] <= before["token"] for before, after in itertools.pairwise(ones))

    # The counter beside it.
    added = [one["number"] for one in lines if one["what"] == "added"]
    account.facts.update({"added": len(added), "additions unknown": sum(one["what"] == "add unknown" for one in lines)})
    final = next((one["number"] for one in lines if one["what"] == "counted"), 0)
    if len(set(added)) != len(added):
        account.wrong.append("two additions returned one number")
    if not len(added) <= final <= len(added) + account.facts["additions unknown"]:
        account.wrong.append(f"the counter came to {final}")


def _judge_registration(account: Account, lines: Sequence[Line], faults: Sequence[Fault]) -> None:
    """Away for no longer than it takes, where nothing disturbs it or the cluster."""
    away = [one for one in lines if one["what"] == "away"]
    account.held, account.lost = sum(one["what"] == "held" for one in lines), len(away)
    for one in away:
        quiet = _longest_quiet(one["since"], one["until"], [f for f in faults if f.who in ("", one["name"])])
        account.longest_gap = max(account.longest_gap, quiet)
        if quiet > account.ttl + BACK_SECONDS:
            account.wrong.append(f"{one['name']} was away for {quiet:.1f} s with nothing to hinder it")


def _longest_quiet(since: float, until: float, faults: Sequence[Fault]) -> float:
    """The longest time between these moments that no fault met."""
    longest, free = 0.0, since
    for fault in sorted(faults):
        if fault.until <= since or fault.since >= until:
            continue
        longest, free = max(longest, fault.since - free), max(free, fault.until)
    return max(longest, until - free)
