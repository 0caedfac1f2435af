"""The numbers that README, the site, SECURITY and docstrings promise of the transports, each as a number of its own.

See `tests/core/test_promised_numbers.py`. That requests stay within etcd's line of 4,096 bytes is in `test_http1`.
"""

from __future__ import annotations

import inspect
import socket
import ssl
from typing import Any

import pytest

from etcdv2._async import httpx_transport as async_httpx_transport
from etcdv2._async.httpx_transport import AsyncHttpxTransport
from etcdv2._sync import httpx_transport
from etcdv2._sync.httpx_transport import HttpxTransport
from etcdv2._transport import idle, loop, loop_connection, threads
from etcdv2._transport.http1 import AnswerReader, BadAnswer
from etcdv2._transport.loop import AsyncFastTransport
from etcdv2._transport.sockets import tune
from etcdv2._transport.threads import FastTransport
from etcdv2._types.tls import TLS
from etcdv2.testing import Certificates

FAST = pytest.mark.parametrize("transport", [FastTransport, AsyncFastTransport])


def standard(transport: Any) -> dict[str, Any]:
    """What its arguments are when they are not given."""
    return {name: one.default for name, one in inspect.signature(transport).parameters.items()}


def reader_of(transport: Any) -> AnswerReader:
    settings = standard(transport)
    return AnswerReader(settings["max_header_bytes"], settings["max_body_bytes"])


@FAST
def test_headers_may_have_64_kib(transport: Any) -> None:
    assert standard(transport)["max_header_bytes"] == 64 * 1024
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"

    reader = reader_of(transport)
    reader.feed(begin + b"A: " + b"x" * 60_000 + b"\r\n\r\n")
    assert reader.done

    reader = reader_of(transport)
    with pytest.raises(BadAnswer):
        reader.feed(begin + b"A: " + b"x" * 66_000 + b"\r\n\r\n")


@FAST
@pytest.mark.parametrize(("length", "accepted"), [(1 << 30, True), ((1 << 30) + 1, False)])
def test_an_answer_may_have_1_gib(transport: Any, length: int, accepted: bool) -> None:
    reader, head = reader_of(transport), f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    if accepted:
        reader.feed(head)
        assert reader.started
    else:
        with pytest.raises(BadAnswer, match="at most 1073741824"):
            reader.feed(head)


@pytest.mark.parametrize("module", [httpx_transport, async_httpx_transport])
def test_an_answer_over_httpx_may_have_1_gib(module: Any) -> None:
    assert module.DEFAULT_MAX_BODY_BYTES == 1024**3


@pytest.mark.parametrize("transport", [FastTransport, AsyncFastTransport, HttpxTransport, AsyncHttpxTransport])
def test_each_endpoint_has_100_connections(transport: Any) -> None:
    assert standard(transport)["max_connections"] == 100


@pytest.mark.parametrize("module", [idle, threads, loop, loop_connection])
def test_idle_connection_is_used_again_for_60_s(module: Any) -> None:
    assert module.IDLE_SECONDS == 60


def test_silent_peer_is_noticed_after_40_s() -> None:
    with socket.socket() as sock:
        tune(sock)
        found = {
            name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT", "TCP_NODELAY")
        }
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert found.pop("TCP_NODELAY") != 0
    assert found == {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 40_000}


def test_tls_is_1_2_at_least(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a Python that leaves it to OpenSSL's configuration, as Debian's does."""

    def left_open(*_: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        return context

    assert TLS(ca_file=certificates.ca_file).build().minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.warns(UserWarning, match="verify=False"):
        assert TLS(verify=False).build().minimum_version >= ssl.TLSVersion.TLSv1_2
    monkeypatch.setattr(ssl, "create_default_context", left_open)
    assert TLS().build().minimum_version >= ssl.TLSVersion.TLSv1_2
