"""One action on many items, so many at a time: with tasks and with threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from etcdv2._runtime.spread import aside, async_aside, async_spread, spread
from tests.tools.waiting import SOON

Spread = Callable[[Iterable[int], int, Callable[[int], int], Callable[[int, int], object]], None]


def with_tasks(items: Iterable[int], count: int, act: Callable[[int], int], came: Callable[[int, int], object]) -> None:
    async def acted(item: int) -> int:
        await asyncio.sleep(0)
        return act(item)

    asyncio.run(async_spread(items, count, acted, came))


FACES = pytest.mark.parametrize("spread", [with_tasks, spread], ids=["async", "sync"])


@FACES
@pytest.mark.parametrize("count", [1, 3, 50])
def test_each_item_has_its_turn_and_answers_come_to_the_caller(spread: Spread, count: int) -> None:
    seen: list[tuple[int, int]] = []
    callers: set[int] = set()

    def came(item: int, answer: int) -> None:
        callers.add(threading.get_ident())
        seen.append((item, answer))

    spread(iter(range(20)), count, lambda item: item * item, came)
    assert sorted(seen) == [(item, item * item) for item in range(20)]
    assert callers == {threading.get_ident()}
    spread([], 0, lambda item: item, came)


@FACES
def test_after_an_error_none_is_begun_any_more(spread: Spread) -> None:
    begun: list[int] = []

    def act(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise ValueError("five")
        return item

    with pytest.raises(ValueError, match="five"):
        spread(range(1000), 2, act, lambda item, answer: None)
    assert len(begun) < 1000


@FACES
def test_what_the_caller_raises_ends_it(spread: Spread) -> None:
    seen: list[int] = []

    def came(item: int, answer: int) -> None:
        seen.append(item)
        raise KeyError(item)

    def act(item: int) -> int:
        if item > 2:  # until the others have had time to end
            time.sleep(0.001)
        return item

    with pytest.raises(KeyError):
        spread(range(1000), 3, act, came)
    assert len(seen) < 1000


def test_threads_really_are_so_many_at_once_and_an_interrupted_one_ends_all() -> None:
    together = threading.Barrier(3)
    spread(range(3), 3, lambda item: together.wait(SOON), lambda item, answer: None)

    def act(item: int) -> int:
        if item == 10:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        spread(range(1_000_000), 3, act, lambda item, answer: None)


def test_without_further_threads_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen: list[int] = []
    spread(range(5), 8, lambda item: item, lambda item, answer: seen.append(answer))
    assert seen == [0, 1, 2, 3, 4]


async def test_work_aside_is_in_another_thread_of_a_loop() -> None:
    assert await async_aside(threading.get_ident) != threading.get_ident()
    assert aside(threading.get_ident) == threading.get_ident()
