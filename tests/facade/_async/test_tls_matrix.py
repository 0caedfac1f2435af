"""Certificates and protocols that must be refused: before a request, with the reason, never as unknown outcome."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from etcdv2 import TLS, AsyncClient, ClusterUnavailable, EtcdError, OutcomeUnknown, testing
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.certificates import (
    EXPIRED,
    FOR_CLIENTS,
    FOR_SERVERS,
    NOT_YET_VALID,
    Authority,
    Pair,
    self_signed,
)
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer, before_reading

HOST = "127.0.0.1"
LONG_ENOUGH = 10
SET = answer(
    200,
    {"X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "Content-Type": "application/json"},
    b'{"action": "set", "node": {"key": "/a", "value": "1", "modifiedIndex": 7, "createdIndex": 7}}',
)


pytestmark = pytest.mark.usefixtures("second_round_at_once")


class Papers(NamedTuple):
    """All that is shown here: what to trust, and what servers and clients have."""

    ca_file: Path
    good: Pair
    servers: dict[str, Pair]
    clients: dict[str, Pair]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    place = tmp_path_factory.mktemp("matrix")
    ours, other = Authority(place), Authority(place, "stranger")
    return Papers(
        ours.ca_file,
        ours.issue("good", HOST),
        {
            "expired": ours.issue("expired", HOST, days=EXPIRED),
            "not yet valid": ours.issue("early", HOST, days=NOT_YET_VALID),
            "another host": ours.issue("elsewhere", "127.0.0.2", "etcd.example"),
            "no host": ours.issue("hostless"),
            "another authority": other.issue("foreign", HOST),
            "self-signed": self_signed(place, "alone", HOST),
            "a client's": ours.issue("client", HOST, purposes=(FOR_CLIENTS,)),
        },
        {
            "expired": ours.issue("expired client", days=EXPIRED),
            "not yet valid": ours.issue("early client", days=NOT_YET_VALID),
            "another authority": other.issue("foreign client"),
            "self-signed": self_signed(place, "alone client"),
            "a server's": ours.issue("server", purposes=(FOR_SERVERS,)),
        },
    )


WHY = {
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "another host": r"not valid for '127\.0\.0\.1'",
    "no host": r"not valid for '127\.0\.0\.1'",
    "another authority": "unable to get local issuer certificate",
    "self-signed": "self.signed certificate",
    "a client's": "certificate purpose",
}
NO_CLIENT_CERTIFICATE = "missing"
CLIENTS = [NO_CLIENT_CERTIFICATE, "expired", "not yet valid", "another authority", "self-signed", "a server's"]


class Shown(NamedTuple):
    """A real etcd whose certificate can be changed: it reads the files at each handshake (seen on 3.4.23 and 3.5.1)."""

    server: Server
    files: Pair

    def show(self, pair: Pair) -> None:
        shutil.copyfile(pair.cert_file, self.files.cert_file)
        shutil.copyfile(pair.key_file, self.files.key_file)


@pytest.fixture(scope="module")
def etcd_with(etcd_binary: Path, papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    place = tmp_path_factory.mktemp("shown")
    files = Pair(place / "server.pem", place / "server.key")
    for source, copy in zip(papers.good, files, strict=True):
        shutil.copyfile(source, copy)
    with Server(etcd_binary, tls=testing.TLS(files.cert_file, files.key_file), fsync=False) as server:
        yield Shown(server, files)


@pytest.fixture(scope="module")
def strict(etcd_binary: Path, papers: Papers) -> Iterator[Server]:
    """Wants a client certificate of our authority."""
    tls = testing.TLS(papers.good.cert_file, papers.good.key_file, papers.ca_file, client_cert_auth=True)
    with Server(etcd_binary, tls=tls, fsync=False) as server:
        yield server


def with_pair(papers: Papers, pair: Pair) -> TLS:
    return TLS(ca_file=papers.ca_file, cert_file=pair.cert_file, key_file=pair.key_file)


def credulous() -> ssl.SSLContext:
    """What a broken client would have: it verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def is_refused(client: AsyncClient, url: str, why: str) -> None:
    """A write ends as not done, each attempt while connecting; health says the same."""
    with pytest.raises(ClusterUnavailable, match=why) as caught:
        await client.keys.set("/refused", "1")
    assert type(caught.value) is ClusterUnavailable
    assert {(attempt.endpoint, attempt.phase) for attempt in caught.value.attempts} == {(url, "connect")}
    assert url in str(caught.value)


