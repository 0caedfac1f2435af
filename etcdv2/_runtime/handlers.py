"""Whose an exception is: a signal handler's, which has to reach the caller as it is, or one of the call itself.

Knows no transport, and which handlers are installed does not matter.
"""

from __future__ import annotations

import inspect
from types import FrameType
from typing import Final, cast

_OF_THE_CALL: Final = frozenset({"etcdv2", "httpx", "httpcore", "httpx2", "httpcore2", "h11"})
"""Packages, which have no handler of signals."""


def of_handler(error: BaseException | None) -> BaseException | None:
    """The error that a signal handler has raised, or None: this one, or one that it was made of (`raise from`).

    A handler may raise OSError, TimeoutError above all. It is known by its second argument, a frame.
    """
    while error is not None and not _is_of_handler(error):
        error = error.__cause__ or _first_argument(error)
    return error


def raise_of_handler(error: BaseException) -> None:
    """Raises what a signal handler has raised, where `error` is that or was made of it."""
    foreign = of_handler(error)
    if foreign is not None:
        try:
            raise foreign
        finally:
            del error, foreign  # in a circle with its traceback it would keep the connection of the call


def hidden_behind(error: BaseException, before: BaseException | None) -> BaseException | None:
    """What a signal handler raised, where `error` took its place, which came while it was on its way; None for nothing.

    `before`: what the caller was handling (`sys.exception()`) when that began. That is not looked at.
    """
    context = error.__context__
    while context is not None and context is not before and not _is_of_handler(context):
        context = context.__context__
    return None if context is before else context


class suppress_own:  # noqa: N801 - as contextlib.suppress
    """`contextlib.suppress` for errors of a call's own: what a signal handler raises comes out."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, self._kinds) and of_handler(error) is None


def _first_argument(error: BaseException) -> BaseException | None:
    """Where httpcore leaves what an error of its own was made of: its pool raises that again `from None`.

    Not its `__context__`, which may be of the caller: whoever calls while he handles the error of a handler.
    """
    made_of = next(iter(error.args), None)
    return made_of if isinstance(made_of, BaseException) else None


def _is_of_handler(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if not _is_of_the_call(trace.tb_frame) and _was_given_a_frame(trace.tb_frame):
            return True
        trace = trace.tb_next
    return False


def _is_of_the_call(frame: FrameType) -> bool:
    """Whether it is known to be none of a handler.

    Reading the names of such a frame would keep what it has: they refer to the error, and that to the frame.
    """
    module: object = frame.f_globals.get("__name__")
    return isinstance(module, str) and module.partition(".")[0] in _OF_THE_CALL


def _was_given_a_frame(frame: FrameType) -> bool:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    for name in code.co_varnames[:count]:
        value: object = frame.f_locals.get(name)
        several = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        if any(isinstance(one, FrameType) for one in several):
            return True
    return False
