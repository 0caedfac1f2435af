"""Credentials are sent to the endpoints and to no other host: not by redirects, by `sync`, nor by proxies."""

from __future__ import annotations

import json
import ssl
from typing import Any, NamedTuple

import httpx
import pytest

import etcdv2
from etcdv2 import TLS, AsyncClient, Client
from tests.tools.certificates import Authority, Pair
from tests.tools.faces import over
from tests.tools.fault_server import Behaviour, FaultServer, answer
from tests.tools.leaks import CLUSTER, CREDENTIALS, EVERY_KIND, MARK, NO_USERS, Kind, Work, leaks, records, views

pytestmark = pytest.mark.usefixtures("second_round_at_once")


ASKED: tuple[Work, ...] = (
    lambda client: client.keys.get("/a"),
    lambda client: client.keys.set("/a", "1"),
    lambda client: client.auth.users.delete("amy"),
    lambda client: client.keys.watch("/a").next(timeout=1),
)


@EVERY_KIND
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_sends_nothing_to_the_other_host(kind: Kind, status: int) -> None:
    with FaultServer() as other:
        moved = answer(status, {"Location": f"{other.endpoint.url}/v2/keys/a", **CLUSTER}, b"")
        with FaultServer(default=moved) as server:
            for work in ASKED:
                error = kind.end(server.endpoint.url, work, **CREDENTIALS)
                assert isinstance(error, etcdv2.UnexpectedAnswer)
                assert error.status == status
            assert len(server.requests) >= len(ASKED)
        assert other.connections == 0


def test_redirect_is_followed_by_a_client_that_takes_no_care() -> None:
    """So the test above can fail."""
    with FaultServer() as other:
        moved = answer(302, {"Location": f"{other.endpoint.url}/v2/keys/a"}, b"")
        with FaultServer(default=moved) as server, httpx.Client(follow_redirects=True) as broken:
            broken.get(server.endpoint.url)
        assert other.connections == 1


def members(*urls: str, cluster: str = "aa") -> Behaviour:
    one = {"id": "1", "name": "a", "peerURLs": ["http://127.0.0.1:2380"], "clientURLs": urls}
    return answer(200, {**CLUSTER, "X-Etcd-Cluster-Id": cluster}, json.dumps({"members": [one]}).encode())


class Secured(NamedTuple):
    """An https server's side, and how to trust it."""

    files: Pair
    tls: TLS

    def server(self, default: Behaviour) -> FaultServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files)
        return FaultServer(default=default, ssl_context=context)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    authority = Authority(tmp_path_factory.mktemp("secured"))
    return Secured(authority.issue("server", "127.0.0.1"), TLS(ca_file=authority.ca_file))


@EVERY_KIND
def test_sync_of_an_https_cluster_sends_nothing_in_clear(kind: Kind, secured: Secured) -> None:
    with FaultServer(default=members()) as plain, secured.server(members(plain.endpoint.url)) as server:
        found: list[str] = []

        def work(client: Any) -> Any:
            return _after_sync(client, found) if isinstance(client, AsyncClient) else found.extend(client.sync())

        assert kind.end(server.endpoint.url, work, tls=secured.tls, **CREDENTIALS) is None
        assert found == [server.endpoint.url]
        assert plain.connections == 0


@EVERY_KIND
def test_sync_shows_no_credentials_to_a_member_of_another_cluster(kind: Kind) -> None:
    with FaultServer(default=members(cluster="bb")) as foreign:
        with FaultServer(default=members(foreign.endpoint.url)) as server:
            found: list[str] = []

            def work(client: Any) -> Any:
                return _after_sync(client, found) if isinstance(client, AsyncClient) else found.extend(client.sync())

            assert kind.end(server.endpoint.url, work, **CREDENTIALS) is None
            assert found == [server.endpoint.url]
        assert foreign.requests
        assert not [received for received in foreign.requests if "authorization" in received.headers]


async def _after_sync(client: AsyncClient, found: list[str]) -> None:
    found.extend(await client.sync())


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("side", ["sync", "async"])
def test_proxy_of_an_https_endpoint_sees_no_credentials(
    side: str, no_proxies: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    with FaultServer(default=answer(502)) as proxy:
        no_proxies.setenv("https_proxy", f"http://me:{MARK}-of-the-proxy@127.0.0.1:{proxy.port}")
        error = Kind(side, "fast").end("https://10.0.0.1:2379", lambda client: client.keys.get("/a"), **CREDENTIALS)
        assert type(error) is etcdv2.ClusterUnavailable
        assert proxy.requests
        for received in proxy.requests:
            assert (received.method, received.target) == ("CONNECT", "10.0.0.1:2379")
            assert "authorization" not in received.headers
            assert received.headers["proxy-authorization"].startswith("Basic ")
    assert not leaks({**views(error), **records(caplog)})


@pytest.mark.parametrize("side", ["sync", "async"])
def test_environment_leads_nowhere_when_it_is_not_trusted(side: str, no_proxies: pytest.MonkeyPatch) -> None:
    with FaultServer() as proxy, FaultServer(default=NO_USERS) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            no_proxies.setenv(name, proxy.endpoint.url)
        for transport in ("fast", "httpx"):
            kind = Kind(side, transport)
            assert kind.end(server.endpoint.url, lambda c: c.auth.users.list(), trust_env=False, **CREDENTIALS) is None
        assert len(server.requests) == 2
        assert proxy.connections == 0


@pytest.mark.parametrize("transport", ["fast", "httpx"])
def test_credentials_that_were_taken_back_are_sent_no_more(transport: str) -> None:
    with (
        FaultServer(default=NO_USERS) as server,
        Client(server.endpoint.url, **CREDENTIALS, **over(transport)) as client,
    ):
        client.auth.users.list()
        client.set_credentials(None)
        client.auth.users.list()
        assert ["authorization" in received.headers for received in server.requests] == [True, False]
        assert server.connections == 1
