"""etcdv2.testing: the check of an answer, and the httpx transports that check all that passes."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from etcdv2 import AsyncClient, Client
from etcdv2.testing import AsyncCheckingTransport, CheckingTransport, NotAsDescribed, Server, check_answer

ROOT = Path(__file__).resolve().parents[2]
HEADERS = {
    "Content-Type": "application/json",
    "X-Etcd-Cluster-Id": "48276a8f75b6a87",
    "X-Etcd-Index": "22",
    "X-Raft-Index": "41",
    "X-Raft-Term": "2",
}
GOOD = b'{"action":"set","node":{"key":"/a","value":"x","modifiedIndex":22,"createdIndex":22}}\n'
BAD = GOOD.replace(b'"value"', b'"worth"')


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in two halves, as one comes from a socket."""

    def __init__(self, body: bytes) -> None:
        self.halves = [body[: len(body) // 2], body[len(body) // 2 :]]
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.halves

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for half in self.halves:
            yield half

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def answering(body: bytes, status: int = 200, **headers: str) -> httpx.MockTransport:
    """A server that always says this."""
    return httpx.MockTransport(lambda _: httpx.Response(status, headers={**HEADERS, **headers}, stream=Parts(body)))


Asked = tuple[bytes, int, list[NotAsDescribed]]
Ask = Callable[..., Asked]


def ask(inner: httpx.MockTransport, target: str = "/v2/keys/a", *, prefix: str = "", read: bool = True) -> Asked:
    transport = CheckingTransport(inner, prefix=prefix)
    body = b""
    try:
        with httpx.Client(transport=transport, base_url="http://h") as client, client.stream("GET", target) as answer:
            body = answer.read() if read else next(answer.iter_raw())
    except NotAsDescribed:
        assert transport.wrong
    return body, transport.checked, transport.wrong


async def async_ask(
    inner: httpx.MockTransport, target: str = "/v2/keys/a", *, prefix: str = "", read: bool = True
) -> Asked:
    transport = AsyncCheckingTransport(inner, prefix=prefix)
    body = b""
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            async with client.stream("GET", target) as answer:
                body = await answer.aread() if read else await anext(answer.aiter_raw())
    except NotAsDescribed:
        assert transport.wrong
    return body, transport.checked, transport.wrong


@pytest.fixture(params=["sync", "async"])
async def asked(request: pytest.FixtureRequest) -> Any:
    """`await asked(...)`: the body, how many answers were checked, and what was wrong."""

    async def over(*args: Any, **options: Any) -> Asked:
        return ask(*args, **options) if request.param == "sync" else await async_ask(*args, **options)

    return over


async def test_described_answer_passes_as_it_is(asked: Any) -> None:
    assert await asked(answering(GOOD)) == (GOOD, 1, [])


async def test_undescribed_answer_is_raised_and_kept(asked: Any) -> None:
    for inner, complaint in (
        (answering(BAD), "worth"),
        (answering(GOOD, 418), "not described"),
        (answering(GOOD, **{"X-Raft-Term": "two"}), "x-raft-term"),
        (answering(GOOD, **{"X-Etcd-Extra": "1"}), "x-etcd-extra"),
        (answering(b"<html>"), "no JSON"),
    ):
        _, checked, wrong = await asked(inner)
        assert checked == 1
        assert [complaint in str(one) for one in wrong] == [True]


async def test_a_body_that_httpx_has_read_beforehand_is_checked_too(asked: Any) -> None:
    """As that of a MockTransport whose response was made with `content=` or `json=`."""
    inner = httpx.MockTransport(lambda _: httpx.Response(200, headers=HEADERS, content=BAD))
    assert len((await asked(inner))[2]) == 1


async def test_a_body_that_a_proxy_has_compressed_is_checked_uncompressed(asked: Any) -> None:
    assert await asked(answering(gzip.compress(GOOD), **{"Content-Encoding": "gzip"})) == (GOOD, 1, [])
    assert "worth" in str((await asked(answering(gzip.compress(BAD), **{"Content-Encoding": "gzip"})))[2])
    wrong = (await asked(answering(GOOD, **{"Content-Encoding": "gzip"}), read=False))[2]
    assert wrong == []


async def test_an_answer_that_is_closed_early_is_checked_as_far_as_it_came(asked: Any) -> None:
    assert (await asked(answering(BAD), read=False))[1:] == (1, [])
    assert len((await asked(answering(GOOD, 418), read=False))[2]) == 1
    assert len((await asked(answering(GOOD, **{"X-Raft-Index": ""}), read=False))[2]) == 1
    stream = "/v2/keys/a?wait=true&stream=true"
    assert (await asked(answering(GOOD * 4), stream, read=False))[1:] == (1, [])
    assert "worth" in str((await asked(answering(BAD + GOOD * 3), stream, read=False))[2])


async def test_paths_behind_a_proxy_are_those_after_its_prefix(asked: Any) -> None:
    assert await asked(answering(GOOD), "/etcd/one/v2/keys/a", prefix="/etcd/one") == (GOOD, 1, [])
    assert "no such path" in str((await asked(answering(GOOD), "/etcd/one/v2/keys/a"))[2])


def test_closing_closes_the_transport_behind() -> None:
    closed: list[str] = []

    class Inner(httpx.MockTransport):
        def close(self) -> None:
            closed.append("inner")

    with httpx.Client(transport=CheckingTransport(Inner(lambda _: httpx.Response(200)))):
        assert closed == []
    assert closed == ["inner"]


def test_a_client_goes_through_it_watches_too(etcd: Server) -> None:
    transport = CheckingTransport()
    with Client(etcd.url, transport=transport) as client:
        client.keys.set("/a", "1")
        with client.keys.watch("/a") as watcher:
            client.keys.set("/a", "2")
            event = watcher.next(timeout=60)
        assert event is not None
        assert event.value == "2"
        assert client.health().healthy
    assert transport.checked >= 4
    assert transport.wrong == []
    assert f"{transport.checked} answers, 0 of them not as described" in repr(transport)


async def test_an_async_client_goes_through_it_watches_too(etcd: Server) -> None:
    transport = AsyncCheckingTransport()
    async with AsyncClient(etcd.url, transport=transport) as client:
        await client.keys.set("/a", "1")
        async with client.keys.watch("/a") as watcher:
            await client.keys.set("/a", "2")
            event = await watcher.next(timeout=60)
        assert event is not None
        assert event.value == "2"
    assert transport.checked >= 3
    assert transport.wrong == []


def test_what_comes_out_of_a_client_is_the_complaint_itself() -> None:
    transport = CheckingTransport(answering(BAD))
    with Client("http://h:1", transport=transport) as client, pytest.raises(NotAsDescribed, match="worth"):
        client.keys.get("/a")


def test_what_goes_wrong_in_the_background_of_a_watch_comes_to_its_reader(etcd: Server) -> None:
    class Spoiled(httpx.SyncByteStream):
        def __init__(self, stream: Iterable[bytes]) -> None:
            self.stream = stream

        def __iter__(self) -> Iterator[bytes]:
            return (part.replace(b'"value"', b'"worth"') for part in self.stream)

        def close(self) -> None:
            self.stream.close()  # type: ignore[attr-defined] # pyright: ignore

    class Spoiling(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if b"wait=true" in request.url.raw_path:
                assert isinstance(response.stream, httpx.SyncByteStream)
                response.stream = Spoiled(response.stream)
            return response

    transport = CheckingTransport(Spoiling())
    with Client(etcd.url, transport=transport) as client, client.keys.watch("/a") as watcher:
        client.keys.set("/a", "1")
        with pytest.raises(NotAsDescribed, match="worth"):
            watcher.next(timeout=60)
    assert transport.wrong


def test_the_check_takes_headers_in_any_case_and_says_what_is_wrong() -> None:
    check_answer("GET", "/v2/keys/a", 200, HEADERS, GOOD)
    check_answer("GET", "/v2/keys/a", 200, {name.lower(): value for name, value in HEADERS.items()}, GOOD)
    check_answer("GET", "/x/v2/keys/a", 200, HEADERS, GOOD, prefix="/x")
    check_answer("GET", "/v2/keys/a", 200, HEADERS, GOOD[:20], whole=False)
    with pytest.raises(NotAsDescribed) as caught:
        check_answer("GET", "/v2/keys/a", 200, HEADERS, BAD)
    assert str(caught.value).startswith("GET /v2/keys/a: 200: the body is not as described\n$.node: ")
    assert isinstance(caught.value, AssertionError)


def test_it_works_where_assertions_are_switched_off() -> None:
    code = "from etcdv2.testing import check_answer; check_answer('GET', '/nope', 200, {}, b'')"
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert "NotAsDescribed: GET /nope: 200: the description has no such path" in done.stderr


def test_without_its_packages_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["jsonschema"] = None
from etcdv2.testing import *
try:
    CheckingTransport()
except ModuleNotFoundError as error:
    print(error)
print(Server.__name__, "httpcore" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "to check answers takes jsonschema and PyYAML: pip install 'etcdv2[testing]'\nServer False\n"
    )


def test_the_package_carries_the_description_as_it_is() -> None:
    carried = (files("etcdv2_api") / "etcd-v2.yaml").read_bytes()
    assert hashlib.sha256(carried).digest() == hashlib.sha256((ROOT / "spec" / "etcd-v2.yaml").read_bytes()).digest()
