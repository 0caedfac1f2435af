"""An event loop whose time is its own: it jumps to whatever comes next. Actors on it can be frozen, as by SIGSTOP.

Owns the time. Knows nothing of what runs on it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

ACTOR: ContextVar[str] = ContextVar("ACTOR", default="")
"""Who runs: what an actor's tasks begin belongs to it."""


class JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: the time that it would have waited is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("everything waits for ever")
            self.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Seconds cost nothing."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        self._frozen: dict[str, float] = {}
        self._postponed = 0
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def freeze(self, actor: str, seconds: float) -> None:
        """Nothing of this actor runs for so long."""
        self._frozen[actor] = max(self._frozen.get(actor, 0.0), self.time() + seconds)

    def is_frozen(self, actor: str) -> bool:
        return self.time() < self._frozen.get(actor, 0.0)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        handle: asyncio.Handle = self._boxed(super().call_soon, (), callback, args, context)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle: asyncio.TimerHandle = self._boxed(super().call_at, (when,), callback, args, context)
        return handle

    def _boxed(
        self,
        plan: Callable[..., Any],
        when: tuple[float, ...],
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> Any:
        handle: Any = None

        def run() -> None:
            if handle.cancelled():
                return
            actor = context.get(ACTOR, "")
            if self.is_frozen(actor):
                self._postponed += 1
                moment = self._frozen[actor] + self._postponed * 1e-9
                asyncio.SelectorEventLoop.call_at(self, moment, run, context=context)
            else:
                callback(*args)

        handle = plan(*when, run, context=context)
        return handle

    def begin(self, actor: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this actor."""
        context = copy_context()
        context.run(ACTOR.set, actor)
        return self.create_task(work, context=context)
