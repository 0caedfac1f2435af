"""What the function that a user gives to `keys.modify` takes and returns.

Owns the reading of it: whether it takes the node, and which value and TTL it means. Sends nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeAlias, cast

from etcdv2._core.keys import TTL, ttl_seconds
from etcdv2._types.settings import KEEP, Keep
from etcdv2_api import Node

NewTTL: TypeAlias = TTL | Keep | None
"""Of a value that is written: seconds or timedelta; KEEP what is left of the old one; None for no expiry."""
Changed: TypeAlias = str | tuple[str, NewTTL] | None
"""The new value, with its TTL or without; None to leave the key as it is."""
Change: TypeAlias = Callable[[str], Changed] | Callable[[str, Node | None], Changed]
AnyChange: TypeAlias = Callable[[str, Node | None], Changed]
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def with_node(change: Change) -> AnyChange:
    """One that takes value and node, of a user's, which takes both when it has two parameters without defaults.

    Raises TypeError for what cannot be called.
    """
    if not callable(change):
        raise TypeError(f"change: must be a function of the value, or of value and node, not {type(change).__name__}")
    try:
        parameters = list(inspect.signature(change).parameters.values())
    except (TypeError, ValueError):  # some that are written in C do not say
        parameters = []
    needed = [one for one in parameters if one.kind in _POSITIONAL and one.default is inspect.Parameter.empty]
    if len(needed) >= 2:
        return cast("AnyChange", change)
    alone = cast("Callable[[str], Changed]", change)
    return lambda value, _: alone(value)


def check_new_ttl(ttl: NewTTL) -> None:
    """Raises TypeError or ValueError."""
    if not isinstance(ttl, Keep):
        ttl_seconds(ttl)


def new_state(changed: Changed, ttl: NewTTL, node: Node | None) -> tuple[str, TTL | None] | None:
    """Value and TTL to write, None for nothing; `ttl` where the function names none, `node` what is there.

    Raises TypeError for what a function may not return.
    """
    if changed is None:
        return None
    if isinstance(changed, tuple):
        if len(changed) != 2:
            raise TypeError(f"change returned a tuple of {len(changed)}: must be the value, or (value, ttl)")
        value, ttl = changed
    else:
        value = changed
    return value, kept_ttl(node) if ttl is KEEP else ttl


def kept_ttl(node: Node | None) -> int | None:
    """What is left of the node's TTL, in whole seconds and at least 1, as the server rounds it: up."""
    if node is None or node.expiration is None:
        return None
    return max(1, node.ttl or 0)
