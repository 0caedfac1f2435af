"""Something happens just before, or just after, the n-th system call that a thread makes on a socket, or at any call.

Owns the hook (`sys.setprofile`), so nothing of the code under test is replaced. What the action raises comes out of
that place, as from a signal handler.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from etcdv2._transport import kernel_wait

NAMES = frozenset({"connect", "do_handshake", "send", "recv", "recv_into", "poll", "write", "read"})
OBJECTS = ("_socket", "socket", "select", "_ssl", "ssl", "etcdv2._transport.kernel_wait")
RECEIVE = kernel_wait._Plain.receive.__code__
"""The call of libc in it is not among the calls of C functions that the interpreter reports."""


EVERYWHERE = "every call"
"""For `only`: at the beginning and the end of each function of these libraries, and of each of C that they call.

There the interpreter looks for signals (and where a loop goes back): the `with` of a lock cannot be torn apart.
What calls a function of C is interrupted when that has ended. A generator that yields is not at its end.
"""
SYSTEM_CALLS = "every system call"
"""For `only`: just before and just after each system call on a socket."""

LIBRARIES = frozenset({"etcdv2", "httpx", "httpcore", "h11"})
NOT_TESTED = "etcdv2.testing"
"""The checker looks at every answer in these tests, in the midst of a call, and is no part of it."""


def _is_under_test(module: str, libraries: frozenset[str]) -> bool:
    return module.partition(".")[0] in libraries and not module.startswith(NOT_TESTED)


class Interrupt:
    """Carries out `action` at the moment with this number, for the thread that is within `with`.

    Each call has two moments. `moments` says how many there were, and `where` at which one it was.
    """

    def __init__(
        self,
        action: Callable[[], None] | None = None,
        at: int = -1,
        only: str = SYSTEM_CALLS,
        libraries: frozenset[str] = LIBRARIES,
    ) -> None:
        self.moments = 0
        self.where = ""
        self._action = action
        self._at = at
        self._only = only
        self._libraries = libraries

    def __enter__(self) -> Interrupt:
        sys.setprofile(self._hook)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _hook(self, frame: FrameType, event: str, called: Any) -> None:
        if self._only == EVERYWHERE:
            yields = event == "return" and frame.f_code.co_flags & inspect.CO_GENERATOR
            if event == "c_call" or yields or not _is_under_test(frame.f_globals["__name__"], self._libraries):
                return
            name = getattr(called, "__name__", "") if event.startswith("c_") else frame.f_code.co_qualname
        elif event in ("c_call", "c_return"):
            name = called.__name__
            if name not in NAMES or type(getattr(called, "__self__", None)).__module__ not in OBJECTS:
                return
        elif event in ("call", "return") and frame.f_code is RECEIVE:
            name = "recv"
        else:
            return
        if self._only not in (SYSTEM_CALLS, EVERYWHERE, name):
            return
        self.moments += 1
        if self.moments - 1 == self._at and self._action is not None:
            self.where = f"{name} {event}"
            action, self._action = self._action, None
            action()
