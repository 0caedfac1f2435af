# Derived from tests/recipes/_async/test_counter.py by scripts/unasync.py: change that file, make generate.
"""Counters at a real server: what is added, by how many at once, and what is in the key."""

from __future__ import annotations

import pytest

from etcdv2 import Client
from etcdv2._runtime.primitives import at_once
from etcdv2.recipes import Session


def test_what_many_add_at_once_is_added(client: Client, other: Client) -> None:
    with Session(client) as session, Session(other) as second:
        counter = session.counter("/counters//jobs/", default=100)
        assert (counter.key, counter.value) == ("/counters/jobs", 100)
        assert counter.add() == 101
        assert second.counter("/counters/jobs").add(-3) == 98

        def add() -> None:
            second.counter("/counters/jobs").add(2)

        at_once(5, add)
        assert counter.value == 108
        found = (client.keys.get("/counters/jobs")).value
        assert found.startswith("108 ")
        assert len(found) == len("108 ") + 16


def test_a_plain_number_counts_on_and_other_words_are_refused(client: Client) -> None:
    with Session(client) as session:
        counter = session.counter("/counters/jobs")
        client.keys.set("/counters/jobs", "41")
        assert counter.add() == 42
        for word in ("", "many", "1.5"):
            client.keys.set("/counters/jobs", word)
            with pytest.raises(ValueError, match="/counters/jobs is no counter"):
                counter.add()
            with pytest.raises(ValueError, match="/counters/jobs is no counter"):
                assert counter.value
        with pytest.raises(TypeError, match="must be an int"):
            counter.add(0.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="default True: must be an int"):
            session.counter("/counters/jobs", default=True)
    with pytest.raises(ValueError, match="session is closed"):
        counter.add()
