"""Long runs of the watch machine by hand, and what happened in one of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from tests.tools.watch_machine import DIRECT, LIMITS, MUTANTS, WEAK, Driver, Ground, OldDriver, run, scaled

GROUNDS = {"direct": DIRECT, "weak": WEAK, "limits": LIMITS}
CHUNK = 500


def _driver(name: str) -> type[Driver]:
    return {"": Driver, "old": OldDriver}.get(name) or MUTANTS[name].driver


def _chunk(ground: Ground, seeds: range, name: str) -> tuple[int, int, list[tuple[int, str]]]:
    delivered = named = 0
    bad: list[tuple[int, str]] = []
    with scaled():
        for seed in seeds:
            outcome = run(ground, seed, _driver(name))
            delivered, named = delivered + outcome.delivered, named + outcome.named
            if outcome.violation is not None:
                bad.append((seed, repr(outcome.violation)))
    return delivered, named, bad


def _run(title: str, ground: Ground, seeds: range, name: str, processes: int) -> int:
    began = time.monotonic()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    delivered = named = 0
    bad: list[tuple[int, str]] = []
    with ProcessPoolExecutor(processes) as pool:
        for one_delivered, one_named, one_bad in pool.map(_chunk, [ground] * len(chunks), chunks, [name] * len(chunks)):
            delivered, named, bad = delivered + one_delivered, named + one_named, bad + one_bad
    print(
        f"{title}: {len(seeds)} runs in {time.monotonic() - began:.0f} s, {delivered} delivered, {named} named, ",
        end="",
    )
    print(f"{len(bad)} broken", *bad[:3], flush=True)
    return len(bad)


def _chosen(family: str, name: str | None) -> Iterable[tuple[str, Ground]]:
    return [(title, ground) for title, ground in GROUNDS[family].items() if name in (None, title)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.watch_machine", description=__doc__)
    parser.add_argument("family", choices=GROUNDS, nargs="?", default="direct")
    parser.add_argument("--ground", help="one of the family's")
    parser.add_argument("--runs", type=int, default=1000, help="of all grounds together")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--old", action="store_true", help="with the rules of before")
    parser.add_argument("--mutant", choices=MUTANTS, help="with these rules, on their own ground")
    parser.add_argument("--trace", type=int, metavar="SEED", help="show what happened in this run")
    given = parser.parse_args()

    name = "old" if given.old else given.mutant or ""
    grounds = list(_chosen(given.family, given.ground))
    if given.mutant:
        grounds = [(given.mutant, MUTANTS[given.mutant].ground)]
    if given.trace is not None:
        with scaled():
            outcome = run(grounds[0][1], given.trace, _driver(name), traced=True)
        print(*outcome.trace, repr(outcome.violation), sep="\n")
        return

    each = given.runs // len(grounds)
    seeds = range(given.first_seed, given.first_seed + each)
    sys.exit(sum(_run(title, ground, seeds, name, given.processes) for title, ground in grounds) > 0)


if __name__ == "__main__":
    main()
