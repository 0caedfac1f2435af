"""`python -m tests.chaos --minutes 30 --seed 7 [--binary etcd]...`: a run for each binary, and the summaries."""

from __future__ import annotations

import argparse
import logging
import random
import sys

from tests.chaos.links import Arena
from tests.chaos.run import Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="for each binary")
    parser.add_argument("--seed", type=int, default=None, help="of the fault schedule; a random one if not given")
    parser.add_argument("--binary", action="append", help="path of an etcd; the one that is found if not given")
    parser.add_argument("--repeat-writes", action="store_true", help="to see the run fail: clients with that setting")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    logging.getLogger("etcdv2").setLevel(logging.ERROR)
    reports = []
    for binary in options.binary or [None]:
        with Arena(binary) as arena:
            print(f"etcd {arena.version}, seed {seed}, {options.minutes:g} minutes", flush=True)
            run = Run(arena, seed, lambda text: print(text, flush=True), repeat_writes=options.repeat_writes)
            reports.append(run.carry_out(options.minutes * 60))
    for report in reports:
        print(f"\n{report}")
    return 0 if all(report.sound for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
