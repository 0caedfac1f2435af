"""The case of many keys on their way out of a cluster: this client alone, one measurement with each Python."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from . import drivers
from .cases import Case
from .cores import Cores, on
from .peers import CLIENTS, OURS, LeftOut, Peer


def run(
    case: Case, peers: list[Peer], binary: str | None, cores: Cores, progress: Callable[[str], None]
) -> tuple[dict[str, dict[str, Any]], list[LeftOut]]:
    """By client the seconds, CPU and memory of each step, and who failed."""
    entries: dict[str, dict[str, Any]] = {}
    failed: list[LeftOut] = []
    for peer in peers:
        if peer.name != OURS or not peer.python:
            continue
        progress(f"{case.title}: {peer.id}")
        command = [peer.command[0], "-P", str(CLIENTS / "moving.py"), str(case.keys), *([binary] if binary else [])]
        with on(cores.client):
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=drivers.environment(peer))
        if done.returncode == 0:
            entries[peer.id] = {"keys": case.keys, "steps": json.loads(done.stdout)}
        else:
            failed.append(LeftOut(peer.id, (done.stderr.strip().splitlines() or ["ended"])[-1], case.name))
    return entries, failed
