"""The steps of a call: try there, wait, done. What `Route` says and the shell carries out."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from etcdv2._core.answers import response_from
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._core.wire import Limits
from etcdv2._types.call_errors import UnexpectedAnswer
from etcdv2._types.results import Response
from etcdv2_api import KeysEvent

Answer = TypeVar("Answer")


class Try(NamedTuple):
    """Send the call there now."""

    endpoint: Endpoint
    number: int
    """From 1 on."""
    limits: Limits


class Pause(NamedTuple):
    """Wait that long before the next step."""

    seconds: float
    behind: bool = False
    """Whether members have shown an older state than was seen: they lag, or the store was put back."""


class Answered(NamedTuple, Generic[Answer]):
    """The answer that ends a call."""

    answer: Answer
    meta: Meta
    status: int
    endpoint: Endpoint


def response_of(answered: Answered[KeysEvent]) -> Response:
    """Raises UnexpectedAnswer when the server left out a node that was not to be left out."""
    response = response_from(answered.answer, answered.meta)
    if response is None:
        raise UnexpectedAnswer(
            "an answer without node",
            status=answered.status,
            content_type="application/json",
            body=b"",
            endpoint=answered.endpoint.url,
        )
    return response
