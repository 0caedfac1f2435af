"""The checker of register histories, on histories whose verdict is known."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from tests.chaos.linearizable import EMPTY, NEVER, Op, State, check


def write(value: str, begun: float, ended: float, index: int | None = None, before: State | None = None) -> Op:
    return Op("write", value, begun, ended, index, before)


def read(value: str | None, begun: float, ended: float, index: int | None = None) -> Op:
    return Op("read", value, begun, ended, index)


GOOD = {
    "nothing": [],
    "one after the other": [write("a", 0, 1, 5), read("a", 2, 3, 5)],
    "not there yet": [read(None, 0, 1, 0), write("a", 2, 3, 5)],
    "read beside a write sees the old value": [write("a", 0, 1, 5), write("b", 2, 5, 6), read("a", 3, 4, 5)],
    "read beside a write sees the new value": [write("a", 0, 1, 5), write("b", 2, 5, 6), read("b", 3, 4, 6)],
    "index order beats the order of beginning": [
        write("a", 0, 9, 7),
        write("b", 1, 9, 6),
        read("b", 2, 3, 6),
        read("a", 4, 5, 7),
    ],
    "unknown write never happens": [write("a", 0, 1, 5), write("b", 2, NEVER), read("a", 3, 9, 5)],
    "unknown write happens much later": [
        write("a", 0, NEVER),
        write("b", 1, 2, 5),
        read("b", 3, 4, 5),
        read("a", 7, 8, 9),
    ],
    "unknown write is only met by a later write": [
        write("a", 0, NEVER),
        write("b", 5, 6, 9, State("a", 7)),
        read("b", 7, 8, 9),
    ],
    "without indexes": [write("a", 0, 4), write("b", 1, 3), read("a", 5, 6), read("a", 7, 8)],
    "without indexes, a write is seen before its end": [write("a", 0, 9), read(None, 1, 2), read("a", 3, 4)],
}

BAD = {
    "stale read": [write("a", 0, 1, 5), write("b", 2, 3, 6), read("a", 4, 5, 5)],
    "confirmed write is lost": [write("a", 0, 1, 5), read(None, 2, 3, 0)],
    "reads go back in time": [write("a", 0, 1, 5), write("b", 2, 9, 6), read("b", 3, 4, 6), read("a", 5, 6, 5)],
    "value from the future": [read("a", 0, 1, 5), write("a", 2, 3, 5)],
    "value that nobody wrote": [write("a", 0, 1, 5), read("ghost", 2, 3, 6)],
    "write that was done twice": [
        write("a", 0, 4, 5),
        write("b", 5, 6, 6),
        read("a", 7, 8, 7),
    ],
    "unknown write that was done twice": [
        write("a", 0, NEVER),
        read("a", 1, 2, 5),
        write("b", 3, 4, 6),
        read("a", 5, 6, 7),
    ],
    "unknown write before its beginning": [read("a", 0, 1, 5), write("a", 2, NEVER)],
    "index order against real time": [write("a", 0, 1, 6), write("b", 2, 3, 5)],
    "write that replaced another value than there was": [write("a", 0, 1, 5), write("b", 2, 3, 6, State(None, 0))],
    "without indexes, new then old": [write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)],
    "without indexes, two readers disagree on the order": [
        write("a", 0, 9),
        write("b", 0, 9),
        read("a", 1, 2),
        read("b", 3, 4),
        read("a", 5, 6),
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_good_history_is_accepted(history: list[Op]) -> None:
    assert check(history).linearizable


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_bad_history_is_refused_with_a_reason(history: list[Op]) -> None:
    verdict = check(history)
    assert not verdict.linearizable
    assert "the register holds" in verdict.stuck


def test_order_of_the_list_does_not_matter() -> None:
    for history in itertools.permutations(BAD["stale read"]):
        assert not check(history).linearizable


def explained_by_some_order(history: list[Op]) -> bool:
    """The definition itself, for small histories: all orders of all subsets that hold the answered calls."""
    unknown = [op for op in history if op.ended == NEVER]
    answered = [op for op in history if op.ended != NEVER]
    for count in range(len(unknown) + 1):
        for taken in itertools.combinations(unknown, count):
            if any(map(explains, itertools.permutations([*answered, *taken]))):
                return True
    return False


def explains(order: tuple[Op, ...]) -> bool:
    if any(later.ended < earlier.begun for earlier, later in itertools.combinations(order, 2)):
        return False
    value, index = EMPTY.value, EMPTY.index or 0
    for op in order:
        if op.kind == "write":
            if op.index is not None and op.index <= index:
                return False
            value, index = op.value, op.index if op.index is not None else index
        elif op.value != value or (op.index is not None and index != op.index and not writes_without_index(order)):
            return False
    return True


def writes_without_index(order: tuple[Op, ...]) -> bool:
    return any(op.kind == "write" and op.index is None for op in order)


def test_verdict_is_that_of_trying_all_orders() -> None:
    verdicts = []
    for seed in range(400):
        rng = random.Random(seed)
        history: list[Op] = []
        for number in range(rng.randint(2, 6)):
            begun = rng.randint(0, 8)
            ended = begun + rng.randint(1, 4) + 0.5
            if rng.random() < 0.5:
                history.append(write(f"v{number}", begun, NEVER if rng.random() < 0.3 else ended))
            else:
                value = rng.choice([None, *(op.value for op in history if op.kind == "write")])
                history.append(read(value, begun, ended))
        verdicts.append(check(history).linearizable)
        assert verdicts[-1] == explained_by_some_order(history), seed
    assert 100 < sum(verdicts) < 300


def test_verdict_is_that_of_trying_all_orders_with_indexes_too() -> None:
    verdicts = []
    for seed in range(400):
        rng = random.Random(seed)
        history = simulated(rng, 6, 3, lost=0)
        if rng.random() < 0.7:
            spoilt = rng.randrange(len(history))
            op = history[spoilt]
            other = rng.choice([op for op in history if op.kind == "write"] or [op])
            shift = rng.choice([-2.0, -1.0, 1.0, 2.0])
            changed = {"begun": op.begun + shift, "ended": op.ended + shift}
            if op.kind == "read":
                changed |= {"value": other.value, "index": other.index}
            history[spoilt] = replace(op, **changed)
        verdicts.append(check(history).linearizable)
        assert verdicts[-1] == explained_by_some_order(history), seed
    assert 100 < sum(verdicts) < 300


def simulated(rng: random.Random, length: int, workers: int, lost: float = 0.1) -> list[Op]:
    """A history of a real register: each call takes effect at some moment between its beginning and its end.

    `lost`: the share of writes whose answer is lost.
    """
    calls = []
    for worker in range(workers):
        now = rng.uniform(0, 1)
        for _ in range(length // workers):
            begun, effect, ended = sorted((now, now + rng.uniform(0, 1), now + rng.uniform(1, 2)))
            calls.append((effect, begun, ended, rng.random() < 0.5, worker))
            now = ended + rng.uniform(0.01, 0.5)
    state, history = EMPTY, []
    for index, (_, begun, ended, writes, worker) in enumerate(sorted(calls), 1):
        if not writes:
            history.append(read(state.value, begun, ended, state.index))
            continue
        before, state = state, State(f"{worker}-{index}", index)
        if rng.random() < lost:
            history.append(write(f"{worker}-{index}", begun, NEVER))
        else:
            history.append(write(f"{worker}-{index}", begun, ended, index, before))
    return history


def test_long_history_of_many_workers_is_checked_quickly_and_one_wrong_read_is_found() -> None:
    history = simulated(random.Random(7), 2000, 12)
    assert check(history).linearizable
    spoilt = max((op for op in history if op.kind == "read"), key=lambda op: op.begun)
    early = next(op for op in history if op.kind == "write" and op.index is not None)
    history.remove(spoilt)
    assert not check([*history, read(early.value, spoilt.begun, spoilt.ended, early.index)]).linearizable
