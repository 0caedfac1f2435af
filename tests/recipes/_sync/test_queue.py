# Derived from tests/recipes/_async/test_queue.py by scripts/unasync.py: change that file, make generate.
"""Queues at a real server: each item for one consumer at a time, until it is done."""

from __future__ import annotations

import pytest

from etcdv2 import Client
from etcdv2._runtime.primitives import at_once
from etcdv2.recipes import AcquireCancelled, Item, LeaseLost, Session
from tests.recipes._sync.background import Background
from tests.recipes._sync.waits import is_gone, renew_now, waits
from tests.tools.waiting import SOON


def taken(session: Session, key: str = "/jobs") -> Item:
    item = session.queue(key, ttl=600).get(timeout=SOON)
    assert item is not None
    return item


def test_an_item_is_taken_by_one_and_gone_when_it_is_done(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other, owner="b") as second:
        queue = session.queue("/jobs", ttl=600)
        assert queue.get(timeout=0) is None
        name = queue.put("first")
        assert (queue.pending(), queue.claimed()) == (1, 0)

        item = taken(second)
        assert (item.id, item.value, item.key) == (name, "first", f"/jobs/items/{name}")
        assert item.lease.held
        assert item.lease.key == f"/jobs/claims/{name}"
        assert (queue.pending(), queue.claimed()) == (0, 1)
        assert queue.get(timeout=0.1) is None
        assert len(queue) == 1

        item.ack()
        item.ack()
        assert not item.lease.held
        assert (queue.pending(), queue.claimed()) == (0, 0)
        is_gone(other, f"/jobs/claims/{name}")


def test_with_ends_an_item_and_gives_it_back_on_an_error(client: Client) -> None:
    with Session(client) as session:
        queue = session.queue("/jobs", ttl=600)
        queue.put("job")
        with pytest.raises(ZeroDivisionError):
            with taken(session) as item:
                raise ZeroDivisionError
        with taken(session) as again:
            assert again.id == item.id
            assert again.lease.token > item.lease.token
        assert queue.pending() + queue.claimed() == 0

        queue.put("last")
        last = taken(session)
        last.give_back()
        last.give_back()
        last = taken(session)
        last.ack()


def test_an_id_is_one_item_while_it_is_there(client: Client) -> None:
    with Session(client) as session:
        queue = session.queue("/jobs", ttl=600)
        assert queue.put("a", id="job-17") == "job-17"
        assert queue.put("b", id="job-17") == "job-17"
        with taken(session) as item:
            assert item.value == "a"
        assert queue.get(timeout=0) is None
        queue.put("c", id="job-17")
        with taken(session) as item:
            assert item.value == "c"
        for bad in ("", "a/b", "_hidden"):
            with pytest.raises(ValueError, match="id"):
                queue.put("x", id=bad)
        with pytest.raises(TypeError, match="value: a bytes; must be a str"):
            queue.put(b"x")  # type: ignore[arg-type]


def test_many_consumers_do_each_item_once_nearly_in_order(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        queue, done = session.queue("/jobs", ttl=600), list[int]()
        for number in range(40):
            queue.put(str(number))

        def consume() -> None:
            mine = second if len(done) % 2 else session
            while len(done) < 40:
                item = mine.queue("/jobs", ttl=600).get(timeout=0.2)
                if item is not None:
                    with item:
                        done.append(int(item.value))

        at_once(4, consume)
        assert sorted(done) == list(range(40))
        assert all(number < place + 20 + 4 for place, number in enumerate(done[:15]))
        assert (queue.pending(), queue.claimed()) == (0, 0)


def test_a_consumer_that_waits_gets_what_is_put_and_close_ends_its_wait(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        queue = session.queue("/jobs", ttl=600)

        def get() -> Item | None:
            return queue.get()

        waiting = Background(get)
        second.queue("/jobs").put("late")
        item = waiting.result()
        assert item is not None
        item.ack()

        for end in (queue.close, session.close):
            before = session._keeping.waits.all()
            ended = Background(get)
            waits(session, before)
            end()
            with pytest.raises(AcquireCancelled, match="closed"):
                ended.result()
    with pytest.raises(ValueError, match="session is closed"):
        queue.get()


def test_who_lost_the_claim_cannot_take_the_item_out(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        name = session.queue("/jobs").put("job")
        item = taken(session)
        other.keys.delete(item.lease.key)
        renew_now(session, item.lease)
        assert item.lease.lost.wait(SOON)
        with pytest.raises(LeaseLost):
            item.ack()
        again = taken(second)
        assert again.id == name
        assert again.lease.token > item.lease.token
        with pytest.raises(KeyError, match="mine") as caught:
            with item:
                raise KeyError("mine")
        assert "was lost" in caught.value.__notes__[0]
        again.ack()


def test_an_item_that_was_done_while_it_was_claimed_is_not_given(client: Client, other: Client) -> None:
    """Its claim had expired; the mirror of who claims it may not know that it has gone."""
    with Session(client) as session:
        queue = session.queue("/jobs", ttl=600)
        name = queue.put("job")
        item = taken(session)
        other.keys.delete(f"/jobs/items/{name}")
        item.ack()  # what is gone is done
        assert queue.get(timeout=0) is None

        # Something else under the name: not what was claimed.
        queue.put("a", id="x")
        item = taken(session)
        other.keys.set("/jobs/items/x", "b")
        item.ack()
        with taken(session) as new:
            assert new.value == "b"
        assert queue.pending() + queue.claimed() == 0
