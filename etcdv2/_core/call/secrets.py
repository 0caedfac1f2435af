"""What must not be shown: the client's credentials and passwords in calls, also where a server sends them back."""

from __future__ import annotations

import base64
import json
from typing import Any

from etcdv2_api import Call
from etcdv2_api.call import HIDDEN


class Secrets:
    """The credentials of a client."""

    def __init__(self, username: str | None, password: str | None) -> None:
        """Raises ValueError for text that is not valid Unicode."""
        self.username = username
        self.token: str | None = None
        """What follows `Basic` in the Authorization header."""
        self._texts: list[str] = []
        if username is None:
            return
        try:
            plain = f"{username}:{password or ''}".encode()
        except UnicodeEncodeError:
            raise ValueError("username or password: holds a lone surrogate, which UTF-8 cannot have") from None
        self.token = base64.b64encode(plain).decode("ascii")
        self._texts = [self.token, *_written(password)]

    def hide(self, text: str, call: Call[Any, Any]) -> str:
        """`text` of a server without these and without the password in `call`."""
        texts = self._texts
        if call.secret and call.json is not None:
            texts = [*texts, *_written(json.loads(call.json).get("password"))]
        for secret in texts:
            text = text.replace(secret, HIDDEN)
        return text


def _written(password: str | None) -> list[str]:
    """As it is, and as it stands in JSON."""
    if not password:
        return []
    in_json = (json.dumps(password)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1])
    return list(dict.fromkeys((*in_json, password)))
