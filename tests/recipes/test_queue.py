"""Which item is claimed next, what is counted, and who may pass a double barrier: tables, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from etcdv2 import Node
from etcdv2.recipes._contest import Entry
from etcdv2.recipes._counter import number_in, with_nonce
from etcdv2.recipes._double_barrier import (
    LEFT,
    AwaitAny,
    AwaitReady,
    Clear,
    Open,
    Pass,
    Ready,
    arrive,
    left_of,
    ready_of,
    seen,
)
from etcdv2.recipes._queue import BARRED, FIRST, KEPT, SHOWN_SECONDS, Backlog, count

KEY = "/jobs"


def node(key: str, index: int = 5, value: str = "v", *, expires: bool = False) -> Node:
    expiration = "2026-11-26T12:00:00Z" if expires else None
    return Node.model_validate(
        {"key": key, "value": value, "createdIndex": index, "modifiedIndex": index, "expiration": expiration}
    )


class States:
    """One state after the other: names of items in their order, and of claims."""

    def __init__(self, items: Sequence[str], claims: Sequence[str] = (), barred: Sequence[str] = ()) -> None:
        self.index = 100
        self.asked = 0
        self.files = {f"{KEY}/items/{name}": node(f"{KEY}/items/{name}", at) for at, name in enumerate(items)}
        for name in barred:
            self.files[f"{KEY}/items/{name}"] = node(f"{KEY}/items/{name}", 0, BARRED, expires=True)
        for name in claims:
            self.claim(name)

    def claim(self, name: str) -> None:
        self.index += 1
        self.files[f"{KEY}/claims/{name}"] = node(f"{KEY}/claims/{name}", self.index, expires=True)

    def release(self, name: str) -> None:
        self.index += 1
        del self.files[f"{KEY}/claims/{name}"]

    def node(self, key: str) -> Node | None:
        return self.files.get(key)

    def children(self, key: str) -> tuple[Node, ...]:
        self.asked += 1
        return tuple(sorted((one for one in self.files.values() if one.key.startswith(key)), key=lambda one: one.key))


def test_one_of_the_first_that_nobody_has_claimed_is_chosen() -> None:
    names = [f"{99 - number}" for number in range(40)]  # not in the order of their names
    state = States(names, claims=names[:3], barred=["x"])
    chosen = {Backlog(KEY, Random(seed)).choose(state, 0.0) for seed in range(300)}
    assert chosen == set(names[3 : 3 + FIRST])


def test_what_was_chosen_is_not_chosen_again_until_states_can_show_what_became_of_it() -> None:
    state, backlog = States(["a"]), Backlog(KEY, Random(1))
    assert backlog.choose(state, 0.0) == "a"
    assert backlog.choose(state, 1000.0) is None

    # 1. Ours: states of before its claim do not count.
    backlog.claimed("a", state.index + 1)
    assert backlog.choose(state, 1000.0) is None
    state.claim("a")
    assert backlog.choose(state, 1000.0) is None
    state.release("a")
    assert backlog.choose(state, 1000.0) == "a"

    # 2. Another's, which no state has shown by then.
    backlog.refused("a", 1000.0)
    assert backlog.waits_for_a_moment
    assert backlog.choose(state, 1000.0) is None
    assert backlog.choose(state, 1000.0 + SHOWN_SECONDS) == "a"
    assert not backlog.waits_for_a_moment


def test_a_long_queue_is_not_looked_through_for_each_item() -> None:
    names = [f"{number:04}" for number in range(2 * KEPT)]
    state, backlog, order = States(names), Backlog(KEY, Random(1)), list[str]()
    while (name := backlog.choose(state, 0.0)) is not None:
        order.append(name)
        del state.files[f"{KEY}/items/{name}"]
        state.index += 1
    assert sorted(order) == names
    assert all(abs(int(name) - place) <= 200 for place, name in enumerate(order))
    assert state.asked < 4 + 2 * FIRST


def test_items_are_counted_by_their_claims() -> None:
    state = States(["a", "b", "c"], claims=["b", "gone"], barred=["x"])
    root = Node.model_validate({"key": KEY, "dir": True, "createdIndex": 1, "modifiedIndex": 1})
    assert count(root.model_copy(update={"nodes": list(state.files.values())}), KEY) == (2, 1)


def test_a_number_is_read_with_and_without_its_nonce() -> None:
    assert number_in(with_nonce(-42, "9f86d081884c7d65"), "/n") == -42
    assert number_in(" 7 ", "/n") == 7
    with pytest.raises(ValueError, match="/n is no counter: its value is '1e3'"):
        number_in("1e3", "/n")


def entries(*tokens: int) -> list[Entry]:
    return [Entry(f"e{token}", token, "o") for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "ready", "me", "decision"),
    [
        ([5, 6], None, 6, AwaitReady()),
        ([5, 6, 7], None, 5, Open(7)),
        ([5, 6, 7, 8], None, 5, Open(8)),
        ([5, 6, 7], Ready(7, 9), 5, Pass(7)),
        ([5], Ready(7, 9), 5, Pass(7)),
        ([5, 8], Ready(7, 9), 8, AwaitAny()),
        ([8, 10, 11], Ready(7, 9), 8, Clear(9)),
        ([8], Ready(0, 9), 8, Clear(9)),
        ([5, 6, 7], None, 8, None),
        ([], None, 8, None),
    ],
)
def test_who_may_pass_a_double_barrier(
    tokens: list[int], ready: Ready | None, me: int, decision: Pass | Open | Clear | AwaitReady | AwaitAny | None
) -> None:
    assert arrive(entries(*tokens), ready, me, 3) == decision
    assert left_of(entries(*tokens), 7) == entries(*[token for token in tokens if token <= 7])


def test_what_a_listing_of_a_double_barrier_shows() -> None:
    nodes = [node("/b/ready", 9, "7"), node("/b/in/a", 8, "o"), node("/b/in/b", 6, LEFT, expires=True), node("/b/x")]
    assert seen(nodes, "/b") == ([Entry("a", 8, "o")], Ready(7, 9))
    assert ready_of(node("/b/ready", 9, "x")) == Ready(0, 9)
    assert ready_of(None) is None
