"""Which way requests go where a proxy is configured: through httpx and the proxy, else straight."""

from __future__ import annotations

import json
import socket

import pytest

from etcdv2 import AsyncClient, ClusterUnavailable
from tests.tools.fault_server import FaultServer, answer

NODE = {"key": "/a", "value": "1", "modifiedIndex": 7, "createdIndex": 7}
ANSWER = answer(
    200,
    {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"},
    json.dumps({"action": "get", "node": NODE}).encode(),
)
FAR = "http://10.0.0.1:2379"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
async def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with FaultServer(default=ANSWER) as proxy:
        monkeypatch.setenv(name, proxy.endpoint.url)
        async with AsyncClient(FAR) as client:
            assert (await client.keys.get("/a")).value == "1"
        assert proxy.requests[0].target == f"{FAR}/v2/keys/a"


async def test_given_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(default=ANSWER) as proxy:
        async with AsyncClient(FAR, proxy=proxy.endpoint.url) as client:
            assert (await client.keys.get("/a")).value == "1"
        assert proxy.requests[0].target == f"{FAR}/v2/keys/a"


async def test_endpoint_on_loopback_goes_through_a_given_proxy_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(default=ANSWER) as proxy, FaultServer(default=ANSWER) as server:
        monkeypatch.setenv("http_proxy", proxy.endpoint.url)
        async with AsyncClient(server.endpoint.url) as client:
            assert (await client.keys.get("/a")).value == "1"
        assert (len(server.requests), len(proxy.requests)) == (1, 0)
        async with AsyncClient(server.endpoint.url, proxy=proxy.endpoint.url) as client:
            assert (await client.keys.get("/a")).value == "1"
        assert (len(server.requests), len(proxy.requests)) == (1, 1)


@pytest.mark.parametrize("way", ["no_proxy", "trust_env", "other scheme"])
async def test_proxy_that_is_not_for_this_endpoint_is_not_used(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    with FaultServer(default=ANSWER) as proxy, FaultServer(default=ANSWER) as server:
        monkeypatch.setenv("https_proxy" if way == "other scheme" else "http_proxy", proxy.endpoint.url)
        monkeypatch.setattr("socket.getaddrinfo", all_names_are_here)
        if way == "no_proxy":
            monkeypatch.setenv("no_proxy", "etcd.example")
        url = f"http://etcd.example:{server.port}"
        async with AsyncClient(url, trust_env=way != "trust_env") as client:
            assert (await client.keys.get("/a")).value == "1"
        assert server.requests[0].target == "/v2/keys/a"
        assert not proxy.requests


async def test_each_endpoint_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(default=ANSWER) as proxy, FaultServer(default=ANSWER) as server:
        monkeypatch.setenv("http_proxy", proxy.endpoint.url)
        async with AsyncClient([FAR, server.endpoint.url]) as client:
            await client.keys.get("/a")
            await client.health()
        assert {received.target for received in server.requests} <= {"/v2/keys/a", "/health"}
        assert {received.target for received in proxy.requests} <= {f"{FAR}/v2/keys/a", f"{FAR}/health"}
        assert (len(server.requests), len(proxy.requests)) in [(1, 2), (2, 1)]


@pytest.mark.parametrize("no_proxy", ["localhost,[::1]", "http://[", "%,://,*., ,[,]:", "10.0.0.0/99", "\u00fc"])
async def test_entry_of_no_proxy_that_cannot_be_read_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with FaultServer(default=ANSWER) as proxy:
        monkeypatch.setenv("http_proxy", proxy.endpoint.url)
        monkeypatch.setenv("no_proxy", no_proxy)
        async with AsyncClient(FAR) as client:
            assert (await client.keys.get("/a")).value == "1"
        assert proxy.requests[0].target == f"{FAR}/v2/keys/a"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("http://[::1", "is no URL"),
        ("http://p:port", "is no URL"),
        ("ftp://p:1", "scheme"),
        ("http://", "host"),
        ("socks5://127.0.0.1:1", "socksio"),
        ("http://\u00fc\u00df..:1", "."),
    ],
)
async def test_proxy_that_cannot_be_used_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    with pytest.raises(ValueError, match=f"^proxy=: .*{why}"):
        AsyncClient(FAR, proxy=value)
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(ValueError, match=f"^HTTP_PROXY: .*{why}"):
        AsyncClient(FAR)
    with pytest.raises(ValueError, match=f"^HTTP_PROXY: .*{why}"):
        AsyncClient(FAR, transport="httpx")


@pytest.mark.parametrize("way", ["environment", "argument"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_error_of_a_proxy_that_is_down_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, scheme: str, way: str
) -> None:
    url, settings = "http://user:hunter2@127.0.0.1:1", dict[str, str]()
    if way == "argument":
        settings["proxy"] = url
    else:
        monkeypatch.setenv(f"{scheme}_proxy", url)
    async with AsyncClient(f"{scheme}://10.0.0.1:2379", proxy=settings.get("proxy")) as client:
        with pytest.raises(ClusterUnavailable, match=r"through the proxy http://127.0.0.1:1: ") as caught:
            await client.keys.set("/a", "1")
    assert "hunter2" not in str(caught.value)


def all_names_are_here(host: bytes, port: int, *_: object, **__: object) -> object:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
