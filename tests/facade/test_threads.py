"""One `Client` for many threads: all kinds of calls at once, exact counters, answers that match."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from etcdv2 import Client, ClusterUnavailable, EtcdError, Event
from etcdv2._core import keys as key_calls
from etcdv2._transport.thread_connection import Connection
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.faces import over
from tests.tools.leftovers import Held, held, nothing_left
from tests.tools.waiting import SOON

pytestmark = FIRST_VERSION

THREADS = 16
ROUNDS = 12


@pytest.fixture
def before() -> Held:
    return held()


def in_threads(count: int, work: Callable[[int], object]) -> list[BaseException]:
    """What went wrong."""
    failures: list[BaseException] = []
    together = threading.Barrier(count)

    def run(who: int) -> None:
        try:
            together.wait(SOON)
            work(who)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(who,), daemon=True) for who in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    return failures


def talk(client: Client, who: int) -> None:
    """Own keys, own values."""
    for number in range(ROUNDS):
        key, value = f"/talk/{who}", f"{who}-{number}-{'x' * (who * 100)}"
        written = client.keys.set(key, value)
        assert (written.node.key, written.value) == (key, value)
        found = client.keys.get(key, quorum=number % 4 == 0)
        assert (found.node.key, found.value) == (key, value)
        assert client.keys.get(f"/none/{who}/{number}", default=None) is None


def count_up(client: Client, _: int) -> None:
    for _ in range(ROUNDS):
        client.keys.modify("/count", lambda text: f"{int(text) + 1}", default="0")


def watch(client: Client, who: int) -> None:
    """Its own events, in order, each once."""
    key = f"/watched/{who}"
    for number in range(ROUNDS // 3):
        with client.keys.watch(key) as watcher:
            for step in range(4):
                client.keys.set(key, f"{number}.{step}")
            events = [watcher.next(timeout=SOON) for _ in range(4)]
            assert [event and event.value for event in events] == [f"{number}.{step}" for step in range(4)]


def watch_closed_by_another(client: Client, who: int) -> None:
    for _ in range(ROUNDS // 3):
        with client.keys.watch(f"/quiet/{who}") as watcher:
            closer = threading.Thread(target=watcher.close)
            closer.start()
            for _ in watcher:
                pytest.fail("no event was due")
            closer.join()
            assert watcher.closed


def mirror(client: Client, who: int) -> None:
    with client.keys.mirror(f"/mirrored/{who}") as copy:
        changes = copy.changes()
        for number in range(ROUNDS):
            client.keys.set(f"/mirrored/{who}/a", f"{number}")
        last = f"{ROUNDS - 1}"
        assert copy.wait_for(lambda state: (node := state.get(f"/mirrored/{who}/a")) and node.value == last, SOON)
        taken = [changes.next(timeout=SOON) for _ in range(ROUNDS)]
        assert [change and change.node and change.node.value for change in taken] == [f"{n}" for n in range(ROUNDS)]


def look_around(client: Client, who: int) -> None:
    for number in range(ROUNDS):
        client.set_credentials(f"user{number}", "password") if number % 2 else client.set_credentials(None)
        assert len(client.sync()) == 1
        assert client.health().healthy
        assert len(client.members.list()) == 1
        assert client.version().etcdserver.startswith("3.")
        assert client.stats.store().watchers >= 0
        assert "talk" in [node.name for node in client.keys.get("/").node.children]


WORKS = [talk, count_up, watch, watch_closed_by_another, mirror, look_around, talk, count_up]


def all_at_once(client: Client) -> None:
    client.keys.set("/talk/0", "")
    failures = in_threads(THREADS, lambda who: WORKS[who % len(WORKS)](client, who))
    if failures:
        raise failures[0]
    counting = sum(WORKS[who % len(WORKS)] is count_up for who in range(THREADS))
    assert client.keys.get("/count", quorum=True).value == f"{counting * ROUNDS}"


@pytest.mark.parametrize("connections", [1, 3, 100])
def test_threads_share_a_client_and_each_gets_its_own(etcd: Server, before: Held, connections: int) -> None:
    with Client(etcd.url, max_connections=connections, timeout=60) as client:
        all_at_once(client)
    nothing_left(before)


def test_threads_over_httpx_never_get_each_others_answers(etcd: Server, before: Held) -> None:
    """Reads only: httpcore's pool may close a connection under a thread that has just been given it (seen on 1.0.9)."""
    with Client(etcd.url, transport="httpx", max_connections=3, timeout=60) as client:
        for who in range(THREADS):
            client.keys.set(f"/own/{who}", f"{who}")

        def read(who: int) -> None:
            for _ in range(ROUNDS):
                assert client.keys.get(f"/own/{who}").value == f"{who}"

        assert not in_threads(THREADS, read)
    nothing_left(before)


