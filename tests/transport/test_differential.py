"""The same generated calls through the built-in transport and through httpx, on a real server: the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint, parse_endpoint
from etcdv2._core.wire import Limits, Reply, Request, Transport
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Server
from etcdv2_api import Call, operations

SOON = Limits(connect=2, answer=9, deadline=NEVER)
HEADERS = (("User-Agent", "tests"),)
VARYING = {"modifiedIndex", "createdIndex", "index", "expiration", "cause"}

keys = st.sampled_from(["/a", "/b", "/d/e", "/d", "/ü ?%#", "/d/f/g"])
values = st.sampled_from(["", "1", "x y&z=;+", "ä€😀\n"])
flags = st.sampled_from([None, True, False])


@st.composite
def calls(draw: st.DrawFn) -> Call[Any, Any]:
    key = draw(keys)
    kind = draw(st.sampled_from(["get", "put", "post", "delete", "dir"]))
    if kind == "get":
        return operations.get_key(key, recursive=draw(flags), sorted=True, quorum=draw(flags))
    if kind == "dir":
        return operations.put_key(key, dir=True, prev_exist=draw(flags))
    if kind == "post":
        return operations.post_key(key, value=draw(values))
    if kind == "delete":
        prev = draw(st.sampled_from([None, "1", "nothing"]))
        return operations.delete_key(key, recursive=draw(flags), dir=draw(flags), prev_value=prev)
    return operations.put_key(
        key,
        value=draw(values),
        ttl=draw(st.sampled_from([None, 50])),
        prev_exist=draw(flags),
        prev_value=draw(st.sampled_from([None, "1", "no"])),
        no_value_on_success=draw(flags),
    )


@pytest.fixture(scope="module")
def transports() -> Iterator[list[Transport]]:
    both: list[Transport] = [FastTransport(), HttpxTransport()]
    yield both
    for transport in both:
        transport.close()


def plain(part: Any) -> Any:
    """Without what differs from one call to the next."""
    if isinstance(part, dict):
        named = {name: plain(value) for name, value in part.items() if name not in VARYING}
        if "key" in named:
            named["key"] = named["key"].rstrip("0123456789")
        return named
    if isinstance(part, list):
        return [plain(one) for one in part]
    return part


def sent(transport: Transport, endpoint: Endpoint, call: Call[Any, Any]) -> Reply:
    request = Request(call.method, call.target, HEADERS, call.content_type, call.body or b"")
    return transport.send(endpoint, request, SOON)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=st.lists(calls(), min_size=1, max_size=12))
def test_same_course_of_calls_has_the_same_answers(
    course: list[Call[Any, Any]], transports: list[Transport], etcd: Server
) -> None:
    endpoint = parse_endpoint(etcd.url)
    seen: list[list[Any]] = []
    for transport in transports:
        for top in ("/a", "/b", "/d", "/ü ?%#"):
            sent(transport, endpoint, operations.delete_key(top, recursive=True))
        replies = [(call, sent(transport, endpoint, call)) for call in course]
        seen.append(
            [
                (one.operation, got.status, plain(json.loads(got.body)), type(one.decode(got.status, got.body)))
                for one, got in replies
            ]
        )
        assert all(reply.headers["x-etcd-cluster-id"] for _, reply in replies)
    assert seen[0] == seen[1]


READS: list[Call[Any, Any]] = [
    operations.list_members(),
    operations.get_leader(),
    operations.list_machines(),
    operations.get_version(),
    operations.get_health(),
    operations.get_auth_state(),
    operations.list_users(),
    operations.list_roles(),
    operations.get_role("nobody"),
    operations.get_user("nobody"),
]


@pytest.mark.parametrize("call", READS, ids=[call.operation for call in READS])
def test_other_reads_have_the_same_bytes(call: Call[Any, Any], transports: list[Transport], etcd: Server) -> None:
    endpoint = parse_endpoint(etcd.url)
    one, other = (sent(transport, endpoint, call) for transport in transports)
    assert (one.status, one.body) == (other.status, other.body)
    assert one.headers.get("content-type") == other.headers.get("content-type")
