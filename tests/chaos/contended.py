"""Recipes under faults: contenders in processes of their own, which are stopped beyond their TTL, at members that die.

`python -m tests.chaos.contended --seconds 60 --seed 7 --kind lock,queue` runs for each etcd of `ETCDV2_TEST_BINARIES`.

Owns the course. What a contender does is in `contender`, what must be so in `contended_judge`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import etcdv2
from etcdv2._runtime import clock
from etcdv2.recipes import Session
from etcdv2.testing import Cluster, Server
from tests.chaos.contended_judge import Account, Fault, judge, judge_observer
from tests.chaos.contender import SharedBook
from tests.tools.waiting import SOON, until

KEY = "/chaos/contended"
KINDS = ["lock", "election", "rwlock", "semaphore", "queue", "registration"]


class Contended:
    """One run on a cluster that is whole before and after."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        kind: str = "lock",
        ttl: int = 5,
        contenders: int = 4,
        mutant: str = "",
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._faults: list[Fault] = []
        self._rng = random.Random(seed)
        self._ttl = ttl
        self._contenders = contenders
        self._mutant = mutant
        self._account = Account(kind, cluster.version, seed, ttl)

    def carry_out(self, seconds: float) -> Account:
        """So many seconds of faults, then the checks."""
        with tempfile.TemporaryDirectory(prefix="etcdv2-contended-") as place:
            book = Path(place) / "book"
            book.touch()
            shared = SharedBook(book, "")
            with contextlib.ExitStack() as stack:
                observer = stack.enter_context(Observer(self._cluster, self._kind, shared))
                processes = stack.enter_context(self._processes(book))
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    time.sleep(self._rng.uniform(0.2, 1.5))
                    self._one_fault(processes, book)
            self._account.raised += [error for process in processes if (error := process.communicate()[1].strip())]
            if self._kind == "queue":
                self._drain(shared)
            self._look_for_leaks()
            lines = [json.loads(line) for line in book.read_text().splitlines()]
            judge(self._account, lines, self._faults)
            if self._kind == "election":
                judge_observer(self._account, lines, observer.leaders)
        return self._account

    def _drain(self, book: SharedBook) -> None:
        """Do what is left; then what the counter says."""
        with etcdv2.Client(self._cluster.endpoints) as client, Session(client, ttl=self._ttl, owner="drain") as session:
            queue = session.queue(f"{KEY}/jobs", ttl=self._ttl)
            while queue.pending() + queue.claimed():
                item = queue.get(timeout=1)
                if item is None:
                    continue
                book.note("given", value=item.value, token=item.lease.token)
                since = clock.now()
                item.ack()
                facts = {"value": item.value, "token": item.lease.token, "since": since, "until": clock.now()}
                book.note("done", end="acked", **facts)
            book.note("counted", number=session.counter(f"{KEY}/count").value)
            client.keys.delete(f"{KEY}/count", missing_ok=True)

    @contextlib.contextmanager
    def _processes(self, book: Path) -> Iterator[list[subprocess.Popen[str]]]:
        arguments = [",".join(self._cluster.endpoints), KEY, str(self._ttl), str(book), self._mutant]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.contender", self._kind, f"c{number}", str(number), *arguments],
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(self._contenders)
        ]
        try:
            until(lambda: book.read_text().count('"begun"') == len(processes))
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
        since, who = clock.now(), ""
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
            who = f"c{chosen}"
        self._faults.append(Fault(since, clock.now(), who))

    def _pause(self, member: Server) -> None:
        member.pause()
        try:
            time.sleep(self._rng.uniform(0.3, 3))
        finally:
            member.resume()

    def _holder(self, book: Path) -> int | None:
        for line in reversed(book.read_text().splitlines()):
            entry = json.loads(line)
            if entry["what"] in ("held", "given") and entry["who"].startswith("c"):
                return int(entry["who"][1:])
        return None

    def _look_for_leaks(self) -> None:
        time.sleep(2 * self._ttl + 1)
        with etcdv2.Client(self._cluster.endpoints) as client:
            found = client.keys.get(KEY, quorum=True, default=None)
            self._account.leaked = [] if found is None else [node.key for node in found.leaves()]


class Observer:
    """What an undisturbed program sees: the leaders of an election, or registrations that are away."""

    def __init__(self, cluster: Cluster, kind: str, book: SharedBook) -> None:
        self._client = etcdv2.Client(cluster.endpoints)
        self._kind = kind
        self._book = book
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._observe, daemon=True)
        self.leaders: list[tuple[str, int] | None] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._client.close()

    def _observe(self) -> None:
        if self._kind == "election":
            self._observe_leaders()
        elif self._kind == "registration":
            self._observe_members()

    def _observe_leaders(self) -> None:
        with Session(self._client) as session, session.election(KEY).observe() as observer:
            ending = 0
            while ending < 2:  # once more after the end, for what is on its way
                ending += self._ends.is_set()
                while observer.next(1.0):
                    leader = observer.leader
                    self.leaders.append(None if leader is None else (leader.value, leader.token))

    def _observe_members(self) -> None:
        away: dict[str, float] = {}
        with self._client.keys.mirror(KEY) as mirror:
            changes = mirror.changes()
            while not self._ends.is_set():
                change = changes.next(0.2)
                if change is None:
                    continue
                name = change.key.rpartition("/")[2]
                if change.kind == "removed":
                    away.setdefault(name, clock.now())
                elif name in away:
                    self._book.note("away", name=name, since=away.pop(name), until=clock.now())
        for name, since in away.items():
            self._book.note("away", name=name, since=since, until=clock.now())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.contended", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900.0, help="of each kind for each etcd; 900 if not given")
    parser.add_argument("--seed", type=int, help="of the faults; a random one if not given")
    parser.add_argument("--kind", default=",".join(KINDS), help="which, with commas; all if not given")
    parser.add_argument("--ttl", type=int, default=5)
    parser.add_argument("--contenders", type=int, default=5)
    parser.add_argument("--mutant", default="", choices=["", "no-deadline"], help="to see it fail")
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    if unknown := set(options.kind.split(",")) - set(KINDS):
        parser.error(f"--kind: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    sound = True
    for binary in os.environ.get("ETCDV2_TEST_BINARIES", "").split(os.pathsep):
        for kind in options.kind.split(","):
            with Cluster(3, binary=binary or None) as cluster:
                run = Contended(
                    cluster,
                    seed,
                    kind=kind,
                    ttl=options.ttl,
                    contenders=options.contenders,
                    mutant=options.mutant,
                )
                account = run.carry_out(options.seconds)
            print(account, flush=True)
            sound &= account.sound
    return 0 if sound else 1


if __name__ == "__main__":
    logging.getLogger("etcdv2").setLevel(logging.ERROR)
    sys.exit(main())
