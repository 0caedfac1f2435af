"""`python -m tests.chaos --minutes 15 --seed 7`: a run for each etcd of `ETCDV2_TEST_BINARIES`, then the summaries.

Ends with status 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys

from tests.chaos.links import Arena
from tests.chaos.run import Report, Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="for each etcd; 15 if not given")
    parser.add_argument("--seed", type=int, help="of the fault schedule; a random one if not given")
    parser.add_argument("--repeat-writes", action="store_true", help="to see it fail: clients that repeat writes")
    options = parser.parse_args()
    logging.getLogger("etcdv2").setLevel(logging.ERROR)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    reports: list[Report] = []
    for binary in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep):
        with Arena(binary or None) as arena:
            tell(f"etcd {arena.version}, seed {seed}, {options.minutes:g} minutes")
            reports.append(Run(arena, seed, tell, repeat_writes=options.repeat_writes).carry_out(options.minutes * 60))
    for report in reports:
        tell(f"\n{report}")
    return 0 if all(report.sound for report in reports) else 1


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
