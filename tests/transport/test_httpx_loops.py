"""The sockets below httpx, which an event loop owns: ended and half-closed on asyncio and on uvloop, and no other ones.

uvloop shows something in place of a socket that refuses to be shut down, and forgets its descriptor with the close.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
import uvloop

from etcdv2 import TLS, AsyncClient, Client
from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Request, Sent, TransportFailure
from etcdv2.testing import Certificates, Server
from tests.tools.fault_server import Behaviour, FaultServer, Peer, before_reading, echo, raw, reset
from tests.tools.transport_drivers import GET, PUT
from tests.tools.waiting import PATIENT, SOON, async_until

Run = Callable[[Coroutine[Any, Any, None]], None]
MANY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMITS = Limits(SOON, SOON, NEVER)
POLL = Request("GET", "/v2/keys/quiet?wait=true", ())


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, on a loop of each kind; not for ever."""

    def on_loop(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(work, SOON))

    return on_loop


@pytest.fixture(params=["plain", "tls"])
def member(request: pytest.FixtureRequest, etcd: Server, secure: Server) -> Server:
    """A real server, without TLS and with it."""
    return etcd if request.param == "plain" else secure


@pytest.fixture
def tls(member: Server, certificates: Certificates) -> TLS | None:
    return TLS(ca_file=certificates.ca_file) if member.url.startswith("https") else None


def shown_descriptor(stream: Any) -> int:
    return int(stream._response.extensions["network_stream"].get_extra_info("socket").fileno())


# -- half-closed -----------------------------------------------------------------------------------


def test_poll_that_is_half_closed_ends_properly_also_under_tls(
    run: Run, member: Server, tls: TLS | None, certificates: Certificates
) -> None:
    """It is TCP's half-close in both cases: TLS has none of its own."""
    context = ssl.create_default_context(cafile=certificates.ca_file) if tls else None

    async def poll() -> None:
        transport = AsyncHttpxTransport(ssl_context=context)
        endpoint = Endpoint("https" if tls else "http", "127.0.0.1", member.port)
        stream = await transport.open(endpoint, POLL, LIMITS)
        assert stream.half_close()
        assert await stream.read() == b""
        assert not stream.half_close()
        await stream.close()
        await transport.close()

    run(poll())


