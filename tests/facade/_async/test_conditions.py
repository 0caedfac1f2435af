"""Compare-and-swap and compare-and-delete on real servers: each condition, alone and together."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from etcdv2 import ApiError, AsyncClient, CompareFailed, KeyExists, KeyNotFound, NotFile

# What is given, with the index of the present node as "now" and another one as "old"; what the server does.
SWAPS: list[tuple[dict[str, Any], str | type[ApiError]]] = [
    ({"prev_value": "1"}, "compareAndSwap"),
    ({"prev_value": "2"}, CompareFailed),
    ({"prev_index": "now"}, "compareAndSwap"),
    ({"prev_index": "old"}, CompareFailed),
    ({"prev_exist": True}, "update"),
    ({"prev_exist": False}, KeyExists),
    ({"prev_value": "1", "prev_index": "now"}, "compareAndSwap"),
    ({"prev_value": "1", "prev_index": "old"}, CompareFailed),
    ({"prev_value": "2", "prev_index": "now"}, CompareFailed),
    ({"prev_value": "1", "prev_exist": True}, "compareAndSwap"),
    ({"prev_value": "2", "prev_exist": True}, CompareFailed),
    ({"prev_index": "now", "prev_exist": True}, "compareAndSwap"),
    ({"prev_index": "old", "prev_exist": True}, CompareFailed),
    ({"prev_value": "1", "prev_index": "now", "prev_exist": True}, "compareAndSwap"),
]
MISSING: list[tuple[dict[str, Any], str | type[ApiError]]] = [
    ({"prev_value": "1"}, KeyNotFound),
    ({"prev_index": 1}, KeyNotFound),
    ({"prev_exist": True}, KeyNotFound),
    ({"prev_exist": False}, "create"),
]


def named(case: object) -> str:
    return "-".join(f"{name}={value}" for name, value in case.items()) if isinstance(case, dict) else ""


def settled(conditions: dict[str, Any], now: int) -> dict[str, Any]:
    """With the real indexes."""
    indexes = {"now": now, "old": now - 1}
    return {name: indexes.get(value, value) for name, value in conditions.items()}


@pytest.mark.parametrize(("conditions", "outcome"), SWAPS, ids=named)
async def test_conditions_of_set_on_an_existing_key(
    client: AsyncClient, conditions: dict[str, Any], outcome: str | type[ApiError]
) -> None:
    made = await client.keys.set("/a", "1")
    given = settled(conditions, made.index)
    if isinstance(outcome, str):
        swapped = await client.keys.set("/a", "new", **given)
        assert (swapped.action, swapped.value, swapped.node.created_index) == (outcome, "new", made.index)
        assert swapped.prev_node is not None
        assert swapped.prev_node.value == "1"
        return
    with pytest.raises(outcome) as caught:
        await client.keys.set("/a", "new", **given)
    assert type(caught.value) is outcome
    assert (caught.value.status, caught.value.index, caught.value.endpoint) == (412, made.index, client.endpoints[0])
    assert (await client.keys.get("/a")).value == "1"


@pytest.mark.parametrize(("conditions", "outcome"), MISSING, ids=named)
async def test_conditions_of_set_on_a_missing_key(
    client: AsyncClient, conditions: dict[str, Any], outcome: str | type[ApiError]
) -> None:
    if isinstance(outcome, str):
        assert (await client.keys.set("/a", "new", **conditions)).action == outcome
        return
    with pytest.raises(outcome) as caught:
        await client.keys.set("/a", "new", **conditions)
    assert (caught.value.code, caught.value.status) == (100, 404)
    assert not await client.keys.exists("/a")


async def test_compare_failed_says_what_was_compared(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1")
    with pytest.raises(CompareFailed) as caught:
        await client.keys.set("/a", "new", prev_value="2", prev_index=made.index + 5)
    error = caught.value
    assert (error.code, error.message) == (101, "Compare failed")
    assert error.cause == f"[2 != 1] [{made.index + 5} != {made.index}]"
    for part in ("Compare failed", error.cause, "101", "412", client.endpoints[0]):
        assert part in str(error)


async def test_error_of_the_server_survives_pickling(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await client.keys.get("/none")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is KeyNotFound
    assert (copy.__dict__, str(copy)) == (caught.value.__dict__, str(caught.value))


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"prev_value": "1"}, True),
        ({"prev_value": "2"}, False),
        ({"prev_index": "now"}, True),
        ({"prev_index": "old"}, False),
        ({"prev_value": "1", "prev_index": "now"}, True),
        ({"prev_value": "1", "prev_index": "old"}, False),
        ({"prev_value": "2", "prev_index": "now"}, False),
    ],
    ids=named,
)
async def test_conditions_of_delete(client: AsyncClient, conditions: dict[str, Any], fits: bool) -> None:
    made = await client.keys.set("/a", "1")
    given = settled(conditions, made.index)
    if fits:
        gone = await client.keys.delete("/a", **given)
        assert gone.action == "compareAndDelete"
        assert gone.prev_node is not None
        assert gone.prev_node.value == "1"
    else:
        with pytest.raises(CompareFailed):
            await client.keys.delete("/a", **given)
    assert await client.keys.exists("/a") is not fits


async def test_conditional_delete_of_a_missing_key_or_a_directory(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound):
        await client.keys.delete("/none", prev_value="1")
    await client.keys.make_dir("/d")
    with pytest.raises(NotFile):
        await client.keys.delete("/d", prev_index=1)


async def test_conditional_delete_compares_unusual_values(client: AsyncClient) -> None:
    for value in ("a b+c%;&=?#", "\u00e9\U0001f9ed\n"):
        await client.keys.set("/a", value)
        await client.keys.delete("/a", prev_value=value)
        assert not await client.keys.exists("/a")


async def test_refresh_holds_by_its_conditions(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1", ttl=10)
    with pytest.raises(CompareFailed):
        await client.keys.refresh("/a", 100, prev_value="2")
    with pytest.raises(CompareFailed):
        await client.keys.refresh("/a", 100, prev_index=made.index - 1)
    first = await client.keys.refresh("/a", 100, prev_value="1")
    assert (first.action, first.value, first.node.ttl) == ("compareAndSwap", "1", 100)
    second = await client.keys.refresh("/a", 200, prev_index=first.index)
    assert (second.value, second.node.ttl) == ("1", 200)


async def test_swap_takes_a_ttl(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    assert (await client.keys.set("/a", "2", prev_value="1", ttl=60)).node.ttl == 60
