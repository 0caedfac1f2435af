"""A signal that came in the moment before the main thread began to wait, so that it does not end the wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from etcdv2 import Client
from etcdv2.recipes import Session
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import PATIENT, SOON

pytestmark = FIRST_VERSION

LATE = signal.SIGUSR1
ASLEEP = 30
"""So many looks in a row, a millisecond apart, must find the main thread asleep: it waits, and not for its turn."""


class Late(Exception):
    """Of the handler."""


def raise_late(number: int, frame: FrameType | None) -> None:
    raise Late


def state_of(line: str) -> str:
    """The state of a thread, from its line in /proc."""
    return line.rpartition(")")[2].split()[0]


@contextmanager
def signalled_while_it_waits(end: Callable[[], object]) -> Iterator[None]:
    """The kernel gives the signal to another thread, as the main one blocks it: CPython notes it, and no wait ends.

    `end` ends the wait where the handler did not have its turn.
    """
    handled, had_to_be_ended, main = threading.Event(), threading.Event(), threading.main_thread()
    stat = Path(f"/proc/self/task/{main.native_id}/stat")

    def note() -> None:
        asleep = 0
        while asleep < ASLEEP and not handled.wait(0.001):
            asleep = asleep + 1 if state_of(stat.read_text()) == "S" else 0
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {LATE})
        signal.pthread_kill(threading.get_ident(), LATE)
        if not handled.wait(SOON / 2):
            had_to_be_ended.set()
            end()

    before = signal.signal(LATE, raise_late)
    signal.pthread_sigmask(signal.SIG_BLOCK, {LATE})
    noting = threading.Thread(target=note)
    try:
        noting.start()
        yield
    finally:
        handled.set()
        noting.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {LATE})
        signal.signal(LATE, before)
    assert not had_to_be_ended.is_set()


def test_event_that_is_waited_for(etcd: Server) -> None:
    with Client(etcd.url) as client, client.keys.watch("/a") as watcher:
        with signalled_while_it_waits(watcher.close), pytest.raises(Late):
            watcher.next()


def test_change_that_a_mirror_waits_for(etcd: Server) -> None:
    with Client(etcd.url) as client, client.keys.mirror("/a") as mirror:
        with signalled_while_it_waits(mirror.close), pytest.raises(Late):
            mirror.wait_for(lambda state: "/a/b" in state)


def test_poll_of_ones_own(etcd: Server) -> None:
    with Client(etcd.url) as client, Client(etcd.url) as other:
        with signalled_while_it_waits(lambda: other.keys.set("/a", "1")), pytest.raises(Late):
            client.raw.poll("/v2/keys/a", timeout=PATIENT)


def test_lock_that_another_has(etcd: Server) -> None:
    with Client(etcd.url) as client, Client(etcd.url) as another, Session(client) as session, Session(another) as other:
        lease = other.lock("/lock").acquire()
        with signalled_while_it_waits(lease.release), pytest.raises(Late):
            session.lock("/lock").acquire()
