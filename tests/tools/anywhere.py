"""An exception at any step of Python, as a handler of a signal raises it. Owns where such steps are."""

from __future__ import annotations

import dis
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any, TypeVar

from tests.tools.waiting import SOON

LOOKS = {"CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME"}
"""Behind these CPython 3.11 lets handlers have their turn, and behind no others."""

T = TypeVar("T")


class Raised(Exception):
    """Of the handler."""


class _At:
    """Raises once, at the step of this number in those modules."""

    def __init__(self, number: int, modules: tuple[str, ...]) -> None:
        self.where = ""
        self._left = number
        self._modules = tuple(f"{name}." for name in modules)
        self.frames: dict[FrameType, int] = {}
        """The step before, of each that runs."""

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        name = f"{frame.f_globals.get('__name__')}."
        if self.where or not name.startswith(self._modules):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._step(frame)
        return self

    def _step(self, frame: FrameType) -> None:
        code, now = frame.f_code, frame.f_lasti
        before = self.frames.get(frame)
        self.frames[frame] = now
        # The exception belongs to the step before, so it counts only where both have the same `except`.
        if before is None or not _looks(code, before) or _caught_at(code, before) != _caught_at(code, now):
            return

        self._left -= 1
        if self._left == 0:
            self.where = f"{code.co_qualname}, line {frame.f_lineno}"
            raise Raised


def _looks(code: CodeType, at: int) -> bool:
    return dis.opname[code.co_code[at]] in LOOKS


@cache
def _entries(code: CodeType) -> list[Any]:
    return dis.Bytecode(code).exception_entries


def _caught_at(code: CodeType, at: int) -> int | None:
    """Where it goes on after an exception of the step there."""
    return next((entry.target for entry in _entries(code) if entry.start <= at < entry.end), None)


def raised_anywhere(prepare: Callable[[], T], work: Callable[[T], object], *modules: str) -> Iterator[tuple[str, bool]]:
    """Carry it out, in a thread, with an exception at one step in these modules or packages after the other.

    Gives where it was, and whether `work` has ended; it gets what `prepare` has made, which is not interrupted.
    """
    for number in itertools.count(1):
        at = _At(number, modules)

        def body(at: _At = at) -> None:
            prepared = prepare()
            sys.settrace(at)
            try:
                work(prepared)
            except Raised:
                pass
            finally:
                sys.settrace(None)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(SOON / 4)
        at.frames.clear()  # and what they hold, which the exception would not have kept
        if not at.where:
            assert not thread.is_alive()
            return
        yield at.where, not thread.is_alive()
