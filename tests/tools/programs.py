"""Programs written for python-etcd, and python-etcd itself: fetched by pip into the cache, never installed.

Owns where each of them is, and why one is not there. `python -m tests.tools.programs` fetches what is
missing; tests only take what is there, and say what was left out and why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "programs"


@dataclass(frozen=True)
class Program:
    """`needs` are installed with what they need, `alone` without, `parts` unpacked out of an archive.

    All of it goes into one directory, for the path of a process of its own.
    """

    needs: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    archive: str = ""
    platform: str = ""
    parts: tuple[str, ...] = ()


PROGRAMS = {
    # The newest that python-etcd 0.4.5 works with: urllib3 2.6.0 broke it.
    "python-etcd": Program(("python-etcd==0.4.5", "urllib3==2.5.0", "dnspython==2.9.2", "mock==5.2.0")),
    "conftool": Program(alone=("conftool==6.1.0",)),
    "patroni": Program(("python-dateutil", "psutil", "pyyaml", "urllib3", "dnspython"), ("patroni==4.1.5",)),
    "gevent": Program(("gevent==26.9.0",)),
    # Of these two no more than the files that use etcd: the smallest wheel of all platforms, and a source archive.
    "torch": Program(
        archive="torch==2.7.1", platform="macosx_11_0_arm64", parts=("torch/distributed/elastic/rendezvous/",)
    ),
    "salt": Program(archive="salt==3006.9", parts=("salt/utils/etcd_util.py",)),
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
    except (subprocess.CalledProcessError, OSError, zipfile.BadZipFile, tarfile.TarError, StopIteration) as error:
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
    if program.archive:
        archives = where / "archives"
        foreign = ["--platform", program.platform, "--python-version", "3.11", "--only-binary", ":all:"]
        _pip("download", "--no-deps", "--dest", str(archives), *(foreign if program.platform else []), program.archive)
        _unpack(next(archives.iterdir()), program.parts, where)
        shutil.rmtree(archives)


def _unpack(file: Path, parts: tuple[str, ...], where: Path) -> None:
    """The parts that are Python, out of a wheel, or out of a source archive without its first directory."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            for name in wheel.namelist():
                if name.endswith(".py") and name.startswith(parts):
                    wheel.extract(name, where)
        return
    with tarfile.open(file) as source:
        for member in source:
            member.name = member.name.partition("/")[2]
            if member.isfile() and member.name.endswith(".py") and member.name.startswith(parts):
                source.extract(member, where, filter="data")


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
