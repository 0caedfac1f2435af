"""Programs that the machine lacks, from Debian's packages, unpacked into the cache. Nothing is installed.

scripts/fetch_etcd.py knows the way to the archive.
"""

from __future__ import annotations

from pathlib import Path

from scripts import fetch_etcd

SUITE = "bookworm"
"""Its programs run with the C library of every later suite."""
WRK = ("wrk", "libluajit-5.1-2")
STRACE = ("strace", "libunwind8")


class NotToBeHad(Exception):
    """Why something cannot be measured here, in words for the report."""


def unpacked(packages: tuple[str, ...], cache: Path, name: str = "", without: tuple[str, ...] | None = None) -> Path:
    """The directory that holds the packages' files, downloaded when it is not there yet. Raises NotToBeHad.

    It is called `name`, or as the first of them. With `without` it holds all that they depend on, too, but for
    what that names.
    """
    place = cache / "debian" / (name or packages[0])
    if not place.is_dir():
        _download(packages, place, without)
    return place


def _download(packages: tuple[str, ...], place: Path, without: tuple[str, ...] | None) -> None:
    try:
        with fetch_etcd.unpacked(packages, SUITE, place.parent, without) as tree:
            tree.rename(place)
    except fetch_etcd.FetchError as error:
        raise NotToBeHad(f"Debian's packages {', '.join(packages)}: {error}") from error
