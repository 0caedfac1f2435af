"""An exception at any step, as the handler of a signal raises it: what it interrupts holds nothing afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from etcdv2 import Client
from etcdv2.recipes import Session
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.anywhere import raised_anywhere
from tests.tools.waiting import PATIENT, until

# A lease that is forgotten warns, and Python's own thread that is torn apart while it begins says so.
pytestmark = [
    FIRST_VERSION,
    pytest.mark.filterwarnings("ignore:a (lease|registration) was forgotten:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TTL = 600
"""Seconds: nothing expires while this runs."""


def lock(session: Session) -> None:
    with session.lock("/r/lock"):
        pass


def acquire(session: Session) -> None:
    lease = session.lock("/r/lock").try_acquire()
    assert lease is not None
    lease.release()


def elect(session: Session) -> None:
    with session.election("/r/leader").campaign("me"):
        pass


def create(session: Session) -> None:
    with session.create("/r/key", "mine"):
        pass


def register(session: Session) -> None:
    with session.register("/r/service", "here"):
        pass


def meet(session: Session) -> None:
    barrier = session.double_barrier("/r/barrier", 1)
    barrier.enter()
    barrier.leave(0)


SOME = [lock, elect, create]
OTHERS = [acquire, meet, register]
"""They go much the same way. What ends a registration waits for the background, for a second at some twenty steps."""
WAYS = [*SOME, *(pytest.param(way, marks=pytest.mark.load) for way in OTHERS)]


@pytest.fixture
def session(etcd: Server) -> Iterator[Session]:
    with Client(etcd.url, timeout=PATIENT) as client, Session(client, ttl=TTL) as session:
        yield session


@pytest.mark.parametrize("way", WAYS)
def test_what_is_interrupted_at_any_step_holds_nothing(session: Session, way: Callable[[Session], None]) -> None:
    keys = session.client.keys

    def left() -> list[str]:
        found = keys.get("/r", recursive=True, default=None)
        nodes = () if found is None else found.node.leaves()
        # The mark that a barrier was open is nobody's: it expires.
        return [node.key for node in nodes if not node.key.endswith("/ready")]

    count = 0
    for where, ended in raised_anywhere(lambda: session, way, "etcdv2.recipes"):
        assert ended, where
        until(lambda: not left(), lambda where=where: (where, left()))
        count += 1
    assert count > 50
