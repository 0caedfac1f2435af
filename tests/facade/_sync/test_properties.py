# Derived from tests/facade/_async/test_properties.py by scripts/unasync.py: change that file, make generate.
"""For whatever text (hypothesis): what is written is read back under the same key, and only there."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etcdv2 import Client
from tests.tools.any_key import KEY, TEXT, examples

usual = examples(60)


def everything(client: Client, key: str) -> dict[str, str | None]:
    """The file `key`, which a listing does not show when it is hidden, and all other files below /p."""
    tree = client.keys.get("/p", recursive=True, default=None)
    found = {} if tree is None else {node.key: node.value for node in tree.leaves()}
    direct = client.keys.get(key)
    return found | {direct.node.key: direct.value}


@usual
@given(key=KEY, value=TEXT)
def test_what_is_written_is_read_back_under_the_same_key_and_only_there(client: Client, key: str, value: str) -> None:
    full = f"/p/{key}"
    try:
        written = client.keys.set(full, value)
        assert (written.node.key, written.value) == (full, value)
        assert everything(client, full) == {full: value}
        assert (client.keys.at("/p").get(key)).value == value
    finally:
        client.keys.delete("/p", recursive=True)


@usual
@given(keys=st.lists(KEY, min_size=2, max_size=2, unique=True), value=TEXT)
def test_two_different_keys_never_meet(client: Client, keys: list[str], value: str) -> None:
    first, second = keys
    client.keys.set(f"/p/1/{first}", value)
    try:
        assert not client.keys.exists(f"/p/2/{first}")
        if not first.startswith(f"{second}/") and not second.startswith(f"{first}/"):
            assert not client.keys.exists(f"/p/1/{second}")
    finally:
        client.keys.delete("/p", recursive=True)


@usual
@given(value=TEXT.filter(bool), other=TEXT.filter(bool), ttl=st.integers(1, 7_000_000_000))
def test_previous_value_fits_exactly_when_it_is_the_same_text(client: Client, value: str, other: str, ttl: int) -> None:
    made = client.keys.set("/p", value, ttl=ttl)
    assert made.node.ttl == ttl
    swapped = client.keys.set("/p", other, prev_value=value)
    assert (swapped.value, swapped.node.ttl) == (other, None)
    gone: Any = client.keys.delete("/p", prev_value=other)
    assert gone.prev_node.value == other


@usual
@given(values=st.lists(TEXT, min_size=1, max_size=5))
def test_queue_keeps_its_order_and_values(client: Client, values: list[str]) -> None:
    for value in values:
        client.keys.create_in_order("/p", value)
    try:
        listed = client.keys.get("/p", sorted=True)
        assert [node.value for node in listed.node.children] == values
    finally:
        client.keys.delete("/p", recursive=True)
