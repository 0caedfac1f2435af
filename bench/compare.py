"""Runs the cases: within each round every client has its turn. Decides nothing about figures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from . import drivers, watching
from .cases import Case
from .cores import Cores, on
from .drivers import Failed
from .figures import BASELINE, condense, summary
from .peers import CLIENTS, OURS, OURS_COMPAT, PYTHON_ETCD, LeftOut, Peer
from .target import Etcd

Figures = dict[str, Any]
Progress = Callable[[str], None]
Running = tuple[Peer, drivers.Driver | drivers.Wrk]

# `import etcdv2` brings a client in when it is first asked for, so that is what counts.
IMPORTS = {
    OURS: "etcdv2._sync.client",
    OURS_COMPAT: "etcdv2.compat.python_etcd",
    PYTHON_ETCD: "etcd",
    "aio-etcd": "aio_etcd",
    "k3etcd": "k3etcd",
    "httpx + json": "httpx",
}


def run_case(
    case: Case, peers: list[Peer], etcd: Etcd, cores: Cores, rounds: int, progress: Progress
) -> tuple[dict[str, Figures], list[LeftOut], dict[str, dict[str, str]]]:
    """Figures by client, who failed, and the versions that the clients name."""
    entries: dict[str, list[Figures]] = {}
    failed: list[LeftOut] = []
    versions: dict[str, dict[str, str]] = {}
    if case.kind == "tree":
        etcd.plant(case.keys)

    # Processes live as long as the case: all of them are ready before the first measurement.
    with ExitStack() as stack:
        running: list[Running] = []
        for peer in peers:
            if case.kind not in peer.kinds:
                continue
            try:
                driver = drivers.start(peer, case, etcd, cores)
                stack.callback(driver.close)
                driver.ready()
            except Failed as reason:
                failed.append(LeftOut(peer.id, str(reason), case.name))
                continue
            versions[peer.id] = driver.versions
            running.append((peer, driver))

        # Each round begins with another client, so that none always has the same neighbour.
        rounds = min(rounds, case.rounds or rounds)
        for number in range(rounds):
            progress(f"{case.title}: round {number + 1} of {rounds}, {len(running)} clients")
            turn = number % max(len(running), 1)
            for peer, driver, found in _turns(case, running[turn:] + running[:turn], etcd):
                if isinstance(found, Failed):
                    entries.pop(peer.id, None)
                    running.remove((peer, driver))
                    failed.append(LeftOut(peer.id, str(found), case.name))
                else:
                    entries.setdefault(peer.id, []).append(condense(found))

    order = [peer.id for peer in peers if peer.id in entries]
    return {name: {**summary(entries[name]), "rounds": entries[name]} for name in order}, failed, versions


def _turns(
    case: Case, running: list[Running], etcd: Etcd
) -> Iterator[tuple[Peer, drivers.Driver | drivers.Wrk, Figures | Failed]]:
    """One after the other, but for watches of a quiet key, which would take long and do not disturb each other."""
    if case.kind == "quiet":
        processes = [driver for _, driver in running if isinstance(driver, drivers.Driver)]
        for (peer, driver), found in zip(running, watching.together(case, processes, etcd), strict=True):
            yield peer, driver, found
        return
    for peer, driver in running:
        try:
            yield peer, driver, _measure(case, driver, etcd)
        except Failed as reason:
            yield peer, driver, reason


def _measure(case: Case, driver: drivers.Driver | drivers.Wrk, etcd: Etcd) -> Figures:
    match case.kind:
        case "load" | "set":
            # Writes that a client says it made are compared with the server's own count.
            if case.kind == "load":
                etcd.fell("/bench/load")
            before = etcd.index()
            driver.begin({})
            figures = driver.result()
            written = etcd.index() - before
            if written < figures["calls"]:
                raise Failed(f"says {figures['calls']} writes, the server's index went up by {written}")
            return figures
        case "delay" | "burst" | "loaded" | "complete" | "many":
            assert isinstance(driver, drivers.Driver)
            return watching.measure(case, driver, etcd)
        case _:
            driver.begin({})
            return driver.result()


def run_imports(
    peers: list[Peer], cores: Cores, rounds: int, progress: Progress
) -> tuple[dict[str, Figures], list[LeftOut]]:
    """Each import in a fresh interpreter, once more than there are rounds: the first one may write byte code."""
    entries: dict[str, list[Figures]] = {}
    failed: list[LeftOut] = []
    jobs: list[tuple[str, Peer, list[str]]] = []
    for peer in peers:
        if peer.python and peer.name in IMPORTS:
            jobs.append((peer.id, peer, [IMPORTS[peer.name]]))
        if peer.name == OURS:
            jobs.append((f"{BASELINE}, Python {peer.python}", peer, [*BASELINE.split(", ")]))

    for number in range(rounds + 1):
        progress(f"imports: round {number} of {rounds}")
        for name, peer, modules in list(jobs):
            command = [peer.command[0], "-P", str(CLIENTS / "imports.py"), *modules]
            # -P keeps the driver's folder off the path: a file in there could be taken for a library.
            with on(cores.client):
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, env=drivers.environment(peer)
                )
            if done.returncode != 0:
                failed.append(LeftOut(name, (done.stderr.strip().splitlines() or ["ended"])[-1], "import"))
                jobs.remove((name, peer, modules))
            elif number:
                entries.setdefault(name, []).append(json.loads(done.stdout))

    return {name: {**summary(found), "rounds": found} for name, found in entries.items()}, failed
