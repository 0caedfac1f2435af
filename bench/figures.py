"""From measurements to figures: medians over the rounds, and the goals with what was reached. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .peers import GO, GO_BARE, HTTPX, LOADS, OURS, OURS_COMPAT, PYTHON_ETCD, WRK

Figures = dict[str, Any]
Results = dict[str, Any]
BASELINE = "pydantic, asyncio, ssl, httptools"
IMPORT_GOAL_MS = 40.0


def condense(figures: Figures) -> Figures:
    """One measurement without its single delays, which are many."""
    delays = sorted(figures.pop("delays", ()))
    if delays:
        figures["delay_us"] = statistics.median(delays) * 1e6
        for share in (95, 99):
            figures[f"delay_us_{share}"] = delays[min(len(delays) - 1, len(delays) * share // 100)] * 1e6
    return figures


def summary(rounds: list[Figures]) -> Figures:
    """Medians over the rounds; of events that came or did not, the worst round.

    `cpu_us`: CPU per call; `rate`: calls per second; `spread`: (max - min) / median.
    """
    # Imports have no calls, but milliseconds and memory.
    if "memory" in rounds[0]:
        spent = [one["seconds"] * 1000 for one in rounds]
        memory = [one["memory"] / 2**20 for one in rounds]
        return {"ms": statistics.median(spent), "mib": statistics.median(memory), "spread": _spread(spent)}

    cpu = [one["cpu"] / max(one["calls"], 1) * 1e6 for one in rounds]
    rate = [one["calls"] / one["seconds"] for one in rounds]
    found = {"cpu_us": statistics.median(cpu), "rate": statistics.median(rate), "spread": _spread(cpu)}
    for name in ("delay_us", "delay_us_95", "delay_us_99", "others", "written", "bytes"):
        if all(name in one for one in rounds):
            found[name] = statistics.median(one[name] for one in rounds)

    # A lost event is lost, however many other rounds there were.
    if "got" in rounds[0]:
        found["got"] = min(one["got"] for one in rounds)
        for name in ("missing", "doubled", "disorder"):
            found[name] = max(one[name] for one in rounds)
        found["said"] = next((one["said"] for one in rounds if one["said"]), "")
    return found


def _spread(values: list[float]) -> float:
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


@dataclass(frozen=True)
class Goal:
    case: str
    measure: str
    """A field of `summary`."""
    most: float | None
    """At most this times the other's figure."""
    least: float | None
    """At least this times the other's figure."""
    other: str
    other_case: str = ""
    pythons: str = ""
    """`3.11`, `newer`, or empty for all."""
    ours: str = OURS
    """Which of this project's clients."""


@dataclass(frozen=True)
class Outcome:
    case: str
    python: str
    measure: str
    goal: str
    measured: float | None
    """The ratio, or for the import the milliseconds; None where a figure is missing."""
    reached: bool | None


GOALS = (
    Goal("get", "cpu_us", 0.5, None, GO),
    Goal("get", "cpu_us", 0.5, None, GO_BARE),
    Goal("get", "cpu_us", 0.2, None, "python-etcd"),
    Goal("get", "cpu_us", 0.12, None, HTTPX),
    Goal("set", "cpu_us", 0.5, None, GO),
    Goal("set", "cpu_us", 0.5, None, GO_BARE),
    Goal("async-32", "rate", None, 0.85, GO, pythons="3.11"),
    Goal("async-32", "rate", None, 0.85, GO_BARE, pythons="3.11"),
    Goal("async-32", "rate", None, 0.4, WRK, pythons="3.11"),
    Goal("async-32", "rate", None, 1.1, GO, pythons="newer"),
    Goal("async-32", "rate", None, 1.1, GO_BARE, pythons="newer"),
    Goal("async-32", "rate", None, 0.6, WRK, pythons="newer"),
    Goal("async-32", "rate", None, 2.0, "aio-etcd"),
    Goal("threads-8", "rate", None, 1.0, OURS, other_case="get"),
    Goal("tree", "cpu_us", 0.9, None, "python-etcd"),
    Goal("tree", "cpu_us", 3.5, None, LOADS),
    Goal("tls", "cpu_us", 0.3, None, "python-etcd"),
    *(
        goal
        for case in ("get", "set", "past")
        for goal in (
            Goal(case, "rate", None, 2.0, PYTHON_ETCD, ours=OURS_COMPAT),
            Goal(case, "cpu_us", 0.4, None, PYTHON_ETCD, ours=OURS_COMPAT),
        )
    ),
)
MEASURES = {"cpu_us": "CPU per call", "rate": "calls per second"}


def outcomes(results: Results) -> Iterator[Outcome]:
    """Every goal for every Python, where its case was measured at all."""
    pythons = [python["minor"] for python in results["pythons"]]
    for goal in GOALS:
        for python in pythons:
            if goal.case in results["cases"] and goal.pythons in ("", "3.11" if python == "3.11" else "newer"):
                yield _outcome(results, goal, python)
    for python in pythons:
        if "import" in results["cases"]:
            ours = figure(results, "import", OURS, python, "ms")
            base = figure(results, "import", BASELINE, python, "ms")
            more = None if ours is None or base is None else ours - base
            text = f"at most {IMPORT_GOAL_MS:.0f} ms above {BASELINE}"
            yield Outcome("import", python, "time", text, more, None if more is None else more <= IMPORT_GOAL_MS)


def _outcome(results: Results, goal: Goal, python: str) -> Outcome:
    ours = figure(results, goal.case, goal.ours, python, goal.measure)
    other = figure(results, goal.other_case or goal.case, goal.other, python, goal.measure)
    ratio = None if ours is None or not other else ours / other
    whom = f"itself in {goal.other_case}" if goal.other_case else goal.other
    if goal.ours != OURS:
        whom = f"{goal.other} ({goal.ours})"
    if goal.most is not None:
        text = f"at most {goal.most:g} x {whom}"
        reached = None if ratio is None else ratio <= goal.most
    else:
        least = goal.least or 0.0
        text = f"at least {least:g} x {whom}"
        reached = None if ratio is None else ratio >= least
    return Outcome(goal.case, python, MEASURES[goal.measure], text, ratio, reached)


def figure(results: Results, case: str, name: str, python: str, measure: str) -> float | None:
    """A figure of a client on this Python, or of one that is no Python."""
    entries = results["cases"].get(case, {}).get("entries", {})
    for key in (f"{name}, Python {python}", name):
        if key in entries:
            value = entries[key].get(measure)
            return None if value is None else float(value)
    return None
