# Derived from tests/facade/_async/test_ended.py by scripts/unasync.py: change that file, make generate.
"""Watches and mirrors that have ended: what their calls raise, again and again, and how iterations end."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etcdv2 import Client, ClusterUnavailable, EtcdError, HistoryCleared
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools.waiting import SOON
from tests.tools.writers import foreign_writes

Call = Callable[[], Any]


def has_ended(iterator: Iterator[Any]) -> None:
    for item in iterator:
        pytest.fail(f"{item} was not due")


def test_next_of_a_closed_watch_is_refused_and_its_iteration_ends(client: Client) -> None:
    with client.keys.watch("/x") as watcher:
        client.keys.set("/x", "never taken")
    unbegun = client.keys.watch("/x")
    unbegun.close()
    for closed in (watcher, unbegun):
        has_ended(closed)
        for timeout in (None, SOON):
            with pytest.raises(ValueError, match=r"^the watch of /x is closed$"):
                closed.next(timeout)
        with pytest.raises(ValueError, match=r"^the watch of /x is closed$"):
            closed.__enter__()


@pytest.mark.parametrize("what", ["mirror", "client"])
def test_calls_of_a_closed_mirror_are_refused_and_its_iteration_ends(client: Client, what: str) -> None:
    client.keys.set("/m/a", "1")
    with client.keys.mirror("/m") as mirror:
        changes, other = mirror.changes(), mirror.changes(existing=True)
        other.close()
        with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
            other.next()
        has_ended(other)

        client.keys.set("/m/b", "1")
        mirror.wait_for(lambda state: "/m/b" in state, SOON)
        (client if what == "client" else mirror).close()
        left = changes.next()
        assert left is not None
        assert left.key == "/m/b"  # what came before the end is still given
        for predicate in (lambda state: True, lambda state: False):
            with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
                mirror.wait_for(predicate)
        for reader in (changes, other):
            with pytest.raises(ValueError, match=r"^the mirror of /m is closed$"):
                reader.next(SOON)
            has_ended(reader)
    assert mirror["/m/a"].value == "1"


def again_and_again(call: Call) -> EtcdError:
    """What the call raises each time: the same error, with the same traceback, in an object of its own."""
    errors: list[EtcdError] = []
    for _ in range(20):
        with pytest.raises(EtcdError) as caught:
            call()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == len(errors)
    first = errors[0]
    for error in errors[1:]:
        assert (type(error), error.args, error.__dict__) == (type(first), first.args, first.__dict__)
        assert error.__cause__ is first.__cause__
        assert len(traceback.extract_tb(error.__traceback__)) <= len(traceback.extract_tb(first.__traceback__)) + 2
    return first


def test_error_of_an_ended_watch_is_as_large_the_last_time_as_the_first(client: Client, etcd: Server) -> None:
    foreign_writes(etcd, 1010)
    watcher = client.keys.watch("/x", after_index=1)
    assert isinstance(again_and_again(lambda: watcher.next(SOON)), HistoryCleared)
    assert isinstance(again_and_again(watcher.__enter__), HistoryCleared)
    assert isinstance(again_and_again(watcher.__next__), HistoryCleared)


@pytest.mark.load
def test_error_of_an_ended_mirror_is_as_large_the_last_time_as_the_first(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=10)
    with client.keys.mirror("/m", patience=3) as mirror:
        changes = mirror.changes()
        etcd.kill()
        error = again_and_again(lambda: mirror.wait_for(lambda state: False, SOON))
        assert isinstance(error, ClusterUnavailable)
        for call in (lambda: mirror.wait_for(lambda state: True), lambda: changes.next(SOON), changes.__next__):
            assert str(again_and_again(call)) == str(error)
        assert str(again_and_again(mirror.__enter__)) == str(error)
