"""Processes that a test forks, and what they and the processes of multiprocessing do with a client: talk.

A child reports by its exit code, its parent by AssertionError. What is forked, and when, is `forking`'s affair.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from etcdv2 import Client

CALLS = 60
THREADS = 6
CHILDS_THREADS = 3
HANGS = 30
"""Seconds after which a child that does not end is shown and killed."""


def fork(child: Callable[[], object], start: int | None = None) -> int:
    """The child's process id; it ends with 0 when `child` returned. `start`: a pipe that says when to begin."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if start is not None:
            os.read(start, 1)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        child()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended_well(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0


def talk(client: Client, who: str) -> None:
    """Calls whose answers are known to nobody else."""
    for number in range(CALLS):
        client.keys.set(f"/talk/{who}", f"{who}-{number}")
        assert client.keys.get(f"/talk/{who}").value == f"{who}-{number}"


def no_other_thread() -> None:
    """OpenSSL cleans up after a thread that Python has joined already, under a lock that a fork would keep for ever."""
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        time.sleep(0.001)


def talk_in_threads(client: Client, who: str, count: int = THREADS) -> None:
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            talk(client, name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"{who}.{n}",)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def work(url: str, who: str) -> str:
    with Client(url) as client:
        talk(client, who)
        return client.keys.get(f"/talk/{who}").value


def miss(url: str) -> None:
    with Client(url) as client:
        client.keys.get("/missing")
