# Derived from tests/recipes/_async/test_lock.py by scripts/unasync.py: change that file, make generate.
"""Locks at a real server: order, timeouts, cancellation, what is left behind, and what an operator does to entries."""

from __future__ import annotations

import pickle
from math import inf

import pytest

from etcdv2 import Client, NotDir
from etcdv2._runtime.primitives import at_once
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, Lease, LeaseLost, Session
from etcdv2.testing import Server
from tests.recipes._sync.background import Background
from tests.recipes._sync.waits import comes, renew_now
from tests.tools.waiting import SOON


def entries(client: Client, key: str = "/locks/db") -> list[str]:
    found = client.keys.get(key, default=None)
    nodes = [] if found is None else list(found.leaves())
    return [node.key.rpartition("/")[2] for node in sorted(nodes, key=lambda node: node.created_index)]


def has_entries(client: Client, count: int, key: str = "/locks/db") -> None:
    def so_many() -> bool:
        return len(entries(client, key)) == count

    comes(so_many)


def test_one_holds_it_at_a_time_and_tokens_rise(client: Client, other: Client) -> None:
    with Session(client, ttl=600, owner="a") as session, Session(other, ttl=600, owner="b") as second:
        lock, rival = session.lock("/locks/db"), second.lock("/locks//db/")
        assert (lock.key, lock.owner, rival.key) == ("/locks/db", "a", "/locks/db")

        with lock as lease:
            assert lease.held
            assert rival.try_acquire() is None
            assert len(entries(other)) == 1  # a failed try wrote nothing
            shown = rival.contenders()
            assert [(one.owner, one.token, one.held) for one in shown] == [("a", lease.token, True)]
        assert not lease.held
        has_entries(other, 0)

        later = rival.try_acquire()
        assert later is not None
        assert later.token > lease.token
        assert later.release(timeout=SOON) is True
        assert lock.contenders() == ()


def test_those_who_wait_are_served_in_their_order_and_none_twice(client: Client, other: Client) -> None:
    served: list[tuple[int, int]] = []
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        first = session.lock("/locks/db").acquire()
        background: list[Background[None]] = []
        for number in range(4):

            def contend(number: int = number) -> None:
                with (second if number % 2 else session).lock("/locks/db") as lease:
                    lease.check()
                    served.append((number, lease.token))

            background.append(Background(contend))
            has_entries(other, number + 2)
        assert served == []
        first.release()
        for one in background:
            one.result()
    assert [number for number, _ in served] == [0, 1, 2, 3]
    assert [token for _, token in served] == sorted(token for _, token in served)
    assert served[0][1] > first.token
    has_entries(other, 0)


def test_a_timeout_says_who_holds_it_and_leaves_nothing(client: Client, other: Client) -> None:
    with (
        Session(client, ttl=600, owner="holder") as session,
        Session(other, ttl=600, owner="waiter") as second,
    ):
        lease = session.lock("/locks/db").acquire()
        timeout, error = 0.1, AcquireTimeout("", 0, ())
        while not error.contenders:  # a busy machine comes to nothing in so short a time
            timeout *= 2
            with pytest.raises(AcquireTimeout, match=f"/locks/db was not acquired within {timeout:g} s") as caught:
                second.lock("/locks/db").acquire(timeout=timeout)
            error = caught.value
        assert isinstance(error, TimeoutError)
        assert "; held by holder, " in str(error)
        assert [(one.owner, one.held) for one in error.contenders][:1] == [("holder", True)]
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.key, again.timeout, again.contenders) == (
            str(error),
            "/locks/db",
            timeout,
            error.contenders,
        )
        has_entries(other, 1)
        assert lease.held
        lease.release()


def test_cancel_and_close_end_all_waits(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session:
        lease = session.lock("/locks/db").acquire()
        second = Session(other, ttl=600)
        lock = second.lock("/locks/db")

        def contend() -> Lease:
            return lock.acquire()

        def contend_too() -> Lease:
            return second.lock("/locks/db").acquire()

        waits = [Background(contend), Background(contend)]
        has_entries(other, 3)
        spared = Background(contend_too)
        has_entries(other, 4)
        lock.cancel()
        for wait in waits:
            with pytest.raises(AcquireCancelled, match="it was cancelled"):
                wait.result()
        has_entries(other, 2)

        second.close()
        with pytest.raises(AcquireCancelled, match="session was closed"):
            spared.result()
        has_entries(other, 1)
        with pytest.raises(ValueError, match="closed"):
            lock.acquire()
        assert lease.held


def test_a_waiting_entry_that_was_deleted_queues_again(client: Client, other: Client) -> None:
    with Session(client, ttl=12) as session, Session(other, ttl=12) as second:
        lease = session.lock("/locks/db").acquire()

        def contend() -> Lease:
            return second.lock("/locks/db").acquire()

        wait = Background(contend)
        has_entries(other, 2)
        gone = (entries(other))[1]
        other.keys.delete(f"/locks/db/{gone}")

        def is_another() -> bool:
            found = entries(other)
            return len(found) == 2 and gone not in found

        comes(is_another)
        lease.release()
        next_one = wait.result()
        next_one.check()
        assert next_one.token > lease.token
        next_one.release()


def test_a_lock_whose_directory_is_deleted_is_lost_by_its_holder_and_contended_for_again(
    client: Client, other: Client
) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=12) as second:
        lease = session.lock("/locks/db").acquire()

        def contend() -> Lease:
            return second.lock("/locks/db").acquire()

        wait = Background(contend)
        has_entries(other, 2)
        other.keys.delete("/locks/db", recursive=True)
        renew_now(session, lease)
        assert lease.lost.wait(SOON)
        with pytest.raises(LeaseLost, match="gone"):
            lease.check()
        next_one = wait.result()
        assert next_one.held
        assert next_one.token > lease.token


