"""`python -m bench.coordination`: locks and queues, beside python-etcd's lock and Go's mutex on the same etcd.

And beside kazoo's lock on a ZooKeeper. Writes coordination.json and coordination.md into bench/results. Takes about
seven minutes, and wants the machine for itself. What cannot be had (go, Java, a network) is left out, and the report
says so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from etcdv2.testing import Server

from . import pythons, zookeeper
from .debian import NotToBeHad
from .peers import CACHE, CLIENTS, PEER_PINS, ROOT, LeftOut, Peer, install, python_clients, run

OUT = ROOT / "bench" / "results"
LIMIT_SECONDS = 180.0
"""For one measurement."""
GO_MODULE, GO_VERSION = "go.etcd.io/etcd/client/v3", "v3.5.9"
OURS, PLAIN, PYTHON_ETCD, GO = "etcdv2", "create, get, delete", "python-etcd", "Go client, v3 Mutex"
KAZOO = "kazoo, ZooKeeper"
Rounds = list[list[int]]
"""Of each acquisition, in nanoseconds: when it was asked for, when it was held, when it was released.

Where there is something else to say, the client's function says what."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Contender:
    name: str
    command: tuple[str, ...]
    case: str
    env: dict[str, str] | None = None
    server: str = ""
    """Another one than etcd, as host:port."""


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    processes: int
    count: int
    """Rounds of each process, or tasks, or keys."""
    figures: Callable[[list[Rounds]], Figures]
    case: str
    others: bool = True
    """Whether the others take part."""


def uncontended(found: list[Rounds]) -> Figures:
    """Milliseconds from the call of acquire to the end of release."""
    return spread([(released - began) / 1e6 for rounds in found for began, _, released in rounds], "round")


def hand_over(found: list[Rounds]) -> Figures:
    """Milliseconds from the call of release to the moment when the next one holds it, while others wait."""
    held = sorted((held, began) for rounds in found for began, held, _ in rounds)
    gaps = [(after - before) / 1e6 for (before, _), (after, began) in pairwise(held) if began < before]
    return spread(gaps, "hand-over")


def renewals(found: list[Rounds]) -> Figures:
    """CPU of the client for one renewal of one key, and how many of the keys were lost."""
    spent, renewed, lost = (sum(one) for one in zip(*(each for rounds in found for each in rounds), strict=True))
    return {"CPU for a renewal, ms": spent / 1e6 / renewed, "renewals in 15 s": renewed, "lost": lost}


def crashes(found: list[Rounds]) -> Figures:
    """Seconds from the SIGKILL of the holder to the moment when the next one holds it."""
    gaps = [(held - killed) / 1e9 for rounds in found for killed, held, _ in rounds]
    return {"crash to next holder, median s": statistics.median(gaps), "longest s": max(gaps)}


def items(found: list[Rounds]) -> Figures:
    """Milliseconds to put an item, and to take it and say that it is done."""
    put = spread([(put - began) / 1e6 for rounds in found for began, put, _ in rounds], "put")
    return {**put, **spread([(done - put) / 1e6 for rounds in found for _, put, done in rounds], "take and ack")}


