"""A request that is given up is taken back: what this machine's kernel still holds is not sent any more.

The server's receive window is closed, so the kernel holds most of the request when its call ends; then the server
reads.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme
import uvloop

from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._core.deadline import Deadline
from etcdv2._core.wire import AsyncTransport, Limits, Request, Sent, Transport, TransportFailure
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.threads import FastTransport
from tests.tools.deaf_server import DeafServer
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer_bytes
from tests.tools.leftovers import until
from tests.tools.transport_drivers import GET, LATE, SOON, TransportName, start_transport

MANY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"the end"
WRITE = Request("PUT", "/v2/keys/a", (), "application/x-www-form-urlencoded", b"value=" + b"x" * 150_000 + END)
ON_LOOP: dict[str, tuple[Callable[..., AsyncTransport], Callable[[], asyncio.AbstractEventLoop]]] = {
    "loop": (AsyncFastTransport, asyncio.new_event_loop),
    "loop, uvloop": (AsyncFastTransport, uvloop.new_event_loop),
    "httpx": (AsyncHttpxTransport, asyncio.new_event_loop),
    "httpx, uvloop": (AsyncHttpxTransport, uvloop.new_event_loop),
}
LATER = 0.15
"""Seconds in which what the kernel still held would have come."""


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of its clients."""
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    return server, ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def server(tls: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[DeafServer]:
    with DeafServer(contexts[0] if tls else None) as server:
        yield server


@pytest.fixture
def client_tls(tls: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext | None:
    return contexts[1] if tls else None


def until_deadline(seconds: float) -> Limits:
    return Limits(LATE, seconds, Deadline.after(seconds, time.monotonic()))


def check_taken_back(server: DeafServer) -> None:
    """After the call has ended, and the server has begun to read again."""
    until(lambda: server.open_connections == 0)
    assert END not in server.received
    assert server.resets == (server.endpoint.scheme == "http")


@pytest.mark.parametrize("kind", ["threads", "httpx"])
def test_blocking_call_whose_time_is_over_is_taken_back(
    server: DeafServer, client_tls: ssl.SSLContext | None, kind: str
) -> None:
    make = FastTransport if kind == "threads" else HttpxTransport
    transport: Transport = make(ssl_context=client_tls)
    with pytest.raises(TransportFailure) as caught:
        transport.send(server.endpoint, WRITE, until_deadline(1.0))
    assert caught.value.sent is Sent.WHOLE  # the kernel has it, and nobody knows where it is
    server.hears.set()
    check_taken_back(server)
    transport.close()


def test_blocking_call_that_another_thread_aborts_is_taken_back(
    server: DeafServer, client_tls: ssl.SSLContext | None
) -> None:
    transport = FastTransport(ssl_context=client_tls)
    failures: list[TransportFailure] = []

    def write() -> None:
        with pytest.raises(TransportFailure) as caught:
            transport.send(server.endpoint, WRITE, until_deadline(60))
        failures.append(caught.value)

    thread = threading.Thread(target=write)
    thread.start()
    server.ready.wait(60)
    time.sleep(0.05)
    transport.close()
    thread.join(60)
    assert [failure.aborted for failure in failures] == [True]
    server.hears.set()
    check_taken_back(server)


@pytest.mark.parametrize("way", ["time is over", "cancelled", "closed"])
@pytest.mark.parametrize("kind", ON_LOOP)
def test_task_that_is_given_up_is_taken_back(
    server: DeafServer, client_tls: ssl.SSLContext | None, kind: str, way: str
) -> None:
    make, factory = ON_LOOP[kind]
    if make is AsyncHttpxTransport and way == "closed":
        return  # it does not end what is under way

    async def give_up() -> None:
        transport = make(ssl_context=client_tls)
        closing = asyncio.create_task(_close_soon(server, transport)) if way == "closed" else None
        limits = until_deadline(1.0 if way == "time is over" else 60)
        sending = asyncio.create_task(transport.send(server.endpoint, WRITE, limits))
        if way == "cancelled":
            await _begun(server)
            sending.cancel()
        with pytest.raises((TransportFailure, asyncio.CancelledError)):
            await sending

        # Now its caller knows. From here on it holds the loop up.
        server.hears.set()
        time.sleep(LATER)  # noqa: ASYNC251
        assert END not in server.received
        check_taken_back(server)
        if closing is not None:
            await closing
        await transport.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(give_up())


@pytest.mark.parametrize("kind", ON_LOOP)
def test_task_that_is_cancelled_while_its_body_arrives_ends_with_the_cancellation(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], tls: bool, kind: str
) -> None:
    make, factory = ON_LOOP[kind]
    ends: list[bytes | str] = []

    def part(peer: Peer) -> bool:
        peer.send(MANY + b"4\r\npart\r\n")
        begun.set()
        try:
            ends.append(peer.sock.recv(1))
        except OSError as error:
            ends.append(str(error))
        return False

    async def cancel() -> None:
        transport = make(ssl_context=contexts[1] if tls else None)
        task = asyncio.create_task(transport.send(server.endpoint, GET, until_deadline(60)))
        await asyncio.to_thread(begun.wait, 60)
        await asyncio.sleep(0.05)  # the first part is being read by now
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, lambda: ends)
        await transport.close()

    begun = threading.Event()
    with (
        FaultServer(Behaviour(part), ssl_context=contexts[0] if tls else None) as server,
        asyncio.Runner(loop_factory=factory) as runner,
    ):
        runner.run(cancel())


async def _begun(server: DeafServer) -> None:
    """The server has got the first part of the request."""
    await asyncio.to_thread(server.ready.wait, 60)
    await asyncio.sleep(0.05)


async def _close_soon(server: DeafServer, transport: AsyncTransport) -> None:
    await _begun(server)
    await transport.close()


@pytest.mark.parametrize("name", ["threads", "loop"])
@pytest.mark.parametrize("how", ["idle", "not kept", "aborted stream"])
def test_connection_with_no_request_under_way_ends_in_order(name: TransportName, how: str) -> None:
    ends: list[bytes | str] = []

    def act(peer: Peer) -> bool:
        peer.send(
            MANY if how == "aborted stream" else answer_bytes(200, {"Connection": "close"} if how == "not kept" else {})
        )
        try:
            ends.append(peer.sock.recv(1))
        except OSError as error:
            ends.append(str(error))
        return False

    with FaultServer(Behaviour(act)) as server, start_transport(name) as transport:
        if how == "aborted stream":
            stream = transport.open(server.endpoint, GET, SOON)
            stream.abort()
            stream.close()
        else:
            assert transport.send(server.endpoint, GET, SOON).status == 200
        transport.close()
        until(lambda: ends)
    assert ends == [b""]
