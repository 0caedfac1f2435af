# Derived from tests/facade/_async/test_httpx2.py by scripts/unasync.py: change that file, make generate.
"""Transports of httpx2 are taken by `transport=` as those of httpx are."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from etcdv2 import Client, ClusterUnavailable, OutcomeUnknown, Timeout
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.fault_server import FaultServer, close, raw, stall

ETCD = {"X-Etcd-Cluster-Id": "1", "X-Etcd-Index": "7", "X-Raft-Index": "8", "X-Raft-Term": "2"}
EVENT = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":7,"createdIndex":7}}'


def test_a_real_server_through_httpx2(etcd: Server) -> None:
    with Client(etcd.url, transport=httpx2.HTTPTransport()) as client:
        client.keys.set("/a b/ü;%2F", "1 + 1 = 2; ü")
        assert (client.keys.get("/a b", recursive=True)).node.nodes[0].key == "/a b/ü;%2F"
        with client.keys.watch("/a b", recursive=True) as watcher:
            client.keys.set("/a b/c", "x" * 100_000)
            event = watcher.next(timeout=60)
        assert event is not None
        assert event.value == "x" * 100_000
        with client.keys.mirror("/a b") as mirror:
            assert len(mirror.keys()) == 2
        assert client.ready()


def test_the_request_is_the_one_that_httpx_would_have_got() -> None:
    noted: list[Any] = []

    def play(request: Any) -> Any:
        noted.append((request.method, request.url.raw_path, request.headers["host"], request.content))
        module = httpx2 if isinstance(request, httpx2.Request) else httpx
        return module.Response(200, headers=ETCD, stream=module.ByteStream(EVENT))

    for transport in (httpx.MockTransport(play), httpx2.MockTransport(play)):
        with Client("http://etcd.example:2379/pre", transport=transport) as client:
            client.keys.get("/ü;+ %")
            client.keys.set("/a", "ü&=", ttl=5)
    assert noted[:2] == noted[2:]
    assert noted[1][3] == b"value=%C3%BC%26%3D&ttl=5"


@FIRST_VERSION
def test_errors_of_httpx2_are_those_of_this_package(etcd: Server) -> None:
    quick = Timeout(connect=1, attempt=0.5, commit=0.5, total=1)
    with Client("http://127.0.0.1:1", transport=httpx2.HTTPTransport(), timeout=quick) as client:
        with pytest.raises(ClusterUnavailable):
            client.keys.set("/a", "1")
    for behaviour in (close(), stall(), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", close=True)):
        with FaultServer(default=behaviour) as server:
            transport = httpx2.HTTPTransport()
            with Client(server.endpoint.url, transport=transport, timeout=quick) as client:
                with pytest.raises(OutcomeUnknown):
                    client.keys.set("/a", "1")
                with pytest.raises(ClusterUnavailable):
                    client.keys.get("/a")
