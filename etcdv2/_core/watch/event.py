"""Reads one change from the body of a poll or from a line of a stream.

Which changes belong to a watch, its cursor says.
"""

from __future__ import annotations

from etcdv2._core.answers import check_answer
from etcdv2_api import KeysEvent, UndescribedAnswer, operations

_DECODE = operations.get_key("/").decode
"""Reads the answer of any read of a key: it does not depend on the key."""


def change_from(body: bytes) -> KeysEvent:
    """The change in `body`. Raises ValueError for anything else."""
    try:
        change = _DECODE(200, body)
    except UndescribedAnswer as error:
        raise ValueError(error.reason) from error

    # Status 200 is read as a change or refused; the operation's other types belong to other statuses.
    if not isinstance(change, KeysEvent):
        raise ValueError("not the change of a key")

    check_answer(change, change=True)
    return change
