"""Leases and the life of processes: forks, ends, kills."""

from __future__ import annotations

import subprocess
import sys
import threading

from etcdv2 import Client
from etcdv2.recipes import Session
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON, until

pytestmark = FIRST_VERSION


def start(case: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.recipes.processes", case, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(case: str, url: str) -> str:
    out, err = (process := start(case, url)).communicate(timeout=2 * SOON)
    assert (process.returncode, err) == (0, "")
    return out


def test_a_program_that_ends_while_it_holds_a_lock_ends_silently(etcd: Server) -> None:
    assert run("ends_while_it_holds", etcd.url) == "holds it\n"
    with Client(etcd.url) as client:
        assert len(list(client.keys.get("/locks/db").leaves())) == 1  # until it expires


def test_a_forked_child_has_no_lease_and_the_parent_keeps_its_own(etcd: Server) -> None:
    assert run("forks_while_it_holds", etcd.url) == "held by the parent\n"


def test_the_lock_of_a_killed_holder_goes_to_the_next_one(etcd: Server) -> None:
    process = start("holds_until_it_is_killed", etcd.url)
    assert process.stdout is not None
    token = int(process.stdout.readline())
    with Client(etcd.url) as client, Session(client, ttl=12) as session:
        assert session.lock("/locks/db").try_acquire() is None
        process.kill()
        process.communicate()
        lease = session.lock("/locks/db").acquire(timeout=SOON)
        assert lease.token > token
        lease.release()


def test_no_thread_is_left_behind(etcd: Server) -> None:
    before = set(threading.enumerate())
    with Client(etcd.url) as client, Session(client, ttl=12) as session:
        leases = [session.create(f"/e/{number}", "v") for number in range(20)]
        assert {thread.name for thread in set(threading.enumerate()) - before} >= {"etcdv2-keeper"}
        for lease in leases:
            lease.release()

        def keepers() -> list[threading.Thread]:
            return [thread for thread in threading.enumerate() if thread.name == "etcdv2-keeper"]

        session.create("/e/last", "v").release()
    until(lambda: not keepers())
    until(lambda: set(threading.enumerate()) <= before)
