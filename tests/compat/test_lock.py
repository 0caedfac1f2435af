"""Locks of python-etcd's layout: time limits, lost entries, and a real python-etcd at the other end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from etcdv2.compat import python_etcd as etcd
from etcdv2.testing import Server
from tests.compat.conftest import Connect
from tests.tools import programs
from tests.tools.waiting import SOON, until

HOLD = """
import sys, etcd
client = etcd.Client(port=int(sys.argv[1]), lock_prefix="/locks")
lock = etcd.Lock(client, "job")
print("waiting", flush=True)
lock.acquire(lock_ttl=600)
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
"""


@pytest.fixture
def client(connect: Connect) -> etcd.Client:
    return connect(lock_prefix="/locks")


def entries(client: etcd.Client) -> list[str]:
    """In their order: etcd's answer has none unless it is asked for."""
    return sorted(leaf.key for leaf in client.read("/locks/job").leaves if not leaf.dir)


def test_time_limit_ends_the_wait_and_leaves_nothing(client: etcd.Client) -> None:
    holder, waiter = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    assert holder.acquire()
    with pytest.raises(etcd.EtcdWatchTimedOut):
        waiter.acquire(timeout=0.3)
    assert entries(client) == [holder.lock_key]
    with pytest.raises(ValueError, match="No sequence"):
        waiter.release()
    holder.release()
    assert waiter.acquire(timeout=SOON)
    waiter.release()


def test_who_does_not_wait_keeps_the_place_in_the_queue(client: etcd.Client) -> None:
    locks = [etcd.Lock(client, "job") for _ in range(3)]
    assert [lock.acquire(blocking=False) for lock in locks] == [True, False, False]
    assert len(entries(client)) == 3
    locks[0].release()
    assert [lock.acquire(blocking=False) for lock in locks[1:]] == [True, False]
    assert [lock.acquire(blocking=False) for lock in reversed(locks[1:])] == [False, True]
    assert len(entries(client)) == 2


def test_lost_entry_is_said(client: etcd.Client) -> None:
    holder, waiter = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    holder.acquire()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            waiter.acquire()
        except etcd.EtcdLockExpired as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: len(entries(client)) == 2)
    client.delete(entries(client)[1])
    client.delete(holder.lock_key)
    thread.join(SOON)
    assert raised
    assert holder.is_taken
    assert not holder.is_acquired
    holder.release()


def test_object_takes_over_the_entry_of_a_uuid(client: etcd.Client) -> None:
    first, second = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    first.acquire()
    second.uuid = first.uuid
    assert second.lock_key == first.lock_key
    assert second.acquire(blocking=False)


@contextmanager
def holder(whose: str, server: Server) -> Iterator[subprocess.Popen[str]]:
    """Somebody else who wants the lock: says so, and when it has it; a line releases it."""
    theirs = {"PYTHONPATH": str(programs.place("python-etcd"))} if whose == "theirs" else {}
    program = HOLD if theirs else f"import etcdv2.compat; etcdv2.compat.install()\n{HOLD}"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(server.port)],
        env={**os.environ, **theirs},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.programs("python-etcd")
def test_old_and_new_programs_share_a_lock(client: etcd.Client, etcd: Server) -> None:
    from etcdv2.compat.python_etcd import Lock

    with holder("theirs", etcd) as old:
        assert old.stdin is not None
        assert old.stdout is not None
        assert [old.stdout.readline() for _ in range(2)] == ["waiting\n", "held\n"]

        # 1. The old one holds it, ours waits.
        ours = Lock(client, "job")
        assert not ours.acquire(blocking=False)
        assert len(entries(client)) == 2
        old.stdin.write("\n")
        old.stdin.flush()
        assert ours.acquire(timeout=SOON)
        assert ours.is_acquired
        assert old.stdout.readline() == "released\n"

    # 2. Ours holds it, an old one waits, and a new one behind it.
    with holder("theirs", etcd) as old:
        until(lambda: len(entries(client)) == 2)
        with holder("ours", etcd) as new:
            until(lambda: len(entries(client)) == 3)
            ours.release()
            for process in (old, new):
                assert process.stdin is not None
                assert process.stdout is not None
                assert [process.stdout.readline() for _ in range(2)] == ["waiting\n", "held\n"]
                process.stdin.write("\n")
                process.stdin.flush()
