"""Hosts: what is looked up, what TLS and HTTP call it, several addresses, resolvers that hang or fail.

Over every transport of both faces, and uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
import uvloop

from etcdv2 import TLS, AsyncClient, Client, ClusterUnavailable, Timeout
from etcdv2._sync.httpx_addresses import Addresses
from etcdv2._transport.lookup import Resolver, resolver
from tests.tools.fault_server import FaultServer, answer, full_server
from tests.tools.waiting import PATIENT, SOON, until

VERSION = answer(200, {"Content-Type": "application/json"}, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')
Ask = Callable[..., str]
KINDS = ["threads", "loop", "uvloop", "httpx", "async httpx", "httpx on uvloop"]


@pytest.fixture(params=KINDS)
def ask(request: pytest.FixtureRequest) -> Ask:
    """`ask(url, times=1, **settings)`: the server's version, read so many times by one client."""
    kind: str = request.param
    over: dict[str, Any] = {"transport": "httpx"} if "httpx" in kind else {}

    def threads(url: str, times: int = 1, **settings: Any) -> str:
        with Client(url, **over, **settings) as client:
            return [client.version().etcdserver for _ in range(times)][-1]

    def loop(url: str, times: int = 1, **settings: Any) -> str:
        async def main() -> str:
            async with AsyncClient(url, **over, **settings) as client:
                return [(await client.version()).etcdserver for _ in range(times)][-1]

        factory = uvloop.new_event_loop if "uvloop" in kind else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main())

    return threads if kind in ("threads", "httpx") else loop