# --- the server's certificate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WHY)
async def test_servers_certificate_is_refused_with_the_reason_and_nothing_is_written(
    connect: Connect, etcd_with: Shown, papers: Papers, case: str
) -> None:
    etcd_with.show(papers.servers[case])
    url = etcd_with.server.url
    client = connect(url, tls=TLS(ca_file=papers.ca_file), timeout=LONG_ENOUGH)
    await is_refused(client, url, WHY[case])
    (health,) = (await client.health()).endpoints
    assert not health.healthy
    assert "certificate" in health.reason

    # The server would have taken it: a client that verifies nothing gets through.
    broken = connect(url, tls=credulous())
    assert not await broken.keys.exists("/refused")
    await broken.keys.set("/refused", "1")
    await broken.keys.delete("/refused")


async def test_certificate_is_checked_at_each_connection(connect: Connect, etcd_with: Shown, papers: Papers) -> None:
    etcd_with.show(papers.good)
    client = connect(etcd_with.server.url, tls=TLS(ca_file=papers.ca_file), timeout=LONG_ENOUGH)
    await client.keys.set("/a", "1")
    etcd_with.server.restart()
    etcd_with.show(papers.servers["expired"])
    await is_refused(client, etcd_with.server.url, WHY["expired"])
    etcd_with.show(papers.good)
    await client.keys.set("/a", "2")


async def test_self_signed_certificate_is_trusted_when_it_is_the_ca_file(
    connect: Connect, etcd_with: Shown, papers: Papers
) -> None:
    alone = papers.servers["self-signed"]
    etcd_with.show(alone)
    client = connect(etcd_with.server.url, tls=TLS(ca_file=alone.cert_file))
    await client.keys.set("/a", "1")


async def test_refused_member_is_named_in_the_log_and_the_next_one_serves(
    connect: Connect, etcd_with: Shown, strict: Server, papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "etcdv2")
    etcd_with.show(papers.servers["expired"])
    bad = etcd_with.server.url
    for _ in range(12):  # the first endpoint is random
        client = connect([bad, strict.url], tls=with_pair(papers, papers.good), timeout=LONG_ENOUGH)
        assert (await client.keys.set("/a", "1")).value == "1"
        if bad in caplog.text:
            break
    assert WHY["expired"] in caplog.text


# --- the client's certificate ----------------------------------------------------------------------------------------


def client_tls(papers: Papers, case: str) -> TLS:
    if case == NO_CLIENT_CERTIFICATE:
        return TLS(ca_file=papers.ca_file)
    return with_pair(papers, papers.clients[case])


async def with_refused_certificate(client: AsyncClient) -> None:
    """A read and a write end as not done: a server that refuses the certificate has read no request."""
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/refused")
    with pytest.raises(ClusterUnavailable) as caught:
        await client.keys.set("/refused", "1")
    assert type(caught.value) is ClusterUnavailable
    assert caught.value.attempts


@pytest.mark.parametrize("case", CLIENTS)
async def test_write_with_a_refused_client_certificate_is_not_done(
    connect: Connect, strict: Server, papers: Papers, case: str
) -> None:
    # Under TLS 1.3 (3.4.23) the refusal comes after the client's handshake has ended, under TLS 1.2 (3.5.1) within it.
    client = connect(strict.url, tls=client_tls(papers, case), timeout=LONG_ENOUGH)
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/refused")
    with pytest.raises(EtcdError) as caught:
        await client.keys.set("/refused", "1")
    if isinstance(caught.value, OutcomeUnknown):
        # A server that closes with bytes unread resets the connection. What it had said may be lost by that: then, and
        # only then, nobody knows. (httpx over asyncio has no other word for a reset than ReadError.)
        assert re.search("reset|pipe|closed|EOF|ReadError", caught.value.cause)
        assert "alert" not in caught.value.cause
    else:
        assert type(caught.value) is ClusterUnavailable
    good = connect(strict.url, tls=with_pair(papers, papers.good))
    assert not await good.keys.exists("/refused")


async def test_refused_client_certificate_is_the_reason_given(connect: Connect, strict: Server, papers: Papers) -> None:
    client = connect(strict.url, tls=TLS(ca_file=papers.ca_file))
    reasons = [(await client.health()).endpoints[0].reason for _ in range(10)]
    assert any("certificate" in reason for reason in reasons), reasons


