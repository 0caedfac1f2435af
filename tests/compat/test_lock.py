"""Locks of python-etcd's layout: time limits, lost entries, and a real python-etcd at the other end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from etcdv2 import OutcomeUnknown
from etcdv2.compat import python_etcd as etcd
from etcdv2.testing import Cluster, Server
from etcdv2_api import operations
from tests.compat.conftest import Connect
from tests.tools import programs
from tests.tools.waiting import SOON, until

HOLD = """
import sys, etcd
hosts = tuple(("127.0.0.1", int(port)) for port in sys.argv[2].split(","))
client = etcd.Client(host=hosts, allow_reconnect=True, use_proxies=True, lock_prefix="/locks")
lock = etcd.Lock(client, "job")
print("waiting", flush=True)
lock.acquire(lock_ttl=int(sys.argv[1]))
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
    waiter.release()
    assert entries(client) == [holder.lock_key]
    with pytest.raises(ValueError, match="No sequence"):
        etcd.Lock(client, "job").release()
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


def test_wait_for_a_lock_that_is_older_than_the_servers_memory_is_one_watch(client: etcd.Client) -> None:
    holder, waiter = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    holder.acquire()
    for number in range(1001):
        client.write("/other", number)
    watches: list[etcd.EtcdResult] = []
    watch = client.watch

    def watch_and_release(key: str, index: int, timeout: float) -> etcd.EtcdResult:
        holder.release()
        watches.append(watch(key, index=index, timeout=timeout))
        return watches[-1]

    with mock.patch.object(client, "watch", watch_and_release):
        assert waiter.acquire(timeout=SOON)
    assert [event.action for event in watches] == ["delete"]


def test_renewal_of_an_entry_that_runs_out_just_then_goes_to_the_end_of_the_queue(client: etcd.Client) -> None:
    """Else its name, the lowest one, would be there again, beside the one who holds the lock by now."""
    late, other = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    late.acquire()
    find = late._find_lock

    def found_for_the_last_time() -> bool:
        found = find()
        client.delete(late.lock_key)
        assert other.acquire(timeout=SOON)
        return found

    with mock.patch.object(late, "_find_lock", found_for_the_last_time):
        assert not late.acquire(blocking=False)
    assert [other.is_acquired, late.is_acquired] == [True, False]
    assert entries(client) == [other.lock_key, late.lock_key]


