# Derived from tests/facade/_async/test_modify.py by scripts/unasync.py: change that file, make generate.
"""`keys.modify` on real servers: the change, what makes it try again, and when it gives up."""

from __future__ import annotations

import functools
import time
from datetime import timedelta
from typing import Any

import pytest

from etcdv2 import KEEP, Client, CompareFailed, DeadlineExceeded, KeyNotFound, NotFile, OutcomeUnknown
from etcdv2._runtime.primitives import Worker
from etcdv2_api import Node
from tests.facade._sync.conftest import Connect
from tests.tools.recording import NODE, Answer, Noted, Recorder
from tests.tools.waiting import SOON


def test_modify_changes_the_value_by_compare_and_swap(client: Client) -> None:
    made = client.keys.set("/n", "1")
    changed = client.keys.modify("/n", lambda value: str(int(value) + 1))
    assert (changed.action, changed.value, changed.node.created_index) == ("compareAndSwap", "2", made.index)
    assert changed.node.ttl is None
    assert changed.prev_node is not None
    assert changed.prev_node.value == "1"


def test_modify_sets_the_ttl_that_is_given(client: Client) -> None:
    client.keys.set("/n", "1")
    assert (client.keys.modify("/n", lambda value: value, ttl=60)).node.ttl == 60
    assert (client.keys.modify("/new", str, default="0", ttl=60)).node.ttl == 60


def test_modify_keeps_the_ttl_unless_another_one_is_given(client: Client) -> None:
    keys = client.keys
    keys.set("/n", "1", ttl=1000)
    kept = [(keys.modify("/n", lambda value: value + "1")).node.ttl]
    kept.append((keys.modify("/n", lambda value: (value + "1", KEEP), ttl=5)).node.ttl)
    kept.append((keys.modify("/n", lambda value: value + "1", ttl=KEEP)).node.ttl)
    assert all(ttl is not None and 900 < ttl <= 1000 for ttl in kept)
    assert (keys.modify("/n", lambda value: (value, 50), ttl=5)).node.ttl == 50
    assert (keys.modify("/n", lambda value: (value, timedelta(seconds=40)))).node.ttl == 40
    assert (keys.modify("/n", lambda value: (value, None))).node.ttl is None
    assert (keys.modify("/n", lambda value: value + "1")).node.ttl is None
    keys.set("/n", "1", ttl=1000)
    assert (keys.modify("/n", lambda value: value, ttl=None)).node.expiration is None
    assert (keys.modify("/new", lambda value: (value, KEEP), default="x")).node.ttl is None


def test_change_may_see_the_node(client: Client) -> None:
    keys = client.keys
    made = keys.set("/n", "1", ttl=1000)
    seen: list[Node | None] = []

    def change(value: str, node: Node | None) -> tuple[str, int | None]:
        seen.append(node)

        return value + "!", None if node is None or node.ttl is None else node.ttl + 1000

    changed = keys.modify("/n", change)
    assert changed.node.ttl is not None
    assert changed.node.ttl > 1000
    assert (keys.modify("/new", change, default="x")).value == "x!"
    assert [node and node.modified_index for node in seen] == [made.index, None]

    def with_default(value: str, suffix: str = "?") -> str:
        return value + suffix

    assert (keys.modify("/n", with_default)).value == "1!?"
    assert (keys.modify("/n", functools.partial(with_default, suffix="."))).value == "1!?."


@pytest.mark.parametrize("wrong", [1, ("1",), ("1", 2, 3), (b"1", 5), ("1", "5"), ("1", 0), b"1"])
def test_what_a_change_may_not_return_is_refused(client: Client, wrong: Any) -> None:
    client.keys.set("/n", "secret")
    with pytest.raises((TypeError, ValueError)) as caught:
        client.keys.modify("/n", lambda _: wrong)
    assert "b'1'" not in str(caught.value)
    with pytest.raises(TypeError, match="change"):
        client.keys.modify("/n", wrong)
    assert (client.keys.get("/n")).value == "secret"


