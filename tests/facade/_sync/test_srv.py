# Derived from tests/facade/_async/test_srv.py by scripts/unasync.py: change that file, make generate.
"""Endpoints from DNS, those that are set later, and those that are kept in step with the members."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from etcdv2 import TLS, Client, ClusterUnavailable, DeadlineExceeded
from etcdv2.testing import Certificates, Cluster, Server
from tests.facade._sync.conftest import Connect
from tests.tools.dns_server import DnsServer
from tests.tools.fault_server import FaultServer, answer
from tests.tools.waiting import PATIENT, SOON, until

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


def test_endpoints_are_looked_up_with_the_first_call(names: DnsServer, etcd: Server) -> None:
    names.zone[PLAIN] = [f"0 0 {etcd.port} m1.example.org."]
    with Client.from_srv("example.org", resolver=names.resolver) as client:
        assert (client.endpoints, names.asked) == ((), [])
        assert (client.keys.set("/a", "1")).value == "1"
        assert client.endpoints == (f"http://m1.example.org.:{etcd.port}",)
        assert (client.keys.get("/a")).value == "1"
        assert names.asked == [SECURE, PLAIN]


def test_a_watch_looks_them_up_as_well(names: DnsServer, etcd: Server) -> None:
    names.zone[PLAIN] = [f"0 0 {etcd.port} m1.example.org."]
    with Client.from_srv("example.org", resolver=names.resolver, prefer_leader=True) as client:
        with client.keys.watch("/a") as watcher:
            client.keys.set("/a", "1")
            event = watcher.next(timeout=SOON)
            assert event is not None
            assert event.value == "1"
    with Client.from_srv("example.org", resolver=names.resolver) as client:
        assert (client.health()).healthy


def test_highest_priority_is_used_and_the_next_when_it_is_down(names: DnsServer) -> None:
    with FaultServer(default=VERSION) as first, FaultServer(default=VERSION) as second:
        names.zone[PLAIN] = [f"20 0 {second.port} b.example.org.", f"10 0 {first.port} a.example.org."]
        with Client.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            client.version()
        assert (len(first.requests), len(second.requests)) == (1, 0)
        assert first.requests[0].headers["host"] == f"a.example.org.:{first.port}"
        names.zone[PLAIN] = [f"20 0 {second.port} b.example.org.", "10 0 1 a.example.org."]
        with Client.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            assert (client.version()).etcdserver == "3.5.1"
        assert len(second.requests) == 1


def test_records_are_asked_for_again_when_everything_is_down(names: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client.__module__.removesuffix("client") + "srv.ASK_AGAIN_SECONDS", 0.0)
    with FaultServer(default=VERSION) as moved:
        names.zone[PLAIN] = ["0 0 1 old.example.org."]
        with Client.from_srv("example.org", resolver=names.resolver, timeout=PATIENT) as client:
            with pytest.raises(ClusterUnavailable):
                client.version()
            assert names.asked == [SECURE, PLAIN] * 2
            names.zone[PLAIN] = [f"0 0 {moved.port} new.example.org."]
            assert (client.version()).etcdserver == "3.5.1"
            assert client.endpoints == (f"http://new.example.org.:{moved.port}",)

            # DNS itself is down: what is known stays.
            names.zone.clear()
            names.failing = {SECURE, PLAIN}
            moved.hang_up()
            assert (client.version()).etcdserver == "3.5.1"


@pytest.mark.parametrize("what", ["nothing", "empty", "failing", "no such service"])
def test_no_record_is_an_error_that_names_both_look_ups_and_not_the_local_server(
    names: DnsServer, etcd: Server, what: str
) -> None:
    if what == "empty":
        names.zone = {SECURE: [], PLAIN: []}
    elif what == "failing":
        names.failing = {SECURE, PLAIN}
    elif what == "no such service":
        names.zone = {SECURE: ["0 0 0 ."], PLAIN: ["0 0 0 ."]}
    with Client.from_srv("example.org", resolver=names.resolver) as client:
        with pytest.raises(
            ClusterUnavailable, match=r"no endpoint of example\.org is found by its SRV records"
        ) as caught:
            client.keys.get("/a")
        assert [attempt.endpoint for attempt in caught.value.attempts] == [SECURE, PLAIN]
        with pytest.raises(ClusterUnavailable, match="SRV records"):
            client.keys.watch("/a", patience=0.1).next()
        health, ready = client.health(), client.ready()
        assert not health.healthy
        assert not ready
        assert "_etcd-client._tcp.example.org" in ready.reason
        assert client.endpoints == ()

        # It is found as soon as it is there.
        names.failing = set()
        names.zone = {PLAIN: [f"0 0 {etcd.port} m1.example.org."]}
        assert (client.keys.set("/a", "1", timeout=PATIENT)).value == "1"


def test_silent_dns_ends_with_the_time_of_the_call(names: DnsServer) -> None:
    names.silent = {SECURE, PLAIN}
    with Client.from_srv("example.org", resolver=names.resolver) as client:
        with pytest.raises(DeadlineExceeded, match="SRV records"):
            client.keys.get("/a", timeout=0.3)


def test_service_has_names_of_its_own(names: DnsServer, etcd: Server) -> None:
    names.zone["_etcd-client-blue._tcp.example.org."] = [f"0 0 {etcd.port} m1.example.org."]
    with Client.from_srv("example.org.", service="blue", resolver=names.resolver) as client:
        assert (client.keys.set("/a", "1")).value == "1"


@pytest.mark.parametrize("way", ["host", "domain"])
def test_certificate_is_for_the_host_or_as_etcdctl_wants_it_for_the_domain(
    names: DnsServer, tmp_path: Any, way: str
) -> None:
    from etcdv2.testing import make_certificates

    made: Certificates = make_certificates(tmp_path, names=("m1.example.org" if way == "host" else "example.org",))
    with Server(tls=made.server()) as server:
        names.zone[SECURE] = [f"0 0 {server.port} m1.example.org."]
        names.zone[PLAIN] = [f"0 0 {server.port} m1.example.org."]
        tls = TLS(ca_file=made.ca_file)
        with Client.from_srv(
            "example.org", resolver=names.resolver, tls=tls, verify_domain=way == "domain", timeout=PATIENT
        ) as client:
            assert (client.keys.set("/a", "1")).value == "1"
            assert client.endpoints == (f"https://m1.example.org.:{server.port}",)
        with Client.from_srv("example.org", resolver=names.resolver, tls=tls, verify_domain=way == "host") as client:
            with pytest.raises(ClusterUnavailable, match=r"certificate|CERTIFICATE"):
                client.keys.get("/a")


def test_password_goes_to_no_endpoint_without_tls_while_it_is_not_certain_that_none_has_it(
    names: DnsServer,
) -> None:
    with FaultServer(default=VERSION) as plain:
        names.failing = {SECURE}
        names.zone[PLAIN] = [f"0 0 {plain.port} m1.example.org."]
        with Client.from_srv(
            "example.org", resolver=names.resolver, username="ada", password="secret", timeout=2
        ) as client:
            with pytest.raises(ClusterUnavailable, match="SRV records"):
                client.version()
        assert plain.requests == []


def test_variables_of_etcdctl_name_the_domain(names: DnsServer, etcd: Server) -> None:
    variables = {"ETCDCTL_DISCOVERY_SRV": "example.org", "ETCDCTL_ENDPOINTS": "http://127.0.0.1:1"}
    with Client.from_env(variables, timeout=1) as client:
        assert client.endpoints == ()


def test_dnspython_that_is_missing_is_said_when_the_client_is_made() -> None:
    program = (
        "import sys; sys.modules['dns'] = sys.modules['dns.resolver'] = None; import etcdv2\n"
        "try: etcdv2.AsyncClient.from_srv('example.org')\n"
        "except ImportError as error: print(error)"
    )
    program = program.replace("AsyncClient", Client.__name__)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=SOON)
    assert done.stdout == "SRV records are looked up by dnspython: pip install 'etcdv2[srv]'\n"


# --- endpoints that are set later, or kept in step --------------------------------------------------------------------


def test_endpoints_are_replaced(connect: Connect, etcd: Server) -> None:
    client = connect("http://127.0.0.1:1")
    with pytest.raises(ClusterUnavailable):
        client.keys.get("/")
    client.set_endpoints([etcd.url, "127.0.0.1:1"])
    assert set(client.endpoints) == {etcd.url, "http://127.0.0.1:1"}
    assert (client.keys.set("/a", "1")).value == "1"
    for wrong in ([], "https://127.0.0.1:1", "http://h/v2/keys"):
        with pytest.raises(ValueError, match=r"empty|made for http endpoints|write"):
            client.set_endpoints(wrong)
    assert set(client.endpoints) == {etcd.url, "http://127.0.0.1:1"}


def test_sync_goes_on_in_the_background(
    connect: Connect, etcd_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(etcd_cluster.endpoints[0])
    client.sync(every=0.05)
    assert set(client.endpoints) == set(etcd_cluster.endpoints)
    client._dispatcher.pool.discovered([])
    until(lambda: set(client.endpoints) == set(etcd_cluster.endpoints))

    # A failure is logged, and it goes on.
    with caplog.at_level(logging.WARNING, "etcdv2"):
        client.set_endpoints("http://127.0.0.1:1")
        until(lambda: "could not be brought in step" in caplog.text)
    client.set_endpoints(etcd_cluster.endpoints[0])
    until(lambda: set(client.endpoints) == set(etcd_cluster.endpoints))

    # Another pace takes the place of the first; the end of the client ends it.
    client.sync(every=3600)
    client._dispatcher.pool.discovered([])
    assert len(client.endpoints) == 1
    with pytest.raises(ValueError, match="every: must be more than 0"):
        client.sync(every=0)
    client.close()
