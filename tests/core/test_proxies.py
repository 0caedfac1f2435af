"""Which proxy an endpoint is reached through, by the rules of Go's clients."""

from __future__ import annotations

import pytest

from etcdv2._core.endpoints import parse_endpoint
from etcdv2._core.proxies import Proxies, proxy_of

ENVIRONMENT = {"http_proxy": "http://proxy:3128", "https_proxy": "http://secure:3129"}


def shown(environ: dict[str, str], endpoint: str) -> str | None:
    found = Proxies(None, environ).proxy_for(parse_endpoint(endpoint))
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://p:1"}, "http://p:1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1", None),
        ({"https_proxy": "http://p:1"}, None, "http://p:1"),
        ({"ALL_PROXY": "p:1"}, "http://p:1", "http://p:1"),
        ({"all_proxy": "http://p:1", "https_proxy": "http://q:1"}, "http://p:1", "http://q:1"),
        ({"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:1"}, "http://q:1", None),
        ({"HTTP_PROXY": "http://p:1", "http_proxy": ""}, None, None),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None, None),
        ({"ftp_proxy": "http://p:1"}, None, None),
        ({"http_proxy": "http://user:secret@p:1"}, "http://p:1", None),
    ],
)
def test_variables_are_read(environ: dict[str, str], http: str | None, https: str | None) -> None:
    assert shown(environ, "http://10.0.0.1:2379") == http
    assert shown(environ, "https://10.0.0.1:2379") == https
    assert bool(Proxies(None, environ)) or (http is https is None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "localhost.", "[::ffff:127.0.0.1]"])
def test_loopback_goes_through_no_proxy_of_the_environment_but_through_a_given_one(host: str) -> None:
    assert shown(ENVIRONMENT, f"http://{host}:2379") is None
    given = Proxies("http://given:1", None).proxy_for(parse_endpoint(f"http://{host}:2379"))
    assert str(given) == "http://given:1"


@pytest.mark.parametrize(
    ("no_proxy", "direct", "through"),
    [
        ("*", ["10.0.0.1", "etcd.example"], []),
        ("etcd.example", ["etcd.example", "a.etcd.example", "ETCD.example", "etcd.example."], ["myetcd.example"]),
        (".etcd.example", ["a.etcd.example"], ["etcd.example"]),
        ("*.etcd.example", ["a.etcd.example"], ["etcd.example"]),
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.2", "10.0.0.11"]),
        ("10.0.0.0/8, 192.168.1.0/24", ["10.9.9.9", "192.168.1.7"], ["192.168.2.1", "etcd.example"]),
        ("[fd00::1]", ["[fd00::1]"], ["[fd00::2]"]),
        ("fd00::1", ["[fd00::1]"], ["[fd00::2]"]),
        ("fd00::/16", ["[fd00::1]"], ["[fe80::1]"]),
        ("etcd.example:2379", ["etcd.example"], ["other.example"]),
        ("etcd.example:80,10.0.0.1:80,[fd00::1]:80", [], ["etcd.example", "10.0.0.1", "[fd00::1]"]),
        ("http://etcd.example", ["etcd.example"], ["other.example"]),
        ("https://etcd.example", [], ["etcd.example"]),
        ("localhost,[::1],,[,]:,10.0.0.0/99,%,http://[,http://x:y, \u00fc ,://,*.,.", [], ["10.0.0.1", "etcd.example"]),
    ],
)
def test_entries_of_no_proxy_are_read_as_go_reads_them_and_what_is_none_does_not_matter(
    no_proxy: str, direct: list[str], through: list[str]
) -> None:
    environ = {**ENVIRONMENT, "NO_PROXY": no_proxy}
    assert [shown(environ, f"http://{host}:2379") for host in direct] == [None] * len(direct)
    assert [shown(environ, f"http://{host}:2379") for host in through] == ["http://proxy:3128"] * len(through)


@pytest.mark.parametrize(
    "value", ["ftp://p:1", "http://", "http://p:port", "http://[::1", "http://p:0", "http://a b:1", "http://:secret@:1"]
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_proxy_that_cannot_be_one_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: ") as caught:
        shown({name: value}, "http://10.0.0.1:2379")
    assert "secret" not in str(caught.value)
    assert shown({name: value}, "http://127.0.0.1:2379") is None


def test_given_proxy_is_checked_before_it_is_used() -> None:
    with pytest.raises(ValueError, match=r"^proxy=: the scheme"):
        Proxies("ftp://p:1", None)
    with pytest.raises(TypeError, match=r"^proxy=: a int"):
        proxy_of(3128, "proxy=")


def test_password_of_a_proxy_is_in_no_repr() -> None:
    proxies = Proxies(None, {"http_proxy": "http://user:secret@p:1"})
    assert "secret" not in f"{proxies!r} {proxies.proxy_for(parse_endpoint('http://10.0.0.1'))!r}"
