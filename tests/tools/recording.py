"""An httpx transport that notes each request and plays canned answers; no server, no socket.

Serves both clients. Knows nothing of what a request should look like.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import httpx

CLUSTER = "cdf818194e3a8c32"
PREFIX = "/etcd/one"
"""Where a reverse proxy may have put the API."""
ETCD_HEADERS = {
    "X-Etcd-Cluster-Id": CLUSTER,
    "X-Etcd-Index": "7",
    "X-Raft-Index": "8",
    "X-Raft-Term": "2",
    "Content-Type": "application/json",
}


class Noted(NamedTuple):
    """One request as it would have gone out."""

    method: str
    url: str
    """Scheme and authority."""
    target: str
    """Path and query of the request line."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(self.body))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, Any]
"""Status, and a body: bytes as they are, all else as JSON (None is empty)."""

NODE = {"key": "/a", "value": "v", "modifiedIndex": 7, "createdIndex": 7}
STORE_STATS = (
    "getsSuccess getsFail setsSuccess setsFail deleteSuccess deleteFail updateSuccess updateFail createSuccess "
    "createFail compareAndSwapSuccess compareAndSwapFail compareAndDeleteSuccess compareAndDeleteFail expireCount "
    "watchers"
)
MEMBER = {"id": "a1", "name": "m1", "peerURLs": ["http://p:2380"], "clientURLs": ["http://c:2379"]}
ROLE = {"role": "r", "permissions": {"kv": {"read": ["/r*"], "write": []}}}


def usual_answer(noted: Noted) -> Answer:
    """What a server would say on a good day, whatever it is asked."""
    path = noted.target.partition("?")[0].removeprefix(PREFIX)
    if path.startswith("/v2/keys"):
        actions = {"GET": "get", "PUT": "set", "POST": "create", "DELETE": "delete"}
        return 201 if noted.method == "POST" else 200, {"action": actions[noted.method], "node": NODE}
    if noted.method == "DELETE":
        return 204 if path.startswith("/v2/members") else 200, None
    if path == "/v2/members":
        return (201, MEMBER) if noted.method == "POST" else (200, {"members": [MEMBER]})
    if path.startswith("/v2/members/"):
        return (200, MEMBER) if path.endswith("/leader") else (204, None)
    if path == "/v2/auth/enable":
        return 200, {"enabled": True} if noted.method == "GET" else None
    if path.startswith("/v2/auth/users/"):
        return 200, {"user": "u", "roles": ["r"]} if noted.method == "PUT" else {"user": "u", "roles": [ROLE]}
    if path.startswith("/v2/auth/roles/"):
        return 200, ROLE
    stats = {
        "name": "m1",
        "id": "a1",
        "state": "StateLeader",
        "startTime": "2026-01-01T00:00:00Z",
        "leaderInfo": {"leader": "a1", "uptime": "1s", "startTime": "2026-01-01T00:00:00Z"},
        "recvAppendRequestCnt": 0,
        "sendAppendRequestCnt": 0,
    }
    answers: dict[str, Any] = {
        "/v2/auth/users": {"users": [{"user": "there"}]},
        "/v2/auth/roles": {"roles": [ROLE]},
        "/v2/machines": b"http://c:2379, http://d:2379",
        "/v2/stats/self": stats,
        "/v2/stats/leader": {"leader": "a1", "followers": {}},
        "/v2/stats/store": dict.fromkeys(STORE_STATS.split(), 0),
        "/version": {"etcdserver": "3.5.1", "etcdcluster": "3.5.0"},
        "/health": {"health": "true"},
    }
    return 200, answers[path]


class Recorder(httpx.MockTransport):
    """`transport=` of either client. `answer` may raise an httpx error instead of answering."""

    def __init__(self, answer: Callable[[Noted], Answer] = usual_answer) -> None:
        self.noted: list[Noted] = []
        self.answer = answer
        super().__init__(self._play)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Method and target of each request."""
        return [(noted.method, noted.target) for noted in self.noted]

    @property
    def only(self) -> Noted:
        """The one request that was sent."""
        (noted,) = self.noted
        return noted

    def _play(self, request: httpx.Request) -> httpx.Response:
        noted = Noted(
            request.method,
            f"{request.url.scheme}://{request.url.netloc.decode()}",
            request.url.raw_path.decode("ascii"),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
        )
        self.noted.append(noted)
        status, body = self.answer(noted)
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, headers=ETCD_HEADERS, stream=httpx.ByteStream(content))