def test_who_holds_it_cannot_wait_for_it(client: Client) -> None:
    with Session(client, ttl=600) as session, Session(client, ttl=600) as second:
        with session.lock("/locks/db"):
            for once_more in (session.lock("/locks/db"), second.lock("/locks/db"), session.rwlock("/locks/db").read):
                with pytest.raises(RuntimeError, match="held already"):
                    once_more.acquire()
                with pytest.raises(RuntimeError, match="held already"):
                    once_more.try_acquire()
        with session.lock("/locks/db") as lease:
            assert lease.held


def test_without_a_server_it_times_out_with_the_cause(etcd: Server) -> None:
    with Client(etcd.url) as client:
        session = Session(client, ttl=12)
        etcd.pause()
        try:
            with pytest.raises(AcquireTimeout) as caught:
                session.lock("/locks/db").acquire(timeout=0.5)
            assert caught.value.contenders == ()
        finally:
            etcd.resume()

        # The create that the server had received is carried out now, and deleted again.
        lease = session.lock("/locks/db").acquire()
        assert lease.held
        lease.release()
        has_entries(client, 0)
        session.close()


def test_a_release_of_the_last_removes_the_directory_where_that_is_asked_for(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session:
        with session.lock("/locks/db", tidy=True):
            pass

        def is_gone() -> bool:
            return not other.keys.exists("/locks/db")

        comes(is_gone)
        with session.lock("/locks/db"):
            pass
        has_entries(other, 0)
        assert other.keys.exists("/locks/db")


def test_many_at_once_never_overlap(client: Client, other: Client) -> None:
    inside, worst, tokens = 0, 0, list[int]()
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:

        def contend() -> None:
            nonlocal inside, worst
            for lock in (session.lock("/locks/db"), second.lock("/locks/db")):
                with lock as lease:
                    inside += 1
                    worst = max(worst, inside)
                    tokens.append(lease.token)
                    client.keys.get("/locks/db")
                    lease.check()
                    inside -= 1

        at_once(8, contend)
    assert (worst, len(tokens), len(set(tokens))) == (1, 16, 16)
    assert tokens == sorted(tokens)
    has_entries(other, 0)


def test_readers_share_and_a_writer_is_alone(client: Client, other: Client) -> None:
    with (
        Session(client, ttl=600, owner="one") as session,
        Session(other, ttl=600, owner="two") as second,
    ):
        a, b = session.rwlock("/locks/db"), second.rwlock("/locks/db")
        first, shared = a.read.acquire(), b.read.try_acquire()
        assert shared is not None

        def write() -> Lease:
            return session.rwlock("/locks/db").write.acquire()

        writer = Background(write)
        has_entries(other, 3)

        def read() -> Lease:
            return second.rwlock("/locks/db").read.acquire()

        reader = Background(read)  # behind the writer: nobody overtakes
        has_entries(other, 4)
        shown = a.write.contenders()
        assert [(one.owner, one.held) for one in shown] == [
            ("one", True),
            ("two", True),
            ("one", False),
            ("two", False),
        ]

        first.release()
        assert not writer.done()
        shared.release()
        held = writer.result()
        assert not reader.done()
        assert held.token > shared.token
        held.release()
        last = reader.result()
        assert last.token > held.token
        last.release()


def test_a_semaphore_is_held_by_as_many_as_its_limit(client: Client, other: Client) -> None:
    inside, worst, done = 0, 0, 0
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        permits = [session.semaphore("/locks/db", 2).acquire() for _ in range(2)]
        assert second.semaphore("/locks/db", 2).try_acquire() is None
        for permit in permits:
            permit.release()

        def contend() -> None:
            nonlocal inside, worst, done
            for one in (session, second):
                with one.semaphore("/locks/db", 3) as permit:
                    inside += 1
                    worst = max(worst, inside)
                    client.keys.get("/locks/db")
                    permit.check()
                    inside -= 1
                    done += 1

        at_once(10, contend)
    assert done == 20
    assert worst <= 3
    has_entries(other, 0)


def test_what_cannot_be_a_lock_is_refused(client: Client, other: Client) -> None:
    with Session(client, ttl=12) as session:
        for key in ("", "/", "/a/../b"):
            with pytest.raises(ValueError, match="key"):
                session.lock(key)
        with pytest.raises(ValueError, match="ttl"):
            session.lock("/a", ttl=1)
        with pytest.raises(ValueError, match="owner"):
            session.lock("/a", owner="a/b")
        for limit in (0, -1):
            with pytest.raises(ValueError, match="limit"):
                session.semaphore("/a", limit)
        with pytest.raises(TypeError, match="limit"):
            session.semaphore("/a", True)
        for timeout in (0, -1.0, inf):
            with pytest.raises(ValueError, match="timeout"):
                session.lock("/a").acquire(timeout=timeout)

        other.keys.set("/a", "a file")
        with pytest.raises(NotDir):
            session.lock("/a").acquire(timeout=SOON)
        with pytest.raises(NotDir):
            session.lock("/a").try_acquire()
        with pytest.raises(NotDir):
            session.lock("/a").contenders()
