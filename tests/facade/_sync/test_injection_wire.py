# Derived from tests/facade/_async/test_injection_wire.py by scripts/unasync.py: change that file, make generate.
"""Whatever text a caller gives, exactly one well-formed request is on the wire: the bytes themselves are looked at."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdv2 import Client
from tests.facade._sync.conftest import Connect
from tests.tools.any_key import LONE, SEGMENT, TEXT, examples
from tests.tools.hostile_server import Capture

usual = examples(40)
HEADERS = {"host", "user-agent", "accept-encoding", "authorization", "content-type", "content-length"}


class Sent(NamedTuple):
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


def the_only_request(taken: list[bytes]) -> Sent:
    """Exactly one request, well-formed, with the headers that are meant and as much body as they say."""
    (raw,) = taken
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end
    first, *fields = head.split(b"\r\n")
    line = re.fullmatch(rb"(GET|PUT|POST|DELETE) (/[!-~]*) HTTP/1\.1", first)
    assert line, first
    headers: dict[str, str] = {}
    for field in fields:
        found = re.fullmatch(rb"([A-Za-z-]+): ([ -~]*)", field)
        assert found, field
        assert found[1].lower().decode() not in headers
        headers[found[1].lower().decode()] = found[2].decode()
    assert {"host", "user-agent", "accept-encoding"} <= headers.keys() <= HEADERS
    assert len(body) == int(headers.get("content-length", "0"))
    path, _, query = line[2].decode().partition("?")
    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*", path), path
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    return Sent(line[1].decode(), unquote_to_bytes(path).decode(), pairs, headers, body)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /v2/keys/a b HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nAccept-Encoding: identity\r\n\r\n",
        b"GET /v2/keys/a HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nAccept-Encoding: identity\r\nX-Evil: 1\r\n\r\n",
        b"GET /v2/keys/a HTTP/1.1\r\nHost: a\r\nUser-Agent: u\nX: y\r\nAccept-Encoding: identity\r\n\r\n",
        b"GET /v2/keys/a HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nAccept-Encoding: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"PUT /a HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nAccept-Encoding: x\r\nContent-Length: 3\r\n\r\na=1&b=2",
    ],
)
def test_request_that_was_broken_out_of_is_found_out(raw: bytes) -> None:
    with pytest.raises(AssertionError):
        the_only_request([raw])


@pytest.fixture
def capture() -> Iterator[Capture]:
    with Capture() as server:
        yield server


Use = Callable[[Client, str, str], Any]
SWAP = ["value", "prevValue"]
WRITES: dict[str, tuple[Use, str, list[str]]] = {
    "set": (lambda c, key, text: c.keys.set(key, text), "PUT", ["value"]),
    "compare and swap": (
        lambda c, key, text: c.keys.set(key, "", prev_value=f"-{text}"),
        "PUT",
        ["value", "prevValue"],
    ),
    "create_in_order": (lambda c, key, text: c.keys.create_in_order(key, text), "POST", ["value"]),
    "compare and delete": (lambda c, key, text: c.keys.delete(key, prev_value=f"-{text}"), "DELETE", ["prevValue"]),
    "get in a view": (lambda c, key, text: c.keys.at(key).get("k"), "GET", []),
}


@usual
@given(use=st.sampled_from(sorted(WRITES)), names=st.lists(SEGMENT, min_size=1, max_size=3), text=TEXT)
def test_any_text_goes_out_in_one_well_formed_request(
    connect: Connect, capture: Capture, use: str, names: list[str], text: str
) -> None:
    key = f"/{'/'.join(names)}"
    act, method, fields = WRITES[use]
    client = connect(capture.url)
    capture.taken.clear()
    act(client, key, text)
    client.close()
    sent = the_only_request(capture.taken)
    assert (sent.method, sent.path) == (method, f"/v2/keys{key}" + ("/k" if method == "GET" else ""))
    form = parse_qsl(sent.body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(sent.body))
    given_fields = {"value": "" if use == "compare and swap" else text, "prevValue": f"-{text}"}
    assert sorted(form + sent.query) == sorted((name, given_fields[name]) for name in fields)


@usual
@given(name=SEGMENT.filter(lambda name: ":" not in name), role=SEGMENT, text=TEXT)
def test_any_name_goes_out_in_one_well_formed_request(
    connect: Connect, capture: Capture, name: str, role: str, text: str
) -> None:
    client = connect(capture.url, username=name, password=text, user_agent="agent ~!\"#$%&'()*+,-./:;<=>?@[]{}")
    for use, given_text, path, content in (
        (client.auth.users.grant, role, f"/v2/auth/users/{name}", {"user": name, "grant": [role]}),
        (client.auth.users.revoke, role, f"/v2/auth/users/{name}", {"user": name, "revoke": [role]}),
        (client.members.update, text, f"/v2/members/{name}", {"peerURLs": [text]}),
    ):
        capture.taken.clear()
        use(name, given_text)
        sent = the_only_request(capture.taken)
        assert (sent.method, sent.path, json.loads(sent.body)) == ("PUT", path, content)
        assert sent.headers["user-agent"] == "agent ~!\"#$%&'()*+,-./:;<=>?@[]{}"
        assert base64.b64decode(sent.headers["authorization"].removeprefix("Basic ")).decode() == f"{name}:{text}"
    client.close()


GOOD = ["/etcd/one", "/a%20b", "/a;b=c,d", "/~x.y"]
PREFIXES = [*GOOD, "/a b", "/a\x7f", '/a"b', "/a<b", "/%zz", "/a/../b", "/a\\b", "/."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_path_of_an_endpoint_arrives_as_given_or_is_refused(connect: Connect, capture: Capture, prefix: str) -> None:
    try:
        client = connect(capture.url + prefix)
    except ValueError:
        assert prefix not in GOOD
        return
    client.version()
    (raw,) = capture.taken
    assert raw.startswith(f"GET {prefix}/version HTTP/1.1\r\n".encode())
    assert not re.search(r"[^!-~]", prefix)


@pytest.mark.parametrize("host", ["a\x7f", "a<b", "a\\b", "a b", "a\r\nX-Evil: 1", "a\x00", 'a"', "[::1%\x7f]", LONE])
def test_host_that_could_leave_its_header_is_refused(connect: Connect, host: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        connect(f"http://{host}:2379")
