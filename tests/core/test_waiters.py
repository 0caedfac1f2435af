"""A signal handler raises while a thread waits for another one: nothing stays taken, so both go on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etcdv2._runtime.channels import Channel
from etcdv2._runtime.primitives import Pulse
from tests.tools.interrupting import EVERYWHERE, Interrupt
from tests.tools.waiting import SOON

STANDARD = frozenset({"etcdv2", "threading"})


class Stop(Exception):
    """Of a handler."""


def stop() -> None:
    raise Stop


WORKS: dict[str, tuple[Callable[[Any], object], Callable[[Any], object], Callable[[Any], object]]] = {
    "get": (lambda two: two[0].get(0.001), lambda two: two[0].put(1), lambda two: two[0].get(SOON)),
    "fill": (lambda two: two[0].fill(1, 0.001), lambda two: two[0].put(1), lambda two: two[0].take(None)),
    "end": (lambda two: two[0].end(), lambda two: two[0].put(1), lambda two: two[0].ended or two[0].get(SOON)),
    "discard": (lambda two: two[0].discard(), lambda two: two[0].put(1), lambda two: two[0].ended or two[0].get(SOON)),
    "wait": (lambda two: two[1].wait(0.001), lambda two: two[1].set(), lambda two: two[1].wait(SOON)),
    "set": (lambda two: two[1].set(), lambda two: two[1].set(), lambda two: two[1].wait(SOON)),
}


@pytest.mark.parametrize("name", WORKS)
def test_interrupted_wait_leaves_nothing_taken(name: str) -> None:
    interrupted, other, after = WORKS[name]
    with Interrupt(only=EVERYWHERE, libraries=STANDARD) as counting:
        interrupted((Channel[int](1), Pulse()))
    assert counting.moments

    for at in range(counting.moments):
        two = Channel[int](1), Pulse()
        with contextlib.suppress(Stop), Interrupt(stop, at, only=EVERYWHERE, libraries=STANDARD):
            interrupted(two)
        thread = threading.Thread(target=other, args=(two,), daemon=True)
        thread.start()
        thread.join(SOON)
        assert not thread.is_alive(), f"moment {at} of {counting.moments}"
        assert after(two)


def test_who_waits_is_woken_by_what_changes_meanwhile() -> None:
    channel = Channel[int](1)
    got: list[int | None] = []

    def read() -> None:
        while (item := channel.get(None)) is not None:
            got.append(item)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for number in range(2000):
        channel.put(number)
    channel.end()
    reader.join(SOON)
    assert got == list(range(2000))
