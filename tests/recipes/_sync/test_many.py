# Derived from tests/recipes/_async/test_many.py by scripts/unasync.py: change that file, make generate.
"""Many of one session who wait for one lock: by one watch, and with no listing for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etcdv2 import AttemptInfo, Client
from etcdv2.recipes import AcquireCancelled, AcquireTimeout, Lease, Session
from etcdv2.recipes._sync import common_watch
from etcdv2.testing import Server
from tests.recipes._sync.background import Background
from tests.recipes._sync.test_lock import entries, has_entries
from tests.recipes._sync.waits import comes
from tests.tools.waiting import SOON

KEY = "/locks/db"


@pytest.fixture(autouse=True)
def two_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common_watch, "FEW", 1)


@pytest.fixture
def requests() -> list[AttemptInfo]:
    """What `watched` has sent."""
    return []


@pytest.fixture
def watched(etcd: Server, requests: list[AttemptInfo]) -> Iterator[Client]:
    with Client(etcd.url, after_attempt=requests.append) as client:
        yield client


def users(session: Session) -> int:
    """How many wait by the watch that they share."""
    found = session._keeping._common_watches.get(KEY)
    return 0 if found is None else len(found._users)


def share_it(session: Session, count: int) -> None:
    def so_many() -> bool:
        return users(session) == count

    comes(so_many)


def test_they_are_served_in_their_order_with_no_listing_and_one_watch(
    watched: Client, other: Client, requests: list[AttemptInfo]
) -> None:
    served: list[tuple[int, int]] = []
    with Session(watched, ttl=600) as session, Session(other, ttl=600) as second:
        first = second.lock(KEY).acquire()
        background: list[Background[None]] = []
        for number in range(6):

            def contend(number: int = number) -> None:
                with (second if number == 3 else session).lock(KEY) as lease:
                    lease.check()
                    served.append((number, lease.token))

            background.append(Background(contend))
            has_entries(other, number + 2)
        share_it(session, 4)  # the first waits by a watch of its own

        requests.clear()
        first.release()
        for one in background:
            one.result()
    assert [number for number, _ in served] == list(range(6))
    assert [token for _, token in served] == sorted(token for _, token in served)
    listings = [one for one in requests if one.operation == "get_key" and one.path.endswith(KEY)]
    assert len(listings) <= 1  # of the first, where it was not the next one when it began
    has_entries(other, 0)


def test_an_entry_that_an_operator_takes_away_is_made_again_at_once(
    client: Client, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at the next renewal: with this TTL that is in 200 s."""
    monkeypatch.setattr(common_watch, "FEW", 0)
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        first = second.lock(KEY).acquire()
        background = [Background(session.lock(KEY).acquire) for _ in range(3)]
        has_entries(other, 4)
        share_it(session, 3)
        taken = (entries(other))[2]
        other.keys.delete(f"{KEY}/{taken}")

        def another() -> bool:
            now = set(entries(other))
            return len(now) == 4 and taken not in now

        comes(another)
        first.release()
        for _ in background:
            done = one_of(background)
            done.release()


def one_of(background: list[Background[Lease]]) -> Lease:
    """The next of them who holds it."""
    found: list[Background[Lease]] = []

    def any_done() -> bool:
        found[:] = [one for one in background if one.done() and (one.result()).held]
        return bool(found)

    comes(any_done)
    return found[0].result()


def test_each_wait_ends_as_it_would_alone(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session, Session(other, ttl=600) as second:
        first = second.lock(KEY).acquire()
        cancelled = session.lock(KEY)
        rest = [Background(session.lock(KEY).acquire) for _ in range(2)]
        cancels = Background(cancelled.acquire)
        share_it(session, 2)
        with pytest.raises(AcquireTimeout) as caught:
            session.lock(KEY).acquire(timeout=0.2)
        assert sum(one.held for one in caught.value.contenders) == 1
        cancelled.cancel()
        with pytest.raises(AcquireCancelled, match="cancelled"):
            cancels.result()
        has_entries(other, 3)

        common = session._keeping._common_watches[KEY]
        session.close()
        for one in rest:
            with pytest.raises(AcquireCancelled, match="session was closed"):
                one.result()
        has_entries(other, 1)
        assert first.held
        assert first.release(timeout=SOON)

        def is_over() -> bool:
            return not common._runs and common._watcher is None

        comes(is_over)
