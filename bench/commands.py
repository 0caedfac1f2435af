"""One command in a process of its own: what a shell script pays for each key.

Owns how such a process is measured: its CPU by the kernel's account of a child.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

from . import drivers
from .cases import VALUE
from .compare import Figures, Progress
from .cores import Cores, on
from .figures import summary
from .peers import OURS, LeftOut, Peer
from .target import Etcd

KEY = "/bench/command"
OTHER = "etcdctl"
"""From beside the etcd that is talked to; without it ours has no row to be compared with."""


def run(
    peers: list[Peer], etcd: Etcd, cores: Cores, rounds: int, progress: Progress
) -> tuple[dict[str, Figures], list[LeftOut]]:
    """`get` of one key, once more than there are rounds: the first one may write byte code."""
    etcd.write([(KEY, VALUE)])
    words = ["--endpoints", etcd.url(tls=False), "get", KEY]
    jobs: dict[str, tuple[list[str], dict[str, str]]] = {}
    for peer in peers:
        if peer.name == OURS and peer.python:
            jobs[peer.id] = ([peer.command[0], "-P", "-m", "etcdv2", *words], drivers.environment(peer))
    program = etcd.binary.with_name(OTHER)
    if program.exists():
        jobs[OTHER] = ([str(program), *words], {**os.environ, "ETCDCTL_API": "2"})

    entries: dict[str, list[Figures]] = {}
    failed: list[LeftOut] = []
    for number in range(rounds + 1):
        progress(f"commands: round {number} of {rounds}")
        for name, (command, environ) in list(jobs.items()):
            with on(cores.client):
                found = _measured(command, environ)
            if found is None:
                failed.append(LeftOut(name, "it did not print the value", "command"))
                del jobs[name]
            elif number:
                entries.setdefault(name, []).append(found)
    return {name: {**summary(found), "rounds": found} for name, found in entries.items()}, failed


def _measured(command: list[str], environ: dict[str, str]) -> dict[str, Any] | None:
    """None where it failed."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode or printed.decode().rstrip("\n") != VALUE:
        return None
    return {"cpu": usage.ru_utime + usage.ru_stime, "calls": 1, "seconds": seconds}