def refusing_certificates(papers: Papers) -> Behaviour:
    """A TLS 1.3 server that wants a client certificate and, having refused it, reads on: so that no reset hides why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*papers.good)
    context.load_verify_locations(papers.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    def act(peer: Peer) -> bool:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(ssl.SSLCertVerificationError, ssl.SSLError):
            while True:
                try:
                    tls.do_handshake()
                    raise AssertionError("the certificate was not refused")
                except ssl.SSLWantReadError:
                    peer.send(outgoing.read())
                    incoming.write(peer.sock.recv(65536))
        peer.send(outgoing.read())
        peer.sock.shutdown(socket.SHUT_WR)
        while peer.sock.recv(65536):
            pass
        return False

    return before_reading(Behaviour(act))


@pytest.mark.parametrize("case", [NO_CLIENT_CERTIFICATE, "another authority"])
async def test_late_refusal_of_tls_1_3_is_not_of_unknown_outcome(connect: Connect, papers: Papers, case: str) -> None:
    with FaultServer(default=refusing_certificates(papers)) as server:
        url = f"https://{HOST}:{server.port}"
        await with_refused_certificate(connect(url, tls=client_tls(papers, case), timeout=LONG_ENOUGH))
        assert not server.requests


def asking_for_a_certificate_afterwards(refused: list[object]) -> Behaviour:
    """Takes the request, then wants a certificate for it and refuses: what was asked for may have been done."""

    def act(peer: Peer) -> bool:
        tls = peer.sock
        assert isinstance(tls, ssl.SSLSocket)
        tls.verify_client_post_handshake()
        tls.do_handshake()  # sends the wish
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            tls.read(1)
        refused.append(peer.received)
        return False

    return Behaviour(act)


async def test_refusal_after_the_request_was_taken_is_of_unknown_outcome(connect: Connect, papers: Papers) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*papers.good)
    context.load_verify_locations(papers.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.post_handshake_auth = True  # only when it asks for one, not in the handshake
    willing = ssl.create_default_context(cafile=str(papers.ca_file))
    willing.post_handshake_auth = True
    refused: list[object] = []
    with FaultServer(default=asking_for_a_certificate_afterwards(refused), ssl_context=context) as server:
        client = connect(server.endpoint.url, tls=willing, timeout=LONG_ENOUGH)
        with pytest.raises(OutcomeUnknown, match="CERTIFICATE_REQUIRED"):
            await client.keys.set("/a", "1")
    assert refused == server.requests
    assert [(received.method, received.body) for received in server.requests] == [("PUT", b"value=1")]


# --- protocols -------------------------------------------------------------------------------------------------------


def speaking(papers: Papers, oldest: ssl.TLSVersion, newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*papers.good)
    if newest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is the point
        context.minimum_version, context.maximum_version = oldest, newest
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
async def test_server_that_speaks_only_an_old_protocol_is_refused(
    connect: Connect, papers: Papers, version: ssl.TLSVersion
) -> None:
    with FaultServer(default=SET, ssl_context=speaking(papers, version, version)) as server:
        url = server.endpoint.url
        await is_refused(connect(url, tls=TLS(ca_file=papers.ca_file), timeout=LONG_ENOUGH), url, "(?i)protocol")
        with pytest.warns(UserWarning, match="verify=False"):
            trusting = connect(url, tls=TLS(verify=False), timeout=LONG_ENOUGH)
        await is_refused(trusting, url, "(?i)protocol")
        assert not server.requests

        # The server is there for whoever takes the old protocol.
        broken = credulous()
        broken.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            broken.minimum_version = version
        await connect(url, tls=broken).keys.set("/a", "1")
        assert len(server.requests) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_server_that_speaks_one_newer_protocol_is_served(
    connect: Connect, papers: Papers, version: ssl.TLSVersion
) -> None:
    with FaultServer(default=SET, ssl_context=speaking(papers, version, version)) as server:
        client = connect(server.endpoint.url, tls=TLS(ca_file=papers.ca_file))
        assert (await client.keys.set("/a", "1")).value == "1"


async def test_https_to_a_plain_http_port_is_refused_before_the_request(connect: Connect, etcd: Server) -> None:
    url = f"https://{HOST}:{etcd.port}"
    client = connect(url, username="root", password="not to be sent in clear", timeout=LONG_ENOUGH)
    await is_refused(client, url, r"the server ended the TLS handshake: is it http\?")
    assert not await connect(etcd.url).keys.exists("/refused")
