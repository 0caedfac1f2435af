"""Answers that are none, that lie, that send elsewhere, or that were mutated: an error of ours or what they say.

Answers without end are in `test_hostile.py`; the transports alone in `tests/transport/test_hostile.py`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from etcdv2 import EtcdError, OutcomeUnknown, Response, Timeout
from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Reply, Request
from etcdv2._runtime.primitives import async_sleep
from etcdv2._transport.loop import AsyncFastTransport
from tests.facade._async.conftest import Connect
from tests.facade._async.hostile import OPERATIONS, QUICK, Use, endure, mirrored, outcome, watched
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer_bytes, close, raw
from tests.tools.hostile_server import CHUNKED, OK, Mutating, etcd_head, json_answer, well, well_answer
from tests.tools.recording import ETCD_HEADERS

pytestmark = pytest.mark.timeout(120)  # a client that hangs fails before the rest

# --- answers that are none, or not what they should be ---------------------------------------------------------------


def node(text: str) -> bytes:
    return b'{"action":"set","node":{"key":"/a","value":"v",%s}}' % text.encode()


def plain(data: bytes) -> Behaviour:
    return raw(data, close=True)


def cleared(cause: str) -> bytes:
    return json.dumps({"errorCode": 401, "message": "cleared", "cause": cause, "index": 7}).encode()


FINE = node('"modifiedIndex":11')
NOT_HTTP = {
    "HTTP/0.9": plain(FINE),
    "HTTP/2 preface": plain(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    "HTTP/2 answer": plain(b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "TLS": plain(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"\x00" * 200),
    "SSH": plain(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "nothing": close(),
    "length too long": plain(etcd_head(OK + b"Content-Length: 9999\r\n") + FINE),
    "length too short": plain(etcd_head(OK + b"Content-Length: 9\r\n") + FINE),
    "length and chunks": plain(etcd_head(CHUNKED + b"Content-Length: 3\r\n") + b"3\r\n{}\n\r\n0\r\n\r\n"),
    "two lengths": plain(etcd_head(OK + b"Content-Length: 3\r\nContent-Length: 99\r\n") + FINE),
    "compressed": json_answer(b"\x1f\x8b" + bytes(50), content_encoding="gzip"),
    "deflated": json_answer(b"x\x9c" + bytes(50), content_encoding="deflate, br"),
    "switching protocols": plain(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + FINE),
    "no content": plain(b"HTTP/1.1 204 No\r\n\r\n" + FINE),
    "status 999": json_answer(FINE, 999),
    "not modified": json_answer(b"", 304),
}
CONTENTS = {
    "deep list": json_answer(b"[" * 200_000),
    "deep nodes": json_answer(b'{"action":"get","node":' + b'{"nodes":[' * 20_000 + b"]}" * 20_000 + b"}"),
    "not UTF-8": json_answer(FINE.replace(b'"v"', b'"\xff\xfe"')),
    "lone surrogate": json_answer(FINE.replace(b'"v"', b'"\\ud800"')),
    "lone surrogate and deep": json_answer(b'{"x":' + b"[" * 250 + b"]" * 250 + b"," + node('"x":"\\ud800"')[1:]),
    "lone surrogate in a deep key": json_answer(
        b'{"x":' + b"[" * 250 + b"]" * 250 + b',"action":"get","node":{"key":"/\\udfff","modifiedIndex":11}}'
    ),
    "NaN": json_answer(node('"modifiedIndex":NaN')),
    "index 1e400": json_answer(node('"modifiedIndex":1e400')),
    "index of 5000 digits": json_answer(node('"modifiedIndex":' + "9" * 5000)),
    "nodes is no list": json_answer(node('"nodes":{}')),
    "key is no text": json_answer(b'{"action":"set","node":{"key":["/a"]}}'),
    "expires in 99999": json_answer(node('"expiration":"99999-01-01T00:00:00Z"')),
    "expires at 1e308": json_answer(node('"expiration":1e308')),
    "empty": json_answer(b""),
    "null": json_answer(b"null"),
    "cut": json_answer(FINE[:-3]),
    "X-Etcd-Index is no number": json_answer(FINE, x_etcd_index="seven"),
    "X-Etcd-Index is negative": json_answer(FINE, x_etcd_index="-5"),
    "X-Etcd-Index has 21 digits": json_answer(FINE, x_etcd_index="1" + "0" * 20),
    "X-Etcd-Index has 4300 digits": json_answer(FINE, x_etcd_index="9" * 4300),
    "X-Etcd-Index has an underscore": json_answer(FINE, x_etcd_index="1_0"),
    "X-Raft-Term is 1e400": json_answer(FINE, x_raft_term="1e400"),
    "X-Raft-Term is negative": json_answer(FINE, x_raft_term="-1"),
    "refusal with an endless code": json_answer(b'{"errorCode":%s,"message":"m"}' % (b"9" * 4000), 400),
}
STRANGE = {
    "index of 4300 digits": json_answer(node('"modifiedIndex":' + "9" * 4300)),
    "index over 64 bits": json_answer(node('"modifiedIndex":18446744073709551616')),
    "negative index": json_answer(node('"modifiedIndex":-7')),
    "key of another place": json_answer(FINE.replace(b"/a", b"a/../../x//")),
}
"""A read may say so, as the wire did; whatever is made of it must not fall over it."""
HARMLESS = {
    "two answers": Behaviour(lambda peer: peer.send(well_answer(peer) * 2) is None),
    "no cluster id": json_answer(FINE, x_etcd_cluster_id=None),
    "double names": json_answer(b'{"action":"get","node":{"key":"/x"},' + FINE[1:].replace(b'"v"', b'"w","value":"v"')),
    "deep where nobody looks": json_answer(FINE.replace(b'"node"', b'"x":' + b"[" * 150 + b"]" * 150 + b',"node"')),
    "huge list": json_answer(node('"modifiedIndex":11,"dir":false,"nodes":[' + ",".join(["{}"] * 50_000) + "]")),
}


@pytest.mark.parametrize("case", NOT_HTTP)
async def test_what_is_no_answer_is_an_error_of_every_operation(connect: Connect, case: str) -> None:
    for name, use in OPERATIONS.items():
        found, _ = await endure(connect, NOT_HTTP[case], use)
        quiet = name in ("health", "ready") or (
            name == "watch" and case.startswith("length")
        )  # its event is asked for again
        short = name == "machines" and case in ("length too short", "length and chunks")  # any text will do
        assert quiet or short or isinstance(found, EtcdError), (name, found)


@pytest.mark.parametrize("case", CONTENTS)
async def test_content_that_cannot_be_is_an_error_or_no_event(connect: Connect, case: str) -> None:
    for name in ("get", "set", "watch", "mirror", "user"):
        found, _ = await endure(connect, CONTENTS[case], OPERATIONS[name])
        assert isinstance(found, EtcdError) or (name == "watch" and found is None), (name, found)


@pytest.mark.parametrize("case", STRANGE)
async def test_strange_content_makes_nothing_fall_over(connect: Connect, case: str) -> None:
    for name in ("get", "set", "delete", "watch", "mirror"):
        await endure(connect, STRANGE[case], OPERATIONS[name])


@pytest.mark.parametrize("left_out", ['"key":"/a",', ',"modifiedIndex":11'])
async def test_write_whose_answer_has_no_key_or_no_index_is_not_taken_for_done(connect: Connect, left_out: str) -> None:
    for name in ("set", "delete"):
        behaviour = json_answer(FINE.replace(left_out.encode(), b""))
        found, _ = await endure(connect, behaviour, OPERATIONS[name], Timeout(total=10))
        assert isinstance(found, OutcomeUnknown)


@pytest.mark.parametrize("case", HARMLESS)
async def test_odd_answer_that_says_what_it_should_is_taken(connect: Connect, case: str) -> None:
    for name in ("get", "set", "delete"):
        found, _ = await endure(connect, HARMLESS[case], OPERATIONS[name], Timeout(total=10))
        assert isinstance(found, Response)
        assert (found.node.key, found.node.value) == ("/a", "v")


FOR_EVER: dict[str, tuple[Callable[[int], tuple[int, bytes, str]], Use]] = {
    "history is cleared": (
        lambda count: (400, cleared(f"[{count * 1000}/{count}]"), "aa"),
        lambda c: watched(c, after_index=0),
    ),
    "history is cleared up to 5,000 digits": (
        lambda count: (400, cleared(f"[{'9' * 5000}/1]"), "aa"),
        lambda c: watched(c, after_index=0),
    ),
    "state is cleared": (lambda count: (400, cleared("[5/1]"), "aa"), lambda c: watched(c, snapshots=True)),
    "each answer from another cluster": (lambda count: (200, FINE, f"{count:x}"), mirrored),
}


@pytest.mark.parametrize("transport", ["fast"])
@pytest.mark.parametrize("case", FOR_EVER)
async def test_watch_that_never_comes_to_begin_is_an_error_and_no_busy_loop(connect: Connect, case: str) -> None:
    answer, use = FOR_EVER[case]

    def act(peer: Peer) -> bool:
        status, body, cluster = answer(len(server.requests))
        peer.send(answer_bytes(status, {**ETCD_HEADERS, "X-Etcd-Cluster-Id": cluster}, body))
        return True

    with FaultServer(default=Behaviour(act)) as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        assert isinstance(await outcome(client, use, 2.0), EtcdError)
        assert len(server.requests) < 100
        await client.close()


# --- redirects and answers that nobody asked for ---------------------------------------------------------------------


async def check_redirect(connect: Connect, status: int) -> None:
    """In a circle, and to another server: each operation asks once what it asks (a watch: who the member is, too)."""
    with FaultServer(default=well()) as elsewhere, FaultServer() as server:
        for target in (server, elsewhere):
            url = f"{target.endpoint.url}/v2/keys/a"
            server.default = Behaviour(lambda peer, url=url: peer.send(answer_bytes(status, {"Location": url})) is None)
            for name, use in OPERATIONS.items():
                server.requests.clear()
                client = connect(server.endpoint.url, timeout=QUICK, username="u", password="secret")
                found = await outcome(client, use)
                assert name in ("health", "ready") or isinstance(found, EtcdError)
                await client.close()
                server.drain()  # it may read a request long after the call has given it up, even behind later ones
                asked = [(received.method, received.target) for received in server.requests]
                assert len(asked) == len(set(asked)) <= (2 if name in ("watch", "mirror") else 1)
        elsewhere.drain()
        assert elsewhere.connections == 1  # which is that of `drain`


@pytest.mark.parametrize("status", [302, 307])
async def test_redirect_is_followed_by_no_operation(connect: Connect, status: int) -> None:
    await check_redirect(connect, status)


async def test_client_that_follows_redirects_is_found_out(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for transport in (AsyncFastTransport, AsyncHttpxTransport):
        send: Any = transport.send

        async def follow(self: Any, to: Endpoint, request: Request, limits: Limits, send: Any = send) -> Reply:
            reply: Reply = await send(self, to, request, limits)
            if 300 <= reply.status < 400:
                port = int(reply.headers["location"].split(":")[2].partition("/")[0])
                reply = await send(self, to._replace(port=port), request, limits)
            return reply

        monkeypatch.setattr(transport, "send", follow)
    with pytest.raises(AssertionError):
        await check_redirect(connect, 307)


async def test_answer_in_advance_is_not_taken_for_the_next_one(connect: Connect) -> None:
    forged = threading.Event()

    def act(peer: Peer) -> bool:
        peer.send(well_answer(peer))
        if not forged.is_set():
            time.sleep(0.02)  # as long as it takes the client to be done with the first one
            peer.send(answer_bytes(200, ETCD_HEADERS, FINE.replace(b'"v"', b'"forged"')))
            forged.set()
        return True

    with FaultServer(default=Behaviour(act)) as server:
        client = connect(server.endpoint.url)
        assert (await client.keys.get("/a")).value == "v"
        assert forged.wait(5)
        await async_sleep(0.1)  # so long that the fast transport asks the socket and not only the loop
        for _ in range(3):
            assert (await client.keys.get("/a")).value == "v"
        assert server.connections == 2
        await client.close()


# --- mutated answers -------------------------------------------------------------------------------------------------


def assert_nothing_made_up(response: Response, sent: bytes) -> None:
    """What the client says of a write is what the wire said."""
    found = re.search(rb'\{\s*"action"', sent)
    assert found
    wire, _ = json.JSONDecoder().raw_decode(sent[found.start() :].decode())
    assert response.action == wire["action"]
    assert response.node.key == wire["node"]["key"]
    assert response.node.value == wire["node"].get("value")
    assert response.node.modified_index == wire["node"]["modifiedIndex"]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_mutated_answers_end_in_an_error_or_in_what_they_say(connect: Connect, operation: str) -> None:
    mutating = Mutating(seed=sum(map(ord, operation)))
    writes = operation in ("set", "delete")
    with FaultServer() as server:
        client = connect(server.endpoint.url, timeout=QUICK)
        for _ in range(10 if operation in ("watch", "mirror") else 40):
            server.default = mutating.behaviour()
            server.requests.clear()
            found = await outcome(client, OPERATIONS[operation])
            server.drain()  # it may read a request long after the call has given it up
            if writes:
                assert len(server.requests) <= 1
            if writes and isinstance(found, Response):
                assert_nothing_made_up(found, mutating.sent)
            await async_sleep(0.002)  # else the next request may go out on a connection that is being closed
            server.default = well()
            # A mutated cluster id may have been believed: then the change back is reported once.
            said = await outcome(client, lambda c: c.keys.get("/a", timeout=5), 5)
            if not isinstance(said, Response):
                said = await outcome(client, lambda c: c.keys.get("/a", timeout=5), 5)
            assert isinstance(said, Response)
            assert said.value == "v"
        await client.close()


async def test_write_that_is_repeated_after_garbage_is_found_out(connect: Connect) -> None:
    with FaultServer(raw(b"\x00garbage", close=True), default=well()) as server:
        client = connect(server.endpoint.url, timeout=Timeout(total=5), repeat_writes=True)
        assert isinstance(await outcome(client, OPERATIONS["set"], 5), Response)
        assert len(server.requests) == 2
        await client.close()
