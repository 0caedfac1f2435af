"""How programs with a client end: quickly and silently, whatever is open; by Ctrl-C at once, wherever they wait.

Each is a process of its own (`tests.tools.ending`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.ending import PROGRAMS
from tests.tools.fault_server import FaultServer, stall
from tests.tools.waiting import SOON

QUICK = 10.0
"""Seconds between "ready" and the end of the process. A call that is waited for would take 20, a poll has no end."""

CLOSED = ["closed", "exit_within", "async_closed", "async_watching", "async_exit_within"]
OPEN = ["used_and_kept", "watching", "mirroring", "calling", "async_abandoned"]
EVENTS = ["blocked_watch", "blocked_iteration", "blocked_mirror", "async_blocked_watch"]
ANSWERS = ["blocked_get", "async_blocked_get"]


def transports_and(names: list[str], *over_httpx: str) -> list[tuple[str, str]]:
    return [("fast", name) for name in names] + [("httpx", name) for name in over_httpx]


@contextmanager
def program(name: str, url: str, transport: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """One that has said "ready"."""
    assert name in PROGRAMS
    command = [sys.executable, *flags, "-m", "tests.tools.ending", name, url, transport]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            killer = threading.Timer(SOON, process.kill)
            killer.start()
            said = process.stdout.readline()
            killer.cancel()
            killer.join()
            if said != "ready\n":
                process.kill()
                pytest.fail(f"it did not come so far: {process.communicate()[1]}")
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> tuple[int, str, float]:
    began = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=SOON)
    except subprocess.TimeoutExpired:
        pytest.fail("the process does not end")
    assert stdout == ""
    return process.returncode, stderr, time.monotonic() - began


@FIRST_VERSION
@pytest.mark.parametrize(("transport", "name"), transports_and(CLOSED, "exit_within", "async_watching"))
def test_program_that_closes_its_client_ends_silently_in_development_mode(
    etcd: Server, transport: str, name: str
) -> None:
    with program(name, etcd.url, transport, "-X", "dev", "-W", "error") as process:
        code, said, took = end(process)
    assert (code, said) == (0, "")
    assert took < QUICK


@FIRST_VERSION
@pytest.mark.parametrize(("transport", "name"), transports_and(OPEN, "watching", "async_abandoned"))
def test_program_that_leaves_everything_open_ends_silently_and_quickly(etcd: Server, transport: str, name: str) -> None:
    with program(name, etcd.url, transport) as process:
        code, said, took = end(process)
    assert (code, said) == (0, "")
    assert took < QUICK


def interrupted(process: subprocess.Popen[str]) -> None:
    """By Ctrl-C: KeyboardInterrupt ends it at once, and is all that is said."""
    time.sleep(0.3)  # from "ready" into the wait; sooner only makes it easier
    process.send_signal(signal.SIGINT)
    code, said, took = end(process)
    assert took < QUICK
    assert code == -signal.SIGINT
    assert said.startswith("Traceback (most recent call last):"), said
    assert said.endswith("\nKeyboardInterrupt\n"), said
    assert "Exception ignored" not in said
    assert "Warning" not in said
    assert "etcdv2._types.call_errors" not in said


@FIRST_VERSION
@pytest.mark.parametrize(("transport", "name"), transports_and(EVENTS, "blocked_watch"))
def test_interrupt_ends_whoever_waits_for_an_event(etcd: Server, transport: str, name: str) -> None:
    with program(name, etcd.url, transport, "-W", "error") as process:
        interrupted(process)


@pytest.mark.parametrize(("transport", "name"), transports_and(ANSWERS, "blocked_get"))
def test_interrupt_ends_whoever_waits_for_an_answer(transport: str, name: str) -> None:
    with FaultServer(default=stall()) as server:
        with program(name, server.endpoint.url, transport, "-W", "error") as process:
            interrupted(process)


@pytest.mark.load
@FIRST_VERSION
def test_collector_that_runs_at_any_moment_locks_nobody(etcd: Server) -> None:
    """It calls the `__del__` of a forgotten watcher in any thread, between any two lines, whatever locks that holds."""
    with program("littered", etcd.url, "fast") as process:
        assert end(process)[:2] == (0, "")
