"""What the transports claim to have sent of a request that was given up meanwhile, against what has arrived.

A request is interrupted at every system call and at every step of the event loop: its time is over, it is cancelled,
its transport is closed, a signal handler raises. Less than the whole is never claimed of what a server has got.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import trustme
import uvloop
from anyio._backends import _asyncio as backend  # httpcore's way to the socket on asyncio

from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._core.deadline import Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import AsyncTransport, Limits, Request, Sent, Transport, TransportFailure
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.threads import FastTransport
from tests.tools.fault_server import Behaviour, FaultServer, Peer, echo, stall
from tests.tools.interrupting import Interrupt
from tests.tools.leftovers import until
from tests.tools.transport_drivers import LATE

HEADERS = (("User-Agent", "tests"),)
FORM = "application/x-www-form-urlencoded"
REQUESTS = {
    "put": Request("PUT", "/v2/keys/a", HEADERS, FORM, b"value=1"),
    "put nothing": Request("PUT", "/v2/keys/a?prevExist=true", HEADERS, FORM, b""),
    "delete": Request("DELETE", "/v2/keys/a", HEADERS),
    "large": Request("POST", "/v2/keys/queue", HEADERS, FORM, b"x" * 400_000),
}
WARM = Request("GET", "/warm", HEADERS)
TIME = 0.05
MOST = 10
"""Moments that are tried of those that a call has."""


class HandlerError(TimeoutError):
    """Of a signal handler: an OSError, as from many an alarm."""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(ca: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())


class Ground(NamedTuple):
    """A server that counts what arrived, and how a client connects to it."""

    server: FaultServer
    context: ssl.SSLContext | None

    @property
    def endpoint(self) -> Endpoint:
        return self.server.endpoint

    def arrived(self) -> int:
        """Requests that have come whole, when no more can come."""
        until(lambda: self.server.open_connections == 0)
        return sum(received.target != WARM.target for received in self.server.requests)


def late() -> Behaviour:
    """An answer that leaves time to fail before it."""

    def act(peer: Peer) -> bool:
        peer.stopping.wait(0.01)
        return echo().act(peer)

    return Behaviour(act)


@pytest.fixture(params=["plain", "tls"])
def ground(request: pytest.FixtureRequest, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> Iterator[Ground]:
    tls = request.param == "tls"
    with FaultServer(default=late(), ssl_context=server_tls if tls else None) as server:
        yield Ground(server, client_tls if tls else None)


@pytest.fixture(params=REQUESTS)
def request_(request: pytest.FixtureRequest) -> Request:
    return REQUESTS[request.param]


@pytest.fixture(params=[False, True], ids=["new", "kept"])
def kept(request: pytest.FixtureRequest) -> bool:
    """Whether the connection has been used before."""
    return bool(request.param)


def some(moments: int) -> list[int]:
    """All of them, or as many as are tried, the first and the last ones among them."""
    if moments <= MOST:
        return list(range(moments))
    return sorted({round(at * (moments - 1) / (MOST - 1)) for at in range(MOST)})


def limits(seconds: float = 5) -> Limits:
    return Limits(LATE, seconds, Deadline.after(seconds, time.monotonic()))


# -- threads ---------------------------------------------------------------------------------------


def blocking(kind: str, context: ssl.SSLContext | None) -> Transport:
    return FastTransport(ssl_context=context) if kind == "threads" else HttpxTransport(ssl_context=context)


def _raise() -> None:
    raise HandlerError("the alarm went off")


ACTIONS: dict[str, Callable[[Transport], None]] = {
    "time is over": lambda _: time.sleep(TIME * 1.1),
    "closed": lambda transport: _elsewhere(transport.close),
    "handler raises": lambda _: _raise(),
}


def _elsewhere(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["threads", "httpx"])
@pytest.mark.parametrize("action", ACTIONS)
def test_blocking_call_interrupted_at_any_system_call_claims_no_less_than_what_arrived(
    ground: Ground, request_: Request, kept: bool, kind: str, action: str
) -> None:
    if kind == "httpx" and action == "closed":
        return  # it does not wake calls of other threads

    def play(at: int) -> tuple[Interrupt, Sent]:
        """With the interrupt at that moment; what it was, and what was claimed."""
        transport = blocking(kind, ground.context)
        interrupt = Interrupt(lambda: ACTIONS[action](transport), at)
        claimed = Sent.WHOLE
        try:
            if kept:
                transport.send(ground.endpoint, WARM, limits())
            with interrupt:
                transport.send(ground.endpoint, request_, limits(TIME if action == "time is over" and at >= 0 else 5))
        except TransportFailure as failure:
            claimed = failure.sent
        except (HandlerError, httpx.HTTPError):
            pass
        finally:
            transport.close()
        return interrupt, claimed

    moments = play(-1)[0].moments
    before = ground.arrived()
    assert before == 1
    less = 0
    for at in some(moments):
        interrupt, claimed = play(at)
        arrived, before = ground.arrived() - before, ground.arrived()
        assert claimed is Sent.WHOLE or arrived == 0, f"{interrupt.where}: {claimed}"
        less += claimed is not Sent.WHOLE

    # The claim is worth something.
    assert less or action != "closed" or ground.context is not None


# -- asyncio ---------------------------------------------------------------------------------------


ON_LOOP: dict[str, tuple[Callable[..., AsyncTransport], Callable[[], asyncio.AbstractEventLoop]]] = {
    "loop": (AsyncFastTransport, asyncio.new_event_loop),
    "uvloop": (AsyncFastTransport, uvloop.new_event_loop),
    "httpx": (AsyncHttpxTransport, asyncio.new_event_loop),
    "httpx, uvloop": (AsyncHttpxTransport, uvloop.new_event_loop),
}


async def steps(task: asyncio.Task[Any], number: int) -> int:
    """Let the loop run so many times, or until the task is done; how many times that was."""
    for done in range(number):
        if task.done():
            return done
        await asyncio.sleep(0)
    return number


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ON_LOOP)
@pytest.mark.parametrize("way", ["time is over", "closed", "cancelled"])
def test_task_interrupted_at_any_step_claims_no_less_than_what_arrived(
    ground: Ground, request_: Request, kept: bool, kind: str, way: str
) -> None:
    make, factory = ON_LOOP[kind]
    if make is AsyncHttpxTransport and way == "closed":
        return  # what is under way may go on

    async def play(at: int) -> tuple[int, Sent]:
        transport = make(ssl_context=ground.context)
        claimed = Sent.WHOLE
        if kept:
            await transport.send(ground.endpoint, WARM, limits())
        task = asyncio.create_task(
            transport.send(ground.endpoint, request_, limits(TIME if way == "time is over" and at < 10_000 else 5))
        )
        done = await steps(task, at)
        try:
            if way == "time is over":
                time.sleep(TIME * 1.1)  # noqa: ASYNC251 - the loop is held up, and finds both: what came, and its time over
            elif way == "cancelled":
                task.cancel()
            else:
                await transport.close()
            await task
        except TransportFailure as failure:
            claimed = failure.sent
        except (asyncio.CancelledError, RuntimeError):
            assert way != "time is over"
        finally:
            await transport.close()
        return done, claimed

    with asyncio.Runner(loop_factory=factory) as runner:
        number = runner.run(play(10_000))[0]
        before, less = ground.arrived(), 0
        for at in sorted({*range(min(number, 6)), *some(number)}):
            _, claimed = runner.run(play(at))
            arrived, before = ground.arrived() - before, ground.arrived()
            assert claimed is Sent.WHOLE or arrived == 0, f"step {at} of {number}: {claimed}"
            less += claimed is not Sent.WHOLE

    # The claim is worth something.
    assert less or kept or way == "cancelled"


@pytest.mark.parametrize("kind", ["loop", "httpx"])
async def test_handler_that_raises_while_a_task_sends_does_not_lessen_the_claim(
    ground: Ground, request_: Request, kept: bool, kind: str
) -> None:
    async def play(at: int) -> tuple[Interrupt, Sent]:
        transport = ON_LOOP[kind][0](ssl_context=ground.context)
        interrupt = Interrupt(_raise, at, only="send")
        claimed = Sent.WHOLE
        try:
            if kept:
                await transport.send(ground.endpoint, WARM, limits())
            with interrupt:
                await transport.send(ground.endpoint, request_, limits())
        except TransportFailure as failure:
            claimed = failure.sent
        except HandlerError:
            pass  # it comes out, and claims nothing
        finally:
            await transport.close()
        return interrupt, claimed

    moments = (await play(-1))[0].moments
    assert moments
    before = await asyncio.to_thread(ground.arrived)
    for at in some(moments):
        interrupt, claimed = await play(at)
        total = await asyncio.to_thread(ground.arrived)
        assert claimed is Sent.WHOLE or total == before, f"{interrupt.where}: {claimed}"
        before = total


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["put", "put nothing", "delete"])
async def test_part_that_httpcore_hands_over_when_the_time_is_over_is_counted(
    monkeypatch: pytest.MonkeyPatch, name: str, when: str, part: int
) -> None:
    """The task sleeps before or after the n-th part is handed to the socket, and its time is over meanwhile."""
    real = backend.SocketStream.send
    parts = 0

    async def slow(self: Any, item: bytes) -> None:
        nonlocal parts
        parts += 1
        if parts == part and when == "before":
            await asyncio.sleep(60)
        await real(self, item)
        if parts == part and when == "after":
            await asyncio.sleep(60)

    monkeypatch.setattr(backend.SocketStream, "send", slow)
    transport = AsyncHttpxTransport()
    request_, claimed = REQUESTS[name], Sent.WHOLE
    with FaultServer(default=echo()) as server:
        try:
            await transport.send(server.endpoint, request_, Limits(LATE, 0.3, Deadline.after(0.3, time.monotonic())))
        except TransportFailure as failure:
            claimed = failure.sent
        finally:
            await transport.close()
        arrived = len(server.requests)
    assert claimed is Sent.WHOLE or not arrived
    # The claim is worth something: of a request with a body that stops within its headers, less than all was sent.
    if request_.body and part == 1:
        assert claimed is Sent.PART


# -- what httpx's transports prove, and others do not ----------------------------------------------


class Repeating(httpx.BaseTransport):
    """Sends again what failed, as some transports for httpx do; the server is gone by then."""

    def __init__(self, *, traces: bool) -> None:
        self._inner = httpx.HTTPTransport()
        self._traces = traces

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self._traces:
            del request.extensions["trace"]
        try:
            return self._inner.handle_request(request)
        except httpx.ReadTimeout:
            raise httpx.ConnectError("nobody listens") from None


@pytest.mark.parametrize("traces", [True, False])
def test_transport_that_may_have_sent_before_it_fails_to_connect_is_not_believed(traces: bool) -> None:
    transport = HttpxTransport(transport=Repeating(traces=traces))
    with FaultServer(default=stall()) as server:
        with pytest.raises(TransportFailure) as caught:
            transport.send(server.endpoint, REQUESTS["put"], limits(TIME))
        until(lambda: len(server.requests) == 1)
    assert (caught.value.phase, caught.value.sent) == ("connect", Sent.WHOLE)
    transport.close()


@pytest.mark.parametrize(
    ("transport", "sent"),
    [
        (None, Sent.NOTHING),
        (httpx.HTTPTransport(), Sent.NOTHING),
        (Repeating(traces=True), Sent.NOTHING),
        (Repeating(traces=False), Sent.WHOLE),
    ],
    ids=["own", "of httpx", "around one of httpx", "silent"],
)
def test_refused_connection_proves_that_nothing_was_sent_where_it_is_traced(
    transport: httpx.BaseTransport | None, sent: Sent
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        ours = HttpxTransport(transport=transport)
        with pytest.raises(TransportFailure) as caught:
            ours.send(Endpoint("http", "127.0.0.1", unheard.getsockname()[1]), REQUESTS["put"], limits())
        ours.close()
    assert (caught.value.phase, caught.value.sent) == ("connect", sent)
