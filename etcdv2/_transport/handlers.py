"""Whose an exception is: a signal handler's, which has to reach the caller as it is, or one of the call itself.

Knows no transport, and which handlers are installed does not matter.
"""

from __future__ import annotations

import inspect
from types import FrameType
from typing import cast


def of_handler(error: BaseException | None) -> BaseException | None:
    """The error that a signal handler has raised, or None: this one, or one that it was made of (`raise from`).

    A handler may raise OSError, TimeoutError above all. It is known by its second argument, a frame.
    """
    while error is not None and not _is_of_handler(error):
        error = error.__cause__ or _first_argument(error)
    return error


def _first_argument(error: BaseException) -> BaseException | None:
    """Where httpcore leaves what an error of its own was made of: its pool raises that again `from None`.

    Not its `__context__`, which may be of the caller: whoever calls while he handles the error of a handler.
    """
    made_of = next(iter(error.args), None)
    return made_of if isinstance(made_of, BaseException) else None


def _is_of_handler(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if _was_given_a_frame(trace.tb_frame):
            return True
        trace = trace.tb_next
    return False


def _was_given_a_frame(frame: FrameType) -> bool:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    for name in code.co_varnames[:count]:
        value: object = frame.f_locals.get(name)
        several = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        if any(isinstance(one, FrameType) for one in several):
            return True
    return False
