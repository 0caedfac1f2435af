# Derived from tests/facade/_async/test_set_many.py by scripts/unasync.py: change that file, make generate.
"""`keys.set_many`: more writes than connections, so many at a time, and what is said where some fail."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from etcdv2 import Client, ManyFailed, NotFile, Timeout
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.facade._sync.conftest import Connect
from tests.tools.fault_server import FaultServer, stall


def test_responses_come_in_the_order_of_the_items(client: Client) -> None:
    items = {f"/m/{n}": str(n) for n in range(50)}
    done = client.keys.set_many(items, ttl=100, concurrency=7)
    assert [(one.node.key, one.value) for one in done] == list(items.items())
    assert all(one.node.ttl == 100 for one in done)
    assert {node.key: node.value for node in (client.keys.get("/m")).leaves()} == items
    assert client.keys.set_many([]) == ()
    again = client.keys.at("/m").set_many((("1", "x"), ("1", "y")), concurrency=1)
    assert [one.prev_node and one.prev_node.value for one in again] == ["1", "x"]


@pytest.mark.load
def test_any_number_may_wait_whatever_the_total_time(connect: Connect, etcd: Server) -> None:
    """Each behind a link that takes its time: all together take longer than the total of one."""
    with Link(etcd.port) as link:
        link.delay = 0.2
        client = connect(link.endpoint.url, timeout=Timeout(total=5))
        began = time.monotonic()
        done = client.keys.set_many(((f"/m/{n}", "") for n in range(30)), concurrency=2)
        assert time.monotonic() - began > 5
    assert len({one.index for one in done}) == 30


@pytest.mark.parametrize("concurrency", [1, 3])
def test_not_more_than_asked_are_under_way(connect: Connect, concurrency: int) -> None:
    with FaultServer(default=stall()) as server:
        client = connect(server.endpoint.url, timeout=Timeout(commit=1, total=60))
        with pytest.raises(ManyFailed) as caught:
            client.keys.set_many(((f"/m/{n}", "") for n in range(10)), concurrency=concurrency)
    error = caught.value
    assert len(server.requests) == len(error.failed) == concurrency
    assert error.not_begun == tuple(f"/m/{n}" for n in range(concurrency, 10))
    assert not error.done


def test_first_failure_ends_it_and_names_each_key(client: Client) -> None:
    client.keys.make_dir("/m/5")
    with pytest.raises(ManyFailed) as caught:
        client.keys.set_many(((f"/m/{n}", "x") for n in range(10)), concurrency=1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert list(error.done) == [f"/m/{n}" for n in range(5)]
    assert {key: type(one) for key, one in error.failed.items()} == {"/m/5": NotFile}
    assert error.not_begun == tuple(f"/m/{n}" for n in range(6, 10))
    assert isinstance(caught.value.__cause__, NotFile)
    assert "1 of 10 writes failed, 5 were done, 4 not begun; /m/5: " in str(error)


@pytest.mark.parametrize(
    ("items", "settings", "kind"),
    [
        ([("/a", "1"), ("/b", b"2")], {}, TypeError),
        ([("/a", "1"), ("/b/../c", "2")], {}, ValueError),
        ({"/a": "1"}, {"concurrency": 0}, ValueError),
        ({"/a": "1"}, {"concurrency": True}, TypeError),
        ({"/a": "1"}, {"ttl": 0}, ValueError),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    client: Client, items: Any, settings: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        client.keys.set_many(items, **settings)
    assert not client.keys.exists("/a")
