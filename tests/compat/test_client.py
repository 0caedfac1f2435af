"""What programs rely on of python-etcd's client, beyond what the differential test compares."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from etcdv2.compat import python_etcd as etcd
from etcdv2.compat.python_etcd.auth import Auth, EtcdRole, EtcdUser
from etcdv2.testing import Certificates, Server
from tests.compat.conftest import Connect
from tests.tools.dns_server import DnsServer


@pytest.mark.parametrize("key", ["a?b", "a#b", "a%41", "a%2Fb", "ü b", "a+b&c=d;e", "%"])
def test_keys_are_what_they_are(client: etcd.Client, key: str) -> None:
    client.write(f"/{key}", "1")
    assert client.read(f"/{key}").key == f"/{key}"
    assert client.delete(key).key == f"/{key}"


def test_keys_are_cleaned_as_the_server_does(client: etcd.Client) -> None:
    client.write("//torch//p2p/", "1", prevExist=False)
    assert client.get("/torch/p2p").value == "1"
    assert client.get("torch/./x/../p2p").key == "/torch/p2p"
    assert [leaf.key for leaf in client.read("/torch/", recursive=True).leaves] == ["/torch/p2p"]
    assert client._sanitize_key("/") == "/"


def test_values_are_the_text_of_anything(client: etcd.Client) -> None:
    values = [(1, "1"), (True, "True"), (b"\xc3\xbc", "ü"), (None, ""), ({"a": 1}, "{'a': 1}"), ("", "")]
    for value, expected in values:
        assert client.write("/v", value).value == expected
    assert client.write("/v", b"\xff").value == "\N{REPLACEMENT CHARACTER}"  # so says etcd's JSON of what it has


def test_every_method_goes_through_read_or_write_and_these_through_api_execute(client: etcd.Client) -> None:
    calls: list[tuple[str, str, Any]] = []
    execute = client.api_execute

    def noted(path: str, method: str, params: Any = None, timeout: Any = None) -> Any:
        calls.append((path, method, params))
        return execute(path, method, params=params, timeout=timeout)

    client.api_execute = noted  # type: ignore[method-assign]
    client.set("/a b", 1, ttl=9)
    client.refresh("/a b", 8)
    client.delete("/a b", recursive=True, prevIndex=client.get("/a b").modifiedIndex)
    client.write("/q", "x", append=True)
    assert [call[:2] for call in calls] == [
        ("/v2/keys/a%20b", "PUT"),
        ("/v2/keys/a%20b", "PUT"),
        ("/v2/keys/a%20b", "GET"),
        ("/v2/keys/a%20b", "DELETE"),
        ("/v2/keys/q", "POST"),
    ]
    assert calls[0][2] == {"value": 1, "ttl": 9}
    assert calls[1][2] == {"ttl": 8, "prevExist": "true", "refresh": "true"}

    class Reader(etcd.Client):
        def read(self, key: str, **kwdargs: Any) -> Any:
            return (key, kwdargs)

    reader: Any = Reader(port=client.port)
    assert reader.get("/a") == ("/a", {})
    assert reader.watch("/a", index=3, timeout=5) == (
        "/a",
        {"wait": True, "waitIndex": 3, "timeout": 5, "recursive": None},
    )


def test_options_may_be_added_and_a_request_may_be_ones_own(client: etcd.Client) -> None:
    with mock.patch.object(etcd.Client, "_comparison_conditions", {*etcd.Client._comparison_conditions, "retry"}):
        with mock.patch.object(client, "api_execute") as execute:
            execute.return_value.data, execute.return_value.status = b'{"action":"set","node":{"key":"/a"}}', 201
            execute.return_value.headers, execute.return_value.getheaders = None, lambda: {"x-etcd-index": "7"}
            made = client.write("/a", "1", retry="x", other="y")
    assert execute.call_args.kwargs["params"] == {"value": "1", "retry": "x"}
    assert (made.newKey, made.etcd_index, made.raft_index) == (True, 7, 1)

    response = client.api_execute("/v2/keys/b?ttl=50", "PUT", params={"value": "1"})
    assert (response.status, response.getheader("X-Etcd-Index")) == (201, response.getheaders()["x-etcd-index"])
    assert client.read("/b").ttl == 50
    with pytest.raises(ValueError, match="does not start"):
        client.api_execute("v2", "GET")
    with pytest.raises(etcd.EtcdException, match="not supported"):
        client.api_execute("/v2", "PATCH")


def test_headers_of_a_response_have_names_of_any_case(client: etcd.Client) -> None:
    response = client.api_execute("/v2/keys/", "GET")
    index = response.getheader("X-Etcd-Index")
    assert int(index) == client.read("/").etcd_index
    headers = response.getheaders()
    assert [headers["x-etcd-index"], headers.get("X-ETCD-Index"), headers.get("Date", "none")] == [index, index, "none"]
    assert "X-Raft-Term" in response.headers
    assert response.headers["X-Etcd-Cluster-Id"] == client.expected_cluster_id


@pytest.mark.parametrize("wait", [True, "true", 1])
def test_wait_is_what_etcd_takes_for_true(client: etcd.Client, wait: Any) -> None:
    with pytest.raises(etcd.EtcdWatchTimedOut):
        client.read("/a", wait=wait, timeout=0.1)


def test_what_cannot_be_connected_to_is_a_failed_connection(connect: Connect) -> None:
    for settings in (
        {"host": "a b"},
        {"protocol": "https", "ca_cert": "/none"},
        {"protocol": "https", "cert": "/none"},
    ):
        client = connect(**settings)
        with pytest.raises(etcd.EtcdConnectionFailed) as caught:
            client.read("/")
        assert isinstance(caught.value.cause, ValueError)
    with pytest.raises(etcd.EtcdException, match="list of servers"):  # a list is no tuple
        connect(host=[("127.0.0.1", 1)], allow_reconnect=True)


def test_a_result_can_be_changed_and_written_back(client: etcd.Client) -> None:
    client.write("/d/a", "1", ttl=90)
    result = client.read("/d", recursive=True)
    child = next(result.children)
    child.value = "2"
    assert client.update(child).value == "2"
    leaf = client.read("/d/a")
    next(leaf.leaves).value = "3"
    assert leaf.value == "3"
    with pytest.raises(etcd.EtcdCompareFailed):
        client.update(child)
    with pytest.raises(TypeError):
        hash(leaf)


def test_error_classes_can_be_added_and_errors_pickle(client: etcd.Client) -> None:
    class RaftInternal(etcd.EtcdException):
        pass

    with mock.patch.dict(etcd.EtcdError.error_exceptions, {300: RaftInternal, 100: KeyError}):
        with pytest.raises(RaftInternal) as caught:
            etcd.EtcdError.handle({"errorCode": 300, "message": "m", "cause": "c", "status": 500})
        assert (str(caught.value), caught.value.payload) == (
            "m : c",
            {"errorCode": 300, "message": "m", "cause": "c", "status": 500},
        )
        with pytest.raises(KeyError):
            client.read("/none")
    with pytest.raises(etcd.EtcdException) as odd:
        etcd.EtcdError.handle({"message": "m"})
    assert str(odd.value) == "m : None"
    again = pickle.loads(pickle.dumps(etcd.EtcdConnectionFailed("x", cause=ValueError("y"))))
    assert (str(again), str(again.cause)) == ("x", "y")


def test_hosts_in_a_tuple_need_reconnection_and_the_first_is_used_first(etcd: Server) -> None:
    from etcdv2.compat import python_etcd

    with pytest.raises(python_etcd.EtcdException, match="reconnection"):
        python_etcd.Client(host=(("127.0.0.1", 1),))
    hosts = (("127.0.0.1", etcd.port), ("localhost", etcd.port))
    for _ in range(5):
        client = python_etcd.Client(host=hosts, allow_reconnect=True, use_proxies=True)
        client.write("/a", "1")
        assert (client.base_uri, client._machines_cache) == (etcd.url, [f"http://localhost:{etcd.port}"])
    assert python_etcd.Client(host="::1", port=1).base_uri == "http://[::1]:1"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    with DnsServer() as server:
        monkeypatch.setattr("dns.resolver.default_resolver", server.resolver)
        yield server


def test_hosts_are_found_in_dns(names: DnsServer, etcd: Server) -> None:
    from etcdv2.compat import python_etcd

    settings: dict[str, Any] = {"allow_reconnect": True, "use_proxies": True}
    found = [f"10 0 {etcd.port} localhost.", "20 5 2 b.example.org.", "20 9 1 a.example.org.", "30 0 0 ."]

    # 1. By priority, then by weight; python-etcd's name goes before those of etcd.
    names.zone = {"_etcd._tcp.example.org.": found, "_etcd-client._tcp.example.org.": ["0 0 3 c.example.org."]}
    client = python_etcd.Client(srv_domain="example.org", **settings)
    assert client.base_uri == f"http://localhost:{etcd.port}"
    assert client._machines_cache == ["http://a.example.org:1", "http://b.example.org:2"]
    client.write("/a", "1")
    with pytest.raises(python_etcd.EtcdException, match="reconnection"):
        python_etcd.Client(srv_domain="example.org")

    # 2. etcd's own names, of which https has one.
    names.zone = {
        "_etcd-client._tcp.example.org.": ["0 0 3 c.example.org."],
        "_etcd-client-ssl._tcp.example.org.": ["0 0 4 d.example.org."],
    }
    assert python_etcd.Client(srv_domain="example.org", **settings).base_uri == "http://c.example.org:3"
    assert (
        python_etcd.Client(srv_domain="example.org", protocol="https", **settings).base_uri == "https://d.example.org:4"
    )

    # 3. None: the host that was given.
    names.zone = {}
    assert python_etcd.Client(host="h", port=5, srv_domain="example.org").base_uri == "http://h:5"


def test_settings_may_be_changed_at_any_time(client: etcd.Client, etcd: Server) -> None:
    client.write("/a", "1")
    client._base_uri = "http://127.0.0.1:1"
    client._read_timeout = 5
    with pytest.raises(Exception, match="Connection refused"):
        client.read("/a")
    client._base_uri = etcd.url
    assert client.read("/a").value == "1"

    client._allow_reconnect, client._machines_cache = True, ["http://localhost:1"]
    assert client.read("/a").value == "1"
    client._base_uri, client._machines_cache = "http://127.0.0.1:1", [etcd.url]
    assert client.read("/a").value == "1"
    assert client.base_uri == etcd.url


def test_attributes_may_be_set_before_the_constructor_runs(etcd: Server) -> None:
    from etcdv2.compat import python_etcd

    class Early(python_etcd.Client):
        def __init__(self) -> None:
            self._dns_resolver = object()
            self._read_timeout = 3
            super().__init__(port=etcd.port, read_timeout=7)
            self.username, self.password = "u", "p"

    early = Early()
    assert (early.read_timeout, early._get_headers()) == (7, {"authorization": "Basic dTpw"})
    unfinished = Early.__new__(Early)
    with pytest.raises(ValueError, match="__init__"):
        unfinished.api_execute("/version", "GET")


def test_many_threads_share_a_client(client: etcd.Client) -> None:
    def write(number: int) -> None:
        for count in range(10):
            client.write(f"/t/{number}/{count}", count)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(client.read("/t", recursive=True).leaves)) == 80


def test_watch_times_out_with_the_errors_that_programs_look_for(client: etcd.Client) -> None:
    urllib3 = pytest.importorskip("urllib3")
    limits = [0.2, urllib3.Timeout(connect=5, read=0.2), urllib3.Timeout(total=0.2)]
    for timeout in limits:
        with pytest.raises(etcd.EtcdWatchTimedOut, match="timed out") as caught:
            client.read("/a", wait=True, timeout=timeout)
        assert isinstance(caught.value, etcd.EtcdConnectionFailed)
        assert isinstance(caught.value.cause, urllib3.exceptions.ReadTimeoutError)
    with mock.patch.dict(sys.modules):
        del sys.modules["urllib3.exceptions"]
        with pytest.raises(etcd.EtcdWatchTimedOut) as caught:
            client.watch("/a", timeout=0.2)
        assert isinstance(caught.value.cause, TimeoutError)


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan"), float("inf"), "5", (1, 2)])
def test_time_that_is_none_is_refused_as_urllib3_refuses_it(client: etcd.Client, timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        client.read("/", timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        client.watch("/", timeout=timeout)


def test_https_with_both_ways_to_give_a_certificate(guarded: Server, certificates: Certificates) -> None:
    settings: dict[str, Any] = {"host": "localhost", "port": guarded.port, "protocol": "https"}
    settings |= {"username": "root", "password": "secret", "ca_cert": str(certificates.ca_file)}
    pair = (str(certificates.client_cert_file), str(certificates.client_key_file))
    client = etcd.Client(cert=pair, **settings)
    client.write("/tls", "1")
    client.http.clear()

    both = certificates.ca_file.parent / "compat-both.pem"
    both.write_text(certificates.client_cert_file.read_text() + certificates.client_key_file.read_text())
    assert etcd.Client(cert=str(both), **settings).read("/tls").value == "1"

    del settings["ca_cert"]
    with pytest.raises(etcd.EtcdConnectionFailed, match="ca_cert="):
        etcd.Client(cert=pair, **settings).read("/tls")


def test_users_and_roles(etcd_auth: Server) -> None:
    client = etcd.Client(port=etcd_auth.port)
    with pytest.raises(etcd.EtcdInsufficientPermissions):
        EtcdUser(client, "root").read()
    client.username, client.password = "root", "secret"

    role = EtcdRole(client, "ops")
    role.acls = {"/ops/*": "RW", "/pub/*": "R"}
    role.write()
    role.revoke("/pub/*", "R")
    role.grant("/log", "W")
    role.write()
    again = EtcdRole(client, "ops")
    again.read()
    assert again.acls == {"/ops/*": "RW", "/log": "W"}

    user = EtcdUser(client, "ann")
    user.password, user.roles = "pw", {"ops"}
    user.write()
    assert user.password is None
    assert {"ann", "root"} <= set(user.names)
    assert "ops" in role.names
    user.roles = set()
    user.write()
    found = EtcdUser(client, "ann")
    found.read()
    assert found.roles == set()
    assert Auth(client).active is True
    role.delete()
    with pytest.raises(etcd.EtcdKeyNotFound):
        role.read()

    # Credentials count from the next call on.
    client.username, client.password = "ann", "wrong"
    with pytest.raises(etcd.EtcdInsufficientPermissions):
        client.write("/a", "1")
