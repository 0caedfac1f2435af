"""TLS against real servers: whom the client trusts, how it shows itself, what it says when either fails."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from etcdv2 import TLS, AsyncClient, ClusterUnavailable, OutcomeUnknown
from etcdv2.testing import Certificates, Server, make_certificates
from tests.facade._async.conftest import Connect
from tests.tools.certificates import Pair, encrypted
from tests.tools.fault_server import FaultServer, answer, before_reading, close, raw
from tests.tools.waiting import SOON


@pytest.fixture(scope="module")
def strict(etcd_binary: Path, certificates: Certificates) -> Iterator[Server]:
    """A server that wants a client certificate."""
    with Server(etcd_binary, tls=certificates.server(client_cert_auth=True), fsync=False) as server:
        yield server


@pytest.fixture(scope="module")
def misnamed(etcd_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on 127.0.0.1 whose certificate is for etcd.example."""
    other = make_certificates(tmp_path_factory.mktemp("other"), names=["etcd.example"])
    with Server(etcd_binary, tls=other.server(), fsync=False) as server:
        yield server


@pytest.fixture(scope="module")
def locked(certificates: Certificates) -> Pair:
    """The client's certificate, and its key encrypted with "opensesame"."""
    return encrypted(Pair(certificates.client_cert_file, certificates.client_key_file), "opensesame")


async def fails(client: AsyncClient) -> str:
    """The text of the ClusterUnavailable that a write raises: not OutcomeUnknown, as nothing was sent."""
    with pytest.raises(ClusterUnavailable) as caught:
        await client.keys.set("/a", "1")
    assert {attempt.endpoint for attempt in caught.value.attempts} == set(client.endpoints)
    return str(caught.value)


async def works(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    assert (await client.keys.get("/a", quorum=True)).value == "1"
    async with client.keys.watch("/a") as watcher:
        await client.keys.set("/a", "2")
        event = await watcher.next(timeout=SOON)
    assert event is not None
    assert event.value == "2"


async def test_server_is_trusted_by_the_ca_file(connect: Connect, secure: Server, certificates: Certificates) -> None:
    await works(connect(secure.url, tls=TLS(ca_file=certificates.ca_file)))
    await works(connect(secure.url, tls=TLS(ca_file=str(certificates.ca_file))))


async def test_server_of_a_private_authority_is_not_trusted_by_the_systems(connect: Connect, secure: Server) -> None:
    assert "certificate" in (await fails(connect(secure.url, timeout=3))).lower()
    health = await connect(secure.url, tls=TLS()).health()
    assert not health.healthy
    assert "certificate" in health.endpoints[0].reason.lower()


async def test_server_hostname_is_the_name_that_the_certificate_must_have(connect: Connect, misnamed: Server) -> None:
    assert misnamed.tls is not None
    ca_file = misnamed.tls.ca_file
    await works(connect(misnamed.url, tls=TLS(ca_file=ca_file, server_hostname="etcd.example")))
    wrong = TLS(ca_file=ca_file, server_hostname="other.example")
    assert "other.example" in await fails(connect(misnamed.url, tls=wrong, timeout=3))


async def test_client_certificate_opens_a_server_that_wants_one(
    connect: Connect, strict: Server, certificates: Certificates, tmp_path: Path
) -> None:
    tls = TLS(
        ca_file=certificates.ca_file, cert_file=certificates.client_cert_file, key_file=certificates.client_key_file
    )
    await works(connect(strict.url, tls=tls))
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.client_key_file.read_bytes() + certificates.client_cert_file.read_bytes())
    await works(connect(strict.url, tls=TLS(ca_file=certificates.ca_file, cert_file=both)))


async def test_encrypted_key_takes_its_password(
    connect: Connect, strict: Server, certificates: Certificates, locked: Pair
) -> None:
    cert_file, key_file = locked
    for password in ("opensesame", b"opensesame"):
        tls = TLS(ca_file=certificates.ca_file, cert_file=cert_file, key_file=key_file, key_password=password)
        await works(connect(strict.url, tls=tls))


@pytest.mark.parametrize("password", [None, "", "wrong-secret", b"wrong-secret"])
async def test_wrong_or_missing_key_password_is_refused_when_the_client_is_built(
    locked: Pair, password: str | bytes | None
) -> None:
    tls = TLS(cert_file=locked.cert_file, key_file=locked.key_file, key_password=password)
    with pytest.raises(ValueError, match=r"client\.encrypted.*key_password") as caught:
        AsyncClient("https://127.0.0.1:1", tls=tls)
    assert "wrong-secret" not in str(caught.value)


async def test_plain_http_to_a_tls_port_asks_whether_it_is_https(connect: Connect, secure: Server) -> None:
    client = connect(secure.url.replace("https:", "http:"))
    with pytest.raises(ClusterUnavailable, match=r"the connection was closed without an answer: is it https\?"):
        await client.keys.get("/a")
    assert (await client.health()).endpoints[0].reason.endswith("is it https?")


