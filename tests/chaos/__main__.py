"""`python -m tests.chaos --minutes 15 --seed 7`: a run for each etcd of `ETCDV2_TEST_BINARIES`, then the summaries.

Ends with status 1 when a promise was broken or a run broke off; the report says where the history of it is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import traceback
from collections.abc import Callable

from tests.chaos.links import Arena
from tests.chaos.namespaces import Namespaces, choose
from tests.chaos.run import Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="for each etcd; 15 if not given")
    parser.add_argument("--seed", type=int, help="of the fault schedule; a random one if not given")
    parser.add_argument("--transport", choices=["fast", "httpx", "mixed"], default="mixed", help="of the clients")
    parser.add_argument(
        "--uvloop", action="store_true", help="the async clients in a loop of uvloop, which is installed"
    )
    parser.add_argument("--repeat-writes", action="store_true", help="to see it fail: clients that repeat writes")
    parser.add_argument(
        "--ground",
        choices=["namespaces", "proxies", "auto"],
        default="auto",
        help="network namespaces, which drop packets (Linux, root), or TCP proxies; auto: the first where it can be",
    )
    options = parser.parse_args()
    ground: type[Arena | Namespaces] = Arena if choose(options.ground) == "proxies" else Namespaces
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    ends: list[str] = []
    sound = True
    for binary in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep):
        arena = ground(binary or None)
        what = f"etcd {arena.version}, seed {seed}"
        say(f"{what}, {options.minutes:g} minutes, transport {options.transport}, ground {arena.name}")
        try:
            with arena:
                run = Run(
                    arena,
                    seed,
                    say,
                    transport_name=options.transport,
                    repeat_writes=options.repeat_writes,
                    new_loop=loop_factory(uvloop=options.uvloop),
                )
                report = run.carry_out(options.minutes * 60)
            ends.append(str(report))
            sound &= report.sound
        except Exception:
            ends.append(f"{what}, ground {arena.name}: the run broke off\n{traceback.format_exc()}")
            sound = False
    for end in ends:
        say(f"\n{end}")
    return 0 if sound else 1


def loop_factory(*, uvloop: bool) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """None for asyncio's own."""
    if not uvloop:
        return None
    from uvloop import new_event_loop

    return new_event_loop


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)
    sys.exit(main())