class Names:
    """What the resolver answers: `known[name]` are addresses, or a function that is called."""

    def __init__(self) -> None:
        self.known: dict[str, list[tuple[str, int]] | Callable[[], None]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.known:
            return self._real(host, port, *arguments, **named)
        self.asked.append(name)
        found = self.known[name]
        if callable(found):
            found()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr("socket.getaddrinfo", made)
    yield made
    until(lambda: "0 threads" in repr(resolver))


# --- one host, three names -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Any) -> TLS:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return TLS(ca_file=tmp_path / "ca.pem")


def secured(authority: trustme.CA, *hosts: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """A server's context for these hosts, and the list of names that are asked for."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    context.sni_callback = lambda sock, name, _: asked.append(name)
    return context, asked


def test_last_dot_is_for_the_resolver_and_for_http_and_not_for_tls(
    ask: Ask, names: Names, authority: trustme.CA, tls: TLS
) -> None:
    context, asked = secured(authority, "member.example")
    with FaultServer(default=VERSION, ssl_context=context) as server:
        names.known["member.example."] = [("127.0.0.1", server.port)]
        assert ask(f"https://member.example.:{server.port}", tls=tls, timeout=PATIENT) == "3.5.1"
        assert server.requests[0].headers["host"] == f"member.example.:{server.port}"
    assert asked == ["member.example"]
    assert set(names.asked) == {"member.example."}


def test_zone_of_an_address_is_for_the_resolver_only(ask: Ask, authority: trustme.CA, tls: TLS) -> None:
    context, asked = secured(authority, "::1")
    zone = socket.if_nametoindex("lo")
    with FaultServer(default=VERSION, ssl_context=context, host="::1") as server:
        assert ask(f"https://[::1%25{zone}]:{server.port}", tls=tls, timeout=PATIENT) == "3.5.1"
        assert server.requests[0].headers["host"] == f"[::1]:{server.port}"
    assert asked == [None]


def test_certificate_of_another_host_is_refused_also_with_a_last_dot(
    ask: Ask, names: Names, authority: trustme.CA, tls: TLS
) -> None:
    context, _ = secured(authority, "other.example")
    with FaultServer(default=VERSION, ssl_context=context) as server:
        names.known["member.example."] = [("127.0.0.1", server.port)]
        with pytest.raises(ClusterUnavailable, match=r"[Hh]ostname mismatch|not valid for 'member.example'"):
            ask(f"https://member.example.:{server.port}", tls=tls)


def test_intermediate_authority_is_trusted_by_itself(ask: Ask, names: Names, tmp_path: Any) -> None:
    """As in Go: the root need not be there."""
    root = trustme.CA()
    intermediate = root.create_child_ca()
    intermediate.cert_pem.write_to_path(tmp_path / "intermediate.pem")
    context, _ = secured(intermediate, "127.0.0.1")
    with FaultServer(default=VERSION, ssl_context=context) as server:
        tls = TLS(ca_file=tmp_path / "intermediate.pem")
        assert ask(server.endpoint.url, tls=tls, timeout=PATIENT) == "3.5.1"
        other = tmp_path / "other.pem"
        trustme.CA().create_child_ca().cert_pem.write_to_path(other)
        with pytest.raises(ClusterUnavailable, match=r"CERTIFICATE_VERIFY_FAILED|not accepted"):
            ask(server.endpoint.url, tls=TLS(ca_file=other))


# --- several addresses -----------------------------------------------------------------------------------------------


def test_address_that_swallows_packets_leaves_time_for_the_next(ask: Ask, names: Names) -> None:
    with FaultServer(default=VERSION) as server, full_server() as silent:
        names.known["member.example"] = [("127.0.0.1", silent.port), ("127.0.0.1", server.port)]
        times = Timeout(connect=4, attempt=SOON, total=SOON)
        assert ask(f"http://member.example:{server.port}", timeout=times) == "3.5.1"
        assert len(names.asked) == 1


def test_address_that_refuses_is_followed_by_the_next(ask: Ask, names: Names) -> None:
    with FaultServer(default=VERSION) as server, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        names.known["member.example"] = [unheard.getsockname(), unheard.getsockname(), ("127.0.0.1", server.port)]
        assert ask(f"http://member.example:{server.port}", timeout=PATIENT) == "3.5.1"
        names.known["none.example"] = [unheard.getsockname(), unheard.getsockname()]
        with pytest.raises(ClusterUnavailable, match=r"[Cc]onnect|refused"):
            ask("http://none.example:1")


# --- resolvers that fail ---------------------------------------------------------------------------------------------


def test_last_good_addresses_are_used_when_the_look_up_fails(ask: Ask, names: Names) -> None:
    with FaultServer(default=VERSION) as server:
        url = f"http://member.example:{server.port}"
        names.known["member.example"] = [("127.0.0.1", server.port)]
        assert ask(url, timeout=PATIENT) == "3.5.1"
        names.known["member.example"] = lambda: None
        assert ask(url, timeout=PATIENT) == "3.5.1"
        assert server.connections == 2
        resolver.forget()
        with pytest.raises(ClusterUnavailable, match="Temporary failure"):
            ask(url)


def test_last_good_addresses_are_used_when_the_look_up_hangs(ask: Ask, names: Names) -> None:
    over = threading.Event()
    with FaultServer(default=VERSION) as server:
        url = f"http://member.example:{server.port}"
        names.known["member.example"] = [("127.0.0.1", server.port)]
        assert ask(url, timeout=PATIENT) == "3.5.1"
        names.known["member.example"] = over.wait  # type: ignore[assignment]  # its result does not matter
        assert ask(url, timeout=Timeout(connect=2, attempt=SOON, total=SOON)) == "3.5.1"
        over.set()


def test_resolver_that_hangs_holds_few_threads_and_is_asked_again(ask: Ask, names: Names) -> None:
    """Sixty attempts: one thread for each, before."""
    over, before = threading.Event(), threading.active_count()
    with FaultServer(default=VERSION) as server:
        url = f"http://member.example:{server.port}"
        names.known["member.example"] = over.wait  # type: ignore[assignment]
        for _ in range(30):
            with pytest.raises(ClusterUnavailable):
                ask(url, timeout=Timeout(connect=0.01, total=0.03))
        assert 1 <= len(names.asked) <= 12
        assert threading.active_count() - before <= 12 + 2  # the server's own

        # It is well again, while the first look-ups still hang.
        names.known["member.example"] = [("127.0.0.1", server.port)]
        until(lambda: answers(lambda: ask(url, timeout=Timeout(connect=1, attempt=SOON, total=SOON))))
        assert not over.is_set()
        over.set()


def answers(call: Callable[[], str]) -> bool:
    try:
        return call() == "3.5.1"
    except ClusterUnavailable:
        return False


def look_up() -> object:
    return socket.getaddrinfo("member.example", 1)


def test_look_up_beside_one_that_hangs_is_begun_after_a_time_that_doubles(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, now, delivered = threading.Event(), 1000.0, list[Any]()
    names.known["member.example"] = over.wait  # type: ignore[assignment]
    monkeypatch.setattr("etcdv2._transport.lookup.monotonic", lambda: now)
    own, begun = Resolver(), list[float]()
    while now < 1000 + 3600:
        before = repr(own)
        own.ask(("member.example", 1), look_up, delivered.append)
        if repr(own) != before:
            begun.append(now - 1000)
        now += 0.25
    assert begun == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 22, 38, 70, 134, 262, 518, 1030, 2054]
    over.set()
    until(lambda: len(delivered) == 3600 * 4)


def test_failure_of_a_look_up_that_was_given_up_is_no_answer_while_a_younger_one_asks(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, now, delivered = threading.Event(), threading.Event(), 0.0, list[Any]()
    monkeypatch.setattr("etcdv2._transport.lookup.monotonic", lambda: now)
    own = Resolver()
    names.known["member.example"] = first.wait  # type: ignore[assignment]
    own.ask(("member.example", 1), look_up, delivered.append)
    until(lambda: len(names.asked) == 1)
    now = 10.0
    names.known["member.example"] = second.wait  # type: ignore[assignment]
    own.ask(("member.example", 1), look_up, delivered.append)
    until(lambda: len(names.asked) == 2)
    first.set()
    until(lambda: "1 threads" in repr(own))
    assert delivered == []
    second.set()
    until(lambda: len(delivered) == 2)
    assert delivered[0] is not delivered[1]


HANGS = """
import asyncio, socket, sys, threading, time
import etcdv2

real = socket.getaddrinfo
def hang(host, *arguments, **named):
    if host in ("member.example", b"member.example"):
        threading.Event().wait()
    return real(host, *arguments, **named)
socket.getaddrinfo = hang

async def main():
    settings = {"transport": "httpx"} if "httpx" in sys.argv else {}
    async with etcdv2.AsyncClient("http://member.example:1", timeout=0.3, **settings) as client:
        for _ in range(20):
            try:
                await client.version(timeout=0.05)
            except etcdv2.ClusterUnavailable:
                pass
    await asyncio.to_thread(print, "the executor is free")

if "uvloop" in sys.argv:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["loop", "uvloop", "httpx", "httpx uvloop"])
def test_look_up_that_hangs_holds_up_neither_the_executor_nor_the_end_of_the_program(kind: str) -> None:
    """For ever, where it took the loop's own executor."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS, *kind.split()], capture_output=True, text=True, timeout=SOON, check=True
    )
    assert done.stdout == "the executor is free\n"
    assert done.stderr == ""


def test_zone_of_an_address_reaches_httpx() -> None:
    """Without it the system does not know on which link: no such endpoint could be reached."""
    index, link = socket.if_nameindex()[0]
    asked: list[str] = []

    class Backend:
        def connect_tcp(self, host: str, port: int, **_: Any) -> object:
            asked.append(host)
            return object()

    addresses = Addresses(Backend(), None, str)
    for host in (f"fe80::1%{link}", "::1", "127.0.0.1"):
        addresses.connect_tcp(host, 2379)
    assert asked == [f"fe80::1%{index}", "::1", "127.0.0.1"]
