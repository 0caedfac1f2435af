# Derived from tests/recipes/_async/test_barriers.py by scripts/unasync.py: change that file, make generate.
"""Barriers and double barriers at a real server."""

from __future__ import annotations

import pytest

from etcdv2 import Client, KeyExists
from etcdv2._runtime.primitives import at_once
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, Lease, Session
from tests.recipes._sync.background import Background
from tests.recipes._sync.waits import is_gone, waits
from tests.tools.waiting import SOON


def test_who_waits_at_a_barrier_goes_on_when_it_opens(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        barrier, same = session.barrier("/gate"), second.barrier("//gate/")
        assert same.key == "/gate"
        assert barrier.wait(0) is True
        assert barrier.wait() is True

        barrier.close()
        same.close()
        assert same.wait(0) is False
        assert same.wait(0.05) is False

        def wait() -> bool:
            return same.wait()

        waiting = Background(wait)
        client.keys.set("/gate", "another value")
        assert not waiting.done()
        barrier.open()
        assert waiting.result() is True
        barrier.open()


def test_a_barrier_with_a_ttl_opens_with_its_lease(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        lease = session.barrier("/gate").close(ttl=600)
        with pytest.raises(KeyExists):
            second.barrier("/gate").close(ttl=600)
        assert second.barrier("/gate").wait(0) is False
        assert lease.release(timeout=SOON) is True
        assert second.barrier("/gate").wait(SOON) is True

        with session.barrier("/gate").close(ttl=600) as held:

            def wait() -> bool:
                return second.barrier("/gate").wait()

            before = second._keeping.waits.all()
            waiting = Background(wait)
            waits(second, before)
            second.close()
            with pytest.raises(AcquireCancelled, match="closed"):
                waiting.result()
            assert held.held


def test_all_begin_together_and_all_end_together(client: Client, other: Client) -> None:
    inside: list[int] = []
    seen: list[tuple[str, int]] = []
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:

        def take_part() -> None:
            mine = second if len(inside) % 2 else session
            barrier = mine.double_barrier("/start", 3)
            for number in range(3):
                inside.append(number)
                lease = barrier.enter()
                seen.append(("in", inside.count(number)))
                assert lease.held
                inside.remove(number)
                assert barrier.leave() is True
                seen.append(("out", inside.count(number)))
                assert not lease.held

        at_once(3, take_part)
        assert seen.count(("out", 0)) == 9
        assert len([one for one in seen if one[0] == "in"]) == 9
        is_gone(client, "/start/ready")
        assert list((client.keys.get("/start")).node.leaves()) == []


def test_a_double_barrier_waits_for_all(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        barrier, rival = session.double_barrier("/start", 2), second.double_barrier("/start", 2)
        with pytest.raises(ValueError, match="nobody has entered"):
            barrier.leave()
        with pytest.raises(AcquireTimeout):
            barrier.enter(0.2)

        def entered() -> Lease:
            return rival.enter()

        waiting = Background(entered)
        lease = barrier.enter(SOON)
        waiting.result()
        with pytest.raises(RuntimeError, match="held already"):
            barrier.enter()

        # One leaves, and waits for the other one.
        assert barrier.leave(0.05) is False
        assert not lease.held
        with pytest.raises(AcquireTimeout):  # of the next round
            barrier.enter(0.2)
        assert rival.leave(SOON) is True
        is_gone(client, "/start/ready")


def test_a_ready_that_was_left_lets_nobody_pass(client: Client, other: Client) -> None:
    """As of programs that have died, or of a request that a paused member has carried out late."""
    with Session(client, ttl=600) as session:
        other.keys.set("/start/ready", "3")
        with pytest.raises(AcquireTimeout):
            session.double_barrier("/start", 2).enter(0.5)
        assert other.keys.get("/start/ready", default=None) is None

        other.keys.set("/start/ready", "a word of somebody else")
        lease = session.double_barrier("/start", 1).enter()
        assert (other.keys.get("/start/ready")).value == str(lease.token)
