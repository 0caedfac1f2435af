"""What a person writes as an endpoint, and what is refused."""

from __future__ import annotations

import pytest

from etcdv2._core.endpoints import Endpoint, parse_endpoint, parse_endpoints


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://10.0.0.1:2379", "http://10.0.0.1:2379"),
        ("https://etcd.example:4001", "https://etcd.example:4001"),
        ("HTTP://ETCD.Example:2379/", "http://etcd.example:2379"),
        ("http://etcd", "http://etcd:80"),
        ("https://etcd", "https://etcd:443"),
        ("http://[::1]:2379", "http://[::1]:2379"),
        ("http://etcd:2379/cluster/one/", "http://etcd:2379/cluster/one"),
        ("  http://etcd:2379\n", "http://etcd:2379"),
        ("etcd", "http://etcd:2379"),
        ("etcd:4001", "http://etcd:4001"),
        ("127.0.0.1", "http://127.0.0.1:2379"),
        ("::1", "http://[::1]:2379"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:2379"),
        ("[::1]", "http://[::1]:2379"),
        ("[::1]:4001", "http://[::1]:4001"),
        ("bücher.example:1", "http://xn--bcher-kva.example:1"),
        ("http://etcd.example.:2379", "http://etcd.example.:2379"),
        ("http://[fe80::1%25eth0]:2379", "http://[fe80::1%eth0]:2379"),
        ("http://etcd/apps/v2/etcd", "http://etcd:80/apps/v2/etcd"),
        ("http://etcd/v2keys", "http://etcd:80/v2keys"),
        ("http://etcd/a,b", "http://etcd:80/a,b"),
        ("http://etcd/my/health", "http://etcd:80/my/health"),
    ],
)
def test_endpoint_is_read_as_written(written: str, url: str) -> None:
    endpoint = parse_endpoint(written)
    assert endpoint.url == str(endpoint) == url
    assert parse_endpoint(url) == endpoint


def test_parts_are_those_of_the_url() -> None:
    assert parse_endpoint("https://[::1]:4001/x") == Endpoint("https", "::1", 4001, "/x")
    assert parse_endpoint("https://[::1]:4001/x").authority == "[::1]:4001"
    assert parse_endpoint("https://a").tls
    assert not parse_endpoint("http://a").tls


@pytest.mark.parametrize("written", ["etcd", "etcd:2379", "[::1]:2379", "::1"])
def test_with_tls_an_endpoint_without_scheme_is_https(written: str) -> None:
    endpoint = parse_endpoint(written, tls=True)
    assert (endpoint.scheme, endpoint.port) == ("https", 2379)


def test_with_tls_a_written_scheme_is_kept() -> None:
    assert parse_endpoint("http://etcd:2379", tls=True).scheme == "http"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("ftp://etcd", "scheme"),
        ("unix:///run/etcd.sock", "scheme"),
        ("http://", "has no host"),
        ("http://:2379", "has no host"),
        (":2379", "has no host"),
        ("http://etcd:0", "port 0"),
        ("http://etcd:65536", "[Pp]ort"),
        ("http://etcd:port", "[Pp]ort"),
        ("http://a:1,http://b:2", "give a list"),
        ("http://a:1/,http://b:2/", "give a list"),
        ("a,b", "give a list"),
        ("http://a..b", "neither a host name nor an address"),
        ("http://.", "neither a host name nor an address"),
        ("http://" + "a" * 64, "neither a host name nor an address"),
        ("http://[fe80::1%25]:1", "neither a host name nor an address"),
        ("http://[::1", "http://\\[::1"),
        ("http://etcd:2379?x=1", "query"),
        ("http://etcd:2379/?", "query"),
        ("http://etcd:2379#x", "fragment"),
        ("http://et cd", "white space"),
        ("http://etcd\x00", "control"),
        ("http://" + "ü" * 70, "cannot be encoded"),
        ("http://etcd/prä", "prefix|path|ASCII|encoded"),
    ],
)
def test_unusable_endpoint_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_endpoint(written)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("http://etcd:2379/v2/keys", "http://etcd:2379"),
        ("http://etcd:2379/v2/keys/a/b?wait=true", "http://etcd:2379"),
        ("etcd:2379/v2/keys", "http://etcd:2379"),
        ("https://etcd/v2", "https://etcd"),
        ("https://etcd/v2/", "https://etcd"),
        ("http://etcd/cluster/one/v2/members/", "http://etcd/cluster/one"),
        ("http://etcd/v2/auth/users", "http://etcd"),
        ("http://etcd/v2/stats/self#x", "http://etcd"),
        ("http://etcd//v2//keys", "http://etcd"),
        ("http://etcd/%762/keys", "http://etcd"),
        ("http://[::1]:2379/v2/machines", "http://[::1]:2379"),
        ("http://etcd:2379/v3/kv/range", "http://etcd:2379"),
        ("http://etcd:2379/v3beta", "http://etcd:2379"),
        ("http://etcd:2379/version", "http://etcd:2379"),
        ("http://etcd:2379/health/", "http://etcd:2379"),
        ("http://etcd:2379/metrics", "http://etcd:2379"),
        ("http://etcd:2380/members", "http://etcd:2380"),
    ],
)
def test_path_of_a_request_is_refused_with_what_to_write(written: str, instead: str) -> None:
    """`set("/a")` to `http://etcd:2379/v2/keys` would store the key `/v2/keys/a`."""
    with pytest.raises(ValueError, match=r"write '([^']*)'$") as caught:
        parse_endpoint(written)
    assert str(caught.value).endswith(f"write '{instead}'")


