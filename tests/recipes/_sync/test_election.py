# Derived from tests/recipes/_async/test_election.py by scripts/unasync.py: change that file, make generate.
"""Elections at a real server: one leader, what it proclaims, and what observers see."""

from __future__ import annotations

import pytest

from etcdv2 import Client
from etcdv2.recipes import AcquireTimeout, Leader, Leadership, LeaseLost, Session
from tests.recipes._sync.background import Background
from tests.tools.waiting import SOON


def test_one_leads_and_the_next_one_follows(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        election, rival = session.election("/leader"), second.election("/leader")
        assert election.leader() is None

        leadership = election.campaign("a:80")
        assert rival.leader() == Leader("a:80", leadership.token)
        with pytest.raises(RuntimeError, match="held already"):
            election.campaign("again")
        with pytest.raises(AcquireTimeout):
            rival.campaign("b:80", timeout=0.2)

        def campaign() -> Leadership:
            return rival.campaign("b:80")

        waiting = Background(campaign)
        assert leadership.proclaim("a:81", timeout=SOON) is True
        assert leadership.value == "a:81"
        assert rival.leader() == Leader("a:81", leadership.token)
        assert not waiting.done()

        assert leadership.release(timeout=SOON) is True
        next_one = waiting.result()
        assert next_one.token > leadership.token
        assert election.leader() == Leader("b:80", next_one.token)
        with pytest.raises(LeaseLost):
            leadership.proclaim("late")


def test_an_observer_sees_each_leader_once_and_when_there_is_none(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        with second.election("/leader").observe() as observer:
            assert observer.next(SOON) is True
            assert observer.leader is None

            first = session.election("/leader").campaign("a")
            assert observer.next(SOON) is True
            assert observer.leader == Leader("a", first.token)

            first.proclaim("a2", timeout=SOON)
            assert observer.next(SOON) is True
            assert observer.leader == Leader("a2", first.token)
            assert observer.next(0) is False

            first.release()
            assert observer.next(SOON) is True
            assert observer.leader is None

            with session.election("/leader").campaign() as last:
                found = next(observer)
                assert found == Leader(last.value, last.token)
                assert last.value.startswith(session.owner)
