"""`client.as_curl`: a command line that says what the client sends, runs as it stands, and shows no password."""

from __future__ import annotations

import http.client
import pickle
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from etcdv2 import TLS, AsyncClient, OutcomeUnknown
from etcdv2.testing import Server, make_certificates
from etcdv2_api import Call, UserChange, operations
from tests.facade._async.conftest import Connect

CALLS = [
    operations.get_key("/a b/ü?", recursive=True, quorum=True),
    operations.put_key("/a b/ü?", value='it\'s 100% "quoted" & $HOME\r\n@file\x00\U0001f600', ttl=100),
    operations.put_key("/a b/ü?", value="@/etc/hostname", prev_exist=True),
    operations.post_key("/queue", value=""),
    operations.delete_key("/a b", recursive=True),
    operations.list_members(),
]


def carried_out(command: str) -> int:
    """Do what curl would do with these words; the status."""
    words = shlex.split(command)
    assert words.pop(0) == "curl"
    method, body, headers = "GET", None, {}
    url = ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "--data-raw":
            body = words.pop(0).encode()
        else:
            assert not url, f"{word} beside {url}"
            url = word
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def test_commands_do_what_the_calls_do(client: AsyncClient, etcd: Server) -> None:
    for call in CALLS[1:4]:
        assert carried_out(client.as_curl(call)) in (200, 201)
        form = dict(call.form or ())
        if call.method == "PUT":
            assert (await client.keys.get("/a b/ü?")).value == form["value"]
    assert carried_out(client.as_curl(CALLS[0])) == 200
    assert len((await client.keys.get("/queue")).node.children) == 1
    assert carried_out(client.as_curl(CALLS[4])) == 200
    assert not await client.keys.exists("/a b")
    assert carried_out(client.as_curl(CALLS[5], etcd.url)) == 200


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.operation)
async def test_command_is_one_line_and_its_words_are_the_request(connect: Connect, call: Call) -> None:  # type: ignore[type-arg]
    command = connect("http://10.0.0.1:2379/prefix").as_curl(call)
    assert "\n" not in command
    words = shlex.split(command)
    assert f"http://10.0.0.1:2379/prefix{call.target}" in words
    assert ("--data-raw" in words) == (call.body is not None)


async def test_no_password_is_shown(connect: Connect) -> None:
    client = connect("http://10.0.0.1:2379", username="root", password="SECRET-1")
    change = UserChange(user="ada", password="SECRET-2")
    command = client.as_curl(operations.put_user("ada", change))
    assert "SECRET" not in command
    assert shlex.split(command)[:5] == ["curl", "-X", "PUT", "--user", "root:***"]
    lost = OutcomeUnknown(operations.put_user("ada", change), "http://10.0.0.1:2379", "timed out")
    assert "SECRET" not in client.as_curl(pickle.loads(pickle.dumps(lost)).call)


async def test_tls_is_shown_by_its_files(connect: Connect, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    files = (made.ca_file, made.client_cert_file, made.client_key_file)
    tls = TLS(ca_file=files[0], cert_file=files[1], key_file=files[2])
    client = connect("10.0.0.1:2379", tls=tls)
    assert shlex.split(client.as_curl(operations.get_key("/a"))) == [
        *("curl", "--cacert", str(files[0]), "--cert", str(files[1]), "--key", str(files[2])),
        "https://10.0.0.1:2379/v2/keys/a",
    ]
    assert client.as_curl(operations.get_key("/a"), "http://10.0.0.2:1") == "curl http://10.0.0.2:1/v2/keys/a"
