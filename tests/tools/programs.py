"""Programs written for python-etcd, and python-etcd itself: fetched by pip into the cache, never installed.

Owns where each of them is, and why one is not there. `python -m tests.tools.programs` fetches what is
missing; tests only take what is there, and say what was left out and why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "programs"


@dataclass(frozen=True)
class Program:
    """`needs` are installed with what they need, `alone` without, `parts` unpacked out of a wheel.

    All of it goes into one directory, for the path of a process of its own.
    """

    needs: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    wheel: str = ""
    platform: str = ""
    parts: tuple[str, ...] = ()


PROGRAMS = {
    # The newest that python-etcd 0.4.5 works with: urllib3 2.6.0 broke it.
    "python-etcd": Program(("python-etcd==0.4.5", "urllib3==2.5.0", "dnspython==2.9.2", "mock==5.2.0")),
}


def place(name: str) -> Path:
    """The directory that has it, for `sys.path`."""
    return CACHE / name


def _reason(name: str) -> Path:
    return CACHE / f"{name}.missing"


def missing() -> dict[str, str]:
    """Programs that are not there, and why."""
    found: dict[str, str] = {}
    for name in PROGRAMS:
        if not place(name).is_dir():
            why = _reason(name)
            usual = "not downloaded; python -m tests.tools.programs does that"
            found[name] = why.read_text() if why.is_file() else usual
    return found


def fetch(name: str) -> str:
    """Download it unless it is there. Returns why that is not possible, else an empty text."""
    if place(name).is_dir():
        return ""
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = CACHE / f"{name}.{os.getpid()}"
    try:
        _gather(PROGRAMS[name], unfinished)
        unfinished.rename(place(name))
    except (subprocess.CalledProcessError, OSError, zipfile.BadZipFile, IndexError) as error:
        said = error.stderr.strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else [str(error)]
        _reason(name).write_text(f"pip: {said[-1]}" if said else repr(error))
        return _reason(name).read_text()
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _reason(name).unlink(missing_ok=True)
    return ""


def _gather(program: Program, where: Path) -> None:
    where.mkdir()
    if program.needs:
        _pip("install", "--target", str(where), *program.needs)
    for one in program.alone:
        _pip("install", "--target", str(where), "--no-deps", "--upgrade", one)
    if program.wheel:
        wheels = where / "wheels"
        foreign = ["--platform", program.platform, "--python-version", "3.11", "--only-binary", ":all:"]
        _pip("download", "--no-deps", "--dest", str(wheels), *(foreign if program.platform else []), program.wheel)
        with zipfile.ZipFile(next(wheels.iterdir())) as archive:
            for part in archive.namelist():
                if part.endswith(".py") and part.startswith(program.parts):
                    archive.extract(part, where)
        shutil.rmtree(wheels)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def main() -> int:
    failed = {name: why for name in PROGRAMS if (why := fetch(name))}
    for name, why in failed.items():
        print(f"{name} cannot be had, its tests are left out: {why}", file=sys.stderr)
    wanted = set(filter(None, os.environ.get("ETCDV2_TEST_PROGRAMS", "").split(",")))
    return 1 if wanted & failed.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
