# Derived from tests/facade/_async/test_wire_options.py by scripts/unasync.py: change that file, make generate.
"""Every option of the facade as it goes out: method, target, form or JSON, headers. Over a recording transport."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from etcdv2 import Client
from etcdv2_api import operations
from tests.facade._sync.conftest import Connect
from tests.tools.recording import NODE, Answer, Noted, Recorder
from tests.tools.waiting import SOON

Use = Callable[[Client], Any]
Form = dict[str, str]

GETS: list[tuple[Use, str]] = [
    (lambda c: c.keys.get("/a"), "/a"),
    (lambda c: c.keys.get("a/b"), "/a/b"),
    (lambda c: c.keys.get("/"), "/"),
    (lambda c: c.keys.get(""), "/"),
    (lambda c: c.keys.get("/a/"), "/a/"),
    (lambda c: c.keys.get("/a", default=None), "/a"),
    (lambda c: c.keys.get("/a", recursive=True), "/a?recursive=true"),
    (lambda c: c.keys.get("/a", sorted=True), "/a?sorted=true"),
    (lambda c: c.keys.get("/a", quorum=True), "/a?quorum=true"),
    (lambda c: c.keys.get("/a", consistency="quorum"), "/a?quorum=true"),
    (lambda c: c.keys.get("/a", consistency="session"), "/a"),
    (lambda c: c.keys.get("/a", consistency="local"), "/a"),
    (lambda c: c.keys.get("/a", recursive=True, sorted=True, quorum=True), "/a?recursive=true&sorted=true&quorum=true"),
    (lambda c: c.keys.exists("/a"), "/a"),
    (lambda c: c.keys.exists("/a", quorum=True), "/a?quorum=true"),
    (lambda c: c.keys.exists("/a", consistency="quorum"), "/a?quorum=true"),
    (lambda c: c.keys.at("/app").get(""), "/app"),
    (lambda c: c.keys.at("app/").get("a/"), "/app/a/"),
    (lambda c: c.keys.get("/a%b +c?d#e"), "/a%25b%20%2Bc%3Fd%23e"),
    (lambda c: c.keys.get("/\u00e9/e\u0301"), "/%C3%A9/e%CC%81"),
    (lambda c: c.keys.get("/a\x00\n\x7f"), "/a%00%0A%7F"),
    (lambda c: c.keys.get("/a&b=c;d:e@f"), "/a%26b%3Dc%3Bd%3Ae%40f"),
    (lambda c: c.keys.get("/%2F/..."), "/%252F/..."),
]
# POST below, and all parameters of PUT.
PUTS: list[tuple[Use, str, Form]] = [
    (lambda c: c.keys.set("/a", "1"), "/a", {"value": "1"}),
    (lambda c: c.keys.set("/a/", ""), "/a/", {"value": ""}),
    (lambda c: c.keys.set("/a", "a b+c&d;e=%\n\u00e9"), "/a", {"value": "a b+c&d;e=%\n\u00e9"}),
    (lambda c: c.keys.set("/a", "1", ttl=30), "/a", {"value": "1", "ttl": "30"}),
    (lambda c: c.keys.set("/a", "1", ttl=timedelta(milliseconds=1500)), "/a", {"value": "1", "ttl": "2"}),
    (lambda c: c.keys.set("/a", "1", ttl=timedelta(days=1)), "/a", {"value": "1", "ttl": "86400"}),
    (lambda c: c.keys.set("/a", "1", prev_value="0"), "/a", {"value": "1", "prevValue": "0"}),
    (lambda c: c.keys.set("/a", "1", prev_index=2**64 - 1), "/a", {"value": "1", "prevIndex": "18446744073709551615"}),
    (lambda c: c.keys.set("/a", "1", prev_exist=True), "/a", {"value": "1", "prevExist": "true"}),
    (lambda c: c.keys.set("/a", "1", prev_exist=False), "/a", {"value": "1", "prevExist": "false"}),
    (
        lambda c: c.keys.set("/a", "1", ttl=5, prev_value="0", prev_index=7, prev_exist=True, no_value_on_success=True),
        "/a",
        {
            "value": "1",
            "ttl": "5",
            "prevValue": "0",
            "prevIndex": "7",
            "prevExist": "true",
            "noValueOnSuccess": "true",
        },
    ),
    (lambda c: c.keys.set("/a", "1", no_value_on_success=True), "/a", {"value": "1", "noValueOnSuccess": "true"}),
    (lambda c: c.keys.create("/a", "1"), "/a", {"value": "1", "prevExist": "false"}),
    (lambda c: c.keys.create("/a", "1", ttl=5), "/a", {"value": "1", "ttl": "5", "prevExist": "false"}),
    (lambda c: c.keys.update("/a", "1"), "/a", {"value": "1", "prevExist": "true"}),
    (lambda c: c.keys.update("/a", "1", ttl=5), "/a", {"value": "1", "ttl": "5", "prevExist": "true"}),
    (lambda c: c.keys.refresh("/a", 5), "/a", {"ttl": "5", "refresh": "true", "prevExist": "true"}),
    (
        lambda c: c.keys.refresh("/a", timedelta(minutes=1), prev_value="v", prev_index=7),
        "/a",
        {"ttl": "60", "refresh": "true", "prevExist": "true", "prevValue": "v", "prevIndex": "7"},
    ),
    (lambda c: c.keys.make_dir("/a"), "/a", {"dir": "true", "prevExist": "false"}),
    (lambda c: c.keys.make_dir("/a", ttl=5), "/a", {"dir": "true", "ttl": "5", "prevExist": "false"}),
    (lambda c: c.keys.make_dir("/a", exist_ok=True), "/a", {"dir": "true", "prevExist": "false"}),
    (lambda c: c.keys.at("/app").set("a", "1"), "/app/a", {"value": "1"}),
]
POSTS: list[tuple[Use, str, Form]] = [
    (lambda c: c.keys.create_in_order("/q", "1"), "/q", {"value": "1"}),
    (lambda c: c.keys.create_in_order("/q/", "1", ttl=5), "/q/", {"value": "1", "ttl": "5"}),
    (
        lambda c: c.keys.create_in_order("/q", "1", no_value_on_success=True),
        "/q",
        {"value": "1", "noValueOnSuccess": "true"},
    ),
    (lambda c: c.keys.at("/q").create_in_order("", "1"), "/q", {"value": "1"}),
]
DELETES: list[tuple[Use, str]] = [
    (lambda c: c.keys.delete("/a"), "/a"),
    (lambda c: c.keys.delete("/a/"), "/a/"),
    (lambda c: c.keys.delete("/a", dir=True), "/a?dir=true"),
    (lambda c: c.keys.delete("/a", recursive=True), "/a?recursive=true"),
    (lambda c: c.keys.delete("/a", recursive=True, dir=True), "/a?dir=true&recursive=true"),
    (lambda c: c.keys.delete("/a", prev_value="a b+&;=%\u00e9"), "/a?prevValue=a%20b%2B%26%3B%3D%25%C3%A9"),
    (lambda c: c.keys.delete("/a", prev_index=7), "/a?prevIndex=7"),
    (lambda c: c.keys.delete("/a", prev_value="1", prev_index=7), "/a?prevValue=1&prevIndex=7"),
]


@pytest.fixture
def transport() -> str:
    """The recording transport stands in for any transport."""
    return "recording"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(connect: Connect, recorder: Recorder) -> Client:
    return connect("http://etcd.example:2379", transport=recorder)


@pytest.mark.parametrize(("use", "target"), GETS)
def test_read_goes_out_as_asked(client: Client, recorder: Recorder, use: Use, target: str) -> None:
    use(client)
    sent = recorder.only
    assert (sent.method, sent.target, sent.body) == ("GET", f"/v2/keys{target}", b"")
    assert "content-type" not in sent.headers


@pytest.mark.parametrize(("use", "target", "form"), PUTS)
def test_put_goes_out_as_asked(client: Client, recorder: Recorder, use: Use, target: str, form: Form) -> None:
    use(client)
    sent = recorder.only
    assert (sent.method, sent.target) == ("PUT", f"/v2/keys{target}")
    assert sorted(sent.form) == sorted(form.items())
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent.headers["content-length"] == str(len(sent.body))


@pytest.mark.parametrize(("use", "target", "form"), POSTS)
def test_post_goes_out_as_asked(client: Client, recorder: Recorder, use: Use, target: str, form: Form) -> None:
    use(client)
    sent = recorder.only
    assert (sent.method, sent.target) == ("POST", f"/v2/keys{target}")
    assert sorted(sent.form) == sorted(form.items())
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("use", "target"), DELETES)
def test_delete_goes_out_as_asked(client: Client, recorder: Recorder, use: Use, target: str) -> None:
    use(client)
    sent = recorder.only
    assert (sent.method, sent.target, sent.body) == ("DELETE", f"/v2/keys{target}", b"")


def test_form_is_percent_encoded_ascii_without_semicolons(client: Client, recorder: Recorder) -> None:
    client.keys.set("/a", "a;b&c=\u00e9")
    assert recorder.only.body == b"value=a%3Bb%26c%3D%C3%A9"


def test_remove_dir_looks_with_quorum_before_it_deletes(connect: Connect) -> None:
    def answer(noted: Noted) -> Answer:
        return 200, {"action": noted.method.lower(), "node": NODE | {"dir": True}}

    recorder = Recorder(answer)
    client = connect("http://a:1", transport=recorder)
    client.keys.remove_dir("/a/")
    client.keys.remove_dir("/a", recursive=True)
    assert recorder.lines == [
        ("GET", "/v2/keys/a/?quorum=true"),
        ("DELETE", "/v2/keys/a/?dir=true"),
        ("GET", "/v2/keys/a?quorum=true"),
        ("DELETE", "/v2/keys/a?recursive=true"),
    ]


def test_modify_and_persist_compare_the_index_that_they_read(connect: Connect) -> None:
    def answer(noted: Noted) -> Answer:
        expiring = NODE | {"expiration": "2027-01-01T00:00:00Z", "ttl": 5}
        return 200, {"action": "get" if noted.method == "GET" else "compareAndSwap", "node": expiring}

    recorder = Recorder(answer)
    client = connect("http://a:1", transport=recorder)
    client.keys.modify("/a", lambda value: value + "!", ttl=9)
    client.keys.persist("/a")
    assert [line for line in recorder.lines if line[0] == "GET"] == [("GET", "/v2/keys/a?quorum=true")] * 2
    forms = [sorted(noted.form) for noted in recorder.noted if noted.method == "PUT"]
    assert forms == [
        [("prevIndex", "7"), ("ttl", "9"), ("value", "v!")],
        [("prevIndex", "7"), ("value", "v")],
    ]


WATCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "/a?wait=true"),
    ({"recursive": True}, "/a?recursive=true&wait=true"),
    ({"after_index": 41}, "/a?wait=true&waitIndex=42"),
    ({"after_index": 0, "recursive": True}, "/a?recursive=true&wait=true&waitIndex=1"),
]


@pytest.mark.parametrize(("options", "target"), WATCHES)
def test_watch_goes_out_as_asked(connect: Connect, options: dict[str, Any], target: str) -> None:
    def answer(noted: Noted) -> Answer:
        asked = int((noted.target + "&waitIndex=50").partition("waitIndex=")[2].partition("&")[0])
        return 200, {"action": "set", "node": NODE | {"modifiedIndex": asked}}

    recorder = Recorder(answer)
    client = connect("http://a:1", transport=recorder)
    with client.keys.watch("/a", buffer=1, **options) as watcher:
        event = watcher.next(timeout=SOON)
    assert event is not None
    assert recorder.lines[0] == ("GET", f"/v2/keys{target}")
    assert "quorum" not in recorder.lines[0][1]


JSON_BODIES: list[tuple[Use, str, str, Any]] = [
    (lambda c: c.members.list(), "GET", "/v2/members", None),
    (lambda c: c.members.leader(), "GET", "/v2/members/leader", None),
    (lambda c: c.members.add("http://p:1"), "POST", "/v2/members", {"peerURLs": ["http://p:1"]}),
    (
        lambda c: c.members.add(iter(["http://p:1", "http://q:1"])),
        "POST",
        "/v2/members",
        {"peerURLs": ["http://p:1", "http://q:1"]},
    ),
    (lambda c: c.members.update("a1", "http://p:1"), "PUT", "/v2/members/a1", {"peerURLs": ["http://p:1"]}),
    (lambda c: c.members.remove("a1"), "DELETE", "/v2/members/a1", None),
    (lambda c: c.stats.self_(), "GET", "/v2/stats/self", None),
    (lambda c: c.stats.leader(), "GET", "/v2/stats/leader", None),
    (lambda c: c.stats.store(), "GET", "/v2/stats/store", None),
    (lambda c: c.machines(), "GET", "/v2/machines", None),
    (lambda c: c.version(), "GET", "/version", None),
    (lambda c: c.health(), "GET", "/health", None),
    (lambda c: c.ready(), "GET", "/v2/members/leader", None),
    (lambda c: c.auth.enabled(), "GET", "/v2/auth/enable", None),
    (lambda c: c.auth.enable(), "PUT", "/v2/auth/enable", None),
    (lambda c: c.auth.disable(), "DELETE", "/v2/auth/enable", None),
    (lambda c: c.auth.users.list(), "GET", "/v2/auth/users", None),
    (lambda c: c.auth.users.get("a b"), "GET", "/v2/auth/users/a%20b", None),
    (lambda c: c.auth.users.grant("u", "r", "s"), "PUT", "/v2/auth/users/u", {"user": "u", "grant": ["r", "s"]}),
    (lambda c: c.auth.users.revoke("u", "r"), "PUT", "/v2/auth/users/u", {"user": "u", "revoke": ["r"]}),
    (lambda c: c.auth.users.delete("u"), "DELETE", "/v2/auth/users/u", None),
    (lambda c: c.auth.roles.list(), "GET", "/v2/auth/roles", None),
    (lambda c: c.auth.roles.get("r"), "GET", "/v2/auth/roles/r", None),
    (
        lambda c: c.auth.roles.create("r", read="/a*", write=["/b", "*"]),
        "PUT",
        "/v2/auth/roles/r",
        {"role": "r", "permissions": {"kv": {"read": ["/a*"], "write": ["/b", "*"]}}},
    ),
    (
        lambda c: c.auth.roles.grant("r", read="/a*"),
        "PUT",
        "/v2/auth/roles/r",
        {"role": "r", "grant": {"kv": {"read": ["/a*"], "write": []}}},
    ),
    (
        lambda c: c.auth.roles.revoke("r", write="/a*"),
        "PUT",
        "/v2/auth/roles/r",
        {"role": "r", "revoke": {"kv": {"read": [], "write": ["/a*"]}}},
    ),
    (lambda c: c.auth.roles.delete("r"), "DELETE", "/v2/auth/roles/r", None),
]


@pytest.mark.parametrize(("use", "method", "target", "body"), JSON_BODIES)
def test_admin_call_goes_out_as_asked(
    client: Client, recorder: Recorder, use: Use, method: str, target: str, body: Any
) -> None:
    use(client)
    sent = recorder.only
    assert (sent.method, sent.target) == (method, target)
    if body is None:
        assert sent.body == b""
    else:
        assert sent.json == body
        assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("use", "body"),
    [
        (lambda c: c.auth.users.create("new", "pw"), {"user": "new", "password": "pw"}),
        (
            lambda c: c.auth.users.create("new", "p\u00e4", roles=["r", "s"]),
            {"user": "new", "password": "p\u00e4", "roles": ["r", "s"]},
        ),
        (lambda c: c.auth.users.change_password("there", "pw"), {"user": "there", "password": "pw"}),
    ],
)
def test_user_is_looked_up_before_it_is_created_or_changed(
    client: Client, recorder: Recorder, use: Use, body: Any
) -> None:
    use(client)
    looked, put = recorder.noted
    assert (looked.method, looked.target) == ("GET", "/v2/auth/users")
    assert (put.method, put.target, put.json) == ("PUT", f"/v2/auth/users/{body['user']}", body)


def test_send_carries_any_generated_call(client: Client, recorder: Recorder) -> None:
    answer = client.send(operations.put_key("/a b", value="1", dir=True))
    assert answer.node is not None
    assert answer.node.value == "v"
    text = client.send(operations.list_machines())
    assert text == "http://c:2379, http://d:2379"
    assert recorder.lines == [("PUT", "/v2/keys/a%20b"), ("GET", "/v2/machines")]
    assert recorder.noted[0].form == [("value", "1"), ("dir", "true")]


def test_every_request_carries_agent_host_and_credentials(connect: Connect) -> None:
    recorder = Recorder()
    client = connect(
        "http://etcd.example:2379",
        transport=recorder,
        username="r\u00f6\u00f6t",
        password="p:w\u00e9",
        user_agent="app/7",
    )
    client.keys.get("/a")
    client.keys.set("/a", "1")
    client.members.list()
    client.version()
    client.health()
    token = base64.b64encode("r\u00f6\u00f6t:p:w\u00e9".encode()).decode()
    assert len(recorder.noted) == 5
    for noted in recorder.noted:
        assert noted.headers["user-agent"] == "app/7"
        assert noted.headers["authorization"] == f"Basic {token}"
        assert noted.headers["host"] == "etcd.example:2379"
        assert noted.headers["accept-encoding"] == "identity"
        assert "cookie" not in noted.headers


def test_without_credentials_there_is_no_authorization_and_the_agent_names_the_library(
    client: Client, recorder: Recorder
) -> None:
    client.keys.get("/a")
    assert "authorization" not in recorder.only.headers
    assert recorder.only.headers["user-agent"].startswith("etcdv2/")


def test_credentials_changed_at_run_time_are_used_from_the_next_request_on(client: Client, recorder: Recorder) -> None:
    client.keys.get("/a")
    for name, password in (("a", "1"), ("b", ""), (None, None)):
        client.set_credentials(name, password)
        client.keys.get("/a")
    seen = [noted.headers.get("authorization", "").removeprefix("Basic ") for noted in recorder.noted]
    assert [base64.b64decode(token).decode() for token in seen] == ["", "a:1", "b:", ""]


def test_prefix_of_an_endpoint_comes_before_the_path(connect: Connect) -> None:
    recorder = Recorder()
    client = connect("http://proxy:8080/etcd/one/", transport=recorder)
    client.keys.get("/a")
    client.version()
    assert recorder.lines == [("GET", "/etcd/one/v2/keys/a"), ("GET", "/etcd/one/version")]
    assert recorder.noted[0].url == "http://proxy:8080"


def test_consistency_of_the_client_holds_where_a_read_says_nothing(connect: Connect) -> None:
    recorder = Recorder()
    client = connect("http://a:1", transport=recorder, consistency="quorum")
    client.keys.get("/a")
    client.keys.exists("/a")
    client.keys.get("/a", consistency="local")
    client.keys.get("/a", quorum=True)
    targets = [target.removeprefix("/v2/keys/a") for _, target in recorder.lines]
    assert targets == ["?quorum=true", "?quorum=true", "", "?quorum=true"]


def test_cookies_of_a_proxy_are_not_sent_back(connect: Connect) -> None:
    class Baker(Recorder):
        def _play(self, request: Any) -> Any:
            response = super()._play(request)
            response.headers["Set-Cookie"] = "session=1; Path=/"
            return response

    recorder = Baker()
    client = connect("http://a:1", transport=recorder)
    client.keys.get("/a")
    client.keys.get("/a")
    assert ["cookie" in noted.headers for noted in recorder.noted] == [False, False]
