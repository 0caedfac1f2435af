# Derived from tests/facade/_async/test_made_up_answers.py by scripts/unasync.py: change that file, make generate.
"""`transport=` takes `MockTransport`s whose responses have their body from the start, as in people's own tests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import httpx2
import pytest

from etcdv2 import Client, CompareFailed, Event, HistoryCleared, KeyNotFound, UnexpectedAnswer
from etcdv2.testing import CheckingTransport

ERROR = {"X-Etcd-Cluster-Id": "1", "X-Etcd-Index": "12"}
ETCD = {**ERROR, "X-Raft-Index": "8", "X-Raft-Term": "2"}
KINDS = pytest.mark.parametrize("kind", [httpx, httpx2, "checking"])


def store(kind: Any) -> Any:
    """Has one key, and an event of it for each index that is asked for up to 12."""
    module = httpx if kind == "checking" else kind

    def event(index: int, action: str = "set") -> dict[str, Any]:
        return {
            "action": action,
            "node": {"key": "/a", "value": str(index), "modifiedIndex": index, "createdIndex": index},
        }

    def play(request: Any) -> Any:
        query = parse_qs(request.url.query.decode())
        if "wait" in query:
            index = int(query["waitIndex"][0]) if "waitIndex" in query else 8
            if index > 12:
                body = {"errorCode": 401, "message": "The event in requested index is outdated and cleared"}
                return module.Response(400, headers=ERROR, json={**body, "cause": "[9/13]", "index": 12})
            return module.Response(200, headers=ETCD, json=event(index))
        if request.url.path == "/v2/keys/a":
            text = json.dumps(event(7, "get") if request.method == "GET" else event(12))
            if b"prevValue=other" in request.url.query + request.content:
                failed = {"errorCode": 101, "message": "Compare failed", "cause": "[other != 7]", "index": 12}
                return module.Response(412, headers=ERROR, json=failed)
            return module.Response(200, headers={**ETCD, "Content-Type": "application/json"}, content=text)
        if request.url.path == "/v2/keys/page":
            return module.Response(200, headers=ETCD, html="<p>hello</p>")
        if request.url.path == "/v2/keys/empty":
            return module.Response(200, headers=ETCD)
        missing = {"errorCode": 100, "message": "Key not found", "cause": request.url.path[8:], "index": 12}
        return module.Response(404, headers=ERROR, json=missing)

    transport = module.MockTransport(play)
    return CheckingTransport(transport) if kind == "checking" else transport


@KINDS
def test_calls_of_answers_that_are_made_up(kind: Any) -> None:
    with Client("http://etcd.example:2379", transport=store(kind)) as client:
        assert (client.keys.get("/a")).value == "7"
        assert (client.keys.set("/a", "12")).index == 12
        with pytest.raises(CompareFailed):
            client.keys.set("/a", "8", prev_value="other")
        with pytest.raises(KeyNotFound):
            client.keys.get("/b")


@pytest.mark.parametrize("kind", [httpx, httpx2])
@pytest.mark.parametrize("key", ["/page", "/empty"])
def test_answers_that_are_none_of_etcd(kind: Any, key: str) -> None:
    with Client("http://etcd.example:2379", transport=store(kind)) as client:
        with pytest.raises(UnexpectedAnswer):
            client.keys.get(key)


@KINDS
def test_watch_of_answers_that_are_made_up(kind: Any) -> None:
    with Client("http://etcd.example:2379", transport=store(kind)) as client:
        with client.keys.watch("/a", after_index=7) as watcher:
            events = [watcher.next(timeout=60) for _ in range(5)]
            assert [event.value for event in events if isinstance(event, Event)] == ["8", "9", "10", "11", "12"]
            with pytest.raises(HistoryCleared):
                watcher.next(timeout=60)