def test_modify_of_a_missing_key_raises_or_begins_with_the_default(client: Client) -> None:
    with pytest.raises(KeyNotFound):
        client.keys.modify("/n", str)
    made = client.keys.modify("/n", lambda value: value + "!", default="new")
    assert (made.action, made.value) == ("create", "new!")
    again = client.keys.modify("/n", lambda value: value + "!", default="new")
    assert again.value == "new!!"
    empty = client.keys.modify("/empty", lambda value: value, default="")
    assert (empty.action, empty.value) == ("create", "")


def test_modify_leaves_the_key_alone_for_none(client: Client) -> None:
    made = client.keys.set("/n", "1", ttl=100)
    same = client.keys.modify("/n", lambda _: None)
    assert (same.action, same.value, same.index) == ("get", "1", made.index)
    with pytest.raises(KeyNotFound):
        client.keys.modify("/none", lambda _: None, default="x")
    assert not client.keys.exists("/none")


def test_modify_of_a_directory_is_refused_without_asking_for_a_change(client: Client) -> None:
    client.keys.make_dir("/d")
    asked: list[str] = []

    def change(value: str) -> str:
        asked.append(value)
        return value

    with pytest.raises(NotFile):
        client.keys.modify("/d", change)
    assert asked == []


def test_error_of_the_change_comes_out_and_nothing_is_written(client: Client) -> None:
    made = client.keys.set("/n", "one")
    with pytest.raises(ValueError, match="one"):
        client.keys.modify("/n", lambda value: str(int(value)))
    assert (client.keys.get("/n")).index == made.index


def test_modify_by_several_loses_no_change(connect: Connect, client: Client) -> None:
    client.keys.set("/n", "0")

    def count() -> None:
        for _ in range(10):
            client.keys.modify("/n", lambda value: str(int(value) + 1))

    workers = [Worker(count, f"count-{n}") for n in range(5)]
    for worker in workers:
        worker.join(20)
    assert (client.keys.get("/n")).value == "50"


def rival(swaps: int) -> Recorder:
    """A server on which somebody else is quicker, `swaps` times."""
    index = iter(range(10, 1_000_000))

    def answer(noted: Noted) -> Answer:
        nonlocal swaps
        if noted.method == "GET":
            return 200, {"action": "get", "node": NODE | {"modifiedIndex": next(index), "value": "v"}}
        swaps -= 1
        if swaps >= 0:
            return 412, {"errorCode": 101, "message": "Compare failed", "cause": "[1 != 2]", "index": 9}
        return 200, {"action": "compareAndSwap", "node": NODE}

    return Recorder(answer)


def test_modify_reads_again_when_somebody_was_quicker(connect: Connect) -> None:
    recorder = rival(3)
    values: list[str] = []
    client = connect("http://a:1", transport=recorder)

    def change(value: str) -> str:
        values.append(value)
        return "new"

    client.keys.modify("/a", change)
    assert [method for method, _ in recorder.lines] == ["GET", "PUT"] * 4
    assert values == ["v"] * 4
    swaps = [dict(noted.form)["prevIndex"] for noted in recorder.noted if noted.method == "PUT"]
    assert swaps == ["10", "11", "12", "13"]


def test_modify_gives_up_when_the_time_is_over(connect: Connect) -> None:
    client = connect("http://a:1", transport=rival(1_000_000))
    for _ in range(20):  # where the time ends within an attempt, the error is that attempt's own
        began = time.monotonic()
        with pytest.raises((DeadlineExceeded, OutcomeUnknown)) as caught:
            client.keys.modify("/a", str, timeout=0.3)
        assert 0.15 < time.monotonic() - began < SOON
        assert isinstance(caught.value, TimeoutError)
        if "compare-and-swap race" in str(caught.value):
            break
    assert "compare-and-swap race" in str(caught.value)
    assert isinstance(caught.value.__cause__, CompareFailed)
