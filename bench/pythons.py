"""Which Pythons to measure on: 3.11 and the newest that the machine has; of several builds the quickest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FIRST = (3, 11)
PROBE = """
import sys, time
def work():
    start = time.perf_counter()
    total = 0
    for number in range(200000):
        total += len(str(number))
    return time.perf_counter() - start
final = sys.version_info.releaselevel == "final" and sys.implementation.name == "cpython"
print(*sys.version_info[:3], min(work() for _ in range(7)) * 1000 if final else -1)
"""


@dataclass(frozen=True)
class Python:
    path: Path
    version: tuple[int, int, int]
    probe: float
    """Milliseconds of a loop that is always the same: builds without profile guided optimisation take up to twice."""

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def full(self) -> str:
        return ".".join(map(str, self.version))


def ask(path: Path) -> Python | None:
    """None where it does not run, is no CPython, or is no final release."""
    try:
        done = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, check=True, timeout=30)
        major, minor, micro, probe = done.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Python(path, (int(major), int(minor), int(micro)), float(probe)) if float(probe) > 0 else None


def candidates() -> list[Path]:
    """This one, those on the PATH, and those that the usual version managers keep in the home directory."""
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    found = [base]
    for folder in os.get_exec_path():
        found += [Path(folder) / f"python3.{minor}" for minor in range(FIRST[1], 30)]
    home = Path.home()
    keepers = [Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions", home / ".local/share/uv/python"]
    for keeper in keepers:
        found += sorted(keeper.glob("*/bin/python3"))
    real: dict[Path, Path] = {}
    for path in found:
        if shutil.which(path):
            real.setdefault(path.resolve(), path)
    return list(real.values())


def choose(pythons: Iterable[Python]) -> list[Python]:
    """3.11 and the newest, each in its quickest build; one alone where they are the same."""
    known = sorted((one for one in pythons if one.version >= FIRST), key=lambda one: one.probe)
    best: dict[tuple[int, int], Python] = {}
    for one in known:
        best.setdefault(one.version[:2], one)
    if not best:
        return []
    newest = max(best)
    return [best[minor] for minor in dict.fromkeys((min(best) if FIRST not in best else FIRST, newest))]


def found(named: list[Path]) -> list[Python]:
    """Those named, or the choice. Raises ValueError for one that does not run."""
    if not named:
        return choose(one for path in candidates() if (one := ask(path)) is not None)
    pythons: list[Python] = []
    for path in named:
        one = ask(path)
        if one is None or one.version < FIRST:
            raise ValueError(f"{path} is no CPython 3.11 or newer that runs")
        pythons.append(one)
    return pythons
