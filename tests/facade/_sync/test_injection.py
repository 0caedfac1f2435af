# Derived from tests/facade/_async/test_injection.py by scripts/unasync.py: change that file, make generate.
"""Whatever text a caller gives arrives as that text and nothing else, or is refused before anything is sent.

Real servers are asked by `http.client` too, with an encoder that shares nothing with the client's.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2 import BadRequest, Client
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools.any_key import LONE, SEGMENT, TEXT, examples
from tests.tools.recording import Recorder

NAMES = {
    "line ends": "a\r\nX-Evil: 1\r\n\r\nDELETE ?",
    "NUL": "a\x00b",
    "controls": "".join(map(chr, range(1, 33))) + "\x7f\x80\x85\x9f",
    "percent": "%",
    "percent-encoded": "%2e%2e%2f%00%0d%0a",
    "encoded twice": "%252F",
    "query": "?recursive=true&quorum=true#x",
    "form": "v&prevExist=true&ttl=1;dir=true&value=",
    "plus and spaces": " a + b ",
    "three dots": "...",
    "dots and backslashes": "..\\..\\",
    "JSON": '"}],"x":\'`',
    "beyond the BMP": "\U0001f600\U00010000",
    "no characters": "\ufffe\uffff\U0010ffff",
    "invisible": "\u2028\u2029\xa0\ufeff\u202e\u200d",
    "composed and not": "\xe9e\u0301",
    "long": "\xfc" * 300,
}
VALUES = NAMES | {"path": "/../../x//", "very long": "\r\n%\U0001f600" * 20_000}

usual = examples(40)

# --- the other client ------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    index: int
    body: Any


def percent(text: str) -> str:
    """Every byte of it."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def ask(server: Server, path: str, login: tuple[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {}
    if login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return Answer(answer.status, int(answer.headers.get("X-Etcd-Index", 0)), json.loads(body))


def stored(server: Server, key: str) -> Answer:
    return ask(server, "/v2/keys" + "/".join(map(percent, key.split("/"))))


def files(server: Server) -> dict[str, str]:
    """Everything in the store that is not hidden."""
    found: dict[str, str] = {}
    waiting = [ask(server, "/v2/keys/?recursive=true").body["node"]]
    while waiting:
        node = waiting.pop()
        if not node.get("dir"):
            found[node["key"]] = node["value"]
        waiting += node.get("nodes", ())
    return found


# --- keys and values -------------------------------------------------------------------------------------------------


def check_key(client: Client, server: Server, key: str, value: str) -> None:
    """One write makes one key with that value; one deletion removes it."""
    before = stored(server, "/").index
    written = client.keys.set(key, value)
    found = stored(server, key)
    assert (found.status, found.index) == (200, before + 1)
    assert (found.body["node"]["key"], found.body["node"]["value"]) == (key, value)
    assert (written.node.key, written.value, written.index) == (key, value, before + 1)
    read = client.keys.get(key)
    assert (read.node.key, read.value) == (key, value)
    assert files(server) == ({} if "/_" in key else {key: value})
    client.keys.delete(key)
    found = stored(server, key)
    assert (found.status, found.index) == (404, before + 2)
    assert files(server) == {}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_in_a_key_stays_a_name(client: Client, etcd: Server, name: str) -> None:
    check_key(client, etcd, f"/d/{name}", "v")
    view = client.keys.at(f"/v/{name}")
    view.set(name, "v")
    queued = view.create_in_order("q", "v")
    assert queued.node.key.startswith(f"/v/{name}/q/0")
    assert files(etcd) == {f"/v/{name}/{name}": "v", queued.node.key: "v"}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_value_stays_a_value(client: Client, etcd: Server, value: str) -> None:
    check_key(client, etcd, "/a", value)
    client.keys.set("/a", value)
    before = stored(etcd, "/a").index
    swapped = client.keys.set("/a", f"{value}.", prev_value=value)
    assert (swapped.action, stored(etcd, "/a").body["node"]["value"]) == ("compareAndSwap", f"{value}.")
    if len(value) < 1000:  # else the request line is too long: test_very_long_text_arrives_or_is_refused
        gone = client.keys.delete("/a", prev_value=f"{value}.")
        assert (gone.action, stored(etcd, "/a").index) == ("compareAndDelete", before + 2)
        assert files(etcd) == {}


@usual
@given(names=st.lists(SEGMENT, min_size=1, max_size=4), value=TEXT)
def test_any_key_and_value_arrive_as_another_client_sees_them(
    client: Client, etcd: Server, names: list[str], value: str
) -> None:
    key = f"/p/{'/'.join(names)}"
    try:
        check_key(client, etcd, key, value)
    finally:
        client.keys.delete("/p", recursive=True)


