"""A watch against a model of servers and network, every step in any order that causality allows.

`cluster` has the servers' stores, `network` the polls and what lies between, `world` the scheduler, the faults and the
judge; `driver` is the client, which drives the real core of a watch; `old_driver` drives the rules of before, `mutants`
rules that are wrong. By hand: `python -m tests.tools.watch_machine --help`.
"""

from __future__ import annotations

from tests.tools.watch_machine.driver import Driver
from tests.tools.watch_machine.ground import DIRECT, LIMITS, WEAK, Ground
from tests.tools.watch_machine.judge import Doubled, PassedOver, SilentLoss, Violation
from tests.tools.watch_machine.mutants import MUTANTS
from tests.tools.watch_machine.old_driver import OldDriver
from tests.tools.watch_machine.world import Outcome, World, scaled

__all__ = ["DIRECT", "LIMITS", "MUTANTS", "WEAK", "Doubled", "Driver", "Ground", "OldDriver", "Outcome", "PassedOver"]
__all__ += ["SilentLoss", "Violation", "World", "first_failure", "run", "scaled"]


def run(ground: Ground, seed: int, driver: type[Driver] = Driver, *, traced: bool = False) -> Outcome:
    """One run, within `scaled`."""
    world = World(ground, seed, traced=traced)
    since = None if world.rng.random() < 0.6 else world.rng.randint(1, world.history.index)
    return world.run(driver(world, since))


def first_failure(ground: Ground, runs: int, driver: type[Driver] = Driver) -> tuple[int, Violation] | None:
    """The first of so many seeds that breaks a promise, and how."""
    with scaled():
        for seed in range(runs):
            violation = run(ground, seed, driver).violation
            if violation is not None:
                return seed, violation
    return None