def test_interrupted_wait_leaves_no_entry_and_an_interrupted_renewal_the_one_that_is_held(client: etcd.Client) -> None:
    holder, waiter = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    holder.acquire()
    with mock.patch.object(client, "watch", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt), waiter:
        pass
    assert entries(client) == [holder.lock_key]
    with mock.patch.object(holder, "_entries", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        holder.acquire()
    assert entries(client) == [holder.lock_key]


def test_entries_that_came_without_an_answer_are_its_own(client: etcd.Client) -> None:
    lock, write = etcd.Lock(client, "job"), client.write
    call = operations.post_key("/locks/job", value=lock.uuid)
    lost = etcd.EtcdConnectionFailed("lost", cause=OutcomeUnknown(call, "http://h:1", "lost"))
    no_leader = etcd.EtcdException("no leader", {"errorCode": 300})

    # 1. Not there when it is looked for, but when it is wanted again.
    with mock.patch.object(client, "write", side_effect=lost), pytest.raises(etcd.EtcdConnectionFailed):
        lock.acquire()
    write(lock.path, lock.uuid, append=True)
    assert lock.acquire(blocking=False)
    assert len(entries(client)) == 1
    lock.release()
    assert entries(client) == []

    # 2. There just before the next one, which waits for nobody.
    with (
        mock.patch.object(client, "write", side_effect=no_leader),
        pytest.raises(etcd.EtcdException, match="no leader"),
    ):
        lock.acquire()
    with mock.patch.object(client, "write", lambda *args, **kwargs: write(*args, **kwargs) and write(*args, **kwargs)):
        assert lock.acquire(timeout=SOON)
    assert len(entries(client)) == 2
    assert lock.lock_key == entries(client)[0]
    lock.release()
    assert entries(client) == []

    # 3. There when it is looked for.
    def lose(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        raise lost

    with mock.patch.object(client, "write", lose):
        assert lock.acquire()
    assert entries(client) == [lock.lock_key]


def test_directory_that_is_deleted_ends_the_wait(client: etcd.Client) -> None:
    holder, waiter = etcd.Lock(client, "job"), etcd.Lock(client, "job")
    holder.acquire()
    watch = client.watch

    def watch_the_end(key: str, index: int, timeout: float) -> etcd.EtcdResult:
        client.delete("/locks/job", recursive=True)
        return watch(key, index=index, timeout=timeout)

    with mock.patch.object(client, "watch", watch_the_end), pytest.raises(etcd.EtcdLockExpired):
        waiter.acquire(timeout=SOON)
    waiter.release()


def test_release_is_tried_again_where_there_is_no_leader(client: etcd.Client) -> None:
    lock, delete = etcd.Lock(client, "job"), client.delete
    answers: list[Exception | None] = [
        etcd.EtcdException("no leader", {"errorCode": 300}),
        etcd.EtcdConnectionFailed("nobody listens"),
        None,
    ]

    def answer(key: str) -> None:
        if (error := answers.pop(0)) is not None:
            raise error
        delete(key)

    lock.acquire()
    with mock.patch.object(client, "delete", answer):
        lock.release()
    assert [answers, entries(client)] == [[], []]
    with mock.patch.object(client, "delete", side_effect=etcd.EtcdInsufficientPermissions("no")):
        with pytest.raises(etcd.EtcdInsufficientPermissions):
            lock.release()


def test_lock_below_a_lock_and_a_name_with_slashes(client: etcd.Client) -> None:
    below, lock, same = (etcd.Lock(client, name) for name in ("job/-below", "job", "/job/"))
    assert below.acquire()
    assert lock.acquire(blocking=False)
    assert not same.acquire(blocking=False)
    lock.release()
    assert same.acquire(timeout=SOON)
    same.release()
    assert below.is_acquired


@contextmanager
def holder(whose: str, *servers: Server, lock_ttl: int = 600) -> Iterator[subprocess.Popen[str]]:
    """Somebody else who wants the lock: says so, and when it has it; a line releases it."""
    theirs = {"PYTHONPATH": str(programs.place("python-etcd"))} if whose == "theirs" else {}
    program = HOLD if theirs else f"import etcdv2.compat; etcdv2.compat.install()\n{HOLD}"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lock_ttl), ",".join(str(server.port) for server in servers)],
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


def said(process: subprocess.Popen[str], *lines: str) -> None:
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in lines] == [f"{line}\n" for line in lines]


@pytest.mark.load
@pytest.mark.programs("python-etcd")
def test_lock_of_a_killed_process_runs_out_for_the_other_kind(client: etcd.Client, etcd: Server) -> None:
    from etcdv2.compat.python_etcd import Lock

    with holder("theirs", etcd, lock_ttl=3) as old:
        said(old, "waiting", "held")
        old.kill()
        ours = Lock(client, "job")
        assert not ours.acquire(blocking=False)
        assert ours.acquire(timeout=SOON)
        ours.release()
    with holder("ours", etcd, lock_ttl=3) as new:
        said(new, "waiting", "held")
        new.kill()
        with holder("theirs", etcd) as old:
            said(old, "waiting", "held")
            assert len(entries(client)) == 1


@pytest.mark.load
@pytest.mark.programs("python-etcd")
def test_lock_of_both_kinds_through_the_death_of_the_leader(etcd_cluster: Cluster) -> None:
    cluster = etcd_cluster
    others = [member for member in cluster.members if member is not cluster.leader()]
    hosts = tuple(("127.0.0.1", member.port) for member in cluster.members)
    client = etcd.Client(host=hosts, allow_reconnect=True, lock_prefix="/locks", read_timeout=SOON)
    with holder("theirs", *others) as old:
        said(old, "waiting", "held")
        ours, raised = etcd.Lock(client, "job"), []

        def wait() -> None:
            try:
                ours.acquire(timeout=SOON)
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: len(entries(client)) == 2)
        cluster.leader().kill()
        until(lambda: holds_a_quorum(client))
        assert not ours.is_taken
        assert old.stdin is not None
        old.stdin.write("\n")
        old.stdin.flush()
        said(old, "released")
        thread.join(2 * SOON)
    assert raised == []
    assert ours.is_acquired
    cluster.heal()
    ours.release()
    assert entries(client) == []


def holds_a_quorum(client: etcd.Client) -> bool:
    try:
        client.write("/written", "1")
    except etcd.EtcdException:  # an election
        return False
    return True