def spread(values: list[float], what: str) -> Figures:
    values = sorted(values) or [float("nan")]
    return {
        f"{what}, median ms": statistics.median(values),
        f"{what}, 99 % ms": values[min(len(values) - 1, len(values) * 99 // 100)],
    }


CASES = (
    Case("uncontended", "acquire and release, nobody else there", 1, 300, uncontended, "lock"),
    Case("hand-over", "a lock handed over between 4 processes", 4, 100, hand_over, "lock"),
    Case("waiters", "a lock handed over among 1,000 tasks of one process", 1, 1000, hand_over, "waiters", others=False),
    Case("renewals", "1,000 keys kept by one session with a TTL of 15 s", 1, 1000, renewals, "renewals", others=False),
    Case("crash", "a lock with a TTL of 5 s whose holder is killed", 1, 3, crashes, "crash", others=False),
    Case("queue", "an item put into a queue, and taken", 1, 300, items, "queue", others=False),
)


def contenders(progress: Callable[[str], None], servers: ExitStack) -> tuple[list[Contender], list[LeftOut]]:
    """Those that are ready, and those that are not. What else they need is ended with `servers`."""
    ready: list[Contender] = []
    missing: list[LeftOut] = []
    for client, peer in python_clients(pythons.found([])[0]):
        if client.name not in (OURS, PYTHON_ETCD):
            continue
        progress(f"setting up {client.name}")
        if isinstance(peer, LeftOut):
            missing.append(peer)
        elif client.name == OURS:
            ready += [_python(OURS, "locks_ours", "lock", peer), _python(PLAIN, "locks_ours", "plain", peer)]
        else:
            ready.append(_python(PYTHON_ETCD, "locks_python_etcd", "lock", peer))
            break
    progress(f"setting up {GO}")
    try:
        ready.append(go_mutex())
    except NotToBeHad as reason:
        missing.append(LeftOut(GO, str(reason)))
    progress(f"setting up {KAZOO}")
    try:
        if not ready:
            raise NotToBeHad("the clients in Python could not be set up")
        ready.append(kazoo(ready[0], servers))
    except NotToBeHad as reason:
        missing.append(LeftOut(KAZOO, str(reason)))
    return ready, missing


def _python(name: str, module: str, case: str, peer: Peer) -> Contender:
    return Contender(name, (peer.command[0], "-m", f"bench.clients.{module}"), case, {**os.environ, **peer.env})


def kazoo(ours: Contender, servers: ExitStack) -> Contender:
    """In the environment of the other clients in Python, on a server of its own. Raises NotToBeHad."""
    interpreter = ours.command[0]
    install(Path(interpreter), ["kazoo"], PEER_PINS)
    server = servers.enter_context(zookeeper.server(CACHE))
    return Contender(KAZOO, (interpreter, "-m", "bench.clients.locks_kazoo"), "lock", ours.env, server)


def go_mutex() -> Contender:
    """The v3 client's `concurrency.Mutex`, built with the go that is there. Raises NotToBeHad."""
    go = shutil.which("go")
    if go is None:
        raise NotToBeHad("go is not on the PATH")
    place = CACHE / "go-mutex"
    place.mkdir(parents=True, exist_ok=True)
    (place / "go.mod").write_text(f"module bench\n\ngo 1.19\n\nrequire {GO_MODULE} {GO_VERSION}\n")
    shutil.copy(CLIENTS / "mutex.go", place / "main.go")
    env = {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    env |= {"GOPATH": str(CACHE / "gopath"), "GOCACHE": str(CACHE / "go-build")}
    run(go, "build", "-mod=mod", "-modcacherw", "-buildvcs=false", "-o", place / "mutex", ".", env=env, cwd=place)
    return Contender(GO, (str(place / "mutex"),), "lock")


def measure(case: Case, contender: Contender, url: str, number: int) -> Figures:
    """One measurement. Raises RuntimeError with what a process said last."""
    kind = case.case if contender.case == "lock" else contender.case
    order = {
        "case": kind,
        "url": contender.server or url,
        "key": f"/bench/{case.name}/{kind}-{number}",
        "count": case.count,
    }
    processes = [
        subprocess.Popen(
            [*contender.command, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=contender.env,
            cwd=ROOT,
        )
        for _ in range(case.processes)
    ]
    try:
        # 1. All are ready. 2. They begin together. 3. What they have measured.
        for process in processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(_said(process))
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found: list[Rounds] = []
        for process in processes:
            out, _ = process.communicate(timeout=LIMIT_SECONDS)
            if process.returncode != 0:
                raise RuntimeError(_said(process))
            found.append(json.loads(out))
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it did not end within {LIMIT_SECONDS:.0f} s") from None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return case.figures(found)


def _said(process: subprocess.Popen[str]) -> str:
    process.kill()
    lines = (process.communicate()[1] or "").strip().splitlines()
    return lines[-1] if lines else f"it ended with status {process.returncode}"


def measure_all(rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """As the JSON file has it: the medians of the rounds, in each of which every client has its turn."""
    cases: dict[str, Any] = {}
    with Server(fsync=False) as server, ExitStack() as servers:
        ready, missing = contenders(progress, servers)
        for case in CASES:
            taking = [one for one in ready if one.name == OURS or (case.others and _fits(one, case))]
            figures: dict[str, list[Figures]] = {one.name: [] for one in taking}
            for number in range(rounds):
                for one in taking:
                    progress(f"{case.name}: {one.name}, round {number + 1} of {rounds}")
                    try:
                        figures[one.name].append(measure(case, one, server.url, number))
                    except RuntimeError as reason:
                        missing.append(LeftOut(one.name, str(reason), case.name))
            entries = {
                name: {what: statistics.median(each[what] for each in found) for what in found[0]}
                for name, found in figures.items()
                if found
            }
            cases[case.name] = {"title": case.title, "entries": entries}
        version = server.version
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "etcd": version,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "rounds": rounds,
        "cases": cases,
        "left_out": [[one.name, one.case, one.reason] for one in missing],
    }


def _fits(one: Contender, case: Case) -> bool:
    return one.name != PLAIN or case.processes == 1


def render(results: dict[str, Any]) -> str:
    """The table. Ratios are those of this client to the others, in the same run."""
    parts = [
        "# Coordination",
        f"Made by `python -m bench.coordination` on {results['date']}: etcd {results['etcd']} without fsync, "
        f"{results['cores']} cores, Linux {results['kernel']}, load average {results['load']:.1f}; medians of "
        f"{results['rounds']} rounds. Ratios hold within this run. The Go client speaks v3 to the same server; its "
        "lock is a transaction and a deletion, ours a create, a read and a deletion, as v2 has no transactions. "
        "ZooKeeper runs beside it, without fsync, too.",
    ]
    for case in results["cases"].values():
        parts.append(f"## {case['title'][0].upper()}{case['title'][1:]}")
        entries: dict[str, Figures] = case["entries"]
        ours = entries.get(OURS, {})
        heads = list(ours)
        rows = [
            f"| {name} | {' | '.join(_shown(name, ours, figures, what) for what in heads)} |"
            for name, figures in entries.items()
        ]
        parts.append("\n".join([f"| | {' | '.join(heads)} |", f"| --- {'| ---: ' * len(heads)}|", *rows]))
    if results["left_out"]:
        parts += [
            "## Left out",
            "\n".join(f"- {' '.join(filter(None, (name, case)))}: {why}" for name, case, why in results["left_out"]),
        ]
    return "\n\n".join(parts) + "\n"


def _shown(name: str, ours: Figures, figures: Figures, what: str) -> str:
    ratio = "" if name == OURS or not figures[what] else f" ({ours[what] / figures[what]:.2f} x)"
    return f"{figures[what]:.2f}{ratio}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.coordination", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT, help="where the two files go")
    options = parser.parse_args()

    def progress(text: str) -> None:
        print(f"bench: {text}", file=sys.stderr, flush=True)

    results = measure_all(options.rounds, progress)
    (options.out / "coordination.json").write_text(json.dumps(results, indent=1) + "\n")
    text = render(results)
    (options.out / "coordination.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
