# Derived from tests/facade/_async/test_watch_renewal.py by scripts/unasync.py: change that file, make generate.
"""How a quiet watch is renewed: a second poll beside the first, and no event lost in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from etcdv2._sync.watch import paths
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer_bytes
from tests.tools.scripted_store import has_gone
from tests.tools.waiting import SOON

HEAD = b"HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: aa\r\nX-Etcd-Index: %d\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(index: int, value: str) -> bytes:
    node = {"key": "/k", "value": value, "modifiedIndex": index, "createdIndex": index}
    return json.dumps({"action": "set", "node": node}).encode() + b"\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Store:
    """A server whose index the test sets: looks are answered with it, polls by what the test says for each."""

    def __init__(self, *polls: Callable[[Peer, int], None]) -> None:
        self.index = 100
        self.polls = list(polls)
        self.asked: list[str] = []

    def act(self, peer: Peer) -> bool:
        assert peer.received is not None
        if "wait=true" not in peer.received.target:
            body = {"errorCode": 100, "message": "Key not found", "cause": "/k", "index": self.index}
            headers = {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": str(self.index)}
            peer.send(answer_bytes(404, headers, json.dumps(body).encode()))
            return True
        if "_etcdv2" in peer.received.target:  # an observation of the raft index, given up at once
            peer.send(HEAD % self.index)
            while not has_gone(peer) and not peer.stopping.wait(0.01):
                pass
            peer.send(b"0\r\n\r\n")  # as etcd does when the client closes its sending half
            return False
        self.asked.append(peer.received.target)
        if self.polls:
            self.polls.pop(0)(peer, self.index)
            return True  # an ended poll leaves its connection to the next request
        silent(peer, self.index)
        return False


def silent(peer: Peer, index: int) -> None:
    """Registered, and nothing comes."""
    peer.send(HEAD % index)
    peer.stopping.wait(20)


def from_history(value: str) -> Callable[[Peer, int], None]:
    """The event as a poll finds it that is asked from an earlier index."""
    return lambda peer, index: peer.send(HEAD % index + chunk(event(300, value)) + b"0\r\n\r\n")


def slow_event(peer: Peer, index: int) -> None:
    """Half of an event, the other half long after."""
    data = event(300, "slow")
    peer.send(HEAD % index)
    time.sleep(0.1)
    peer.send(chunk(data[:40]))
    peer.stopping.wait(1.5)
    peer.send(chunk(data[40:]) + b"0\r\n\r\n")


@pytest.fixture
def store() -> Store:
    return Store()


def test_renewal_opens_a_second_poll_and_then_leaves_the_first(connect: Connect, store: Store) -> None:
    with FaultServer(default=Behaviour(store.act)) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/k") as watcher:
            store.index = 500
            assert watcher.next(timeout=2.5) is None
            assert watcher._feed._cursor.registered == 500
            assert store.asked == ["/v2/keys/k?wait=true", "/v2/keys/k?wait=true&waitIndex=101"]


def test_renewal_finds_the_event_that_a_dead_connection_kept(connect: Connect) -> None:
    store = Store(silent, from_history("kept"))
    with FaultServer(default=Behaviour(store.act)) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/k") as watcher:
            store.index = 900
            found: Any = watcher.next(timeout=SOON)
            assert (found.value, found.index) == ("kept", 300)


def test_event_that_is_still_arriving_is_not_left_behind(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(peer: Peer, index: int) -> None:
        slow_event(peer, index)
        store.polls += [from_history("slow")] * 10  # where it could not be proved in its place, it is asked for again

    # However slow this machine is: neither poll is given up, and the way to the member is found out.
    monkeypatch.setattr("etcdv2._core.watch.renewal.END_SECONDS", 60.0)
    monkeypatch.setattr(paths, "END_SECONDS", 60.0)
    store = Store(slow)
    with FaultServer(default=Behaviour(store.act)) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/k") as watcher:
            store.index = 900
            found: Any = watcher.next(timeout=SOON)
            assert (found.value, found.index) == ("slow", 300)


def test_poll_that_lasts_is_not_given_up_however_late_the_look_is(connect: Connect) -> None:
    def late_event(peer: Peer, index: int) -> None:
        peer.send(HEAD % index)
        ends = time.monotonic() + SOON
        while len(store.asked) < 2 and time.monotonic() < ends:  # until the second poll is there
            peer.stopping.wait(0.01)
        peer.send(chunk(event(4000, "late")) + b"0\r\n\r\n")

    def refused(peer: Peer, index: int) -> None:
        cause = "the requested history has been cleared [4001/101]"
        body = {"errorCode": 401, "message": "The event in requested index is outdated", "cause": cause, "index": index}
        peer.send(answer_bytes(400, {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": str(index)}, json.dumps(body).encode()))

    store = Store(late_event, refused)
    with FaultServer(default=Behaviour(store.act)) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/k") as watcher:
            store.index = 5000
            found: Any = watcher.next(timeout=SOON)
            assert (found.value, found.index) == ("late", 4000)
            assert store.asked[:2] == ["/v2/keys/k?wait=true", "/v2/keys/k?wait=true&waitIndex=101"]
