# Derived from tests/recipes/_async/test_own_watch.py by scripts/unasync.py: change that file, make generate.
"""Sessions that watch their own keys, at a real server: what an operator takes away is noticed at once."""

from __future__ import annotations

from etcdv2 import Client
from etcdv2.recipes import Session
from tests.recipes._sync.waits import comes
from tests.tools.waiting import SOON

TTL = 100 * int(SOON)
"""No renewal falls due within the test."""


def test_a_key_that_is_taken_away_is_lost_at_once(client: Client, other: Client) -> None:
    with Session(client, ttl=TTL, watch_own=True) as session:
        first = session.create("/e/a", "mine")
        second = session.lock("/locks/db").acquire()
        leadership = session.election("/leader").campaign("a")
        permit = session.semaphore("/permits", 2).acquire()
        other.keys.delete("/e/a")
        assert first.lost.wait(SOON)
        assert first.reason == "its key is gone"
        other.keys.set(second.key, "theirs")
        assert second.lost.wait(SOON)
        assert second.reason == "its key was changed by somebody else"

        # What it writes itself is no loss.
        assert leadership.proclaim("b", timeout=SOON)
        assert not leadership.lost.wait(0.1)
        other.keys.delete("/leader")
        assert leadership.lost.wait(SOON)
        assert permit.held
        permit.release()


def test_a_registration_that_is_taken_away_is_back_at_once(client: Client, other: Client) -> None:
    with Session(client, ttl=TTL, watch_own=True) as session:
        registration = session.register("/services/a", "mine")
        for _ in range(2):
            token = registration.token
            other.keys.delete("/services/a")

            def is_back(token: int = token) -> bool:
                return registration.token > token and registration.held

            comes(is_back)
        registration.release()


def test_its_watches_end_with_what_they_watch(client: Client) -> None:
    session = Session(client, ttl=TTL, watch_own=True)
    lease = session.create("/e/a", "mine")
    kept = session.create("/e/b", "mine")
    watches = [wait for wait in session._keeping.waits.all() if hasattr(wait, "_watcher")]
    assert len(watches) == 2
    lease.release()

    def one_is_over() -> bool:
        return sum(watch._watcher is None for watch in watches) == 1

    comes(one_is_over)
    session.close()

    def both_are_over() -> bool:
        return all(watch._watcher is None for watch in watches)

    comes(both_are_over)
    assert not kept.held