@pytest.mark.parametrize("length", [500, 5_000, 100_000])
def test_very_long_text_arrives_or_is_refused(client: Client, etcd: Server, length: int) -> None:
    name = "\u20ac" * (length // 9)
    client.keys.set("/b", name)
    before = stored(etcd, "/").index
    try:
        client.keys.set(f"/{name}", "v")
    except ValueError:
        assert length >= 5_000
        assert stored(etcd, "/").index == before
    else:
        assert files(etcd) == {f"/{name}": "v", "/b": name}
    try:
        client.keys.delete("/b", prev_value=name)
    except ValueError:
        assert length >= 5_000
        assert files(etcd)["/b"] == name
    else:
        assert "/b" not in files(etcd)


def test_client_that_does_not_encode_is_found_out(
    client: Client, etcd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("etcdv2_api.operations.key_path", lambda key: key)
        for name in ("x?recursive=true", "%41"):
            with pytest.raises(AssertionError):
                check_key(client, etcd, f"/d/{name}", "v")
            etcd.clean()
    with monkeypatch.context() as broken:
        broken.setattr("etcdv2_api.call.form_encoded", lambda form: "&".join(map("=".join, form)))
        with pytest.raises(AssertionError):
            check_key(client, etcd, "/a", "v&ttl=99")


# --- users, roles, members -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_of_users_and_roles_and_patterns_stay_what_they_are(client: Client, etcd: Server, name: str) -> None:
    users, roles = client.auth.users, client.auth.roles
    roles.create(name, read=f"/{name}", write=[f"/{name}/*", "*"])
    made = ask(etcd, f"/v2/auth/roles/{percent(name)}").body
    kv = {"read": [f"/{name}"], "write": ["*", f"/{name}/*"]}
    assert (made["role"], {kind: sorted(some) for kind, some in made["permissions"]["kv"].items()}) == (name, kv)
    assert {role["role"] for role in ask(etcd, "/v2/auth/roles").body["roles"]} == {name, "root", "guest"} - {
        role for role in ("root", "guest") if ask(etcd, f"/v2/auth/roles/{role}").status == 404
    }
    read = roles.get(name)
    assert (read.role, read.permissions.kv.read) == (name, (f"/{name}",))
    if ":" in name:
        with pytest.raises(ValueError, match="colon"):
            users.create(name, "pw")
        assert not ask(etcd, "/v2/auth/users").body.get("users")
    else:
        users.create(name, "pw", [name])
        user = ask(etcd, f"/v2/auth/users/{percent(name)}").body
        assert (user["user"], [role["role"] for role in user["roles"]]) == (name, [name])
        assert [one["user"] for one in ask(etcd, "/v2/auth/users").body["users"]] == [name]
        assert (users.get(name)).user == name
        users.delete(name)
        assert ask(etcd, f"/v2/auth/users/{percent(name)}").status == 404
    roles.delete(name)
    assert ask(etcd, f"/v2/auth/roles/{percent(name)}").status == 404


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path) -> Iterator[Server]:
    """A server with authentication on."""
    with Server(etcd_binary, auth=("root", "root"), fsync=False) as server:
        yield server


def test_name_and_password_log_in_as_they_were_given(connect: Connect, guarded: Server) -> None:
    name, password = 'a\r\nX-Evil\x00%00&"\\\xfc', "p:w\r\n\x00\x7f%2F\U0001f600\ufeff "
    root = connect(guarded.url, username="root", password="root")
    root.auth.users.create(name, password, ["root"])
    try:
        path = f"/v2/auth/users/{percent(name)}"
        assert ask(guarded, path, (name, password)).body["user"] == name
        assert ask(guarded, path, (name, password[:-1])).status == 401
        user = connect(guarded.url, username=name, password=password)
        assert (user.auth.users.get(name)).user == name
    finally:
        root.auth.users.delete(name)


@pytest.mark.parametrize("name", ["line ends", "NUL", "percent", "JSON", "dots and backslashes"])
def test_peer_url_that_is_none_changes_no_member(client: Client, etcd: Server, name: str) -> None:
    before = ask(etcd, "/v2/members").body
    (member,) = client.members.list()
    for url in (f"http://127.0.0.1:1{NAMES[name]}", NAMES[name]):
        with pytest.raises(BadRequest):
            client.members.update(member.id, url)
    assert ask(etcd, "/v2/members").body == before


# --- refused before anything is sent ---------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[Client], Any]] = {
    "prev_value": lambda c: c.keys.set("/a", "", prev_value=LONE),
    "prev_value of delete": lambda c: c.keys.delete("/a", prev_value=LONE),
    "view": lambda c: c.keys.at(LONE),
    "watched key": lambda c: c.keys.watch(LONE),
    "mirrored key": lambda c: c.keys.mirror(LONE),
    "user": lambda c: c.auth.users.get(LONE),
    "new user": lambda c: c.auth.users.create(LONE, "pw"),
    "role of a new user": lambda c: c.auth.users.create("u", "pw", [LONE]),
    "granted role": lambda c: c.auth.users.grant("u", LONE),
    "revoked role": lambda c: c.auth.users.revoke("u", LONE),
    "user of a grant is no text": lambda c: c.auth.users.grant(None, "r"),
    "role": lambda c: c.auth.roles.get(LONE),
    "new role": lambda c: c.auth.roles.create(LONE),
    "pattern": lambda c: c.auth.roles.create("r", read=f"/{LONE}"),
    "granted pattern": lambda c: c.auth.roles.grant("r", write=f"/{LONE}"),
    "member": lambda c: c.members.remove(LONE),
    "new peer": lambda c: c.members.add(f"http://{LONE}:2380"),
    "peer": lambda c: c.members.update("a1", f"http://{LONE}:2380"),
    "user name": lambda c: c.set_credentials(LONE, "pw"),
    "password": lambda c: c.set_credentials("u", LONE),
    "password is bytes": lambda c: c.set_credentials("u", b"pw"),
    "user agent": lambda c: Client("http://a:1", user_agent=LONE),
    "user agent is no text": lambda c: Client("http://a:1", user_agent=7),
    "user agent is bytes": lambda c: Client("http://a:1", user_agent=b"x"),
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_text_that_is_no_text_is_refused_before_anything_is_sent(
    connect: Connect, use: Callable[[Client], Any]
) -> None:
    recorder = Recorder()
    with pytest.raises((ValueError, TypeError)) as caught:
        use(connect("http://a:1", transport=recorder))
    assert type(caught.value) in (ValueError, TypeError)
    assert recorder.noted == []
