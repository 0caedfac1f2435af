"""Waits of the thread transport: in the kernel for a slice, then by `poll`; limits hold under any flood of signals."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from etcdv2._core.wire import Request, Sent, TransportFailure
from etcdv2._transport import kernel_wait, threads
from etcdv2._transport.threads import FastTransport
from tests.tools.fault_server import Behaviour, FaultServer, answer, answer_bytes, close, drip, echo, raw, stall
from tests.tools.leftovers import until
from tests.tools.transport_drivers import GET, PUT, SOON

FLOOD = """
import signal, ssl, sys, time
from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Request, TransportFailure
from etcdv2._transport.threads import FastTransport

came = 0
def handler(number, frame):
    global came
    came += 1

scheme, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority) if scheme == "https" else None
transport = FastTransport(ssl_context=context)
endpoint = Endpoint(scheme, "127.0.0.1", int(port))
transport.send(endpoint, Request("GET", "/", ()), Limits(5, 5, NEVER))
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
start = time.monotonic()
try:
    transport.send(endpoint, Request("GET", "/", ()), Limits(5, 0.6, NEVER))
except TransportFailure as failure:
    assert failure.timed_out, failure
else:
    raise AssertionError("it was answered")
took = time.monotonic() - start
signal.setitimer(signal.ITIMER_REAL, 0)
print(took, came)
"""


@pytest.fixture
def transport() -> Iterator[FastTransport]:
    transport = FastTransport()
    yield transport
    transport.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_limit_holds_though_signals_come_faster_than_a_slice(tls: bool, tmp_path: Path) -> None:
    """Each signal ends the wait of the kernel, and Python would begin it again with its whole limit."""
    authority, context = tmp_path / "ca.pem", None
    if tls:
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(authority))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
    with FaultServer(answer(), default=stall(), ssl_context=context) as server:
        arguments = [server.endpoint.scheme, str(server.port), str(authority)]
        done = subprocess.run(
            [sys.executable, "-c", FLOOD, *arguments], capture_output=True, text=True, check=True, timeout=30
        )
    took, came = done.stdout.split()
    assert 0.6 <= float(took) < 5
    assert int(came) > 20


@pytest.mark.parametrize("in_kernel", [True, False])
def test_limits_are_exact_wherever_the_wait_is(
    transport: FastTransport, in_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_kernel:
        monkeypatch.setattr(kernel_wait, "_receive", None)
    with FaultServer(answer(), default=stall()) as server:
        transport.send(server.endpoint, GET, SOON)
        for seconds in (0.05, kernel_wait.SLICE_SECONDS, 0.25):
            tries: list[float] = []
            while len(tries) < 3 or (min(tries) >= seconds + 0.02 and len(tries) < 200):  # not at once if it is busy
                start = time.monotonic()
                with pytest.raises(TransportFailure) as caught:
                    transport.send(server.endpoint, GET, SOON._replace(answer=seconds))
                tries.append(time.monotonic() - start)
                assert caught.value.timed_out
            assert seconds <= min(tries) < seconds + 0.02


@pytest.mark.parametrize("in_kernel", [True, False])
def test_answer_is_taken_whenever_it_comes(
    transport: FastTransport, in_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the first slice, behind it, in parts that come in one slice and in others."""
    if not in_kernel:
        monkeypatch.setattr(kernel_wait, "_receive", None)
    whole = answer_bytes(body=b"x" * 50_000)
    late = 1.5 * kernel_wait.SLICE_SECONDS
    scripts = [
        raw(whole),
        drip([b"", whole], late),
        drip([whole[:100], whole[100:200], whole[200:]], late),
        drip([whole[at : at + 7000] for at in range(0, len(whole), 7000)], 0.001),
    ]
    with FaultServer(*scripts * 2) as server:
        for _ in range(len(scripts) * 2):
            assert transport.send(server.endpoint, GET, SOON).body == b"x" * 50_000
        assert server.connections == 1


def test_sockets_of_a_library_that_has_put_its_own_in_place_never_wait_in_the_kernel() -> None:
    """As gevent does: all of its tasks would wait, too."""

    class Green(socket.socket):
        pass

    with Green() as green, socket.socket() as plain:
        assert kernel_wait.kernel_wait(green) is None
        assert kernel_wait.kernel_wait(plain) is not None


# -- idle connections that are used without a look ----------------------------------------------------------------


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "UNPROBED_SECONDS", 60.0)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("request_", [GET, PUT], ids=["read", "write"])
def test_idle_connection_that_was_closed_costs_neither_a_read_nor_a_write(
    transport: FastTransport, request_: Request
) -> None:
    with FaultServer(default=echo()) as server:
        for _ in range(3):
            assert transport.send(server.endpoint, request_, SOON).body == request_.target.encode()
            server.hang_up()
            until(lambda: server.open_connections == 0)
        assert [received.connection for received in server.requests] == [1, 2, 3]


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(("fault", "reads"), [(close(), 2), (stall(), 1), (raw(b"HTTP/1.1 2", close=True), 1)])
def test_read_is_repeated_only_where_its_connection_may_have_ended_before_it(
    transport: FastTransport, fault: Behaviour, reads: int
) -> None:
    with FaultServer(answer(), fault, default=close()) as server:
        transport.send(server.endpoint, PUT, SOON)
        with pytest.raises(TransportFailure):
            transport.send(server.endpoint, GET, SOON._replace(answer=0.3))
        assert [received.method for received in server.requests] == ["PUT"] + ["GET"] * reads


@pytest.mark.usefixtures("trusting")
def test_write_over_an_idle_connection_is_never_repeated(transport: FastTransport) -> None:
    with FaultServer(answer(), default=close()) as server:
        transport.send(server.endpoint, GET, SOON)
        with pytest.raises(TransportFailure) as caught:
            transport.send(server.endpoint, PUT, SOON)
        assert caught.value.sent is Sent.WHOLE
        assert len(server.requests) == 2
