"""`keys.modify` on real servers: the change, what makes it try again, and when it gives up."""

from __future__ import annotations

import functools
import time
from datetime import timedelta
from typing import Any

import pytest

from etcdv2 import KEEP, AsyncClient, CompareFailed, DeadlineExceeded, KeyNotFound, NotFile, OutcomeUnknown
from etcdv2._runtime.primitives import AsyncWorker
from etcdv2_api import Node
from tests.facade._async.conftest import Connect
from tests.tools.recording import NODE, Answer, Noted, Recorder
from tests.tools.waiting import SOON


async def test_modify_changes_the_value_by_compare_and_swap(client: AsyncClient) -> None:
    made = await client.keys.set("/n", "1")
    changed = await client.keys.modify("/n", lambda value: str(int(value) + 1))
    assert (changed.action, changed.value, changed.node.created_index) == ("compareAndSwap", "2", made.index)
    assert changed.node.ttl is None
    assert changed.prev_node is not None
    assert changed.prev_node.value == "1"


async def test_modify_sets_the_ttl_that_is_given(client: AsyncClient) -> None:
    await client.keys.set("/n", "1")
    assert (await client.keys.modify("/n", lambda value: value, ttl=60)).node.ttl == 60
    assert (await client.keys.modify("/new", str, default="0", ttl=60)).node.ttl == 60


async def test_modify_keeps_the_ttl_unless_another_one_is_given(client: AsyncClient) -> None:
    keys = client.keys
    await keys.set("/n", "1", ttl=1000)
    kept = [(await keys.modify("/n", lambda value: value + "1")).node.ttl]
    kept.append((await keys.modify("/n", lambda value: (value + "1", KEEP), ttl=5)).node.ttl)
    kept.append((await keys.modify("/n", lambda value: value + "1", ttl=KEEP)).node.ttl)
    assert all(ttl is not None and 900 < ttl <= 1000 for ttl in kept)
    assert (await keys.modify("/n", lambda value: (value, 50), ttl=5)).node.ttl == 50
    assert (await keys.modify("/n", lambda value: (value, timedelta(seconds=40)))).node.ttl == 40
    assert (await keys.modify("/n", lambda value: (value, None))).node.ttl is None
    assert (await keys.modify("/n", lambda value: value + "1")).node.ttl is None
    await keys.set("/n", "1", ttl=1000)
    assert (await keys.modify("/n", lambda value: value, ttl=None)).node.expiration is None
    assert (await keys.modify("/new", lambda value: (value, KEEP), default="x")).node.ttl is None


async def test_change_may_see_the_node(client: AsyncClient) -> None:
    keys = client.keys
    made = await keys.set("/n", "1", ttl=1000)
    seen: list[Node | None] = []

    def change(value: str, node: Node | None) -> tuple[str, int | None]:
        seen.append(node)

        return value + "!", None if node is None or node.ttl is None else node.ttl + 1000

    changed = await keys.modify("/n", change)
    assert changed.node.ttl is not None
    assert changed.node.ttl > 1000
    assert (await keys.modify("/new", change, default="x")).value == "x!"
    assert [node and node.modified_index for node in seen] == [made.index, None]

    def with_default(value: str, suffix: str = "?") -> str:
        return value + suffix

    assert (await keys.modify("/n", with_default)).value == "1!?"
    assert (await keys.modify("/n", functools.partial(with_default, suffix="."))).value == "1!?."


@pytest.mark.parametrize("wrong", [1, ("1",), ("1", 2, 3), (b"1", 5), ("1", "5"), ("1", 0), b"1"])
async def test_what_a_change_may_not_return_is_refused(client: AsyncClient, wrong: Any) -> None:
    await client.keys.set("/n", "secret")
    with pytest.raises((TypeError, ValueError)) as caught:
        await client.keys.modify("/n", lambda _: wrong)
    assert "b'1'" not in str(caught.value)
    with pytest.raises(TypeError, match="change"):
        await client.keys.modify("/n", wrong)
    assert (await client.keys.get("/n")).value == "secret"


async def test_modify_of_a_missing_key_raises_or_begins_with_the_default(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound):
        await client.keys.modify("/n", str)
    made = await client.keys.modify("/n", lambda value: value + "!", default="new")
    assert (made.action, made.value) == ("create", "new!")
    again = await client.keys.modify("/n", lambda value: value + "!", default="new")
    assert again.value == "new!!"
    empty = await client.keys.modify("/empty", lambda value: value, default="")
    assert (empty.action, empty.value) == ("create", "")


async def test_modify_leaves_the_key_alone_for_none(client: AsyncClient) -> None:
    made = await client.keys.set("/n", "1", ttl=100)
    same = await client.keys.modify("/n", lambda _: None)
    assert (same.action, same.value, same.index) == ("get", "1", made.index)
    with pytest.raises(KeyNotFound):
        await client.keys.modify("/none", lambda _: None, default="x")
    assert not await client.keys.exists("/none")


async def test_modify_of_a_directory_is_refused_without_asking_for_a_change(client: AsyncClient) -> None:
    await client.keys.make_dir("/d")
    asked: list[str] = []

    def change(value: str) -> str:
        asked.append(value)
        return value

    with pytest.raises(NotFile):
        await client.keys.modify("/d", change)
    assert asked == []


async def test_error_of_the_change_comes_out_and_nothing_is_written(client: AsyncClient) -> None:
    made = await client.keys.set("/n", "one")
    with pytest.raises(ValueError, match="one"):
        await client.keys.modify("/n", lambda value: str(int(value)))
    assert (await client.keys.get("/n")).index == made.index


async def test_modify_by_several_loses_no_change(connect: Connect, client: AsyncClient) -> None:
    await client.keys.set("/n", "0")

    async def count() -> None:
        for _ in range(10):
            await client.keys.modify("/n", lambda value: str(int(value) + 1))

    workers = [AsyncWorker(count, f"count-{n}") for n in range(5)]
    for worker in workers:
        await worker.join(20)
    assert (await client.keys.get("/n")).value == "50"


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


async def test_modify_reads_again_when_somebody_was_quicker(connect: Connect) -> None:
    recorder = rival(3)
    values: list[str] = []
    client = connect("http://a:1", transport=recorder)

    def change(value: str) -> str:
        values.append(value)
        return "new"

    await client.keys.modify("/a", change)
    assert [method for method, _ in recorder.lines] == ["GET", "PUT"] * 4
    assert values == ["v"] * 4
    swaps = [dict(noted.form)["prevIndex"] for noted in recorder.noted if noted.method == "PUT"]
    assert swaps == ["10", "11", "12", "13"]


async def test_modify_gives_up_when_the_time_is_over(connect: Connect) -> None:
    client = connect("http://a:1", transport=rival(1_000_000))
    for _ in range(20):  # where the time ends within an attempt, the error is that attempt's own
        began = time.monotonic()
        with pytest.raises((DeadlineExceeded, OutcomeUnknown)) as caught:
            await client.keys.modify("/a", str, timeout=0.3)
        assert 0.15 < time.monotonic() - began < SOON
        assert isinstance(caught.value, TimeoutError)
        if "compare-and-swap race" in str(caught.value):
            break
    assert "compare-and-swap race" in str(caught.value)
    assert isinstance(caught.value.__cause__, CompareFailed)
