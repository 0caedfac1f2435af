# Derived from tests/facade/_async/test_unique.py by scripts/unasync.py: change that file, make generate.
"""Writes of values that nobody else writes: a lost answer is settled, nothing is done twice, and refusals are true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from etcdv2 import (
    Ack,
    AttemptInfo,
    Client,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    OutcomeUnknown,
    Response,
    Timeout,
)
from etcdv2 import Client as SyncClient
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.facade._sync.conftest import Connect

Lossy = Callable[..., Client]
TIMES = Timeout(connect=30, attempt=10, commit=2, total=120)
WHAT = pytest.mark.parametrize("what", ["answers", "requests"])
KINDS = ["create", "set", "prev_index", "prev_value", "modify", "modify default"]


@pytest.fixture
def link(etcd: Server) -> Iterator[Link]:
    with Link(etcd.port) as link:
        yield link


@pytest.fixture
def lossy(connect: Connect, link: Link) -> Lossy:
    """Makes a client behind the link, which loses `what` until a write was tried `times` times; then `meanwhile`."""

    def make(
        what: str, times: int = 1, meanwhile: Callable[[], None] = lambda: None, timeout: Timeout = TIMES
    ) -> Client:
        def note(info: AttemptInfo) -> None:
            nonlocal times
            if info.method == "PUT":
                times -= 1
                if not times:
                    link.mend()
                    meanwhile()

        setattr(link, f"lose_{what}", True)
        return connect(link.endpoint.url, timeout=timeout, after_attempt=note)

    return make


def of_kind(kind: str, client: Client, value: str, before: int) -> Any:
    keys = client.keys
    if kind == "create":
        return keys.create("/a", value, unique=True)
    if kind == "set":
        return keys.set("/a", value, prev_exist=False, unique=True)
    if kind == "prev_index":
        return keys.set("/a", value, prev_index=before, unique=True)
    if kind == "prev_value":
        return keys.set("/a", value, prev_value="before", unique=True)
    default = "0" if kind == "modify default" else None
    return keys.modify("/a", lambda _: value, default=default, unique=True)


@WHAT
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_answer_that_was_lost_is_found_and_is_that_of_the_one_write(
    lossy: Lossy, client: Client, kind: str, times: int, what: str
) -> None:
    fresh = kind in ("create", "set", "modify default")
    before = (client.keys.set("/before" if fresh else "/a", "before")).index
    value = f"mine {uuid4()}"
    done = of_kind(kind, lossy(what, times), value, before)
    assert isinstance(done, Response)
    assert (done.action, done.value) == ("create" if fresh else "compareAndSwap", value)
    assert (done.index, done.node.modified_index) == (before + 1, before + 1)
    assert (done.prev_node is None) == fresh
    assert done.prev_node is None or done.prev_node.value == "before"
    found = client.keys.get("/a")
    assert (found.node, found.index) == (done.node, before + 1)
    assert done.cluster_id == found.cluster_id


@WHAT
def test_somebody_elses_key_is_a_key_that_exists(lossy: Lossy, client: Client, what: str) -> None:
    client.keys.set("/a", "theirs")
    with pytest.raises(KeyExists):
        lossy(what).keys.create("/a", f"mine {uuid4()}", unique=True)
    assert (client.keys.get("/a")).value == "theirs"


@WHAT
@pytest.mark.parametrize("kind", ["prev_index", "prev_value"])
def test_somebody_elses_change_is_a_failed_comparison(lossy: Lossy, client: Client, kind: str, what: str) -> None:
    before = (client.keys.set("/a", "before")).index
    client.keys.set("/a", "theirs")
    with pytest.raises(CompareFailed):
        of_kind(kind, lossy(what), f"mine {uuid4()}", before)
    client.keys.delete("/a")
    with pytest.raises(KeyNotFound):
        of_kind(kind, lossy(what), f"mine {uuid4()}", before)
    assert not client.keys.exists("/a")


@pytest.mark.parametrize("kind", KINDS)
def test_write_that_others_have_undone_since_is_not_done_again(
    lossy: Lossy, client: Client, etcd: Server, kind: str
) -> None:
    fresh = kind in ("create", "set", "modify default")
    before = (client.keys.set("/before" if fresh else "/a", "before")).index

    def undo() -> None:
        with SyncClient(etcd.url) as other:
            other.keys.set("/a", "before")
            other.keys.delete("/a")

    value = f"mine {uuid4()}"
    done = of_kind(kind, lossy("answers", 1, undo), value, before)
    assert isinstance(done, Response)
    assert (done.value, done.index) == (value, before + 1)
    assert not client.keys.exists("/a")


def test_increments_are_counted_once_each(lossy: Lossy, client: Client) -> None:
    counted = [
        (lossy(what, times).keys.modify("/n", count, default="0", unique=True)).value.split()[0]
        for what in ("answers", "requests")
        for times in (1, 2)
    ]
    assert counted == ["1", "2", "3", "4"]
    assert (client.keys.get("/n")).value.split()[0] == "4"


def count(value: str) -> str:
    return f"{int(value.split()[0]) + 1} {uuid4()}"


@WHAT
def test_outcome_is_unknown_when_the_time_is_over(lossy: Lossy, client: Client, link: Link, what: str) -> None:
    client.keys.set("/before", "")
    value = f"mine {uuid4()}"
    late = lossy(what, 1, link.close_door, Timeout(attempt=1, commit=1, total=3))
    with pytest.raises(OutcomeUnknown) as caught:
        late.keys.create("/a", value, unique=True)
    assert caught.value.call.form == (("value", value), ("prevExist", "false"))
    found = client.keys.resolve(caught.value)
    assert found.state == ("applied" if what == "answers" else "not applied")


def test_history_that_is_gone_is_an_honest_unknown(lossy: Lossy, client: Client, etcd: Server) -> None:
    client.keys.set("/before", "")

    def bury() -> None:
        with SyncClient(etcd.url) as other:
            other.keys.delete("/a")
            other.keys.set_many((f"/other/{n}", "") for n in range(1100))

    with pytest.raises(OutcomeUnknown) as caught:
        lossy("answers", 1, bury).keys.create("/a", f"mine {uuid4()}", unique=True)
    assert "not all events" in str(caught.value.__cause__)
    assert not client.keys.exists("/a")


def test_unique_write_may_do_without_the_nodes_in_its_answer(lossy: Lossy, client: Client) -> None:
    before = (client.keys.set("/a", "before")).index
    for loses in (lossy("answers"), client):
        value = f"mine {uuid4()}"
        done = loses.keys.set("/a", value, prev_index=before, no_value_on_success=True, unique=True)
        assert (type(done), done.action, done.index) == (Ack, "compareAndSwap", before + 1)
        before = done.index


def test_what_cannot_be_settled_is_refused(client: Client) -> None:
    keys = client.keys
    with pytest.raises(ValueError, match="unique=True"):
        keys.set("/a", "1", unique=True)
    with pytest.raises(ValueError, match="unique=True"):
        keys.set("/a", "1", prev_exist=True, unique=True)
    with pytest.raises(ValueError, match="unique=True"):
        keys.set("/a", "1", prev_value="1", unique=True)
    with pytest.raises(ValueError, match="unique=True"):
        keys.create("/a", "1", unique=True, repeat_writes=True)
    keys.set("/a", "1")
    with pytest.raises(ValueError, match="unique=True"):
        keys.modify("/a", str, unique=True)
    assert (keys.get("/a")).value == "1"


def test_refusal_without_a_loss_comes_at_once(client: Client) -> None:
    client.keys.set("/a", "1")
    with pytest.raises(KeyExists):
        client.keys.create("/a", f"mine {uuid4()}", unique=True)
    with pytest.raises(CompareFailed):
        client.keys.set("/a", f"mine {uuid4()}", prev_value="2", unique=True)
    with pytest.raises(KeyNotFound):
        client.keys.modify("/none", str, unique=True)
