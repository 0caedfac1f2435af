"""What a call costs that hangs on no machine: its system calls, by strace, and its Python frames.

Each count has a client's driver in a process of its own. What a loop without calls costs is taken off what a loop of
many costs; and of several such loops the least counts, for what a busy machine does only adds to it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import debian, drivers
from .cases import COUNTED, Case
from .cores import Cores
from .debian import NotToBeHad
from .drivers import Failed, Target
from .peers import CACHE, OURS, PYTHON_CLIENTS, LeftOut, Peer, python_peer
from .peers import run as run_command

KIND = "counts"
WARM, NONE, MANY = 5, 0, 10
"""Rounds of calls: a round is a call of each task, or `ALONE` where there is but one."""
ALONE = 20
SAMPLES = 3
"""How many loops of many calls."""
ANY = Cores(frozenset(), frozenset())
SYSCALLS, FRAMES = "syscalls", "frames"
Counts = dict[str, dict[str, float]]
"""By SYSCALLS and FRAMES, then by the title of the case."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Strace:
    command: tuple[str, ...]
    env: dict[str, str]


def strace(cache: Path = CACHE) -> Strace:
    """The machine's, or else Debian's from the cache. Raises NotToBeHad, also where it is not allowed to trace."""
    binary = shutil.which("strace")
    env: dict[str, str] = {}
    if binary is None:
        place = debian.unpacked(debian.STRACE, cache) / "usr"
        binary = str(place / "bin" / "strace")
        env["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in (place / "lib").glob("*-linux-*"))

    # Reading the clock is no system call at all where the kernel maps its clock, which is nearly everywhere.
    command = (binary, "-f", "-qq", "-s", "0", "-e", "trace=!clock_gettime,gettimeofday", "-e", "signal=none")
    run_command(*command, "-o", os.devnull, sys.executable, "-c", "", env={**os.environ, **env})
    return Strace(command, env)


def run(peers: list[Peer], target: Target, cores: Cores, progress: Progress) -> tuple[dict[str, Counts], list[LeftOut]]:
    """The counts by client, and who failed. Without strace there are only the frames."""
    entries: dict[str, Counts] = {}
    failed: list[LeftOut] = []
    tracer: Strace | None = None
    try:
        tracer = strace()
    except NotToBeHad as reason:
        failed.append(LeftOut("system calls", f"no strace here: {reason}", KIND))

    for peer in peers:
        if KIND not in peer.kinds:
            continue
        progress(f"counting the system calls and frames of {peer.id}")

        # Who fails in one of them is left out of all: a row with holes would look like a case that it does not know.
        counts: Counts = {SYSCALLS: {}, FRAMES: {}}
        try:
            for case in COUNTED:
                if case.kind in peer.kinds:
                    counts[FRAMES][case.title] = frames_per_call(case, target, peer, cores)
                    if tracer is not None:
                        counts[SYSCALLS][case.title] = syscalls_per_call(case, target, peer, cores, tracer)
        except Failed as reason:
            failed.append(LeftOut(peer.id, str(reason), KIND))
        else:
            entries[peer.id] = counts
    return entries, failed


def ours() -> Peer:
    """This client on the running Python."""
    (client,) = (one for one in PYTHON_CLIENTS if one.name == OURS)
    return python_peer(client, sys.executable, "{}.{}".format(*sys.version_info))


def syscalls_per_call(
    case: Case,
    target: Target,
    peer: Peer | None = None,
    cores: Cores = ANY,
    tracer: Strace | None = None,
    samples: int = SAMPLES,
) -> float:
    """System calls of the client's whole process; without a `peer` it is `ours()`. Raises Failed, NotToBeHad."""
    peer, tracer = peer or ours(), tracer or strace()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        traced = replace(peer, command=(*tracer.command, "-o", str(log), *peer.command), env=peer.env | tracer.env)
        _talk(case, target, traced, cores, {}, samples)
        with log.open(errors="replace") as lines:
            counts = between_answers(lines)

    # Before the first measurement there is the start of the process, and after the last one its end.
    return _per_call(case, counts[1:-1])


def between_answers(lines: Iterable[str]) -> list[int]:
    """Of a log of strace: how many system calls there were up to each line that the driver wrote on stdout."""
    counts = [0]
    for line in lines:
        # A call that another thread's came between has two lines, of which the second has no name at its beginning.
        call = re.match(r"\d+ +(\w+)\((1,)?", line)
        if call is None:
            continue
        counts[-1] += 1
        if call[1] == "write" and call[2]:
            counts.append(0)
    return counts


def frames_per_call(case: Case, target: Target, peer: Peer | None = None, cores: Cores = ANY) -> float:
    """Python frames that the thread of the calls enters; without a `peer` it is `ours()`. Raises Failed."""
    answers = _talk(case, target, peer or ours(), cores, {"frames": True}, SAMPLES)
    return _per_call(case, [answer["frames"] for answer in answers])


def _per_call(case: Case, counts: list[int]) -> float:
    """From the counts of all measurements of `_talk`."""
    _, none, *many = counts
    return (min(many) - none) / _calls(case, MANY)


def _calls(case: Case, rounds: int) -> int:
    return rounds * (case.workers if case.workers > 1 else ALONE)


def _talk(
    case: Case, target: Target, peer: Peer, cores: Cores, said: dict[str, Any], samples: int
) -> list[drivers.Figures]:
    """The answers to a measurement for what a process does only once, to one of no calls, and to those of many."""
    driver = drivers.start(peer, case, target, cores)
    answers: list[drivers.Figures] = []
    try:
        driver.ready()
        for rounds in (WARM, NONE, *[MANY] * samples):
            driver.begin({**said, "calls": _calls(case, rounds)})
            answers.append(driver.result())
    finally:
        driver.close()
    return answers
