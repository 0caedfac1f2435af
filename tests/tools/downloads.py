"""Programs of Debian's that tests use: unpacked into the cache, not installed.

Owns the reason why some cannot be had, which is kept beside them: their tests are left out then, and say so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench import debian


def fetch(packages: tuple[str, ...], cache: Path, place: Path, reason: Path, without: tuple[str, ...] | None) -> str:
    """Download and unpack what is not there yet. Returns why that is not possible, else an empty text."""
    try:
        debian.unpacked(packages, cache, place.name, without=without)
    except debian.NotToBeHad as error:
        place.parent.mkdir(parents=True, exist_ok=True)
        reason.write_text(str(error))
        return str(error)
    reason.unlink(missing_ok=True)
    return ""


def why_not(name: str, reason: Path) -> str:
    """Why they are not there."""
    return reason.read_text() if reason.is_file() else f"not downloaded; python -m tests.tools.{name} does that"


def status(name: str, why: str, variable: str) -> int:
    """Of the program that fetches them: it says why that is not possible, and fails where `variable` wants them."""
    if why:
        print(f"{name}: left out: {why}", file=sys.stderr)
    return 1 if why and os.environ.get(variable) else 0
