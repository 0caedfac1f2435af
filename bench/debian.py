"""Programs and sources of Debian that the machine lacks, unpacked into the cache: wrk, Go, the official Go client.

Nothing is installed; apt works on a state of its own, as in scripts/fetch_etcd.py, whose way to the archive this uses.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

SUITE = "bookworm"
"""The last one whose golang-etcd-server-dev has the v2 client in the tree of etcd 3.4."""
WRK = ("wrk", "libluajit-5.1-2")
GO = ("golang-1.19-go", "golang-1.19-src")
GO_CLIENT = (
    "golang-etcd-server-dev",
    "golang-github-coreos-go-semver-dev",
    "golang-github-json-iterator-go-dev",
    "golang-github-modern-go-concurrent-dev",
    "golang-github-modern-go-reflect2-dev",
)


class NotToBeHad(Exception):
    """Why something cannot be measured here, in words for the report."""


def unpacked(packages: tuple[str, ...], cache: Path) -> Path:
    """The directory that holds the packages' files, downloaded when it is not there yet. Raises NotToBeHad."""
    place = cache / "debian" / packages[0]
    if not place.is_dir():
        _download(packages, place)
    return place


def _download(packages: tuple[str, ...], place: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotToBeHad(f"{tool} is missing: {packages[0]} is taken from Debian's archive")
    archive: Any = importlib.import_module("scripts.fetch_etcd")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="fetch-") as name:
        work = Path(name)
        for folder in ("state/lists/partial", "cache/archives/partial", "parts", "preferences", "unpacked"):
            (work / folder).mkdir(parents=True)
        try:
            source = {**archive.main_archive(), "Types": "deb", "Suites": SUITE, "Components": "main"}
            (work / "only.sources").write_text("".join(f"{key}: {value}\n" for key, value in source.items()))
            (work / "apt.conf").write_text(
                f'Dir::State "{work}/state"; Dir::State::lists "{work}/state/lists"; Dir::State::status "/dev/null";\n'
                f'Dir::Cache "{work}/cache"; Dir::Etc::sourcelist "{work}/only.sources"; '
                f'Dir::Etc::sourceparts "{work}/parts";\n'
                f'Dir::Etc::preferences "{work}/none"; Dir::Etc::preferencesparts "{work}/preferences";\n'
                'Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User ""; '
                'APT::Update::Error-Mode "any";\n'
            )
            env = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C.UTF-8"}
            archive.run("apt-get", "--quiet", "update", env=env)
            archive.run("apt-get", "--quiet", "download", *packages, env=env, cwd=work)
            for package in sorted(work.glob("*.deb")):
                archive.run("dpkg-deb", "--extract", str(package), str(work / "unpacked"))
        except archive.FetchError as error:
            raise NotToBeHad(f"Debian's packages {', '.join(packages)}: {error}") from error
        (work / "unpacked").rename(place)
