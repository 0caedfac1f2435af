"""Which SRV records become endpoints, and in what order."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from etcdv2._core.srv import Found, NoRecords, SrvRecord, endpoints_of, in_order
from etcdv2._types.srv import Srv

SECURE = [SrvRecord(0, 0, "s.example.", 2379)]
PLAIN = [SrvRecord(0, 0, "p.example.", 2379)]
NONE = NoRecords("none")
UNKNOWN = OSError("no answer")


@pytest.mark.parametrize(
    ("secured", "plain", "secure", "expected"),
    [
        (SECURE, PLAIN, False, ["https://s.example.:2379", "http://p.example.:2379"]),
        (SECURE, PLAIN, True, ["https://s.example.:2379"]),
        (NONE, PLAIN, False, ["http://p.example.:2379"]),
        (UNKNOWN, PLAIN, False, ["http://p.example.:2379"]),
        (NONE, PLAIN, True, ["http://p.example.:2379"]),
        (UNKNOWN, PLAIN, True, []),
        (SECURE, UNKNOWN, False, ["https://s.example.:2379"]),
        (NONE, UNKNOWN, False, []),
        ([], PLAIN, True, []),
        ([SrvRecord(0, 0, ".", 2379)], [], False, []),
        ([SrvRecord(0, 0, "A.example.", 1), SrvRecord(1, 0, "a.Example.", 1)], [], False, ["https://a.example.:1"]),
    ],
)
def test_records_of_both_names_count_but_none_without_tls_beside_a_secret(
    secured: Found, plain: Found, secure: bool, expected: list[str]
) -> None:
    found = endpoints_of({"https": secured, "http": plain}, secure=secure, rng=random.Random(1))
    assert [endpoint.url for endpoint in found] == expected


def test_order_is_by_priority_and_weight() -> None:
    records = [
        SrvRecord(20, 0, "last.", 1),
        SrvRecord(10, 60, "often.", 1),
        SrvRecord(10, 20, "seldom.", 1),
        SrvRecord(10, 0, "hardly.", 1),
        SrvRecord(5, 1, "first.", 1),
        SrvRecord(0, 0, ".", 1),
        SrvRecord(0, 0, "nowhere.", 0),
    ]
    rng = random.Random(7)
    orders = [[record.target for record in in_order(records, rng)] for _ in range(4000)]
    assert {order[0] for order in orders} == {"first."}
    assert {order[-1] for order in orders} == {"last."}
    assert all(len(order) == 5 for order in orders)
    second = Counter(order[1] for order in orders)
    assert 2.5 < second["often."] / second["seldom."] < 3.5
    assert 0 < second["hardly."] < 200


def test_names_are_those_of_the_go_client() -> None:
    assert Srv(domain="example.org").names == (
        ("https", "_etcd-client-ssl._tcp.example.org."),
        ("http", "_etcd-client._tcp.example.org."),
    )
    named = Srv(domain="example.org.", service="blue", insecure_discovery=False)
    assert named.names == (("https", "_etcd-client-ssl-blue._tcp.example.org."),)


@pytest.mark.parametrize(
    ("settings", "kind", "why"),
    [
        ({"domain": ""}, ValueError, "domain ''"),
        ({"domain": "exa mple"}, ValueError, "domain"),
        ({"domain": "http://example.org"}, ValueError, "is no domain name like 'example.org'"),
        ({"domain": "example..org"}, ValueError, "domain"),
        ({"domain": None}, TypeError, "must be str"),
        ({"domain": "example.org", "service": "a.b"}, ValueError, "service 'a.b'"),
        ({"domain": "example.org", "insecure_discovery": "no"}, TypeError, "insecure_discovery 'no'"),
    ],
)
def test_what_is_no_domain_is_refused(settings: dict[str, Any], kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why):
        Srv(**settings)
