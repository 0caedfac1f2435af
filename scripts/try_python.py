"""Runs the tests on another version of Python than that of .venv, in an environment of its own.

    python scripts/try_python.py 3.14                    the usual part of the suite
    python scripts/try_python.py 3.14 tests/core -x      what pytest is given

Takes that Python from the PATH or from pyenv. Else, on a Debian machine and as root, a folder with the Debian that has
it is made by debootstrap, out of the machine's own Debian archive, and the tests run within (chroot, with mounts that
nobody else sees). All of it is in .cache/python; nothing is installed, and what was made once is used again. Runs with
low priority and one process.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # a program finds its own directory only
    sys.path.insert(0, str(ROOT))

from scripts import fetch_etcd  # noqa: E402

CACHE = ROOT / ".cache" / "python"
SUITES = {"3.13": "trixie", "3.14": "sid"}
"""Debian's suites by the Python that they have. What sid has changes: the version is looked at."""
PACKAGES = "python3,python3-venv,ca-certificates"
TESTS = ("tests/core", "tests/description", "tests/transport", "tests/cli", "tests/facade")
CONSTRAINED = ("--constraint", "constraints.txt")
NEEDS = ("--editable", ".[server,testing]", "--group", "dev", "uvloop")
FROM_HERE = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files without which pip finds no index from within."""
WITHIN = """
set -e
mount --make-rprivate /
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mkdir -p "$1$2"
mount --bind "$2" "$1$2"
exec chroot "$1" sh -c "$3"
"""
"""$1 is the folder, $2 this repository, which is in the same place within, $3 the command. The mounts go with it."""


class NotToBeHad(Exception):
    """Why that Python cannot be had here, in words for the person at the terminal."""


def installed(version: str) -> Path | None:
    """That of the PATH, or the newest one of pyenv."""
    if named := shutil.which(f"python{version}"):
        works = subprocess.run([named, "-c", "import venv"], check=False, capture_output=True).returncode == 0
        if works:  # pyenv has a program of that name also where it has no such version
            return Path(named)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [place / "bin" / "python" for place in versions.glob(f"{version}.*")]
    numbers = re.compile(r"\d+")
    newest = sorted(
        (one for one in found if one.is_file()), key=lambda one: [*map(int, numbers.findall(one.parts[-3]))]
    )
    return newest[-1] if newest else None


def folder(version: str) -> Path:
    """One with the Debian that has it, made unless it is there. Raises NotToBeHad."""
    if version not in SUITES:
        raise NotToBeHad(f"no python{version} is on the PATH or in pyenv, and no Debian suite is known to have it")
    place = CACHE / SUITES[version]
    if place.is_dir():
        return place
    if os.geteuid() != 0:
        raise NotToBeHad(f"no python{version} is on the PATH or in pyenv; debootstrap and chroot need root")

    unfinished = CACHE / f"{place.name}.{os.getpid()}"
    try:
        with fetch_etcd.unpacked(("debootstrap",), fetch_etcd.own_suite() or "bookworm", CACHE) as tree:
            mirror = fetch_etcd.main_archive()["Uris"].split()[0]
            program = tree / "usr" / "sbin" / "debootstrap"
            command = [str(program), "--variant=minbase", f"--include={PACKAGES}", place.name, str(unfinished), mirror]
            environ = {**os.environ, "DEBOOTSTRAP_DIR": str(tree / "usr" / "share" / "debootstrap")}
            if subprocess.run(command, check=False, env=environ).returncode:
                raise NotToBeHad(f"debootstrap did not make Debian {place.name}; it says above why")
            unfinished.rename(place)
    except fetch_etcd.FetchError as error:
        raise NotToBeHad(f"debootstrap: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


class Elsewhere:
    """Commands within the folder."""

    def __init__(self, version: str) -> None:
        self._folder = folder(version)
        self.python = Path("/usr/bin/python3")
        self.environment = Path("/environment")
        for name in FROM_HERE:
            if Path(name).is_file():
                shutil.copy(name, self._folder / name[1:])
        stated = self.run([str(self.python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], quiet=True)
        if stated.strip() != version:
            raise NotToBeHad(f"Debian {self._folder.name} has Python {stated.strip()}, no longer {version}")

    def run(self, command: Sequence[str], *, quiet: bool = False) -> str:
        """Raises CalledProcessError. `quiet` returns what it prints in place of showing it."""
        line = f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(command)}"
        whole = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", WITHIN, "within"]
        return _run([*whole, str(self._folder), str(ROOT), line], quiet)


class Here:
    """Commands with a Python of this machine."""

    def __init__(self, version: str, python: Path) -> None:
        self.python = python
        self.environment = CACHE / version

    def run(self, command: Sequence[str], *, quiet: bool = False) -> str:
        return _run(command, quiet)


def _run(command: Sequence[str], quiet: bool) -> str:
    # Compiled modules of another Python, or as seen through another root, stay out of the tree.
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": "/tmp/etcdv2-compiled", "PYTHONDONTWRITEBYTECODE": ""}
    environ.pop("VIRTUAL_ENV", None)
    slowly = ["nice", "-n", "15", *command]
    done = subprocess.run(slowly, check=True, cwd=ROOT, env=environ, text=True, capture_output=quiet)
    return done.stdout or ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("version", help="such as 3.14")
    options, given = parser.parse_known_args()

    # 1. The Python.
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        python = installed(options.version)
        place = Here(options.version, python) if python is not None else Elsewhere(options.version)
    except NotToBeHad as error:
        print(f"try_python: {error}", file=sys.stderr)
        return 1

    # 2. Its environment, then the tests.
    own = str(place.environment / "bin" / "python")
    try:
        place.run([str(place.python), "-m", "venv", str(place.environment)])
        install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *CONSTRAINED]
        place.run([*install, "--upgrade", "pip"])
        place.run([*install, *NEEDS])
        print(f"try_python: {place.run([own, '--version'], quiet=True).strip()}", flush=True)
        place.run([own, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not load", *(given or TESTS)])
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main())
