"""Locks under faults: contenders in processes of their own, which are stopped beyond their TTL, at members that die.

`python -m tests.chaos.contended --seconds 60 --seed 7` runs for each etcd of `ETCDV2_TEST_BINARIES`.

Owns the course and the checks: exclusion, tokens that rise, a file that refuses lower tokens and whether its
refusals hit somebody who believed to hold, time-outs that are kept, entries that are left. What a contender does is
in `contender`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import etcdv2
from etcdv2.testing import Cluster, Server
from tests.tools.waiting import SOON

KEY = "/chaos/lock"
LATE = 0.5
"""Seconds by which a time-out may be exceeded, beside those in which the process stood still."""


@dataclass
class Account:
    """What a run came to."""

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

    @property
    def sound(self) -> bool:
        return not (self.at_once or self.regress or self.believed or self.leaked or self.raised or self.late)

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"etcd {self.version}, seed {self.seed}, ttl {self.ttl}: held {self.held}, lost {self.lost}, "
            f"timed out {self.timeouts}, faults {self.faults.total()} ({faults}); held at once {self.at_once}, "
            f"token regress {self.regress}, refused {self.refused} (though believed held {self.believed}), "
            f"past its timeout {self.late}, leaked {self.leaked}, raised {self.raised}, "
            f"longest gap {self.longest_gap:.1f} s"
        )


class Contended:
    """One run on a cluster that is whole before and after."""

    def __init__(self, cluster: Cluster, seed: int, *, ttl: int = 5, contenders: int = 4, mutant: str = "") -> None:
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._ttl = ttl
        self._contenders = contenders
        self._mutant = mutant
        self._account = Account(cluster.version, seed, ttl)

    def carry_out(self, seconds: float) -> Account:
        """So many seconds of faults, then the checks."""
        with tempfile.TemporaryDirectory(prefix="etcdv2-contended-") as place:
            book = Path(place) / "book"
            book.touch()
            with self._processes(book) as processes:
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    time.sleep(self._rng.uniform(0.2, 1.5))
                    self._one_fault(processes, book)
            self._account.raised += [error for process in processes if (error := process.communicate()[1].strip())]
            self._look_for_leaks()
            self._judge([json.loads(line) for line in book.read_text().splitlines()])
        return self._account

    @contextlib.contextmanager
    def _processes(self, book: Path) -> Iterator[list[subprocess.Popen[str]]]:
        arguments = [",".join(self._cluster.endpoints), KEY, str(self._ttl), str(book), self._mutant]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.contender", f"c{number}", str(number), *arguments],
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(self._contenders)
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(2 * SOON)

    def _one_fault(self, processes: list[subprocess.Popen[str]], book: Path) -> None:
        rng, cluster = self._rng, self._cluster
        what = rng.choice(["stop the holder", "stop the holder", "stop somebody", "kill the leader", "pause", "pause"])
        self._account.faults[what] += 1
        if what == "kill the leader":
            leader = cluster.leader()
            leader.kill()
            time.sleep(rng.uniform(0.5, 2))
            leader.start()
        elif what == "pause":
            self._pause(rng.choice(cluster.members))
        else:
            holder = self._holder(book)
            chosen = rng.randrange(len(processes)) if what == "stop somebody" or holder is None else holder
            stopped = processes[chosen]
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(1.1, 1.7) * self._ttl)
            stopped.send_signal(signal.SIGCONT)

    def _pause(self, member: Server) -> None:
        member.pause()
        try:
            time.sleep(self._rng.uniform(0.3, 3))
        finally:
            member.resume()

    def _holder(self, book: Path) -> int | None:
        for line in reversed(book.read_text().splitlines()):
            entry = json.loads(line)
            if entry["what"] == "held":
                return int(entry["who"][1:])
        return None

    def _look_for_leaks(self) -> None:
        time.sleep(2 * self._ttl + 1)
        with etcdv2.Client(self._cluster.endpoints) as client:
            found = client.keys.get(KEY, quorum=True, default=None)
            self._account.leaked = [] if found is None else [node.key for node in found.leaves()]

    def _judge(self, entries: list[dict[str, Any]]) -> None:
        account = self._account
        held = sorted((one for one in entries if one["what"] == "ended"), key=lambda one: one["since"])
        account.held = len(held)
        account.lost = sum(one["lost"] for one in held)
        for one in (one for one in entries if one["what"] == "timeout"):
            account.timeouts += 1
            account.late += one["over"] > LATE
        for before, after in itertools.pairwise(held):
            account.at_once += after["since"] < before["until"]
            account.regress += after["token"] <= before["token"]
            account.longest_gap = max(account.longest_gap, after["since"] - before["until"])
        refused = [one for one in entries if one["what"] == "refused"]
        account.refused = len(refused)
        account.believed = sum(one["believed"] for one in refused)
        account.raised += [one["error"] for one in entries if one["what"] == "raised"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.contended", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900.0, help="for each etcd; 900 if not given")
    parser.add_argument("--seed", type=int, help="of the faults; a random one if not given")
    parser.add_argument("--ttl", type=int, default=5)
    parser.add_argument("--contenders", type=int, default=5)
    parser.add_argument("--mutant", default="", choices=["", "no-deadline"], help="to see it fail")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    sound = True
    for binary in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep):
        with Cluster(3, binary=binary or None) as cluster:
            run = Contended(cluster, seed, ttl=options.ttl, contenders=options.contenders, mutant=options.mutant)
            account = run.carry_out(options.seconds)
        print(account, flush=True)
        sound &= account.sound
    return 0 if sound else 1


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)
    sys.exit(main())
