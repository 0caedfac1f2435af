"""Programs and sources of Debian that the machine lacks, unpacked into the cache: wrk, Go, the official Go client.

Nothing is installed; apt works on a state of its own, as in scripts/fetch_etcd.py, whose way to the archive this uses.
"""

from __future__ import annotations

from pathlib import Path

from scripts import fetch_etcd

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
    try:
        with fetch_etcd.unpacked(packages, SUITE, place.parent) as tree:
            tree.rename(place)
    except fetch_etcd.FetchError as error:
        raise NotToBeHad(f"Debian's packages {', '.join(packages)}: {error}") from error
