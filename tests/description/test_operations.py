"""Every operation: what it sends, how it reads, and that a real server agrees."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import httpx
import pytest

import etcdv2_api as api
from etcdv2.testing import Cluster, Server, check_answer
from etcdv2.testing._description import description
from etcdv2_api import Call, KeysError, KeysEvent, Message, UndescribedAnswer, operations
from scripts import generate
from tests.tools.waiting import SOON
from tests.tools.writers import foreign_writes

Answer = TypeVar("Answer")
FORM = "application/x-www-form-urlencoded"
SPEC = description().spec
NAMES = [one.name for one in generate.operations(SPEC)]
PEERS = api.MemberPeers(peer_urls=("http://127.0.0.1:23801",))
PATTERNS = api.Permissions(kv=api.KeyPatterns(read=("/a/*",), write=()))

# name: [call, method, target, body]
REQUESTS: dict[str, list[tuple[Call[Any, Any], str, str, bytes | None]]] = {
    "get_key": [
        (operations.get_key("/"), "GET", "/v2/keys/", None),
        (operations.get_key("a b"), "GET", "/v2/keys/a%20b", None),
        (
            operations.get_key(
                "/a/", recursive=True, sorted=True, quorum=False, wait=True, wait_index=2**64 - 1, stream=True
            ),
            "GET",
            "/v2/keys/a/?recursive=true&sorted=true&quorum=false&wait=true&waitIndex=18446744073709551615&stream=true",
            None,
        ),
    ],
    "put_key": [
        (operations.put_key("/a"), "PUT", "/v2/keys/a", b""),
        (operations.put_key("/a", value=""), "PUT", "/v2/keys/a", b"value="),
        (
            operations.put_key(
                "/a",
                value="é ;&",
                ttl=0,
                dir=False,
                refresh=False,
                prev_value="+",
                prev_index=0,
                prev_exist=False,
                no_value_on_success=True,
            ),
            "PUT",
            "/v2/keys/a",
            b"value=%C3%A9+%3B%26&ttl=0&dir=false&refresh=false&prevValue=%2B&prevIndex=0&prevExist=false"
            b"&noValueOnSuccess=true",
        ),
    ],
    "post_key": [
        (operations.post_key("/q", value="x"), "POST", "/v2/keys/q", b"value=x"),
        (
            operations.post_key("/", value="x", ttl=5, dir=True, no_value_on_success=False),
            "POST",
            "/v2/keys/",
            b"value=x&ttl=5&dir=true&noValueOnSuccess=false",
        ),
    ],
    "delete_key": [
        (operations.delete_key("/a"), "DELETE", "/v2/keys/a", None),
        (
            operations.delete_key("/a", dir=True, recursive=False, prev_value="é ;", prev_index=7),
            "DELETE",
            "/v2/keys/a?dir=true&recursive=false&prevValue=%C3%A9%20%3B&prevIndex=7",
            None,
        ),
    ],
    "list_members": [(operations.list_members(), "GET", "/v2/members", None)],
    "get_leader": [(operations.get_leader(), "GET", "/v2/members/leader", None)],
    "add_member": [(operations.add_member(PEERS), "POST", "/v2/members", b'{"peerURLs":["http://127.0.0.1:23801"]}')],
    "update_member": [
        (operations.update_member("1a", PEERS), "PUT", "/v2/members/1a", b'{"peerURLs":["http://127.0.0.1:23801"]}')
    ],
    "remove_member": [(operations.remove_member("1a"), "DELETE", "/v2/members/1a", None)],
    "list_machines": [(operations.list_machines(), "GET", "/v2/machines", None)],
    "get_self_stats": [(operations.get_self_stats(), "GET", "/v2/stats/self", None)],
    "get_leader_stats": [(operations.get_leader_stats(), "GET", "/v2/stats/leader", None)],
    "get_store_stats": [(operations.get_store_stats(), "GET", "/v2/stats/store", None)],
    "get_auth_state": [(operations.get_auth_state(), "GET", "/v2/auth/enable", None)],
    "enable_auth": [(operations.enable_auth(), "PUT", "/v2/auth/enable", None)],
    "disable_auth": [(operations.disable_auth(), "DELETE", "/v2/auth/enable", None)],
    "list_users": [(operations.list_users(), "GET", "/v2/auth/users", None)],
    "get_user": [(operations.get_user("a b"), "GET", "/v2/auth/users/a%20b", None)],
    "put_user": [
        (
            operations.put_user("u", api.UserChange(user="u", password="p", roles=("r",))),
            "PUT",
            "/v2/auth/users/u",
            b'{"user":"u","password":"p","roles":["r"]}',
        ),
        (
            operations.put_user("u", api.UserChange(user="u", grant=("a",), revoke=("b",))),
            "PUT",
            "/v2/auth/users/u",
            b'{"user":"u","grant":["a"],"revoke":["b"]}',
        ),
    ],
    "delete_user": [(operations.delete_user("u"), "DELETE", "/v2/auth/users/u", None)],
    "list_roles": [(operations.list_roles(), "GET", "/v2/auth/roles", None)],
    "get_role": [(operations.get_role("r"), "GET", "/v2/auth/roles/r", None)],
    "put_role": [
        (
            operations.put_role("r", api.RoleChange(role="r", permissions=PATTERNS)),
            "PUT",
            "/v2/auth/roles/r",
            b'{"role":"r","permissions":{"kv":{"read":["/a/*"],"write":[]}}}',
        ),
    ],
    "delete_role": [(operations.delete_role("r"), "DELETE", "/v2/auth/roles/r", None)],
    "get_version": [(operations.get_version(), "GET", "/version", None)],
    "get_health": [(operations.get_health(), "GET", "/health", None)],
}


@pytest.mark.parametrize("name", NAMES)
def test_operation_sends_exactly_this(name: str) -> None:
    for call, method, target, body in REQUESTS[name]:
        assert (call.operation, call.method, call.target, call.body) == (name, method, target, body)
        kind = None if body is None else "application/json" if body.startswith(b"{") else FORM
        assert call.content_type == kind


def test_names_and_values_of_ones_own_are_encoded() -> None:
    odd = (("a&b", "c/d e"), ("\u00e9=", ""), ("x", "\u0661"))  # a digit to Python, but no ASCII
    call = Call("raw", "PUT", "/v2/keys/k", odd, odd, None, lambda status, body: body)
    assert call.target == f"/v2/keys/k?{urlencode(odd, quote_via=quote)}"
    assert call.body == urlencode(odd).encode()


def test_every_operation_has_a_request_here_and_nothing_else_has() -> None:
    assert set(REQUESTS) == set(NAMES)


def test_every_parameter_is_sent_by_a_request_here() -> None:
    for name in NAMES:
        optional = [
            one for one in inspect.signature(getattr(operations, name)).parameters.values() if one.default is None
        ]
        sent = max(len(call.query) + len(call.form or ()) for call, *_ in REQUESTS[name])
        assert sent == len(optional), name


def test_only_the_call_that_carries_a_password_is_secret() -> None:
    assert [name for name, some in REQUESTS.items() if some[0][0].secret] == ["put_user"]


def test_functions_say_where_parameters_travel() -> None:
    text = inspect.getdoc(operations.delete_key)
    assert text is not None
    assert text.startswith("Delete a key or a directory, with conditions if wanted.\n")
    assert "\nprev_value: Query. Only if the value is this one." in text
    assert "\nprev_value: Form, as it may be long." in (inspect.getdoc(operations.put_key) or "")


@pytest.mark.parametrize(
    "build",
    [
        lambda: operations.get_key("/a//b"),
        lambda: operations.put_key("/a/../b", value="x"),
        lambda: operations.get_user(""),
        lambda: operations.delete_role("a/b"),
        lambda: operations.remove_member(".."),
    ],
)
def test_name_that_would_go_elsewhere_is_refused(build: Callable[[], Call[Any, Any]]) -> None:
    with pytest.raises(ValueError, match="name"):
        build()


# ---- reading


def decoder(path: str, method: str) -> Callable[[int, bytes], Any]:
    same = SPEC["paths"][path].get("x-same-as", path)
    name = SPEC["paths"][same][method.lower()]["operationId"]
    return REQUESTS[name][0][0].decode


EXAMPLES = [
    (path, method, status, media, name, value)
    for path, method, status, media, name, value in description().examples()
    if not SPEC["paths"][path][method.lower()].get("x-no-function")
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one[1]} {one[0]} {one[2]} {one[4]}")
def test_example_of_the_description_is_read_into_its_model(example: Any) -> None:
    path, method, status, media, _, value = example
    decode = decoder(path, method)
    if not media.is_text:
        model = getattr(api, media.schema["$ref"].rpartition("/")[2])
        read = decode(int(status), json.dumps(value).encode())
        assert type(read) is model
        assert read == model.model_validate(value)
    elif status == "200":
        assert decode(200, value.encode()) == value
    else:
        with pytest.raises(UndescribedAnswer):
            decode(int(status), value.encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"404 page not found\n", "no v2 API"),
        (405, b"Method Not Allowed\n", "not an answer"),
        (301, b"", "not an answer"),
        (421, b"\netcd received your request", "not an answer"),
        (502, b"<html>bad gateway</html>", "not as described: Invalid JSON"),
        (502, b"", "the body is empty"),
        (502, b"\xff", "not as described: Invalid JSON"),
    ],
)
def test_answer_that_is_not_described_in_json_says_so(name: str, status: int, body: bytes, reason: str) -> None:
    with pytest.raises(UndescribedAnswer, match=reason) as caught:
        REQUESTS[name][0][0].decode(status, body)
    assert (caught.value.status, caught.value.body) == (status, body)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"list_machines"}))
def test_success_with_the_wrong_kind_of_body_is_undescribed(name: str) -> None:
    call = REQUESTS[name][0][0]
    status = 204 if name in ("update_member", "remove_member") else 201 if call.method == "POST" else 200
    empty = name in ("update_member", "remove_member", "enable_auth", "disable_auth", "delete_user", "delete_role")
    if empty:
        assert call.decode(status, b"") is None
    with pytest.raises(UndescribedAnswer):
        call.decode(status, b"[]" if empty else b"")


def test_machines_that_are_not_text_are_undescribed() -> None:
    with pytest.raises(UndescribedAnswer, match="UTF-8"):
        operations.list_machines().decode(200, b"\xff")


def test_cut_body_is_undescribed() -> None:
    with pytest.raises(UndescribedAnswer, match="not as described: Invalid JSON: EOF"):
        operations.get_key("/").decode(200, b'{"action":"get","node":{"ke')


def test_health_of_an_unhealthy_member_and_of_a_proxy_are_distinguished() -> None:
    decode = operations.get_health().decode
    assert decode(503, b'{"health":"false"}\n') == api.Health(health="false")
    assert decode(503, b'{"message":"httpproxy: none"}') == Message(message="httpproxy: none")


# ---- a real server


class Lowly:
    """The generated package over a plain httpx client; every answer is held against the description."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(base_url=server.url, timeout=10, trust_env=False)
        self.auth: tuple[str, str] | None = None
        self.headers: httpx.Headers = httpx.Headers()

    def send(self, call: Call[Answer, Any]) -> Answer:
        answer = self.ask(call)
        assert not isinstance(answer, (KeysError, Message)), answer
        return cast(Answer, answer)

    def refused(self, call: Call[Any, Any]) -> str | int:
        """The error code, or the message where there is none."""
        answer = self.ask(call)
        assert isinstance(answer, (KeysError, Message)), answer
        return answer.error_code if isinstance(answer, KeysError) else answer.message

    def ask(self, call: Call[Any, Any]) -> Any:
        status, body = self.raw(call.method, call.target, call.body, call.headers)
        return call.decode(status, body)

    def raw(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        response = self._client.request(method, target, content=body, headers=headers, auth=self.auth)
        self.headers = response.headers
        check_answer(method, target, response.status_code, dict(response.headers), response.content)
        return response.status_code, response.content

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def server(etcd_binary: Path | None) -> Iterator[Server]:
    with Server(etcd_binary, fsync=False) as made:
        yield made


@pytest.fixture
def lowly(server: Server) -> Iterator[Lowly]:
    made = Lowly(server)
    yield made
    made.close()


def test_real_server_agrees_about_keys(lowly: Lowly) -> None:
    send, refused = lowly.send, lowly.refused
    made = send(operations.put_key("/r/a b;é", value="x;& é", ttl=100))
    assert made.node is not None
    assert (made.action, made.node.key, made.node.value, made.node.ttl) == ("set", "/r/a b;é", "x;& é", 100)
    assert lowly.headers["x-etcd-index"] == str(made.node.modified_index)
    again = send(operations.put_key("/r/a b;é", value="y", prev_index=made.node.modified_index, prev_value="x;& é"))
    assert again.action == "compareAndSwap"
    assert again.prev_node is not None
    assert again.prev_node.expiration is not None
    assert send(operations.put_key("/r/a b;é", ttl=50, refresh=True, prev_exist=True)).action == "update"
    assert send(operations.get_key("/r/a b;é", quorum=True)).node is not None
    assert send(operations.put_key("/r/new", value="1", prev_exist=False)).action == "create"
    if server_answers_without_value(lowly):
        assert send(operations.put_key("/r/new", value="2", no_value_on_success=True)) == KeysEvent(action="set")
    assert send(operations.put_key("/r/dir", dir=True)).action == "set"
    first = send(operations.post_key("/r/queue", value="job", ttl=60))
    assert first.node is not None
    assert first.node.name == f"{first.node.modified_index:020}"
    tree = send(operations.get_key("/r", recursive=True, sorted=True)).node
    assert tree is not None
    assert [node.key for node in tree.children] == ["/r/a b;é", "/r/dir", "/r/new", "/r/queue"]
    assert [node.dir for node in tree.children] == [False, True, False, True]
    root = send(operations.get_key("/")).node
    assert root is not None
    assert (root.key, root.modified_index) == ("/", 0)
    seen = send(operations.get_key("/r/new", wait=True, wait_index=made.node.modified_index))
    assert (seen.action, seen.node and seen.node.value) == ("create", "1")

    assert refused(operations.get_key("/r/none")) == 100
    assert refused(operations.put_key("/r/new", value="3", prev_value="zz")) == 101
    assert refused(operations.delete_key("/r/new", prev_value="no ;match")) == 101
    assert refused(operations.put_key("/r", value="x")) == 102
    assert refused(operations.put_key("/r/new/below", value="x")) == 104
    assert refused(operations.put_key("/r/new", value="x", prev_exist=False)) == 105
    assert refused(operations.put_key("/", value="x")) == 107
    assert refused(operations.delete_key("/", recursive=True)) == 107
    assert refused(operations.delete_key("/", prev_index=1)) == 102
    assert refused(operations.delete_key("/r", dir=True)) == 108
    assert refused(operations.put_key("/r/new", prev_value="")) == 201
    assert refused(operations.put_key("/r/new", refresh=True)) == 212
    assert refused(operations.put_key("/r/new", value="x", ttl=5, refresh=True)) == 211
    assert send(operations.delete_key("/r/new", prev_value="2")).action == "compareAndDelete"
    gone = send(operations.delete_key("/r", recursive=True))
    assert gone.node is not None
    assert (gone.action, gone.node.dir, gone.node.value) == ("delete", True, None)


def server_answers_without_value(lowly: Lowly) -> bool:
    return not lowly.send(operations.get_version()).etcdserver.startswith("2.")


def test_real_server_agrees_about_a_watch_of_lost_history(lowly: Lowly, server: Server) -> None:
    foreign_writes(server, 1002)
    assert lowly.refused(operations.get_key("/h", wait=True, wait_index=1)) == 401


def test_real_server_agrees_about_expiry(lowly: Lowly) -> None:
    made = lowly.send(operations.put_key("/e", value="x", ttl=0))
    assert made.node is not None
    assert (made.node.ttl, made.node.expiration is None) == (None, False)
    gone = lowly.send(operations.get_key("/e", wait=True, wait_index=made.node.modified_index + 1))
    assert (gone.action, gone.prev_node and gone.prev_node.value) == ("expire", "x")


def test_real_server_agrees_about_itself(lowly: Lowly, server: Server) -> None:
    send = lowly.send
    (member,) = send(operations.list_members()).members
    assert member.client_urls == (server.url,)
    assert send(operations.get_leader()) == member
    assert send(operations.list_machines()) == server.url
    assert send(operations.get_self_stats()).id == member.id
    assert send(operations.get_leader_stats()) == api.LeaderStats(leader=member.id, followers={})
    assert send(operations.get_store_stats()).sets_success > 0
    assert send(operations.get_version()).etcdserver == server.version
    assert send(operations.get_health()).health == "true"


def test_real_server_agrees_about_members(lowly: Lowly) -> None:
    send, refused = lowly.send, lowly.refused
    (member,) = send(operations.list_members()).members
    assert "peerURL exists" in str(refused(operations.add_member(api.MemberPeers(peer_urls=member.peer_urls))))
    assert refused(operations.add_member(api.MemberPeers(peer_urls=("ftp://x:1",)))) != ""
    assert refused(operations.update_member("abc", PEERS)) == "No such member: abc"
    assert refused(operations.remove_member("abc")) == "No such member: abc"
    send(operations.update_member(member.id, api.MemberPeers(peer_urls=member.peer_urls)))


def test_real_server_agrees_about_a_new_member(etcd_binary: Path | None) -> None:
    with Server(etcd_binary, fsync=False) as alone:
        lowly = Lowly(alone)
        added = lowly.send(operations.add_member(PEERS))
        assert (added.name, added.peer_urls, added.client_urls) == ("", PEERS.peer_urls, ())
        assert added in lowly.send(operations.list_members()).members
        assert added.id in lowly.send(operations.get_leader_stats()).followers or alone.version_info < (3,)
        lowly.close()


def test_real_server_agrees_about_users_and_roles(lowly: Lowly) -> None:
    send, refused = lowly.send, lowly.refused
    change, role = api.UserChange, api.RoleChange
    assert send(operations.get_auth_state()) == api.AuthState(enabled=False)
    assert refused(operations.disable_auth()) == "auth: already disabled"
    assert "No root user" in str(refused(operations.enable_auth()))
    assert send(operations.list_users()).users is None
    assert [one.role for one in send(operations.list_roles()).roles] == ["root"]
    try:
        assert send(operations.put_role("r1", role(role="r1"))).permissions.kv.read is None
        granted = send(operations.put_role("r1", role(role="r1", grant=PATTERNS)))
        assert granted == send(operations.get_role("r1"))
        assert granted.permissions.kv == api.KeyPatterns(read=("/a/*",), write=())
        assert "duplicate" in str(refused(operations.put_role("r1", role(role="r1", grant=PATTERNS))))
        assert "does not match" in str(refused(operations.put_role("r2", role(role="r1"))))
        assert "root role" in str(refused(operations.put_role("root", role(role="root"))))
        assert "none" in str(refused(operations.get_role("none")))
        assert "none" in str(refused(operations.delete_role("none")))

        made = send(operations.put_user("u 1", change(user="u 1", password="p")))
        assert (made.user, made.roles) == ("u 1", None)
        assert send(operations.put_user("u 1", change(user="u 1", grant=("r1",)))).roles == ("r1",)
        assert send(operations.put_user("u2", change(user="u2", password="p", roles=("r1",)))).roles == ("r1",)
        assert "already exists" in str(
            refused(operations.put_user("u2", change(user="u2", password="p", roles=("x",))))
        )
        assert "empty password" in str(refused(operations.put_user("u3", change(user="u3"))))
        assert send(operations.get_user("u 1")).roles == (granted,)
        assert "none" in str(refused(operations.get_user("none")))
        assert "none" in str(refused(operations.delete_user("none")))
        assert [one.user for one in send(operations.list_users()).users or ()] == ["u 1", "u2"]

        send(operations.put_user("root", change(user="root", password="top")))
        assert send(operations.enable_auth()) is None
        assert send(operations.get_auth_state()).enabled
        assert refused(operations.list_users()) == "Insufficient credentials"
        assert refused(operations.add_member(PEERS)) == "Insufficient credentials"
        lowly.auth = ("u2", "wrong")
        assert refused(operations.get_key("/")) == 110
        lowly.auth = ("root", "top")
        assert refused(operations.enable_auth()) == "auth: already enabled"
        assert "Cannot delete root" in str(refused(operations.delete_user("root")))
        assert [one.role for one in send(operations.list_roles()).roles] == ["guest", "r1", "root"]
    finally:
        lowly.auth = ("root", "top")
        lowly.ask(operations.disable_auth())
        lowly.auth = None
        for name in ("root", "u 1", "u2"):
            lowly.ask(operations.delete_user(name))
        for name in ("r1", "guest"):
            lowly.ask(operations.delete_role(name))
    assert send(operations.list_users()).users is None


def test_real_server_agrees_about_what_is_not_there(lowly: Lowly) -> None:
    assert lowly.raw("PATCH", "/v2/keys/x")[0] == 405
    assert lowly.raw("DELETE", "/v2/members")[0] == 405
    assert lowly.raw("GET", "/v2/members/abc")[0] == 404
    assert lowly.raw("HEAD", "/v2/keys/none")[0] == 404
    assert lowly.raw("HEAD", "/v2/machines")[0] == 200
    assert lowly.raw("GET", "/v2/keys/a?recursive=zz")[0] == 400
    assert lowly.raw("PUT", "/v2/keys/a//b", b"value=x", {"Content-Type": FORM})[0] == 301
    assert lowly.raw("GET", "/v2/keys/a//b")[0] == 301
    assert lowly.raw("GET", "/v2/keys")[0] == 200
    assert lowly.raw("GET", "/v2/auth/users/")[0] == 200
    assert lowly.raw("GET", "/v2/auth/users/a%2Fb")[0] == 400
    assert lowly.raw("HEAD", "/v2/auth/roles/a/b")[0] == 400
    assert lowly.raw("DELETE", "/v2/auth/users/a/b/c")[0] == 400


def test_real_server_agrees_about_what_is_below_members(lowly: Lowly) -> None:
    """Whatever it is: GET finds nothing, POST adds a member, PUT and DELETE take it for an id."""
    json_type, nothing = {"Content-Type": "application/json"}, b"{}"
    for below in ("abc", "abc/", "leader", "leader/", "a/b/c", "a%2Fb"):
        path = f"/v2/members/{below}"
        assert lowly.raw("GET", path)[0] == (200 if below == "leader" else 404)
        assert lowly.raw("POST", path)[0] == 415
        assert lowly.raw("POST", path, nothing, json_type)[0] == 400
        assert lowly.raw("DELETE", path)[0] == 404
        assert lowly.raw("PATCH", path)[0] == 405
        peers = operations.update_member("x", PEERS).body
        assert lowly.raw("PUT", path, peers, json_type)[0] == 404


@pytest.mark.parametrize("below", ["leader", "whatever/id"])
def test_real_server_adds_a_member_below_members(etcd_binary: Path | None, below: str) -> None:
    with Server(etcd_binary, fsync=False) as alone:
        lowly = Lowly(alone)
        body = operations.add_member(PEERS).body
        status, content = lowly.raw("POST", f"/v2/members/{below}", body, {"Content-Type": "application/json"})
        assert status == 201
        assert api.Member.model_validate_json(content) in lowly.send(operations.list_members()).members
        lowly.close()


def test_real_server_takes_the_largest_index_and_no_body(lowly: Lowly) -> None:
    largest = 2**64 - 1
    assert lowly.raw("PUT", "/v2/keys/large")[0] == 201
    assert lowly.raw("POST", "/v2/keys/large-d")[0] == 201
    assert lowly.refused(operations.delete_key("/large", prev_index=largest)) == 101
    assert lowly.refused(operations.put_key("/large", prev_index=largest)) == 101
    assert lowly.refused(operations.put_key("/large", prev_index=largest + 1)) == 203
    assert lowly.send(operations.get_key("/large", wait_index=largest)).action == "get"
    assert lowly.refused(operations.get_key("/large", wait_index=largest + 1)) == 203


def test_real_server_without_the_v2_api_agrees(etcd_binary: Path | None) -> None:
    with Server(etcd_binary, v2=False, fsync=False) as dumb:
        lowly = Lowly(dumb)
        assert lowly.send(operations.get_health()).health == "true"
        for call, *_ in (some[0] for name, some in REQUESTS.items() if name not in ("get_health", "get_version")):
            with pytest.raises(UndescribedAnswer, match="no v2 API"):
                lowly.ask(call)
        lowly.close()


def test_real_cluster_agrees_about_leaders_and_their_loss(etcd_cluster: Cluster) -> None:
    leader = etcd_cluster.leader()
    follower, other = etcd_cluster.followers()
    lowly = Lowly(follower)
    assert lowly.send(operations.get_leader()).client_urls == (leader.url,)
    assert lowly.refused(operations.get_leader_stats()) == "not current leader"
    assert lowly.send(operations.get_self_stats()).state == "StateFollower"
    at_leader = Lowly(leader)
    followers = at_leader.send(operations.get_leader_stats()).followers
    assert len(followers) == 2
    at_leader.close()
    for gone in (leader, other):
        gone.pause()
    try:
        give_up = time.monotonic() + SOON
        while not isinstance(lost := lowly.ask(operations.get_leader()), Message):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert lost.message == "During election"
        assert lowly.send(operations.get_health()).health == "false"
        assert lowly.send(operations.get_key("/")).node is not None
    finally:
        for back in (leader, other):
            back.resume()
        lowly.close()