@pytest.mark.parametrize(
    ("written", "resolver", "http", "tls"),
    [
        ("https://etcd.example:2379", "etcd.example", "etcd.example:2379", "etcd.example"),
        ("https://etcd.example.:2379", "etcd.example.", "etcd.example.:2379", "etcd.example"),
        ("https://[fe80::1%25eth0]:2379", "fe80::1%eth0", "[fe80::1]:2379", "fe80::1"),
        ("https://[fe80::1%eth0]:2379", "fe80::1%eth0", "[fe80::1]:2379", "fe80::1"),
        ("https://10.0.0.1:2379", "10.0.0.1", "10.0.0.1:2379", "10.0.0.1"),
    ],
)
def test_host_is_what_go_and_curl_make_of_it(written: str, resolver: str, http: str, tls: str) -> None:
    endpoint = parse_endpoint(written)
    assert (endpoint.host, endpoint.authority, endpoint.tls_name) == (resolver, http, tls)


@pytest.mark.parametrize("given", [None, 2379, b"http://etcd", object()])
def test_endpoints_that_are_no_list_are_a_type_error_that_says_to_give_one(given: object) -> None:
    with pytest.raises(TypeError, match=r"endpoints: .* is no list; give one, like \['http://"):
        parse_endpoints(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written",
    [
        "http://root:{}@etcd:2379",
        "root:{}@etcd:2379",
        "ftp://root:{}@etcd",
        "http://root:{}@etcd:99999",
        "http://root:{}@etcd:2379?x=1",
        "http://root:{}@et cd",
        "http://root:{}@[::1",
        "{}@etcd",
    ],
)
@pytest.mark.parametrize(
    "password", ["hunter2", "hun/ter2", "hun#ter2", "hun?ter2", "hun ter2", "hun@ter2", "[hunter2"]
)
def test_password_in_an_endpoint_is_refused_and_never_shown(written: str, password: str) -> None:
    with pytest.raises(ValueError, match="username=") as caught:
        parse_endpoint(written.format(password))
    shown = f"{caught.value}{caught.value.__cause__}"
    for part in ("hun", "ter2"):
        assert part not in shown


@pytest.mark.parametrize("written", [None, 2379, b"http://etcd"])
def test_endpoint_that_is_no_text_is_a_type_error(written: object) -> None:
    with pytest.raises(TypeError, match="must be a str"):
        parse_endpoint(written)  # type: ignore[arg-type]


def test_lone_text_is_one_endpoint() -> None:
    assert [one.host for one in parse_endpoints("etcd")] == ["etcd"]


def test_equal_endpoints_count_once_in_the_order_given() -> None:
    found = parse_endpoints(iter(["http://b:2379", "a", "b", "http://A:2379/"]))
    assert [one.host for one in found] == ["b", "a"]


def test_no_endpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        parse_endpoints([])
