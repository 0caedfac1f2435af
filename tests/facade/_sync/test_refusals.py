# Derived from tests/facade/_async/test_refusals.py by scripts/unasync.py: change that file, make generate.
"""What is refused before anything is sent, with which class, and what the message says to do instead."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from etcdv2 import TLS, Client, Timeout
from etcdv2_api import operations
from tests.facade._sync.conftest import Connect
from tests.tools.recording import Recorder

Use = Callable[[Client], Any]
LONG = "v" * (10 * 1024 * 1024)

# A use of the client, the class of its error, and words of the advice in it.
KEYS: dict[str, tuple[Use, type[Exception], str]] = {
    "key is no str": (lambda c: c.keys.get(7), TypeError, "must be a str"),
    "key is bytes": (lambda c: c.keys.set(b"/a", "1"), TypeError, "must be a str"),
    "dot": (lambda c: c.keys.get("/a/./b"), ValueError, r"without empty, '\.' or '\.\.' segments"),
    "dot dot": (lambda c: c.keys.set("/a/..", "1"), ValueError, r"'\.\.' segments"),
    "dot dot at the beginning": (lambda c: c.keys.delete("../a"), ValueError, r"'\.\.' segments"),
    "empty segment": (lambda c: c.keys.create("/a//b", "1"), ValueError, "without empty"),
    "two leading slashes": (lambda c: c.keys.get("//a"), ValueError, "without empty"),
    "two trailing slashes": (lambda c: c.keys.get("/a//"), ValueError, "without empty"),
    "only slashes": (lambda c: c.keys.get("//"), ValueError, "without empty"),
    "lone surrogate in the key": (lambda c: c.keys.get("/a\ud800"), ValueError, "UTF-8"),
    "leading slash in a view": (lambda c: c.keys.at("/app").get("/a"), ValueError, "leave the leading slash out"),
    "slash alone in a view": (lambda c: c.keys.at("/app").get("/"), ValueError, "leave the leading slash out"),
    "leading slash of a view in a view": (lambda c: c.keys.at("/app").at("/a"), ValueError, "leave the leading slash"),
    "dot dot in a view": (lambda c: c.keys.at("/app").set("../a", "1"), ValueError, r"'\.\.' segments"),
    "view of dot dot": (lambda c: c.keys.at(".."), ValueError, r"'\.\.' segments"),
    "view of the root": (lambda c: c.keys.at("/"), ValueError, "a directory below /"),
    "view of nothing": (lambda c: c.keys.at(""), ValueError, "a directory below /"),
    "view of nothing in a view": (lambda c: c.keys.at("/app").at(""), ValueError, "a directory below /app"),
    "view of a number": (lambda c: c.keys.at(7), TypeError, "must be a str"),
    "value is a number": (lambda c: c.keys.set("/a", 1), TypeError, "encode other types yourself"),
    "value is None": (lambda c: c.keys.set("/a", None), TypeError, "must be a str"),
    "value is bytes": (lambda c: c.keys.create_in_order("/a", b"1"), TypeError, "must be a str"),
    "created value is None": (lambda c: c.keys.create("/a", None), TypeError, "must be a str"),
    "updated value is None": (lambda c: c.keys.update("/a", None), TypeError, "must be a str"),
    "lone surrogate in the value": (lambda c: c.keys.set("/a", "x\udfff"), ValueError, "lone surrogate at position 1"),
    "form over 10 MiB": (lambda c: c.keys.set("/a", LONG), ValueError, "split the value, or compress it"),
    "encoded form over 10 MiB": (lambda c: c.keys.create("/a", "%" * 4_000_000), ValueError, "split the value"),
    "queued form over 10 MiB": (lambda c: c.keys.create_in_order("/a", LONG), ValueError, "split the value"),
    "two long texts": (lambda c: c.keys.set("/a", LONG[:-99], prev_value="v" * 99), ValueError, "encoded form"),
    "ttl 0": (lambda c: c.keys.set("/a", "1", ttl=0), ValueError, r"use delete\(\)"),
    "ttl negative": (lambda c: c.keys.update("/a", "1", ttl=-1), ValueError, "at least 1 s"),
    "ttl negative timedelta": (lambda c: c.keys.create("/a", "1", ttl=timedelta(-1)), ValueError, "at least 1 s"),
    "ttl bool": (lambda c: c.keys.set("/a", "1", ttl=True), TypeError, "whole seconds"),
    "ttl float": (lambda c: c.keys.create_in_order("/a", "1", ttl=1.5), TypeError, "timedelta"),
    "ttl text": (lambda c: c.keys.make_dir("/a", ttl="5"), TypeError, "whole seconds"),
    "ttl too long": (lambda c: c.keys.set("/a", "1", ttl=7_000_000_001), ValueError, "use None for no expiry"),
    "ttl too long timedelta": (lambda c: c.keys.make_dir("/a", ttl=timedelta.max), ValueError, "use None"),
    "refresh without ttl": (lambda c: c.keys.refresh("/a", None), ValueError, r"persist\(\)"),
    "refresh with ttl 0": (lambda c: c.keys.refresh("/a", 0), ValueError, r"persist\(\)"),
    "modify with ttl 0": (lambda c: c.keys.modify("/a", str, ttl=0), ValueError, "at least 1 s"),
    "modify with a default that is no str": (lambda c: c.keys.modify("/a", str, default=1), TypeError, "must be a str"),
    "empty prev_value": (lambda c: c.keys.set("/a", "1", prev_value=""), ValueError, "use prev_index="),
    "empty prev_value of delete": (lambda c: c.keys.delete("/a", prev_value=""), ValueError, "use prev_index="),
    "empty prev_value of refresh": (lambda c: c.keys.refresh("/a", 1, prev_value=""), ValueError, "use prev_index="),
    "prev_value is a number": (
        lambda c: c.keys.set("/a", "1", prev_value=1),
        TypeError,
        "prev_value: must be a str, not int",
    ),
    "prev_index 0": (lambda c: c.keys.set("/a", "1", prev_index=0), ValueError, "use prev_exist="),
    "prev_index 0 of delete": (lambda c: c.keys.delete("/a", prev_index=0), ValueError, "modified index"),
    "prev_index negative": (lambda c: c.keys.set("/a", "1", prev_index=-1), ValueError, "1 to 2"),
    "prev_index too big": (lambda c: c.keys.refresh("/a", 1, prev_index=2**64), ValueError, "1 to 2"),
    "prev_index bool": (lambda c: c.keys.set("/a", "1", prev_index=True), TypeError, "must be an int"),
    "prev_index text": (lambda c: c.keys.delete("/a", prev_index="7"), TypeError, "must be an int"),
    "prev_exist is no bool": (lambda c: c.keys.set("/a", "1", prev_exist="true"), TypeError, "True, False or None"),
    "prev_exist=False with prev_value": (
        lambda c: c.keys.set("/a", "1", prev_exist=False, prev_value="0"),
        ValueError,
        r"use create\(\) alone",
    ),
    "prev_exist=False with prev_index": (
        lambda c: c.keys.set("/a", "1", prev_exist=False, prev_index=4),
        ValueError,
        r"use create\(\) alone",
    ),
    "conditional delete of a tree": (
        lambda c: c.keys.delete("/a", prev_value="1", recursive=True),
        ValueError,
        "files only",
    ),
    "conditional delete of a directory": (
        lambda c: c.keys.delete("/a", prev_index=4, dir=True),
        ValueError,
        "files only",
    ),
    "unknown consistency": (lambda c: c.keys.get("/a", consistency="strong"), ValueError, "local, session, quorum"),
    "unknown consistency of exists": (lambda c: c.keys.exists("/a", consistency=""), ValueError, "must be one of"),
    "quorum against consistency": (
        lambda c: c.keys.get("/a", quorum=True, consistency="local"),
        ValueError,
        "contradict each other",
    ),
    "long line of get": (lambda c: c.keys.get("/" + "k" * 4096), ValueError, "use a shorter key"),
    "long line of delete": (lambda c: c.keys.delete("/a", prev_value="v" * 4096), ValueError, "prev_index= instead"),
    "timeout 0": (lambda c: c.keys.get("/a", timeout=0), ValueError, "more than 0 seconds"),
    "timeout negative": (lambda c: c.keys.set("/a", "1", timeout=-1), ValueError, "None means no limit"),
    "timeout infinite": (lambda c: c.keys.get("/a", timeout=float("inf")), ValueError, "None means no limit"),
    "timeout not a number": (lambda c: c.keys.get("/a", timeout=float("nan")), ValueError, "None means no limit"),
    "timeout bool": (lambda c: c.version(timeout=True), TypeError, "number of seconds or None"),
    "timeout text": (lambda c: c.members.list(timeout="5"), TypeError, "number of seconds or None"),
    "after_index negative": (lambda c: c.keys.watch("/a", after_index=-1), ValueError, "must be 0"),
    "after_index too big": (lambda c: c.keys.watch("/a", after_index=2**64), ValueError, "modified index"),
    "after_index bool": (lambda c: c.keys.watch("/a", after_index=False), TypeError, "int or None"),
    "after_index text": (lambda c: c.keys.watch("/a", after_index="7"), TypeError, "int or None"),
    "patience 0": (lambda c: c.keys.watch("/a", patience=0), ValueError, "None means no limit"),
    "patience text": (lambda c: c.keys.watch("/a", patience="1"), TypeError, "number of seconds"),
    "buffer 0": (lambda c: c.keys.watch("/a", buffer=0), ValueError, "at least 1"),
    "buffer float": (lambda c: c.keys.watch("/a", buffer=1.0), TypeError, "number of events"),
    "watch of dot dot": (lambda c: c.keys.watch("/a/../b"), ValueError, r"'\.\.' segments"),
    "watch of a number": (lambda c: c.keys.watch(7), TypeError, "must be a str"),
    "next with timeout below 0": (lambda c: c.keys.watch("/a").next(timeout=-1), ValueError, "timeout"),
    "unknown argument": (lambda c: c.keys.get("/a", wait=True), TypeError, "wait"),
    "waiting send": (lambda c: c.send(operations.get_key("/a", wait=True)), ValueError, r"keys\.watch\(\)"),
}
ADMIN: dict[str, tuple[Use, type[Exception], str]] = {
    "no peer": (lambda c: c.members.add([]), ValueError, "at least one"),
    "peer that is no str": (lambda c: c.members.add([1]), TypeError, "must be a str, not int"),
    "update without peer": (lambda c: c.members.update("a", ()), ValueError, "at least one"),
    "member id with a slash": (lambda c: c.members.remove("a/b"), ValueError, "no slash"),
    "empty member id": (lambda c: c.members.remove(""), ValueError, "must not be empty"),
    "empty user name": (lambda c: c.auth.users.get(""), ValueError, "must not be empty"),
    "user name with a slash": (lambda c: c.auth.users.delete("a/b"), ValueError, "no slash"),
    "user name with a colon": (lambda c: c.auth.users.create("a:b", "pw"), ValueError, "could never log in"),
    "empty new user name": (lambda c: c.auth.users.create("", "pw"), ValueError, "must not be empty"),
    "new user name with a slash": (lambda c: c.auth.users.create("a/b", "pw"), ValueError, "no slash"),
    "empty password": (lambda c: c.auth.users.create("u", ""), ValueError, "1 to 72"),
    "password over 72 bytes": (lambda c: c.auth.users.create("u", "\u00e9" * 37), ValueError, "has 74 bytes"),
    "changed to an empty one": (lambda c: c.auth.users.change_password("u", ""), ValueError, "1 to 72"),
    "password is None": (lambda c: c.auth.users.create("u", None), TypeError, "must be a str"),
    "grant of nothing": (lambda c: c.auth.users.grant("u"), ValueError, "name at least one"),
    "revoke of nothing": (lambda c: c.auth.users.revoke("u"), ValueError, "name at least one"),
    "role that is no str": (lambda c: c.auth.users.grant("u", 1), TypeError, "must be a str, not int"),
    "empty role name": (lambda c: c.auth.roles.create(""), ValueError, "must not be empty"),
    "empty pattern": (lambda c: c.auth.roles.create("r", read=""), ValueError, "begin with '/' or be '\\*'"),
    "relative pattern": (lambda c: c.auth.roles.create("r", write=["/a", "b*"]), ValueError, "begin with '/'"),
    "granted empty pattern": (lambda c: c.auth.roles.grant("r", read=["/a", ""]), ValueError, "begin with '/'"),
    "grant of no pattern": (lambda c: c.auth.roles.grant("r"), ValueError, "at least one pattern"),
    "revoke of no pattern": (lambda c: c.auth.roles.revoke("r", read=()), ValueError, "at least one pattern"),
    "pattern that is no str": (lambda c: c.auth.roles.create("r", read=[1]), TypeError, "must be a str, not int"),
    "username alone": (lambda c: c.set_credentials("u"), ValueError, "without password="),
    "password alone": (lambda c: c.set_credentials(None, "pw"), ValueError, "without username="),
    "empty username": (lambda c: c.set_credentials("", "pw"), ValueError, "must not be empty"),
    "username with a colon": (lambda c: c.set_credentials("a:b", "pw"), ValueError, "no colon"),
}


@pytest.fixture
def transport() -> str:
    """The recording transport stands in for any transport."""
    return "recording"


def refused(connect: Connect, use: Use, kind: type[Exception], advice: str) -> Exception:
    """Carries out the use; it must be refused and nothing sent."""
    recorder = Recorder()
    client = connect("http://a:1", transport=recorder)
    with pytest.raises(kind, match=advice) as caught:
        use(client)
    assert recorder.noted == []
    assert type(caught.value) in (ValueError, TypeError)
    return caught.value


@pytest.mark.parametrize(("use", "kind", "advice"), KEYS.values(), ids=KEYS)
def test_keys_api_refuses_before_anything_is_sent(
    connect: Connect, use: Use, kind: type[Exception], advice: str
) -> None:
    refused(connect, use, kind, advice)


@pytest.mark.parametrize(("use", "kind", "advice"), ADMIN.values(), ids=ADMIN)
def test_members_and_auth_refuse_before_anything_is_sent(
    connect: Connect, use: Use, kind: type[Exception], advice: str
) -> None:
    refused(connect, use, kind, advice)


def test_refused_password_is_not_in_the_message(connect: Connect) -> None:
    secret = "hunter2-" * 12
    error = refused(connect, lambda c: c.auth.users.create("u", secret), ValueError, "72")
    assert "hunter2" not in str(error)


def test_form_of_exactly_10_mib_is_sent(connect: Connect) -> None:
    recorder = Recorder()
    client = connect("http://a:1", transport=recorder)
    client.keys.set("/a", "v" * (10 * 1024 * 1024 - len("value=")))
    assert len(recorder.only.body) == 10 * 1024 * 1024


CONSTRUCTIONS: dict[str, tuple[dict[str, Any], Any, str]] = {
    "tls with http only": (
        {"endpoints": "http://a:1", "tls": TLS()},
        ValueError,
        "write https:// or leave tls= out",
    ),
    "context with http only": (
        {"endpoints": ["http://a:1", "http://b:1"], "tls": ssl.create_default_context()},
        ValueError,
        "every endpoint is http://",
    ),
    "credentials in a URL": ({"endpoints": "http://root:hunter2@a:1"}, ValueError, "username= and password="),
    "user in a URL": ({"endpoints": "https://root@a:1"}, ValueError, "username= and password="),
    "user before a host": ({"endpoints": "root:hunter2@a"}, ValueError, "username= and password="),
    "no endpoint": ({"endpoints": []}, ValueError, "give at least one"),
    "empty endpoint": ({"endpoints": ""}, ValueError, "is empty"),
    "blank endpoint": ({"endpoints": ["http://a:1", " "]}, ValueError, "is empty"),
    "list in a text": ({"endpoints": "http://a:1,http://b:1"}, ValueError, "endpoint"),
    "hosts in a text": ({"endpoints": "a:1,b:1"}, ValueError, "endpoint"),
    "other scheme": ({"endpoints": "unix:///tmp/etcd.sock"}, ValueError, "http or https"),
    "query": ({"endpoints": "http://a:1/?x=1"}, ValueError, "no query"),
    "fragment": ({"endpoints": "http://a:1#x"}, ValueError, "no fragment"),
    "no host": ({"endpoints": "http://:2379"}, ValueError, "no host"),
    "port 0": ({"endpoints": "http://a:0"}, ValueError, "port 0"),
    "port too big": ({"endpoints": "http://a:65536"}, ValueError, "a:65536"),
    "port text": ({"endpoints": "http://a:etcd"}, ValueError, "a:etcd"),
    "endpoint is bytes": ({"endpoints": [b"http://a:1"]}, TypeError, "must be a str"),
    "endpoint is None": ({"endpoints": [None]}, TypeError, "must be a str"),
    "endpoints is a number": ({"endpoints": 2379}, TypeError, "int"),
    "username alone": ({"username": "root"}, ValueError, "without password="),
    "password alone": ({"password": "hunter2"}, ValueError, "without username="),
    "username with a colon": ({"username": "a:b", "password": "hunter2"}, ValueError, "no colon"),
    "empty username": ({"username": "", "password": "hunter2"}, ValueError, "must not be empty"),
    "transport with tls": (
        {"endpoints": "https://a:1", "tls": TLS(), "transport": httpx.MockTransport(lambda _: httpx.Response(200))},
        ValueError,
        "give them to it",
    ),
    "transport with proxy": (
        {"proxy": "http://p:1", "transport": httpx.MockTransport(lambda _: httpx.Response(200))},
        ValueError,
        "give them to it",
    ),
    "unknown transport": ({"transport": "http2"}, (TypeError, ValueError), "transport"),
    "unknown argument": ({"retries": 3}, TypeError, "retries"),
    "misspelt argument": ({"user_name": "root"}, TypeError, "user_name"),
    "unknown consistency": ({"consistency": "linear"}, ValueError, "local, session, quorum"),
    "no connections": ({"max_connections": 0}, ValueError, "at least 1"),
    "timeout 0": ({"timeout": 0}, ValueError, "more than 0"),
    "timeout text": ({"timeout": "5s"}, TypeError, "number of seconds"),
    "tls is a path": ({"endpoints": "https://a:1", "tls": "ca.pem"}, TypeError, "TLS"),
    "tls is a flag": ({"endpoints": "https://a:1", "tls": True}, TypeError, "TLS"),
    "user agent with a line end": ({"user_agent": "a\r\nX-Evil: 1"}, ValueError, "user_agent"),
}


@pytest.mark.parametrize(("settings", "kind", "advice"), CONSTRUCTIONS.values(), ids=CONSTRUCTIONS)
def test_client_refuses_settings_that_cannot_be_meant(
    settings: dict[str, Any], kind: type[Exception], advice: str
) -> None:
    with pytest.raises(kind, match=advice) as caught:
        Client(**settings)
    assert "hunter2" not in str(caught.value)


def test_settings_after_the_endpoints_are_given_by_name_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        Client("http://a:1", "root", "pw")  # type: ignore[misc] # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("name", ["connect", "attempt", "commit", "total"])
@pytest.mark.parametrize(
    ("value", "kind"), [(0, ValueError), (-1.0, ValueError), ("1", TypeError), (True, TypeError), ([], TypeError)]
)
def test_timeout_names_the_part_that_is_wrong(name: str, value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"timeout {name}"):
        Timeout(**{name: value})


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"key_file": "k"}, "needs cert_file="),
        ({"key_password": "hunter2"}, "needs cert_file="),
        ({"verify": False, "ca_file": "ca"}, "leave one of them out"),
        ({"context": ssl.create_default_context(), "ca_file": "ca"}, "one or the other"),
        ({"context": ssl.create_default_context(), "cert_file": "c"}, "one or the other"),
        ({"context": ssl.create_default_context(), "verify": False}, "one or the other"),
    ],
)
def test_tls_refuses_settings_that_contradict_each_other(given: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=advice) as caught:
        TLS(**given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_missing_or_broken_pem_file_is_named_when_the_client_is_built(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_bytes(content)
    files = {name: path}
    if name == "key_file":
        (tmp_path / "cert.pem").write_bytes(b"")
        files["cert_file"] = tmp_path / "cert.pem"
    tls = TLS(**files)
    with pytest.raises(ValueError, match=r"broken\.pem") as caught:
        Client("https://a:1", tls=tls)
    assert name in str(caught.value)


def test_call_of_a_closed_client_is_refused(connect: Connect) -> None:
    recorder = Recorder()
    client = connect("http://a:1", transport=recorder)
    client.close()
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.keys.get("/a")
    with pytest.raises(ValueError, match="closed"):
        client.keys.watch("/a").next()
    assert recorder.noted == []
