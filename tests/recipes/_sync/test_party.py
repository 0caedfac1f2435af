# Derived from tests/recipes/_async/test_party.py by scripts/unasync.py: change that file, make generate.
"""Parties at a real server: who is there."""

from __future__ import annotations

import pytest

from etcdv2 import Client, KeyExists
from etcdv2.recipes import Session
from tests.tools.waiting import SOON


def test_members_come_and_go(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        with pytest.raises(ValueError, match="has not begun"):
            session.party("/workers").members.keys()
        with session.party("/workers") as party:
            assert dict(party.members) == {}
            changes = party.changes()
            there = second.party("/workers")
            member = there.join("a", "10.0.0.7")
            with pytest.raises(KeyExists):
                there.join("a")
            last = there.join("a", "10.0.0.8", takeover=True)
            others = [last, there.join("b")]

            members = party.wait_for(lambda members: len(members) == 2 and dict(members), SOON)
            assert members
            assert {name: node.value for name, node in members.items()} == {"a": "10.0.0.8", "b": ""}
            assert party.stale_for is None
            change = changes.next(SOON)
            assert change is not None
            assert (change.kind, change.key) == ("added", "/workers/a")

            second.close()
            assert party.wait_for(lambda members: not members, SOON) is True
            assert party.wait_for(lambda members: len(members) > 5, 0) is False
            assert not any(one.held for one in others)
            member.release()
        with pytest.raises(ValueError, match="closed"):
            party.wait_for(bool, 0)
        for bad in ("", "a/b", "_a"):
            with pytest.raises(ValueError, match="name"):
                party.join(bad)


def test_the_session_ends_it(client: Client) -> None:
    with Session(client, ttl=600) as session:
        party = session.party("/workers").__enter__()
        member = party.join("a")
    with pytest.raises(ValueError, match="closed"):
        party.wait_for(bool)
    assert not member.held
