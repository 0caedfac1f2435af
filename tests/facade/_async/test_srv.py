"""Endpoints from DNS, those that are set later, and those that are kept in step with the members."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import TLS, AsyncClient, ClusterUnavailable, DeadlineExceeded
from etcdv2.testing import Certificates, Cluster, Server
from tests.facade._async.conftest import Connect
from tests.tools.dns_server import DnsServer
from tests.tools.fault_server import FaultServer, answer
from tests.tools.waiting import PATIENT, SOON, async_until

SECURE, PLAIN = "_etcd-client-ssl._tcp.example.org.", "_etcd-client._tcp.example.org."
VERSION = answer(200, {"Content-Type": "application/json"}, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')


@pytest.fixture
def names() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture(autouse=True)
def all_hosts_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(host, bytes) and host.endswith(b".example.org."):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return real(host, port, *arguments, **named)

    monkeypatch.setattr("socket.getaddrinfo", look_up)


async def test_endpoints_are_looked_up_with_the_first_call(names: DnsServer, etcd: Server) -> None:
    names.zone[PLAIN] = [f"0 0 {etcd.port} m1.example.org."]
    async with AsyncClient.from_srv("example.org", resolver=names.resolver) as client:
        assert (client.endpoints, names.asked) == ((), [])
        assert (await client.keys.set("/a", "1")).value == "1"
        assert client.endpoints == (f"http://m1.example.org.:{etcd.port}",)
        assert (await client.keys.get("/a")).value == "1"
        assert names.asked == [SECURE, PLAIN]


async def test_a_watch_looks_them_up_as_well(names: DnsServer, etcd: Server) -> None:
    names.zone[PLAIN] = [f"0 0 {etcd.port} m1.example.org."]
    async with AsyncClient.from_srv("example.org", resolver=names.resolver, prefer_leader=True) as client:
        async with client.keys.watch("/a") as watcher:
            await client.keys.set("/a", "1")
            event = await watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "1"
    async with AsyncClient.from_srv("example.org", resolver=names.resolver) as client:
        assert (await client.health()).healthy


async def test_highest_priority_is_used_and_the_next_when_it_is_down(names: DnsServer) -> None:
    with FaultServer(default=VERSION) as first, FaultServer(default=VERSION) as second:
        names.zone[PLAIN] = [f"20 0 {second.port} b.example.org.", f"10 0 {first.port} a.example.org."]
        async with AsyncClient.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            await client.version()
        assert (len(first.requests), len(second.requests)) == (1, 0)
        assert first.requests[0].headers["host"] == f"a.example.org.:{first.port}"
        names.zone[PLAIN] = [f"20 0 {second.port} b.example.org.", "10 0 1 a.example.org."]
        async with AsyncClient.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            assert (await client.version()).etcdserver == "3.5.1"
        assert len(second.requests) == 1


async def test_records_are_asked_for_again_when_everything_is_down(
    names: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AsyncClient.__module__.removesuffix("client") + "srv.ASK_AGAIN_SECONDS", 0.0)
    with FaultServer(default=VERSION) as moved:
        names.zone[PLAIN] = ["0 0 1 old.example.org."]
        async with AsyncClient.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            with pytest.raises(ClusterUnavailable):
                await client.version()
            assert names.asked == [SECURE, PLAIN] * 2
            names.zone[PLAIN] = [f"0 0 {moved.port} new.example.org."]
            assert (await client.version()).etcdserver == "3.5.1"
            assert client.endpoints == (f"http://new.example.org.:{moved.port}",)

            # DNS itself is down: what is known stays.
            names.zone.clear()
            names.failing = {SECURE, PLAIN}
            moved.hang_up()
            assert (await client.version()).etcdserver == "3.5.1"


@pytest.mark.parametrize("what", ["nothing", "empty", "failing", "no such service"])
async def test_no_record_is_an_error_that_names_both_look_ups_and_not_the_local_server(
    names: DnsServer, etcd: Server, what: str
) -> None:
    if what == "empty":
        names.zone = {SECURE: [], PLAIN: []}
    elif what == "failing":
        names.failing = {SECURE, PLAIN}
    elif what == "no such service":
        names.zone = {SECURE: ["0 0 0 ."], PLAIN: ["0 0 0 ."]}
    async with AsyncClient.from_srv("example.org", resolver=names.resolver) as client:
        with pytest.raises(
            ClusterUnavailable, match=r"no endpoint of example\.org is found by its SRV records"
        ) as caught:
            await client.keys.get("/a")
        assert [attempt.endpoint for attempt in caught.value.attempts] == [SECURE, PLAIN]
        with pytest.raises(ClusterUnavailable, match="SRV records"):
            await client.keys.watch("/a", patience=0.1).next()
        health, ready = await client.health(), await client.ready()
        assert not health.healthy
        assert not ready
        assert "_etcd-client._tcp.example.org" in ready.reason
        assert client.endpoints == ()

        # It is found as soon as it is there.
        names.failing = set()
        names.zone = {PLAIN: [f"0 0 {etcd.port} m1.example.org."]}
        assert (await client.keys.set("/a", "1", timeout=PATIENT)).value == "1"


async def test_silent_dns_ends_with_the_time_of_the_call(names: DnsServer) -> None:
    names.silent = {SECURE, PLAIN}
    async with AsyncClient.from_srv("example.org", resolver=names.resolver) as client:
        with pytest.raises(DeadlineExceeded, match="SRV records"):
            await client.keys.get("/a", timeout=0.3)


async def test_service_has_names_of_its_own(names: DnsServer, etcd: Server) -> None:
    names.zone["_etcd-client-blue._tcp.example.org."] = [f"0 0 {etcd.port} m1.example.org."]
    async with AsyncClient.from_srv("example.org.", service="blue", resolver=names.resolver) as client:
        assert (await client.keys.set("/a", "1")).value == "1"


@pytest.mark.parametrize("way", ["host", "domain"])
async def test_certificate_is_for_the_host_or_as_etcdctl_wants_it_for_the_domain(
    names: DnsServer, tmp_path: Any, way: str
) -> None:
    from etcdv2.testing import make_certificates

    made: Certificates = make_certificates(tmp_path, names=("m1.example.org" if way == "host" else "example.org",))
    with Server(tls=made.server()) as server:
        names.zone[SECURE] = [f"0 0 {server.port} m1.example.org."]
        names.zone[PLAIN] = [f"0 0 {server.port} m1.example.org."]
        tls = TLS(ca_file=made.ca_file)
        async with AsyncClient.from_srv(
            "example.org", resolver=names.resolver, tls=tls, verify_domain=way == "domain", timeout=PATIENT
        ) as client:
            assert (await client.keys.set("/a", "1")).value == "1"
            assert client.endpoints == (f"https://m1.example.org.:{server.port}",)
        async with AsyncClient.from_srv(
            "example.org", resolver=names.resolver, tls=tls, verify_domain=way == "host"
        ) as client:
            with pytest.raises(ClusterUnavailable, match=r"certificate|CERTIFICATE"):
                await client.keys.get("/a")


async def test_password_goes_to_no_endpoint_without_tls_while_it_is_not_certain_that_none_has_it(
    names: DnsServer,
) -> None:
    with FaultServer(default=VERSION) as plain:
        names.failing = {SECURE}
        names.zone[PLAIN] = [f"0 0 {plain.port} m1.example.org."]
        async with AsyncClient.from_srv(
            "example.org", resolver=names.resolver, username="ada", password="secret", timeout=2
        ) as client:
            with pytest.raises(ClusterUnavailable, match="SRV records"):
                await client.version()
        assert plain.requests == []


async def test_variables_of_etcdctl_name_the_domain(names: DnsServer, etcd: Server) -> None:
    variables = {"ETCDCTL_DISCOVERY_SRV": "example.org", "ETCDCTL_ENDPOINTS": "http://127.0.0.1:1"}
    async with AsyncClient.from_env(variables, timeout=1) as client:
        assert client.endpoints == ()


def test_dnspython_that_is_missing_is_said_when_the_client_is_made() -> None:
    program = (
        "import sys; sys.modules['dns'] = sys.modules['dns.resolver'] = None; import etcdv2\n"
        "try: etcdv2.AsyncClient.from_srv('example.org')\n"
        "except ImportError as error: print(error)"
    )
    program = program.replace("AsyncClient", AsyncClient.__name__)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=SOON)
    assert done.stdout == "SRV records are looked up by dnspython: pip install 'etcdv2[srv]'\n"


# --- endpoints that are set later, or kept in step --------------------------------------------------------------------


async def test_endpoints_are_replaced(connect: Connect, etcd: Server) -> None:
    client = connect("http://127.0.0.1:1")
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/")
    client.set_endpoints([etcd.url, "127.0.0.1:1"])
    assert set(client.endpoints) == {etcd.url, "http://127.0.0.1:1"}
    assert (await client.keys.set("/a", "1")).value == "1"
    for wrong in ([], "https://127.0.0.1:1", "http://h/v2/keys"):
        with pytest.raises(ValueError, match=r"empty|made for http endpoints|write"):
            client.set_endpoints(wrong)
    assert set(client.endpoints) == {etcd.url, "http://127.0.0.1:1"}


async def test_sync_goes_on_in_the_background(
    connect: Connect, etcd_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(etcd_cluster.endpoints[0])
    await client.sync(every=0.05)
    assert set(client.endpoints) == set(etcd_cluster.endpoints)
    client._dispatcher.pool.discovered([])
    await async_until(lambda: set(client.endpoints) == set(etcd_cluster.endpoints))

    # A failure is logged, and it goes on.
    with caplog.at_level(logging.WARNING, "etcdv2"):
        client.set_endpoints("http://127.0.0.1:1")
        await async_until(lambda: "could not be brought in step" in caplog.text)
    client.set_endpoints(etcd_cluster.endpoints[0])
    await async_until(lambda: set(client.endpoints) == set(etcd_cluster.endpoints))

    # Another pace takes the place of the first; the end of the client ends it.
    await client.sync(every=3600)
    client._dispatcher.pool.discovered([])
    assert len(client.endpoints) == 1
    with pytest.raises(ValueError, match="every: must be more than 0"):
        await client.sync(every=0)
    await client.close()
