"""Reads the bodies of answers into models.

Owns what happens to a body that does not fit its model. Knows no single operation and no HTTP
library.
"""

from __future__ import annotations

import gc
import json
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from etcdv2_api.call import UndescribedAnswer
from etcdv2_api.node import Model, wire_name

First = TypeVar("First", bound=Model)
Second = TypeVar("Second", bound=Model)

LARGE = 64 * 1024
"""Bytes. From here on the garbage collector pauses: it took most of a 50,000-key read."""
TOO_DEEP = "the tree is too deep to be read at once (about 250 directories at most); read it level by level"
"""253 or 254, by the order in which the models were completed; fewer where the caller's own stack is deep."""


def read(model: type[First], status: int, body: bytes) -> First:
    """The body as a model. Raises UndescribedAnswer."""
    try:
        if len(body) < LARGE:
            return model.model_validate_json(body)
        return _read_large(model, body)
    except ValidationError as error:
        return _read_deep(model, status, body, error)


def read_either(first: type[First], second: type[Second], status: int, body: bytes) -> First | Second:
    """The body as the first model that fits. Raises UndescribedAnswer."""
    try:
        return read(first, status, body)
    except UndescribedAnswer:
        return read(second, status, body)


def read_text(status: int, body: bytes) -> str:
    """The body as text. Raises UndescribedAnswer."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise UndescribedAnswer(status, body, "not UTF-8") from error


def expect_nothing(status: int, body: bytes) -> None:
    """For answers that have no body. Raises UndescribedAnswer."""
    if body:
        raise UndescribedAnswer(status, body, "a body where none is described")


def undescribed(status: int, body: bytes) -> UndescribedAnswer:
    """For a status that the description does not have here, or has only in plain text."""
    if status == 404:
        return UndescribedAnswer(status, body, "no JSON: this server has no v2 API, or it is off, or no such path")
    return UndescribedAnswer(status, body, "not an answer that the description has in JSON")


def _read_large(model: type[First], body: bytes) -> First:
    if not gc.isenabled():
        return model.model_validate_json(body)
    gc.disable()
    try:
        return model.model_validate_json(body)
    finally:
        if not gc.get_freeze_count():
            # Moves what is young to the oldest generation without looking at it: the next collection would go through
            # the whole new tree, which holds no cycle, for as long as reading it took.
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def _read_deep(model: type[First], status: int, body: bytes, error: ValidationError) -> First:
    """pydantic's JSON parser gives up at 200 levels (100 of nodes), json.loads much later."""
    # 1. Anything but the depth is final.
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid" and status == 404:
        raise undescribed(status, body) from error
    if first["type"] != "json_invalid" or "recursion limit" not in first["msg"]:
        raise UndescribedAnswer(status, body, _reason(body, first["loc"], first["msg"])) from error

    # 2. Parsed by the other parser, with the same refusals.
    try:
        content: Any = json.loads(body)
        json.dumps(content, ensure_ascii=False).encode()  # lone surrogates, which pydantic's parser refuses
    except RecursionError as deeper:
        raise UndescribedAnswer(status, body, TOO_DEEP) from deeper
    except ValueError as broken:
        raise UndescribedAnswer(status, body, f"not JSON: {broken}") from broken

    # 3. Into the model, which has a limit of its own.
    try:
        return model.model_validate(content)
    except RecursionError as deeper:
        raise UndescribedAnswer(status, body, TOO_DEEP) from deeper
    except ValidationError as again:
        found = again.errors(include_url=False, include_context=False, include_input=False)[0]
        reason = TOO_DEEP if found["type"].startswith("recursion_") else _reason(b"{}", found["loc"], found["msg"])
        raise UndescribedAnswer(status, body, reason) from again


def _reason(body: bytes, where: tuple[int | str, ...], what: str) -> str:
    """Nothing of the answer is in it: a name that the description does not have is shown as "*"."""
    if not body.strip():
        return "the body is empty"
    described = _described_names()
    place = ".".join("*" if isinstance(part, str) and part not in described else str(part) for part in where)
    return f"not as described: {place}: {what}" if place else f"not as described: {what}"


@cache
def _described_names() -> frozenset[str]:
    """Of the members that the description has, as they are on the wire."""
    models: list[type[Model]] = [Model]
    names: set[str] = set()
    while models:
        model = models.pop()
        models += model.__subclasses__()
        names |= {field.alias or wire_name(name) for name, field in model.model_fields.items()}
    return frozenset(names)
