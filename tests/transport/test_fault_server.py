"""The servers of faults keep their own promises: what a test says with them is what happens."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from etcdv2._core.deadline import NEVER
from etcdv2._core.wire import Limits, Sent, TransportFailure
from etcdv2._transport.threads import FastTransport
from tests.tools.fault_server import FaultServer, TcpProxy, answer, before_reading, close, echo, reset
from tests.tools.listener import reset_on_close
from tests.tools.transport_drivers import GET, LATE, PUT, SOON


@pytest.fixture
def transport() -> Iterator[FastTransport]:
    transport = FastTransport()
    yield transport
    transport.close()


def test_script_is_followed_then_the_default(transport: FastTransport) -> None:
    with FaultServer(answer(201), answer(404, {"A": "b"}, b"x"), default=echo()) as server:
        replies = [transport.send(server.endpoint, PUT, SOON) for _ in range(4)]
    assert [reply.status for reply in replies] == [201, 404, 200, 200]
    assert [received.body for received in server.requests] == [PUT.body] * 4


def test_behaviour_before_reading_takes_its_place_in_the_script() -> None:
    with FaultServer(before_reading(close()), before_reading(reset())) as server:
        endings: list[bytes | type[OSError]] = []
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.settimeout(2)
                time.sleep(0.02)
                try:
                    endings.append(sock.recv(1))
                except OSError as error:
                    endings.append(type(error))
    assert endings == [b"", ConnectionResetError]


def test_stalled_proxy_forwards_nothing_until_it_goes_on(transport: FastTransport) -> None:
    with FaultServer(default=echo()) as server, TcpProxy("127.0.0.1", server.port) as proxy:
        assert transport.send(proxy.endpoint, GET, SOON).body == b"/v2/keys/a"
        proxy.stall()
        with pytest.raises(TransportFailure) as caught:
            transport.send(proxy.endpoint, PUT, Limits(LATE, 0.1, NEVER))
        assert (caught.value.timed_out, caught.value.sent) == (True, Sent.WHOLE)
        assert len(server.requests) == 1
        proxy.go()
        assert transport.send(proxy.endpoint, GET, SOON).body == b"/v2/keys/a"


@pytest.mark.parametrize("given_up", [False, True])
def test_drained_server_has_read_all_that_came(given_up: bool) -> None:
    server = FaultServer()
    for number in range(50):  # connected, and given up, before the server accepts the first
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(f"DELETE /{number} HTTP/1.1\r\n\r\n".encode())
            if given_up:
                reset_on_close(sock)
    with server:
        server.drain()
        came = len(server.requests)
        assert server.connections == 51
        assert server.open_connections == 0
    assert sorted(received.target for received in server.requests) == sorted(f"/{number}" for number in range(50))
    assert came == 50


def test_drained_server_ends_what_is_open_and_goes_on(transport: FastTransport) -> None:
    with FaultServer(default=echo()) as server:
        for _ in range(2):
            assert transport.send(server.endpoint, PUT, SOON).body == b"/v2/keys/a"
            assert server.open_connections == 1
            server.drain()
            assert server.open_connections == 0
    assert (len(server.requests), server.connections) == (2, 4)


@pytest.mark.parametrize("stalled", [False, True])
@pytest.mark.parametrize(("how", "seen"), [("cut", ConnectionResetError), ("end_cleanly", b"")])
def test_proxy_ends_connections_as_asked(how: str, seen: object, stalled: bool) -> None:
    with FaultServer(default=echo()) as server, TcpProxy("127.0.0.1", server.port) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
            sock.settimeout(2)
            sock.sendall(b"GET /1 HTTP/1.1\r\n\r\n")
            assert sock.recv(1000).endswith(b"/1")
            if stalled:
                proxy.stall()
                sock.sendall(b"GET /2 HTTP/1.1\r\n\r\n")
                time.sleep(0.02)
            getattr(proxy, how)()
            ending: object
            try:
                ending = sock.recv(1)
            except OSError as error:
                ending = type(error)
        proxy.go()
        time.sleep(0.02)
        assert ending == seen
        assert [received.target for received in server.requests] == ["/1"]


def test_refusing_proxy_takes_connections_and_closes_them(transport: FastTransport) -> None:
    with FaultServer(default=echo()) as server, TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.refusing = True
        with pytest.raises(TransportFailure):
            transport.send(proxy.endpoint, GET, SOON)
        proxy.refusing = False
        assert transport.send(proxy.endpoint, GET, SOON).body == b"/v2/keys/a"
