"""The built-in transports against a real etcd: calls, watches, long request lines, threads, members that stop."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import parse_endpoint
from etcdv2._core.wire import Limits, Request, Sent, TransportFailure
from etcdv2.testing import Server
from tests.tools.transport_drivers import HEADERS, LATE, SOON, TransportName, start_transport

FORM = "application/x-www-form-urlencoded"

pytestmark = pytest.mark.parametrize("name", get_args(TransportName))


def put(key: str, value: str) -> Request:
    return Request("PUT", f"/v2/keys{key}", HEADERS, FORM, f"value={value}".encode())


def get(target: str) -> Request:
    return Request("GET", f"/v2/keys{target}", HEADERS)


def test_threads_write_and_read_back_what_is_theirs(etcd: Server, name: TransportName) -> None:
    endpoint = parse_endpoint(etcd.url)

    def work(who: int) -> bool:
        for number in range(25):
            assert transport.send(endpoint, put(f"/{who}", f"{who}-{number}"), SOON).status in (200, 201)
            node = json.loads(transport.send(endpoint, get(f"/{who}"), SOON).body)["node"]
            assert node["value"] == f"{who}-{number}"
        return True

    with start_transport(name, max_connections=5) as transport, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_large_tree_is_read_whole(etcd: Server, name: TransportName) -> None:
    endpoint = parse_endpoint(etcd.url)
    with start_transport(name) as transport:
        for number in range(30):
            transport.send(endpoint, put(f"/tree/{number}", "x" * 20_000), SOON)
        reply = transport.send(endpoint, get("/tree?recursive=true"), SOON)
    assert reply.headers["transfer-encoding"] == "chunked"
    assert {len(node["value"]) for node in json.loads(reply.body)["node"]["nodes"]} == {20_000}


def test_poll_waits_for_its_event_and_its_connection_is_used_again(etcd: Server, name: TransportName) -> None:
    endpoint = parse_endpoint(etcd.url)
    with start_transport(name, max_connections=1) as transport:
        for number in range(3):
            poll = transport.open(endpoint, get("/w?wait=true"), SOON)
            assert int(poll.headers["x-etcd-index"]) >= number
            assert poll.read(0.02) is None
            transport.send(endpoint, put("/w", str(number)), SOON)
            event = b""
            while part := poll.read(2):
                event += part
            assert json.loads(event)["node"]["value"] == str(number)
            poll.close()


def test_request_line_beyond_4096_bytes_is_answered_on_plaintext(etcd: Server, name: TransportName) -> None:
    endpoint = parse_endpoint(etcd.url)
    value = "v" * 20_000
    with start_transport(name) as transport:
        transport.send(endpoint, put("/long", value), SOON)
    with start_transport(name) as fresh:
        reply = fresh.send(endpoint, Request("DELETE", f"/v2/keys/long?prevValue={value}", HEADERS), SOON)
    assert json.loads(reply.body)["action"] == "compareAndDelete"


def test_member_that_is_stopped_and_goes_on_does_not_confuse_the_next_call(etcd: Server, name: TransportName) -> None:
    endpoint = parse_endpoint(etcd.url)
    with start_transport(name, max_connections=1) as transport:
        transport.send(endpoint, put("/a", "1"), SOON)
        transport.send(endpoint, put("/b", "2"), SOON)
        etcd.pause()
        try:
            start = time.monotonic()
            with pytest.raises(TransportFailure) as caught:
                transport.send(endpoint, get("/a"), Limits(LATE, 0.1, NEVER))
            assert time.monotonic() - start < LATE
        finally:
            etcd.resume()
        assert (caught.value.sent, caught.value.timed_out) == (Sent.WHOLE, True)
        assert json.loads(transport.send(endpoint, get("/b"), SOON).body)["node"]["value"] == "2"