def test_quiet_watch_is_renewed_by_half_closes(
    run: Run, member: Server, tls: TLS | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etcdv2._core.watch.probe_interval.SLOWEST_PROBE_SECONDS", 0.1)

    def write() -> None:
        for _ in range(50):
            writer.keys.set("/busy", "")

    async def watch() -> None:
        async with AsyncClient(member.url, transport="httpx", tls=tls, timeout=PATIENT) as client:
            async with client.keys.watch("/quiet") as watcher:
                feed = watcher._feed
                while not feed._polls._renewal.path_answers:  # the proper end of a poll was seen
                    await asyncio.to_thread(write)

                written = await client.keys.set("/quiet", "now")
                found: Any = await watcher.next(timeout=SOON)
                assert (found.value, found.index) == ("now", written.index)

    with Client(member.url, tls=tls, timeout=PATIENT) as writer:
        run(watch())


# -- ended -----------------------------------------------------------------------------------------


def test_abort_from_another_thread_wakes_the_reader(run: Run) -> None:
    async def read() -> None:
        transport = AsyncHttpxTransport()
        stream = await transport.open(server.endpoint, GET, LIMITS)
        thread = threading.Timer(0.05, stream.abort)
        thread.start()
        with pytest.raises(TransportFailure) as caught:
            await stream.read()
        assert caught.value.aborted
        thread.join()
        await stream.close()
        await transport.close()

    with FaultServer(default=raw(MANY, stall=True)) as server:
        run(read())


def test_half_close_is_refused_in_a_thread_where_the_loop_may_close_meanwhile(run: Run) -> None:
    async def ask() -> None:
        transport = AsyncHttpxTransport()
        stream = await transport.open(server.endpoint, GET, LIMITS)
        assert not await asyncio.to_thread(stream.half_close)
        assert stream.half_close()
        await stream.close()
        await transport.close()

    with FaultServer(default=raw(MANY, stall=True)) as server:
        run(ask())


def test_connection_that_serves_the_next_request_is_not_ended_by_an_abort_of_the_one_before(run: Run) -> None:
    def held(peer: Peer) -> bool:
        peer.send(MANY)
        aborted.wait(SOON)
        peer.send(b"3\r\nall\r\n0\r\n\r\n")
        return True

    async def ask() -> None:
        transport = AsyncHttpxTransport()
        first = await transport.open(server.endpoint, GET, LIMITS)
        while await first.read():
            pass
        second = await transport.open(server.endpoint, GET, LIMITS)
        first.abort()
        assert not first.half_close()
        aborted.set()
        assert await second.read() == b"all"
        await second.close()
        await transport.close()

    aborted = threading.Event()
    with FaultServer(echo(), Behaviour(held)) as server:
        run(ask())
        assert [received.connection for received in server.requests] == [1, 1]


def test_descriptor_that_another_socket_has_got_is_left_alone(run: Run) -> None:
    async def ask() -> None:
        transport = AsyncHttpxTransport()
        stream: Any = await transport.open(server.endpoint, GET, LIMITS)
        descriptor = shown_descriptor(stream)
        one, other = socket.socketpair()
        await stream._response.extensions["network_stream"].aclose()
        await async_until(lambda: shown_descriptor(stream) < 0)

        with other:
            with one:
                os.dup2(one.fileno(), descriptor)
            with socket.socket(fileno=descriptor) as foreign:
                assert not stream.half_close()
                stream.abort()
                foreign.sendall(b"1")
                other.sendall(b"2")
                assert (other.recv(1), foreign.recv(1)) == (b"1", b"2")
        await stream.close()
        await transport.close()

    with FaultServer(default=raw(MANY, stall=True)) as server:
        run(ask())


def test_cancelled_call_whose_body_is_complete_leaves_the_connection_to_who_has_got_it(run: Run) -> None:
    """It is cancelled in the turn of the loop in which its body ended and the next call took the connection."""

    async def ask() -> None:
        transport = AsyncHttpxTransport(max_connections=1)
        first: asyncio.Task[Any] = asyncio.create_task(transport.send(server.endpoint, GET, LIMITS))
        real = httpx.Response.aclose

        async def cancel_after(response: httpx.Response) -> None:
            await real(response)
            if not first.cancelling():
                first.cancel()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(httpx.Response, "aclose", cancel_after)
            second = asyncio.create_task(transport.send(server.endpoint, PUT, LIMITS))
            with pytest.raises(asyncio.CancelledError):
                await first
            assert (await second).status == 200
        await transport.close()

    with FaultServer(default=echo()) as server:
        run(ask())
        assert [received.connection for received in server.requests] == [1, 1]


# -- closed before anybody looked -----------------------------------------------------------------


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_connection_that_is_reset_as_soon_as_it_is_made_is_a_failure_of_the_transport(run: Run, secured: bool) -> None:
    """On uvloop there is no socket to show then, in one of ten to twenty cases."""
    failures: list[TransportFailure] = []

    async def ask() -> None:
        transport = AsyncHttpxTransport(ssl_context=ssl.create_default_context() if secured else None)
        for _ in range(100):
            with pytest.raises(TransportFailure) as caught:
                await transport.send(server.endpoint._replace(scheme="https" if secured else "http"), PUT, LIMITS)
            failures.append(caught.value)
        await transport.close()

    with FaultServer(default=before_reading(reset())) as server:
        run(ask())
        assert server.requests == []
    assert all(failure.sent is Sent.NOTHING for failure in failures if failure.phase == "connect")


def test_connection_that_was_half_closed_is_not_used_again(run: Run) -> None:
    """Its answer came in the moment after: httpx sees nothing of the half that is closed."""

    def held(peer: Peer) -> bool:
        peer.send(MANY)
        half_closed.wait(SOON)
        peer.send(b"3\r\nall\r\n0\r\n\r\n")
        return not goes_on.wait(SOON)  # its end of the connection stays open

    async def ask() -> None:
        transport = AsyncHttpxTransport()
        first = await transport.open(server.endpoint, GET, LIMITS)
        assert first.half_close()
        half_closed.set()
        while await first.read():
            pass
        second = await transport.open(server.endpoint, GET, LIMITS)
        goes_on.set()
        await second.close()
        await transport.close()

    half_closed, goes_on = threading.Event(), threading.Event()
    with FaultServer(Behaviour(held), default=echo()) as server:
        run(ask())
        assert [received.connection for received in server.requests] == [1, 2]


class Looks:
    """Notes the modules that are looked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        self.names.append(name)


def test_a_call_looks_for_no_module(run: Run, etcd: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing would be looked for in each call, through all of the path."""
    looks = Looks()

    async def calls() -> None:
        async with AsyncClient(etcd.url, transport="httpx") as client:
            await client.keys.set("/a", "1")
            monkeypatch.setattr("sys.meta_path", [looks, *sys.meta_path])
            assert (await client.keys.get("/a")).value == "1"

    run(calls())
    assert looks.names == []
