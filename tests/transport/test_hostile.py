"""Answers that no honest server gives: a TransportFailure in time, and never a wrong result for the next caller."""

from __future__ import annotations

import contextlib
import time
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcdv2._core.deadline import Deadline
from etcdv2._core.wire import Limits, TransportFailure
from etcdv2._transport.idle import UNPROBED_SECONDS
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer, answer_bytes, close, drip, raw, reset
from tests.tools.transport_drivers import GET, LATE, SOON, UNITS, Driver, TransportName, start_transport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WRONG = answer_bytes(body=b"wrong")
HOSTILE: dict[str, Behaviour] = {
    "nothing": close(),
    "reset": reset(),
    "half a status line": raw(b"HTTP/1.", close=True),
    "half a head": raw(OK + b"Content-Le", close=True),
    "head without its body": raw(OK + b"Content-Length: 5\r\n\r\n", close=True),
    "shorter than its length": raw(OK + b"Content-Length: 50\r\n\r\nhello", close=True),
    "shorter than its length, silently": raw(OK + b"Content-Length: 50\r\n\r\nhello", stall=True),
    "no last chunk": raw(CHUNKED + b"5\r\nhello\r\n", close=True),
    "half a chunk": raw(CHUNKED + b"5\r\nhel", close=True),
    "only a piece of the last chunk": raw(CHUNKED + b"5\r\nhello\r\n0\r\n", stall=True),
    "chunk longer than said": raw(CHUNKED + b"2\r\nhello\r\n0\r\n\r\n"),
    "chunk size is no number": raw(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n"),
    "chunk size is negative": raw(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size is beyond all bounds": raw(CHUNKED + b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "two lengths": raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    "length and chunks": raw(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "negative length": raw(OK + b"Content-Length: -5\r\n\r\nhello"),
    "length is no number": raw(OK + b"Content-Length: five\r\n\r\nhello"),
    "huge length": raw(OK + b"Content-Length: 123456789012\r\n\r\nhello"),
    "folded header": raw(OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    "header without a colon": raw(OK + b"nonsense\r\nContent-Length: 0\r\n\r\n"),
    "zero byte in a header": raw(OK + b"A: \x00\r\nContent-Length: 0\r\n\r\n"),
    "one large header": raw(OK + b"A: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "headers without end": raw(OK + b"A: b\r\n" * 40_000),
    "interim answers without end": raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000),
    "interim answer only": raw(b"HTTP/1.1 100 Continue\r\n\r\n", stall=True),
    "body without end": raw(OK + b"\r\n" + b"x" * 2_000_000, stall=True),
    "chunks without end": raw(CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n" + (b"1\r\nx\r\n" * 300_000), stall=True),
    "compressed": raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx"),
    "coded otherwise": raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "switching protocols": raw(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + WRONG),
    "status too low": raw(b"HTTP/1.1 042 Low\r\nContent-Length: 0\r\n\r\n"),
    "status is no number": raw(b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    "garbage": raw(bytes(range(256))),
    "a TLS alert": raw(b"\x15\x03\x01\x00\x02\x02\x50", close=True),
    "an HTTP/2 preface": raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", stall=True),
    "line feeds only": raw(b"\r\n" * 100_000),
    "a slow head": drip(OK + b"A: b\r\n" * 1000, 0.01),
    "a slow body": drip(answer_bytes(body=b"x" * 1000), 0.01),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("name", get_args(TransportName))
def test_hostile_answer_is_a_failure_in_time_and_harms_nobody_else(
    name: TransportName, case: str, streaming: bool
) -> None:
    for unit in UNITS:
        with FaultServer(HOSTILE[case], default=answer(body=b"right")) as server:
            with start_transport(name, max_connections=1, max_body_bytes=1_000_000) as transport:
                start = time.monotonic()
                limits = Limits(LATE, unit, Deadline(start + 2 * unit))
                if streaming:
                    assert_stream_fails(transport, server, limits)
                else:
                    with pytest.raises(TransportFailure):
                        transport.send(server.endpoint, GET, limits)
                assert time.monotonic() - start < LATE
                if not server.requests:
                    continue  # a silence of the machine: it was not even asked
                assert transport.send(server.endpoint, GET, SOON).body == b"right"
            assert server.connections == 2
            return
    raise AssertionError("no limit was long enough for this machine")


def assert_stream_fails(transport: Driver, server: FaultServer, limits: Limits) -> None:
    """A stream has no limit for its body, and after its head the reader's own limit is the only one for its time."""
    try:
        stream = transport.open(server.endpoint, GET, limits)
    except TransportFailure:
        return
    try:
        for _ in range(1000):
            data = stream.read(0.1)
            if data is None or time.monotonic() > limits.deadline:
                return
            assert data != b"", "an answer that is not whole seemed to be"
    except TransportFailure:
        return
    finally:
        stream.close()


HARMLESS: dict[str, tuple[bytes, bytes]] = {
    "100-continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + answer_bytes(body=b"good"), b"good"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer_bytes(body=b"good"), b"good"),
    "two answers at once": (answer_bytes(body=b"good") + WRONG, b"good"),
    "an answer and a half": (answer_bytes(body=b"good") + WRONG[:20], b"good"),
    "an answer and garbage": (answer_bytes(body=b"good") + b"\x00\x00", b"good"),
    "more body than its length": (OK + b"Content-Length: 4\r\n\r\ngood and more", b"good"),
    "chunks and an answer": (CHUNKED + b"4\r\ngood\r\n0\r\n\r\n" + WRONG, b"good"),
    "trailers": (CHUNKED + b"4\r\ngood\r\n0\r\nX-Etcd-Index: 9\r\n\r\n", b"good"),
    "no body where none may be": (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", b""),
    "a body where none may be": (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nwrong", b""),
}


@pytest.mark.parametrize("case", HARMLESS)
@pytest.mark.parametrize("name", get_args(TransportName))
def test_surplus_bytes_are_never_taken_for_the_next_answer(name: TransportName, case: str) -> None:
    data, expected = HARMLESS[case]
    with FaultServer(raw(data), raw(data), default=answer(body=b"right")) as server:
        with start_transport(name, max_connections=1) as transport:
            for body in (expected, expected, b"right"):
                reply = transport.send(server.endpoint, GET, SOON)
                assert reply.body == body
                assert "x-etcd-index" not in reply.headers


MUTATED = [
    answer_bytes(200, {"X-Etcd-Index": "4"}, b"hello"),
    CHUNKED + b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n",
    WRONG * 2,
]


def then_close(behaviour: Behaviour) -> Behaviour:
    def act(peer: Peer) -> bool:
        behaviour.act(peer)
        return False

    return Behaviour(act)


@pytest.mark.parametrize("name", get_args(TransportName))
def test_fuzzed_answers_raise_nothing_but_transport_failures(name: TransportName) -> None:
    with FaultServer() as server, start_transport(name, max_connections=2) as transport:

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            st.sampled_from(MUTATED),
            st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.binary(max_size=6)), max_size=3),
            st.integers(1, 100),
        )
        def attack(data: bytes, changes: list[tuple[int, int, bytes]], step: int) -> None:
            for at, length, put in changes:
                data = data[:at] + put + data[at + length :]
            parts = [data[at : at + step] for at in range(0, len(data), step)]
            server.script.append(then_close(drip(parts, 0)))
            with contextlib.suppress(TransportFailure):
                assert 200 <= transport.send(server.endpoint, GET, SOON).status <= 999
            while server.open_connections:  # what still comes after an answer cannot be distinguished from the next one
                time.sleep(0.0001)
            time.sleep(UNPROBED_SECONDS)
            server.script.append(answer(200, {"Connection": "close"}, b"right"))
            assert transport.send(server.endpoint, GET, SOON).body == b"right"

        attack()
