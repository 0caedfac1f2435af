"""Calls whose answers are handed over as bytes: what tells a success of etcd from its refusal, and
both from what is no answer of etcd.

Owns that much of decoding, which the rules of retrying need. The rest of a body is nobody's affair
here. No I/O.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from etcdv2_api import Call, KeysError, Message, UndescribedAnswer

Pairs: TypeAlias = tuple[tuple[str, str], ...]

METHODS = frozenset({"GET", "PUT", "POST", "DELETE"})
_LEGAL = "/%:@!$&'()*+,;=~-._"
"""What a path keeps: a percent-encoding that is there stays as it is."""
_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]+", re.ASCII)
"""Paths that are as they have to be: most."""
_OPERATIONS = {"/v2/stats/leader": "get_leader_stats"}
"""Paths whose refusals mean something else than elsewhere, by the name that the rules know them by."""


def raw_call(
    method: str, path: str, query: Pairs, form: Pairs | None, json: Mapping[str, Any] | None, kept: list[bytes]
) -> Call[bytes, KeysError | Message]:
    """The call. Each body that is decoded is appended to `kept`: of a refusal it is the last one.

    Raises ValueError for what is no request of the v2 API.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: must be one of {', '.join(sorted(METHODS))}")
    if not path.startswith("/"):
        raise ValueError(f"path {path!r}: must begin with a slash")
    if form is not None and json is not None:
        raise ValueError("form= and json= exclude each other: a request has one body")

    legal = path if _PLAIN.fullmatch(path) else quote(path, safe=_LEGAL)
    keys = "/keys" in path

    def decode(status: int, body: bytes) -> bytes | KeysError | Message:
        kept.append(body)
        return read_raw(status, body, keys=keys)

    body = None if json is None else _json.dumps(json)
    secret = json is not None and "password" in json
    return Call(_OPERATIONS.get(path, "raw"), method, legal, query, form, body, decode, secret)


def read_raw(status: int, body: bytes, *, keys: bool) -> bytes | KeysError | Message:
    """The body of a success, or the error in the body of a refusal.

    `keys`: the answer is about a key, and so in JSON. Raises UndescribedAnswer for what no etcd
    says.
    """
    # 1. A success.
    if 200 <= status < 300:
        if keys and not (body[:1] == b"{" and body.rstrip()[-1:] == b"}"):
            raise UndescribedAnswer(status, body, "no JSON")
        return body

    # 2. A refusal, of keys or of members and users.
    try:
        content: Any = _json.loads(body)
        if status >= 400 and isinstance(content, dict):
            model = KeysError if "errorCode" in content else Message
            return model.model_validate(content)
    except (ValueError, RecursionError) as problem:
        raise UndescribedAnswer(status, body, "no error of etcd in JSON") from problem
    raise UndescribedAnswer(status, body, "no error of etcd in JSON")
