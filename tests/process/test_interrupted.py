"""An exception at any step of the library, as a handler of a signal raises it: the client goes on, nothing is left."""

from __future__ import annotations

import threading

import pytest

from etcdv2 import Client, Mirror
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.anywhere import raised_anywhere
from tests.tools.faces import over
from tests.tools.waiting import PATIENT, until

# What Python's own thread says that is torn apart while it begins, and a finalizer that is interrupted.
pytestmark = [FIRST_VERSION, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def left() -> list[str]:
    """Threads of watches and mirrors."""
    return [thread.name for thread in threading.enumerate() if thread.name in ("etcdv2-watch", "etcdv2-mirror")]


def goes_on(client: Client) -> None:
    """Within a limit: a lock that was left taken would hold it up for ever."""
    done = threading.Event()

    def call() -> None:
        assert client.keys.set("/a", "1").value == client.keys.get("/a").value
        done.set()

    threading.Thread(target=call, daemon=True).start()
    until(done.is_set)


@pytest.mark.load
def test_a_client_goes_on_after_its_first_call(etcd: Server, transport: str) -> None:
    clients: list[Client] = []

    def made() -> Client:
        clients.append(Client(etcd.url, timeout=PATIENT, **over(transport)))
        return clients[-1]

    count = 0
    for where, ended in raised_anywhere(made, lambda client: client.keys.set("/a", "1"), "etcdv2"):
        assert ended, where
        goes_on(clients[-1])
        clients[-1].close()
        count += 1
    clients[-1].close()
    assert count > 50


def test_a_client_goes_on_after_a_watch(etcd: Server, transport: str) -> None:
    with Client(etcd.url, timeout=PATIENT, **over(transport)) as client:

        def watch(index: int) -> None:
            with client.keys.watch("/a", after_index=index - 1) as watcher:
                assert watcher.next()

        count = 0
        for where, ended in raised_anywhere(lambda: client.keys.set("/a", "1").index, watch, "etcdv2"):
            assert ended, where
            goes_on(client)
            count += 1
        assert count > 50


def test_a_mirror_that_is_closed_ends(etcd: Server, transport: str) -> None:
    with Client(etcd.url, timeout=PATIENT, **over(transport)) as client:
        client.keys.set("/a", "1")
        count = 0
        for where, ended in raised_anywhere(lambda: client.keys.mirror("/").open(), Mirror.close, "etcdv2"):
            assert ended, where
            until(lambda: not left(), lambda where=where: (where, left()))
            count += 1
        assert count > 20
