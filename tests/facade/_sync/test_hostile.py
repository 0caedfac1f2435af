# Derived from tests/facade/_async/test_hostile.py by scripts/unasync.py: change that file, make generate.
"""Answers without end and drop by drop, seen from the facade: an error of ours in time and in little memory.

The transports alone are in `tests/transport/test_hostile.py`; what cannot be promised over httpx is
said in the docstring of `httpx_transport`.
"""

from __future__ import annotations

import inspect
import json
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from etcdv2 import Client, EtcdError, OutcomeUnknown, Timeout
from etcdv2._core.watch import event_buffer
from etcdv2._sync import httpx_transport
from etcdv2._transport.threads import FastTransport
from tests.conftest import TRANSPORTS
from tests.facade._sync.conftest import Connect
from tests.facade._sync.hostile import OPERATIONS, endure, outcome
from tests.tools.fault_server import Behaviour, FaultServer, Peer, drip, stall
from tests.tools.hostile_server import (
    CHUNKED,
    OK,
    WATCHED,
    dripping,
    endless,
    etcd_head,
    event,
    json_answer,
    well_answer,
)
from tests.tools.waiting import SOON

pytestmark = pytest.mark.timeout(120)  # a client that hangs fails before the rest

LIMIT = 4 << 20
PEAK = 5 * LIMIT

# --- without end -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a body and of an event, so small that reaching them takes no time."""
    monkeypatch.setitem(FastTransport.__init__.__kwdefaults__ or {}, "max_body_bytes", LIMIT)
    monkeypatch.setattr(httpx_transport, "DEFAULT_MAX_BODY_BYTES", LIMIT)
    monkeypatch.setattr(event_buffer, "LONGEST_EVENT", LIMIT)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PEAK, f"{peak >> 20} MiB"


