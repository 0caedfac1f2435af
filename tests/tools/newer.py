"""etcd 3.6 and 3.7, which have no v2, and the 3.5 from which one comes to them: binaries in the cache, nothing else.

`python scripts/fetch_etcd.py 3.5.30 3.6 3.7` downloads and builds them, and `make test-load` does that. Tests only take
what is there, and say what was left out.
"""

from __future__ import annotations

from pathlib import Path

from etcdv2.testing import find_binary
from scripts.fetch_etcd import CACHE, MODULES

VERSIONS = ("3.6", "3.7")


def newer(wanted: str) -> Path:
    """The binary of 3.6 or 3.7. Raises FileNotFoundError."""
    for version in MODULES:
        binary = _binary(version)
        if version.startswith(wanted + ".") and binary.is_file():
            return binary
    raise FileNotFoundError(f"etcd {wanted} is not in {CACHE}")


def last_3_5() -> Path:
    """The newest 3.5 that is here."""
    found = sorted(CACHE.glob("3.5.*"), key=lambda place: [int(part) for part in place.name.split(".")])
    return _binary(found[-1].name) if found else find_binary(None)


def missing() -> list[str]:
    """Which of them are not there."""
    there = [version for version in MODULES if _binary(version).is_file()]
    return [wanted for wanted in VERSIONS if not any(version.startswith(wanted + ".") for version in there)]


def _binary(version: str) -> Path:
    return CACHE / version / "usr" / "bin" / "etcd"
