"""What both built-in transports promise: pools, limits, how much was sent, streams, closing, TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf

import pytest
import trustme

from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Request, Sent, TransportFailure
from etcdv2._transport.lookup import resolver
from tests.tools.fault_server import (
    Behaviour,
    FaultServer,
    Gate,
    Peer,
    answer,
    answer_bytes,
    before_reading,
    close,
    drip,
    echo,
    full_server,
    raw,
    reset,
    stall,
)
from tests.tools.transport_drivers import GET, HEADERS, LATE, PUT, SOON, UNITS, Driver, TransportName, start_transport
from tests.tools.waiting import until

MANY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BIG = Request("PUT", "/v2/keys/a", HEADERS, "application/x-www-form-urlencoded", b"x" * (32 << 20))
LONG = Request("GET", "/v2/keys/" + "a" * 5000, HEADERS)


@pytest.fixture(params=["threads", "loop"])
def name(request: pytest.FixtureRequest) -> TransportName:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def transport(name: TransportName) -> Iterator[Driver]:
    with start_transport(name) as driver:
        yield driver


@pytest.fixture
def helpers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    ca.issue_cert("127.0.0.1", "member.example").private_key_and_cert_chain_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture(scope="module")
def client_tls(ca: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())


def failed(work: Callable[[], object]) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        work()
    return caught.value


# -- one request -----------------------------------------------------------------------------------


def test_answer_comes_back_whole_with_lower_case_header_names(transport: Driver) -> None:
    with FaultServer(answer(404, {"X-Etcd-Index": "7"}, b"{}")) as server:
        reply = transport.send(server.endpoint, PUT, SOON)
    assert (reply.status, reply.headers["x-etcd-index"], reply.body) == (404, "7", b"{}")
    sent = server.requests[0]
    assert (sent.method, sent.target, sent.body) == ("PUT", "/v2/keys/a", b"value=1")
    assert sent.headers["host"] == f"127.0.0.1:{server.port}"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["authorization"] == "Basic c2VjcmV0"


def test_request_that_cannot_be_sent_is_refused_before_anything_is_done(transport: Driver) -> None:
    with FaultServer() as server:
        with pytest.raises(ValueError, match="request target"):
            transport.send(server.endpoint, GET._replace(target="/a\r\nX: y"), SOON)
        with pytest.raises(ValueError, match="request target"):
            transport.open(server.endpoint, GET._replace(target="/a b"), SOON)
        assert server.connections == 0


def test_large_bodies_go_both_ways(transport: Driver) -> None:
    body = bytes(range(256)) * (8 << 12)
    with FaultServer(answer(body=body), drip([MANY, b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"], 0)) as server:
        for _ in range(2):
            assert transport.send(server.endpoint, PUT._replace(body=body), SOON).body == body
        assert [received.body == body for received in server.requests] == [True, True]
        assert server.connections == 1


def test_name_is_looked_up_and_every_address_tried(transport: Driver) -> None:
    with FaultServer(answer(body=b"here")) as server:
        assert transport.send(server.endpoint._replace(host="localhost"), GET, SOON).body == b"here"


def test_unknown_name_is_a_failure_to_connect(transport: Driver) -> None:
    failure = failed(lambda: transport.send(Endpoint("http", "no-such-host.invalid", 1), GET, SOON))
    assert (failure.phase, failure.sent) == ("connect", Sent.NOTHING)
    assert isinstance(failure.__cause__, OSError)


# -- the pool --------------------------------------------------------------------------------------


def test_connection_is_kept_for_the_next_call(transport: Driver) -> None:
    with FaultServer() as server:
        for _ in range(5):
            transport.send(server.endpoint, GET, SOON)
        assert [received.connection for received in server.requests] == [1] * 5


def test_connection_used_last_is_used_next(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(drip(answer_bytes(), 0.002), drip(answer_bytes(), 0.002), default=echo()) as server:
        both = [helpers.submit(transport.send, server.endpoint, GET, SOON) for _ in range(2)]
        for call in both:
            call.result()
        for _ in range(4):
            transport.send(server.endpoint, GET, SOON)
        assert server.connections == 2
        assert len({received.connection for received in server.requests[2:]}) == 1


def test_endpoints_have_their_own_connections(transport: Driver) -> None:
    with FaultServer(default=echo()) as one, FaultServer(default=answer(body=b"two")) as two:
        for _ in range(2):
            assert transport.send(one.endpoint, GET, SOON).body == b"/v2/keys/a"
            assert transport.send(two.endpoint, GET, SOON).body == b"two"
        assert (one.connections, two.connections) == (1, 1)


@pytest.mark.parametrize("late", [answer_bytes(body=b"wrong"), b"x"])
def test_connection_with_unexpected_bytes_is_not_used(transport: Driver, late: bytes) -> None:
    with FaultServer(drip([answer_bytes(body=b"1"), late], 0.02), default=answer(body=b"2")) as server:
        assert transport.send(server.endpoint, GET, SOON).body == b"1"
        time.sleep(0.06)
        assert transport.send(server.endpoint, GET, SOON).body == b"2"
        assert [received.connection for received in server.requests] == [1, 2]


def test_connection_closed_by_the_server_is_not_used(transport: Driver) -> None:
    with FaultServer(default=echo()) as server:
        for _ in range(3):
            transport.send(server.endpoint, PUT, SOON)
            server.hang_up()
            until(lambda: server.open_connections == 0)
            time.sleep(0.01)
        assert [received.connection for received in server.requests] == [1, 2, 3]


def test_connection_left_idle_for_long_is_closed(transport: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etcdv2._transport.threads.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("etcdv2._transport.loop.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("etcdv2._transport.loop_connection.IDLE_SECONDS", 0.05)
    with FaultServer() as server:
        for _ in range(2):
            transport.send(server.endpoint, GET, SOON)
            time.sleep(0.1)
        assert server.connections == 2


@pytest.mark.parametrize("limits", [SOON, Limits(None, None, NEVER)])
def test_idle_connection_is_closed_without_another_call(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    monkeypatch.setattr("etcdv2._transport.loop_connection.IDLE_SECONDS", 0.05)
    with FaultServer() as server, start_transport("loop") as transport:
        transport.send(server.endpoint, GET, limits._replace(answer=limits.answer and 0.05))
        until(lambda: server.open_connections == 0)


def test_idle_connections_beyond_need_are_closed_by_later_calls(
    monkeypatch: pytest.MonkeyPatch, helpers: ThreadPoolExecutor
) -> None:
    monkeypatch.setattr("etcdv2._transport.threads.IDLE_SECONDS", 0.1)
    with FaultServer(*[drip(answer_bytes(), 0.002)] * 3) as server, start_transport("threads") as transport:
        for call in [helpers.submit(transport.send, server.endpoint, GET, SOON) for _ in range(3)]:
            call.result()
        assert server.open_connections == 3
        for _ in range(8):
            time.sleep(0.03)
            transport.send(server.endpoint, GET, SOON)
        until(lambda: server.open_connections == 1)
        assert server.connections == 3


@pytest.mark.parametrize("head", [{"Connection": "close"}, {"Connection": "Close, x"}])
def test_connection_that_the_server_will_close_is_not_kept(transport: Driver, head: dict[str, str]) -> None:
    with FaultServer(raw(answer_bytes(200, head))) as server:
        for _ in range(2):
            transport.send(server.endpoint, GET, SOON)
        assert server.connections == 2


def test_full_pool_makes_the_next_call_wait_its_turn(name: TransportName, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(drip(answer_bytes(body=b"slow"), 0.003), default=echo()) as server:
        with start_transport(name, max_connections=1) as transport:
            calls = [helpers.submit(transport.send, server.endpoint, GET, SOON) for _ in range(8)]
            assert sorted(call.result().body for call in calls) == [b"/v2/keys/a"] * 7 + [b"slow"]
        assert server.connections == 1


def test_wait_for_a_place_is_bounded_and_sends_nothing(name: TransportName, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(stall(), default=echo()) as server, start_transport(name, max_connections=1) as transport:
        holder = helpers.submit(transport.send, server.endpoint, GET, Limits(LATE, 0.5, NEVER))
        until(lambda: len(server.requests) == 1)
        for limits in (Limits(LATE, 0.05, NEVER), Limits(1, None, Deadline(time.monotonic() + 0.05))):
            failure = failed(lambda limits=limits: transport.send(server.endpoint, GET, limits))  # type: ignore[misc]
            assert (failure.phase, failure.sent, failure.timed_out) == ("pool", Sent.NOTHING, True)
        assert failed(holder.result).phase == "wait"
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
        assert len(server.requests) == 2


def test_streams_do_not_count_against_the_limit(name: TransportName) -> None:
    with FaultServer(raw(MANY, stall=True), raw(MANY, stall=True), default=echo()) as server:
        with start_transport(name, max_connections=1) as transport:
            streams = [transport.open(server.endpoint, GET, SOON) for _ in range(2)]
            assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
            for stream in streams:
                stream.close()


def test_every_caller_gets_its_own_answer(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    def ask(who: int) -> bool:
        targets = [f"/{who}/{number}" for number in range(40)]
        return all(transport.send(server.endpoint, GET._replace(target=t), SOON).body == t.encode() for t in targets)

    with FaultServer(default=echo()) as server:
        assert all(helpers.map(ask, range(8)))
        assert server.connections <= 8


# -- limits and what was sent ----------------------------------------------------------------------


def test_refused_connection_says_that_nothing_was_sent(transport: Driver) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        endpoint = Endpoint("http", "127.0.0.1", unheard.getsockname()[1])
        failure = failed(lambda: transport.send(endpoint, PUT, SOON))
    assert (failure.phase, failure.sent, failure.timed_out) == ("connect", Sent.NOTHING, False)
    assert isinstance(failure.__cause__, ConnectionRefusedError)


def test_connecting_is_bounded(transport: Driver) -> None:
    with full_server() as silent:
        start = time.monotonic()
        failure = failed(lambda: transport.send(silent, PUT, Limits(0.2, None, NEVER)))
        assert 0.15 < time.monotonic() - start < LATE
    assert (failure.phase, failure.sent, failure.timed_out) == ("connect", Sent.NOTHING, True)


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A resolver that answers for addresses at once, for names not before the test is over."""
    over, real = threading.Event(), socket.getaddrinfo

    def look_up(host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> object:
        if not host[:1].isdigit() and not flags & socket.AI_NUMERICHOST:
            over.wait(10 * LATE)
        return real(host, port, family, type, proto, flags)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    yield
    over.set()
    until(lambda: "0 threads" in repr(resolver))


@pytest.mark.usefixtures("slow_names")
def test_name_look_up_is_bounded_and_freed_by_close(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    endpoint = Endpoint("http", "localhost", 1)
    start = time.monotonic()
    failure = failed(lambda: transport.send(endpoint, PUT, Limits(0.1, None, NEVER)))
    assert time.monotonic() - start < LATE
    assert (failure.phase, failure.sent, failure.timed_out) == ("connect", Sent.NOTHING, True)
    looking = helpers.submit(transport.send, endpoint, PUT, Limits(None, None, NEVER))
    time.sleep(0.05)
    transport.close()
    failure = failed(lambda: looking.result(timeout=LATE))
    assert (failure.phase, failure.sent, failure.aborted) == ("connect", Sent.NOTHING, True)


def test_address_that_does_not_answer_leaves_time_for_the_next(
    transport: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(default=echo()) as server, full_server() as silent:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in (silent.port, server.port)
        ]

        def look_up(*_: object, **__: object) -> object:
            return found

        monkeypatch.setattr("socket.getaddrinfo", look_up)
        for unit in UNITS:
            with contextlib.suppress(TransportFailure):  # shorter than a silence of the machine
                reply = transport.send(server.endpoint, GET, Limits(4 * unit, LATE, NEVER))
                break
    assert reply.body == b"/v2/keys/a"


def test_tls_handshake_is_bounded_by_the_connect_limit(transport: Driver) -> None:
    with FaultServer(default=before_reading(stall())) as server:
        endpoint = server.endpoint._replace(scheme="https")
        failure = failed(lambda: transport.send(endpoint, PUT, Limits(0.2, None, NEVER)))
    assert (failure.phase, failure.sent, failure.timed_out) == ("connect", Sent.NOTHING, True)


@pytest.mark.parametrize("limits", [(10.0, 1.0, None), (None, None, 1.0), (inf, inf, 1.0), (1.0, 1.0, inf)])
def test_server_that_never_answers_is_left_in_time(
    transport: Driver, limits: tuple[float | None, float | None, float | None]
) -> None:
    for unit in UNITS:
        connect, answered, total = (part and min(part * unit, 10 * LATE) for part in limits)
        with FaultServer(default=stall()) as server:
            start = time.monotonic()
            within = Limits(connect, answered, Deadline.after(total, start))
            failure = failed(lambda: transport.send(server.endpoint, PUT, within))  # noqa: B023
            assert 0.8 * unit < time.monotonic() - start < LATE
            assert failure.timed_out
            if failure.phase == "wait":
                until(lambda: len(server.requests) == 1)
                break
    assert (failure.phase, failure.sent) == ("wait", Sent.WHOLE)


def test_deadline_holds_though_bytes_keep_dripping(transport: Driver) -> None:
    for unit in UNITS:
        with FaultServer(default=drip(answer_bytes(body=b"x" * 100_000), 0.01)) as server:
            start = time.monotonic()
            within = Limits(LATE, LATE, Deadline(start + 3 * unit))
            failure = failed(lambda: transport.send(server.endpoint, GET, within))  # noqa: B023
            assert 2.5 * unit < time.monotonic() - start < LATE
        assert failure.timed_out
        if failure.phase == "read":
            break
    assert (failure.phase, failure.sent) == ("read", Sent.WHOLE)


def test_answer_limit_bounds_each_silence_and_not_the_whole_answer(transport: Driver) -> None:
    data = answer_bytes(body=b"12345678")
    parts = [data[:-8], *(data[-8 + at : len(data) - 7 + at] for at in range(8))]
    for unit in UNITS:
        within = Limits(LATE, 2.5 * unit, NEVER)
        with FaultServer(drip(parts, 0.8 * unit), raw(parts[0], stall=True)) as server:
            try:
                assert transport.send(server.endpoint, GET, within).body == b"12345678"
            except TransportFailure as failure:  # a silence of the machine
                assert failure.timed_out  # noqa: PT017
                continue
            start = time.monotonic()
            failure = failed(lambda: transport.send(server.endpoint, GET, within))  # noqa: B023
            assert 2 * unit < time.monotonic() - start < LATE
        assert failure.timed_out
        if failure.phase == "read":
            return
    raise AssertionError("no limit was long enough for this machine")


def test_deadline_that_is_over_sends_nothing(transport: Driver) -> None:
    with FaultServer() as server:
        transport.send(server.endpoint, GET, SOON)
        for work in (transport.send, transport.open):
            failure = failed(lambda work=work: work(server.endpoint, PUT, Limits(1, 1, Deadline(time.monotonic() - 1))))  # type: ignore[misc]
            assert (failure.sent, failure.timed_out) == (Sent.NOTHING, True)
        assert len(server.requests) == 1


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("fault", [close(), reset(), raw(b"HTTP/1.1 2", close=True)])
def test_write_whose_answer_is_lost_was_sent_whole_and_once(transport: Driver, fault: Behaviour, kept: bool) -> None:
    with FaultServer(*([answer()] if kept else []), fault) as server:
        if kept:
            transport.send(server.endpoint, GET, SOON)
        failure = failed(lambda: transport.send(server.endpoint, PUT, SOON))
        assert (failure.sent, failure.timed_out, failure.aborted) == (Sent.WHOLE, False, False)
        assert failure.phase in ("wait", "read")
        assert failure.__cause__ is not None
        assert [received.method for received in server.requests].count("PUT") == 1


def reset_later() -> Behaviour:
    def act(peer: Peer) -> bool:
        peer.stopping.wait(0.05)
        return reset().act(peer)

    return Behaviour(act)


@pytest.mark.parametrize("fault", [stall(), reset_later()])
def test_request_that_the_kernel_did_not_take_whole_was_sent_in_part(transport: Driver, fault: Behaviour) -> None:
    with FaultServer(default=before_reading(fault)) as server:
        failure = failed(lambda: transport.send(server.endpoint, BIG, Limits(LATE, 0.3, NEVER)))
        assert failure.sent in (Sent.PART, Sent.NOTHING)
        assert failure.phase == "send"
        assert server.requests == []


def test_refusal_that_comes_before_the_request_is_through_is_returned(transport: Driver) -> None:
    with FaultServer(before_reading(raw(answer_bytes(413, {}, b"too large"), stall=True)), default=echo()) as server:
        reply = transport.send(server.endpoint, BIG, SOON)
        assert (reply.status, reply.body) == (413, b"too large")
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
        assert server.connections == 2


# -- long request lines ----------------------------------------------------------------------------


def test_long_request_line_is_sent_on_a_connection_that_was_used(transport: Driver) -> None:
    with FaultServer(default=echo()) as server:
        endpoint = server.endpoint._replace(prefix="/etcd")
        for _ in range(2):
            assert transport.send(endpoint, LONG, SOON).body == f"/etcd{LONG.target}".encode()
        assert [received.target for received in server.requests] == ["/etcd/version"] + [f"/etcd{LONG.target}"] * 2
        assert server.connections == 1


def test_request_line_is_not_warmed_up_where_it_need_not(transport: Driver) -> None:
    with FaultServer(default=echo()) as server:
        transport.send(server.endpoint, GET, SOON)
        transport.send(server.endpoint, LONG, SOON)
        assert [received.target for received in server.requests] == [GET.target, LONG.target]


@pytest.mark.parametrize("fault", [close(), stall(), answer(200, {"Connection": "close"})])
def test_failure_to_warm_up_says_that_nothing_was_sent(transport: Driver, fault: Behaviour) -> None:
    with FaultServer(default=fault) as server:
        failure = failed(
            lambda: transport.send(server.endpoint, LONG._replace(method="DELETE"), Limits(LATE, 0.1, NEVER))
        )
        assert (failure.phase, failure.sent) == ("connect", Sent.NOTHING)
        assert [received.method for received in server.requests] == ["GET"]


# -- streams ---------------------------------------------------------------------------------------


def test_stream_read_may_time_out_and_goes_on(transport: Driver) -> None:
    parts = [MANY, b"3\r\none\r\n", b"3\r\n", b"two\r\n", b"0\r\n\r\n"]
    gate = Gate(parts)
    gate.open()
    with FaultServer(gate.answer, default=echo()) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        assert stream.status == 200
        assert stream.headers["transfer-encoding"] == "chunked"
        assert stream.read(0.02) is None
        assert stream.read(0) is None
        gate.open()
        assert stream.read(LATE) == b"one"
        gate.open()
        assert stream.read(0.15) is None
        gate.open(2)
        assert stream.read() == b"two"
        assert stream.read() == b""
        assert stream.read() == b""
        stream.close()
        stream.close()
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
        assert server.connections == 1


def test_what_has_come_in_time_is_read_however_late_its_reader_is(transport: Driver) -> None:
    gate = Gate([MANY, b"3\r\none\r\n", b"3\r\ntwo\r\n"])
    gate.open(2)
    with FaultServer(gate.answer) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        assert stream.read(SOON.answer) == b"one"
        gate.open()
        until(lambda: gate.sent == 3)
        time.sleep(0.5)
        assert stream.read(1e-9) == b"two"
        assert stream.read(1e-9) is None
        stream.close()


def test_stream_that_was_not_read_to_its_end_gives_no_connection_back(transport: Driver) -> None:
    with FaultServer(raw(MANY + b"3\r\none\r\n"), default=echo()) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        assert stream.read() == b"one"
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read()
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
        assert server.connections == 2


@pytest.mark.parametrize("data", [MANY, MANY + b"3\r\non", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_stream_cut_short_fails(transport: Driver, data: bytes) -> None:
    with FaultServer(raw(data, close=True)) as server:
        stream = transport.open(server.endpoint, GET, SOON)

        def read_all() -> None:
            while stream.read(1):
                pass

        for _ in range(2):
            failure = failed(read_all)
            assert (failure.phase, failure.sent, failure.timed_out) == ("read", Sent.WHOLE, False)
            assert "cut short" in str(failure)
        stream.close()


def test_abort_from_another_thread_wakes_the_reader(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(raw(MANY, stall=True), default=echo()) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        reading: Future[bytes | None] = helpers.submit(stream.read)
        time.sleep(0.05)
        assert not reading.done()
        stream.abort()
        failure = failed(lambda: reading.result(timeout=LATE))
        assert (failure.phase, failure.aborted) == ("read", True)
        stream.abort()
        assert failed(stream.read).aborted
        stream.close()
        stream.abort()
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"


def test_close_from_another_thread_wakes_the_reader(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(raw(MANY, stall=True)) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        reading: Future[bytes | None] = helpers.submit(stream.read)
        time.sleep(0.05)
        stream.close()
        assert failed(lambda: reading.result(timeout=LATE)).aborted


def test_stream_closed_with_its_whole_answer_unread_leaves_nothing_to_the_next_caller(transport: Driver) -> None:
    with FaultServer(answer(body=b"for the stream"), default=answer(body=b"mine")) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        time.sleep(0.05)
        stream.close()
        for _ in range(3):
            assert transport.send(server.endpoint, GET, SOON).body == b"mine"


def test_abort_after_close_does_not_touch_the_next_caller(transport: Driver) -> None:
    with FaultServer(default=answer(body=b"all")) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        while stream.read(1):
            pass
        stream.close()
        stream.abort()
        assert transport.send(server.endpoint, GET, SOON).body == b"all"
        assert [received.connection for received in server.requests] == [1, 1]


def test_what_came_before_an_abort_is_given(transport: Driver) -> None:
    half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    with FaultServer(raw(half, stall=True)) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        time.sleep(0.1)
        stream.abort()
        time.sleep(0.05)
        assert stream.read(1) == b"half"
        with pytest.raises(TransportFailure) as caught:
            stream.read(1)
        assert caught.value.aborted
        stream.close()


def test_stream_may_carry_more_than_the_limit_for_bodies(name: TransportName) -> None:
    parts = [MANY, *([b"186a0\r\n" + b"x" * 100_000 + b"\r\n"] * 50), b"0\r\n\r\n"]
    with FaultServer(drip(parts, 0)) as server, start_transport(name, max_body_bytes=1000) as transport:
        stream = transport.open(server.endpoint, GET, SOON)
        time.sleep(0.1)  # the reader is slow: what came meanwhile must be bounded and not lost
        total = 0
        while data := stream.read(1):
            total += len(data)
        stream.close()
    assert total == 5_000_000


def test_stream_that_nobody_reads_stops_the_server_and_loses_nothing(transport: Driver) -> None:
    sent = 0

    def pour(peer: Peer) -> bool:
        nonlocal sent
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        for _ in range(64):
            peer.send(b"x" * (1 << 20))
            sent += 1
        return True

    with FaultServer(Behaviour(pour), default=echo()) as server:
        stream = transport.open(server.endpoint, GET, SOON)
        time.sleep(0.2)
        assert sent < 32
        total = 0
        while data := stream.read(1):
            total += len(data)
        stream.close()
        assert total == 67108864
        assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
        assert server.connections == 1


def test_limits_of_opening_end_with_it(transport: Driver) -> None:
    for unit in UNITS:
        gate = Gate([MANY, b"3\r\none\r\n"])
        gate.open()
        with FaultServer(gate.answer) as server:
            ends = time.monotonic() + unit
            try:
                stream = transport.open(server.endpoint, GET, Limits(unit, unit, Deadline(ends)))
            except TransportFailure:  # shorter than a silence of the machine
                continue
            time.sleep(max(0.0, 1.1 * (ends - time.monotonic())))
            gate.open()
            assert stream.read() == b"one"
            stream.close()
            return
    raise AssertionError("no limit was long enough for this machine")


def test_opening_is_bounded(transport: Driver) -> None:
    with FaultServer(default=stall()) as server:
        failure = failed(lambda: transport.open(server.endpoint, GET, Limits(LATE, 0.1, NEVER)))
    assert (failure.phase, failure.timed_out) == ("wait", True)


# -- closing ---------------------------------------------------------------------------------------


def test_close_frees_every_caller_at_once(name: TransportName, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(stall(), raw(MANY, stall=True)) as server, start_transport(name, max_connections=1) as transport:
        waiting = helpers.submit(transport.send, server.endpoint, PUT, Limits(None, None, NEVER))
        until(lambda: len(server.requests) == 1)
        stream = transport.open(server.endpoint, GET, SOON)
        reading = helpers.submit(stream.read)
        queued = helpers.submit(transport.send, server.endpoint, PUT, Limits(None, None, NEVER))
        time.sleep(0.05)
        transport.close()
        failures = [failed(lambda call=call: call.result(timeout=LATE)) for call in (waiting, reading, queued)]  # type: ignore[misc]
        assert [failure.aborted for failure in failures] == [True] * 3
        assert [failure.phase for failure in failures] == ["wait", "read", "pool"]
        assert [failure.sent for failure in failures] == [Sent.WHOLE, Sent.WHOLE, Sent.NOTHING]
        stream.close()
        assert failed(lambda: transport.send(server.endpoint, GET, SOON)).aborted
        assert failed(lambda: transport.open(server.endpoint, GET, SOON)).aborted
        transport.close()


def test_close_frees_a_caller_that_is_connecting(transport: Driver, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(default=before_reading(stall())) as server:
        endpoint = server.endpoint._replace(scheme="https")
        connecting = helpers.submit(transport.send, endpoint, PUT, Limits(None, None, NEVER))
        until(lambda: server.connections == 1)
        time.sleep(0.05)
        transport.close()
        failure = failed(lambda: connecting.result(timeout=LATE))
        assert (failure.phase, failure.sent, failure.aborted) == ("connect", Sent.NOTHING, True)


def test_close_ends_idle_connections(transport: Driver) -> None:
    with FaultServer() as server:
        transport.send(server.endpoint, GET, SOON)
        transport.close()
        until(lambda: server.open_connections == 0)


# -- TLS -------------------------------------------------------------------------------------------


def test_tls_connection_is_kept(name: TransportName, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    body = b"x" * 300_000
    with FaultServer(answer(body=body), default=echo(), ssl_context=server_tls) as server:
        with start_transport(name, ssl_context=client_tls) as transport:
            assert transport.send(server.endpoint, PUT._replace(body=body), SOON).body == body
            for _ in range(3):
                assert transport.send(server.endpoint, GET, SOON).body == b"/v2/keys/a"
            time.sleep(0.1)
            assert transport.send(server.endpoint, LONG, SOON).body == LONG.target.encode()
        assert (server.connections, server.requests[0].body == body) == (1, True)
        assert server.requests[-2].target == GET.target


def test_tls_stream_times_out_goes_on_and_is_aborted(
    name: TransportName, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, helpers: ThreadPoolExecutor
) -> None:
    gate = Gate([MANY, b"3\r\none\r\n", b""])
    gate.open()
    with FaultServer(gate.answer, ssl_context=server_tls) as server:
        server.default = stall()
        with start_transport(name, ssl_context=client_tls) as transport:
            stream = transport.open(server.endpoint, GET, SOON)
            assert stream.read(0.02) is None
            gate.open()
            assert stream.read(LATE) == b"one"
            reading = helpers.submit(stream.read)
            time.sleep(0.03)
            stream.abort()
            assert failed(lambda: reading.result(timeout=LATE)).aborted
            stream.close()
            failure = failed(lambda: transport.send(server.endpoint, PUT, Limits(LATE, 0.1, NEVER)))
            assert (failure.phase, failure.sent, failure.timed_out) == ("wait", Sent.WHOLE, True)


def test_certificate_that_is_not_trusted_is_refused(transport: Driver, server_tls: ssl.SSLContext) -> None:
    with FaultServer(ssl_context=server_tls) as server:
        failure = failed(lambda: transport.send(server.endpoint, PUT, SOON))
    assert (failure.phase, failure.sent, server.requests) == ("connect", Sent.NOTHING, [])
    assert isinstance(failure.__cause__, ssl.SSLCertVerificationError)
    assert "certificate was not accepted" in str(failure)


def test_server_hostname_replaces_the_endpoints_host(
    name: TransportName, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with FaultServer(default=echo(), ssl_context=server_tls) as server:
        with start_transport(name, ssl_context=client_tls, server_hostname="member.example") as transport:
            assert transport.send(server.endpoint, GET, SOON).status == 200
        with start_transport(name, ssl_context=client_tls, server_hostname="other.example") as transport:
            failure = failed(lambda: transport.send(server.endpoint, GET, SOON))
            assert isinstance(failure.__cause__, ssl.SSLCertVerificationError)


def test_body_that_ends_with_the_connection_is_whole_only_if_tls_was_ended_properly(
    name: TransportName, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    with FaultServer(raw(data, close=True), raw(data, cut=True), ssl_context=server_tls) as server:
        with start_transport(name, ssl_context=client_tls) as transport:
            assert transport.send(server.endpoint, GET, SOON).body == b"all of it"
            assert failed(lambda: transport.send(server.endpoint, GET, SOON)).phase == "read"


# -- processes -------------------------------------------------------------------------------------

FORKING = """
import os, sys
from etcdv2._transport.threads import FastTransport
from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Request
transport, endpoint = FastTransport(), Endpoint("http", "127.0.0.1", int(sys.argv[1]))
def ask(target):
    return transport.send(endpoint, Request("GET", target, ()), Limits(60, 60, NEVER)).body == target.encode()
assert ask("/parent")
if (child := os.fork()) == 0:
    os._exit(0 if ask("/child") and ask("/child") else 1)
assert os.waitpid(child, 0)[1] == 0
assert ask("/parent")
transport.close()
"""


def test_forked_child_does_not_use_its_parents_connections() -> None:
    with FaultServer(default=echo()) as server:
        command = [sys.executable, "-W", "error", "-c", FORKING, str(server.port)]
        assert subprocess.run(command, check=False, timeout=LATE).returncode == 0
        assert [(received.target, received.connection) for received in server.requests] == [
            ("/parent", 1),
            ("/child", 2),
            ("/child", 2),
            ("/parent", 1),
        ]


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with FaultServer() as server, start_transport("threads") as transport:
        transport.send(server.endpoint._replace(host="localhost"), GET, SOON)
    until(lambda: threading.active_count() == before)
