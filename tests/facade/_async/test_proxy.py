"""Which way requests go where a proxy is configured: through httpx and the proxy, else straight."""

from __future__ import annotations

import json

import pytest

from etcdv2 import AsyncClient
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


@pytest.mark.parametrize("way", ["no_proxy", "trust_env", "other scheme"])
async def test_proxy_that_is_not_for_this_endpoint_is_not_used(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    with FaultServer(default=ANSWER) as proxy, FaultServer(default=ANSWER) as server:
        monkeypatch.setenv("https_proxy" if way == "other scheme" else "http_proxy", proxy.endpoint.url)
        if way == "no_proxy":
            monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with AsyncClient(server.endpoint.url, trust_env=way != "trust_env") as client:
            assert (await client.keys.get("/a")).value == "1"
        assert server.requests[0].target == "/v2/keys/a"
        assert not proxy.requests