def test_events_of_one_watcher_go_to_one_of_the_threads_that_wait(etcd: Server, before: Held) -> None:
    taken: list[Event] = []
    with Client(etcd.url) as client, client.keys.watch("/many", recursive=True) as watcher:

        def take(_: int) -> None:
            for event in watcher:
                taken.append(event)
                if event.value == "last":
                    watcher.close()

        def write(who: int) -> None:
            for number in range(50):
                client.keys.set(f"/many/{who}", f"{number}")

        taking = threading.Thread(target=lambda: in_threads(4, take))
        taking.start()
        assert not in_threads(4, write)
        client.keys.set("/many/end", "last")
        taking.join(SOON)
        assert not taking.is_alive()
    assert len(taken) == len({event.index for event in taken}) == 4 * 50 + 1
    nothing_left(before)


def given_up(server: Server, client: Client) -> None:
    """A call whose time is over; the server answers it when the next one was sent."""
    client.keys.set("/a", "of a")
    client.keys.set("/b", "of b")
    server.pause()
    try:
        with pytest.raises(ClusterUnavailable):
            client.keys.get("/a", timeout=0.1)
        tried = threading.Event()
        client._dispatcher._before = lambda _: tried.set()
        with ThreadPoolExecutor(1) as helper:
            following = helper.submit(client.keys.get, "/b")
            assert tried.wait(SOON)
            time.sleep(0.05)  # only a broken client is not found out when it is not sent by then
            server.resume()
            assert following.result(timeout=SOON).value == "of b"
    finally:
        server.resume()


def given_up_again_and_again(server: Server, client: Client, times: int) -> None:
    for _ in range(times):
        given_up(server, client)


def test_answer_that_comes_after_its_call_was_given_up_is_given_to_nobody(etcd: Server, transport: str) -> None:
    with Client(etcd.url, max_connections=1, **over(transport)) as client:
        given_up_again_and_again(etcd, client, 3)


# -- broken clients are found out ----------------------------------------------------------------------------------


def test_connection_kept_with_its_answer_to_come_is_found_out(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: FastTransport, dropped: Connection) -> None:
        for pool in self._pools.values():
            pool.idle.append(dropped)

    with Client(etcd.url, max_connections=1) as client:
        drop = FastTransport._drop
        monkeypatch.setattr(FastTransport, "_drop", keep)
        with pytest.raises((AssertionError, EtcdError)):
            given_up_again_and_again(etcd, client, 5)
        monkeypatch.setattr(FastTransport, "_drop", drop)


def test_modify_without_its_condition_is_found_out(etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put = key_calls.put

    def unconditional(*arguments: Any, **named: Any) -> Any:
        return put(*arguments, **{name: value for name, value in named.items() if not name.startswith("prev")})

    monkeypatch.setattr(key_calls, "put", unconditional)
    with Client(etcd.url) as client:
        assert not in_threads(8, lambda who: count_up(client, who))
        assert client.keys.get("/count").value != f"{8 * ROUNDS}"
