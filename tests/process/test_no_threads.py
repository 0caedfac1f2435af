"""A thread that cannot be started: calls and watches say so, or go on when it can be started again."""

from __future__ import annotations

import threading

import pytest

from etcdv2 import AsyncClient, Client, ClusterUnavailable, Event, OutcomeUnknown
from etcdv2.testing import Server
from etcdv2_api import operations
from tests.conftest import FIRST_VERSION
from tests.tools.faces import over
from tests.tools.leftovers import held, nothing_left, workers
from tests.tools.waiting import SOON, until

pytestmark = FIRST_VERSION


class Threads:
    """`refuse(name, count)`: so many of the next threads whose names begin so cannot be started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused = 0
        self._name, self._count = "", 0
        start = threading.Thread.start

        def maybe(thread: threading.Thread) -> None:
            if self._count and thread.name.startswith(self._name):
                self._count -= 1
                self.refused += 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", maybe)

    def refuse(self, name: str, count: int = 1) -> None:
        self._name, self._count, self.refused = name, count, 0


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    return Threads(monkeypatch)


def test_call_whose_name_cannot_be_looked_up_asks_again_and_then_says_so(etcd: Server, threads: Threads) -> None:
    before = held()
    with Client(f"http://localhost:{etcd.port}") as client:
        threads.refuse("etcdv2-lookup")
        client.keys.set("/a", "1")
        assert threads.refused == 1
    with Client(f"http://localhost:{etcd.port}") as client:
        threads.refuse("etcdv2-lookup", 100)
        with pytest.raises(ClusterUnavailable, match="can't start new thread"):
            client.keys.get("/a")
        threads.refuse("")
        assert client.keys.get("/a").value == "1"
    nothing_left(before)


async def test_async_call_whose_name_cannot_be_looked_up_asks_again(
    etcd: Server, transport: str, threads: Threads
) -> None:
    async with AsyncClient(f"http://localhost:{etcd.port}", **over(transport)) as client:
        threads.refuse("etcdv2-lookup")
        await client.keys.set("/a", "1")
        assert threads.refused == 1


@pytest.mark.parametrize("name", ["etcdv2-watch", "etcdv2-index"])
def test_beginning_without_a_thread_says_so_and_a_later_one_succeeds(
    etcd: Server, transport: str, threads: Threads, name: str
) -> None:
    before = held()
    with Client(etcd.url, **over(transport)) as client:
        client.keys.set("/m/a", "1")
        for make in (lambda: client.keys.watch("/m/a"), lambda: client.keys.mirror("/m")):
            threads.refuse(name)
            with pytest.raises(ClusterUnavailable, match="can't start new thread"):
                make().__enter__()
            assert threads.refused == 1
            with make():
                pass
        with client.keys.watch("/m/a") as watcher:
            client.keys.set("/m/a", "2")
            event = watcher.next(timeout=SOON)
            assert isinstance(event, Event)
            assert event.value == "2"
    nothing_left(before)


def test_mirror_without_a_thread_says_so_and_can_be_begun_again(etcd: Server, threads: Threads) -> None:
    before = held()
    with Client(etcd.url) as client:
        client.keys.set("/m/a", "1")
        mirror = client.keys.mirror("/m")
        threads.refuse("etcdv2-mirror")
        with pytest.raises(ClusterUnavailable, match="can't start new thread"):
            mirror.__enter__()
        with mirror:
            assert list(mirror) == ["/m/a"]
    nothing_left(before)


@pytest.mark.load
def test_watch_goes_on_when_the_thread_that_looks_after_it_could_not_be_started_for_a_while(
    etcd: Server, transport: str, threads: Threads
) -> None:
    """Without that thread it would be deaf: nobody notices that its poll has died, or that its history runs out."""
    before = held()
    with Client(etcd.url, **over(transport)) as client:
        client.keys.set("/a", "0")
        with client.keys.watch("/a") as watcher:
            etcd.kill()
            until(lambda: "etcdv2-index" not in workers(), workers)
            threads.refuse("etcdv2-index", 3)
            etcd.start()
            client.keys.set("/a", "1")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "1"
            assert threads.refused == 3
            until(lambda: "etcdv2-index" in workers(), workers)
            client.keys.set("/a", "2")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "2"
    nothing_left(before)


def test_outcome_that_cannot_be_found_out_without_a_thread_can_be_asked_again(etcd: Server, threads: Threads) -> None:
    with Client(etcd.url) as client:
        since = client.keys.set("/a", "0").index
        call = operations.put_key("/a", value="1")
        error = OutcomeUnknown(call, etcd.url, "lost", index=since, cluster_id=client.cluster_id)
        client.keys.set("/a", "2")
        threads.refuse("Thread-")
        with pytest.raises(ClusterUnavailable, match="can't start new thread"):
            client.keys.resolve(error)
        assert client.keys.resolve(error).state == "not applied"