async def test_https_to_a_plain_port_asks_whether_it_is_http(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url.replace("http:", "https:"))
    assert "the server ended the TLS handshake: is it http?" in await fails(client)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"\x00" * 40, b"SSH-2.0-OpenSSH_9\r\n"]
)
async def test_https_to_what_speaks_no_tls_asks_whether_it_is_http(connect: Connect, said: bytes) -> None:
    with FaultServer(default=before_reading(raw(said, close=True))) as server:
        url = server.endpoint.url.replace("http:", "https:")
        text = await fails(connect(url))
        assert re.search(r"the server (does not speak TLS \(\w+\)|ended the TLS handshake): is it http\?", text)


async def test_reused_connection_that_is_closed_is_not_taken_for_https(connect: Connect) -> None:
    etcds = {"Content-Type": "application/json", "X-Etcd-Cluster-Id": "aa", "X-Etcd-Index": "7", "X-Raft-Index": "8"}
    node = b'{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":7,"createdIndex":7}}'
    with FaultServer(answer(200, {**etcds, "X-Raft-Term": "2"}, node), close()) as server:
        client = connect(server.endpoint.url)
        assert (await client.keys.get("/a")).value == "v"
        with pytest.raises(OutcomeUnknown) as caught:
            await client.keys.set("/a", "1")
        assert "https?" not in str(caught.value)


async def test_client_certificate_that_is_wanted_is_named_in_the_same_words(
    connect: Connect, strict: Server, certificates: Certificates
) -> None:
    client = connect(strict.url, tls=TLS(ca_file=certificates.ca_file))
    reasons = [(await client.health()).endpoints[0].reason for _ in range(10)]
    said = [reason for reason in reasons if "certificate" in reason.lower()]  # a reset can hide it
    assert said
    assert all("the server refused the client's certificate, or wants one: " in reason for reason in said), said


async def test_key_of_another_certificate_is_refused_when_the_client_is_built(certificates: Certificates) -> None:
    tls = TLS(cert_file=certificates.client_cert_file, key_file=certificates.server_key_file)
    with pytest.raises(ValueError, match=r"client\.pem.*not a pair"):
        AsyncClient("https://127.0.0.1:1", tls=tls)


async def test_verify_false_warns_at_the_callers_line_and_connects(connect: Connect, secure: Server) -> None:
    with pytest.warns(UserWarning, match="verify=False") as caught:
        client = AsyncClient(secure.url, tls=TLS(verify=False))
    assert [Path(warning.filename).name for warning in caught] == ["test_tls.py"]
    async with client:
        await works(client)


async def test_ready_context_is_used_as_it_is(connect: Connect, strict: Server, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    context.load_cert_chain(certificates.client_cert_file, certificates.client_key_file)
    await works(connect(strict.url, tls=context))
    await works(connect(strict.url, tls=TLS(context=context)))


async def test_host_and_port_with_tls_means_https(connect: Connect, secure: Server, certificates: Certificates) -> None:
    client = connect(f"localhost:{secure.port}", tls=TLS(ca_file=certificates.ca_file))
    assert client.endpoints == (f"https://localhost:{secure.port}",)
    await works(client)


async def test_plain_http_to_a_tls_port_is_no_answer(connect: Connect, secure: Server) -> None:
    client = connect(f"127.0.0.1:{secure.port}", timeout=3)
    assert client.endpoints == (f"http://127.0.0.1:{secure.port}",)
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/a")


async def test_bare_ipv6_address_gets_its_brackets_and_the_usual_port(connect: Connect) -> None:
    plain = connect(["::1", "[2001:db8::7]:4001", "fe80::1"])
    assert set(plain.endpoints) == {"http://[::1]:2379", "http://[2001:db8::7]:4001", "http://[fe80::1]:2379"}
    secure = connect("2001:db8::7", tls=TLS())
    assert secure.endpoints == ("https://[2001:db8::7]:2379",)


async def test_common_name_of_the_client_certificate_is_the_user(
    connect: Connect, etcd_binary: Path, tmp_path: Path
) -> None:
    papers = make_certificates(tmp_path, client_name="root")
    files = TLS(ca_file=papers.ca_file, cert_file=papers.client_cert_file, key_file=papers.client_key_file)
    with Server(etcd_binary, tls=papers.server(client_cert_auth=True), auth=("root", "pw"), fsync=False) as server:
        client = connect(server.url, tls=files)
        assert [user.user for user in await client.auth.users.list()] == ["root"]


async def test_long_chain_of_authorities_is_followed(connect: Connect, etcd_binary: Path, tmp_path: Path) -> None:
    root = trustme.CA()
    issued = root.create_child_ca().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    root.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    papers = Certificates(*[tmp_path / name for name in ("ca.pem", "both.pem", "both.pem", "both.pem", "both.pem")])
    with Server(etcd_binary, tls=papers.server(), fsync=False) as server:
        await works(connect(server.url, tls=TLS(ca_file=papers.ca_file)))
