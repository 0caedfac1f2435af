"""One error that several callers get: each gets an object of its own.

Owns the copying of exceptions; knows none of them.
"""

from __future__ import annotations

import copy
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def fresh(error: E) -> E:
    """A copy to be raised, with the causes and the traceback that the error has by now.

    An object that is raised again and again collects an entry for each frame it passes, every time,
    and keeps those frames alive.
    """
    try:
        made = copy.copy(error)
    except Exception:  # somebody else's exception need not be fit for a copy
        return error
    if type(made) is not type(error):
        return error

    made.__cause__, made.__context__ = error.__cause__, error.__context__
    made.__suppress_context__ = error.__suppress_context__
    return made.with_traceback(error.__traceback__)