REFUSED = b"HTTP/1.1 500 Refused\r\n"
HEADS = {
    "status line": endless(b"HTTP/1.1 200 ", b"x"),
    "one header": endless(OK + b"A: ", b"x"),
    "many headers": endless(OK, b"A: b\r\n"),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "empty lines": endless(b"", b"\r\n"),
    "compressed": endless(etcd_head(CHUNKED + b"Content-Encoding: gzip\r\n"), b"2\r\n\x1f\x8b\r\n"),
}
BODIES = {
    "chunks": endless(etcd_head(), b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "small chunks": endless(etcd_head(), b"2\r\nxx\r\n"),
    "huge length": endless(etcd_head(OK + b"Content-Length: 999999999999\r\n"), b"x"),
    "no length": endless(etcd_head(OK), b"x"),
    "one text": endless(etcd_head(OK) + b'{"action":"set","node":{"key":"/a","value":"', b"x"),
    "chunk extension": endless(etcd_head() + b"1;", b"x"),
    "trailers": endless(etcd_head() + b"1\r\nx\r\n0\r\n", b"A: b\r\n"),
    "refusal": endless(etcd_head(REFUSED), b"x"),
    "refusal in chunks": endless(etcd_head(REFUSED + b"Transfer-Encoding: chunked\r\n"), b"2\r\nxx\r\n"),
}
BEYOND_HTTPX = {"interim answers", "small chunks", "refusal in chunks"}
"""httpx loops over interim answers without looking at the clock, and takes some 50 us for each chunk."""


def over_transports(cases: Iterable[str]) -> list[tuple[str, str]]:
    return [
        (transport, case)
        for transport in TRANSPORTS
        for case in cases
        if transport == "fast" or case not in BEYOND_HTTPX
    ]


@pytest.mark.parametrize("operation", ["get", "set", "watch"])
@pytest.mark.parametrize(("transport", "case"), over_transports(HEADS))
@pytest.mark.usefixtures("small_limits")
def test_head_without_end_is_an_error_in_little_memory(connect: Connect, case: str, operation: str) -> None:
    with little_memory():
        found, methods = endure(connect, HEADS[case], OPERATIONS[operation])
    assert isinstance(found, OutcomeUnknown if "PUT" in methods else EtcdError)


@pytest.mark.thorough(versions=True)
@pytest.mark.parametrize("operation", ["get", "set", "watch", "mirror", "health"])
@pytest.mark.parametrize(("transport", "case"), over_transports(BODIES))
@pytest.mark.usefixtures("small_limits")
def test_body_without_end_takes_little_memory(connect: Connect, case: str, operation: str) -> None:
    with little_memory():
        found, methods = endure(connect, BODIES[case], OPERATIONS[operation])
    if "PUT" in methods:
        assert isinstance(found, OutcomeUnknown)
    elif operation == "health":
        assert not found.healthy  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    else:
        assert isinstance(found, EtcdError) or (operation == "watch" and "refusal" not in case and found is None)


def apart(stream: Behaviour) -> Behaviour:
    """Polls have their event at once, so that the client goes over to a stream, which is this."""

    def act(peer: Peer) -> bool:
        assert peer.received is not None
        if "stream=true" in peer.received.target:
            return stream.act(peer)
        peer.send(well_answer(peer))
        return True

    return Behaviour(act)


@pytest.mark.usefixtures("small_limits")
def test_line_of_a_stream_without_end_takes_little_memory_and_polls_go_on(connect: Connect) -> None:
    with little_memory(), FaultServer(default=apart(endless(etcd_head(OK) + b'{"action":"', b"x"))) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/a", after_index=WATCHED) as watcher:
            streams = 0
            for index in range(WATCHED + 1, WATCHED + 2000):
                item = watcher.next(timeout=SOON)
                assert item is not None
                assert item.index == index
                streams = sum("stream=true" in received.target for received in server.requests)
                if streams >= 2:
                    break
            assert streams >= 2
        client.close()


@pytest.mark.parametrize("transport", ["fast"])
def test_events_of_other_keys_without_end_take_little_memory_and_next_returns_in_time(connect: Connect) -> None:
    def act(peer: Peer) -> bool:
        assert peer.received is not None
        if "stream=true" in peer.received.target:
            return endless(etcd_head(OK), event(10**6, "/b")).act(peer)
        peer.send(well_answer(peer).replace(b"/a", b"/b"))
        return True

    with little_memory(), FaultServer(default=Behaviour(act)) as server:
        client = connect(server.endpoint.url)
        with client.keys.watch("/a", after_index=WATCHED) as watcher:
            began = time.monotonic()
            assert watcher.next(timeout=0.5) is None
            assert time.monotonic() - began < SOON
        client.close()


def then_close(behaviour: Behaviour) -> Behaviour:
    return Behaviour(lambda peer: behaviour.act(peer) and False)


def test_client_without_a_body_limit_is_found_out(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FastTransport.__init__.__kwdefaults__ or {}, "max_body_bytes", 1 << 40)
    monkeypatch.setattr(httpx_transport, "DEFAULT_MAX_BODY_BYTES", 1 << 40)
    large = drip([etcd_head(OK), *[b"x" * (1 << 20)] * 48], 0)
    with pytest.raises(AssertionError, match="MiB"), little_memory():
        endure(connect, then_close(large), OPERATIONS["set"], Timeout(total=10))


# --- drop by drop ----------------------------------------------------------------------------------------------------

DRIPS = {
    "status line": dripping(b"HTTP/1.1 200 "),
    "head": dripping(OK + b"A: "),
    "interim answers": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": dripping(etcd_head(OK)),
    "refusal": dripping(etcd_head(REFUSED)),
}


def promises_the_total(transport: str) -> bool:
    """Blocking httpx does not where the head drips: each byte is within the limit of a socket operation."""
    return transport == "fast" or inspect.iscoroutinefunction(Client.close)


@pytest.mark.parametrize("case", DRIPS)
def test_answer_that_drips_for_ever_ends_with_the_total_time(connect: Connect, transport: str, case: str) -> None:
    operations = ["get", "set", "watch", "sync"] if case in ("body", "refusal") else ["get", "set"]
    if not promises_the_total(transport) and case not in ("body", "refusal"):
        operations = []
    for operation in operations:
        found, methods = endure(connect, DRIPS[case], OPERATIONS[operation])
        wanted = OutcomeUnknown if "PUT" in methods else EtcdError
        assert isinstance(found, wanted) or (operation == "watch" and case == "body" and found is None)


@pytest.mark.parametrize("transport", ["fast"])
def test_health_of_an_endpoint_that_drips_takes_one_attempt(connect: Connect) -> None:
    with FaultServer(default=DRIPS["body"]) as server:
        client = connect(server.endpoint.url, timeout=Timeout(attempt=0.2, total=10))
        found: Any = outcome(client, lambda c: c.health(), 0.2)
        assert not found.healthy
        client.close()


@pytest.mark.parametrize("transport", ["fast"])
def test_sync_holds_its_total_however_many_members_are_named(connect: Connect) -> None:
    with FaultServer(default=stall()) as dead:
        urls = [f"{dead.endpoint.url}/{number}" for number in range(30)]
        member = {"id": "a", "name": "m", "peerURLs": [], "clientURLs": urls}
        with FaultServer(default=json_answer(json.dumps({"members": [member]}).encode())) as server:
            client = connect(server.endpoint.url, timeout=Timeout(attempt=0.3, total=20))
            outcome(client, lambda c: c.sync(timeout=0.5), 0.5)
            assert client.endpoints == (server.endpoint.url,)
            client.close()
