"""What must not be shown: a client's credentials, and passwords in calls.

Owns the refusal of credentials that cannot be sent, and the hiding of them in what a server sends
back. Shows nothing.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from etcdv2_api import Call
from etcdv2_api.call import HIDDEN


class Secrets:
    """The credentials of a client."""

    def __init__(self, username: str | None, password: str | None) -> None:
        """Raises TypeError and ValueError for what HTTP's basic authentication cannot carry."""
        check_credentials(username, password)
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


def check_credentials(username: object, password: object) -> None:
    """Raises TypeError and ValueError unless both are text, or both are None."""
    if username is None and password is None:
        return
    if username is None:
        raise ValueError("password= is given without username=")
    if password is None:
        raise ValueError("username= is given without password=")
    if not isinstance(username, str) or not isinstance(password, str):
        raise TypeError("username and password: must be str")
    if not username or ":" in username:
        shown = username.partition(":")[0]  # what follows may be the password, as for curl
        raise ValueError(f"username {shown!r}: must not be empty, and basic auth allows no colon in it")


def _written(password: str | None) -> list[str]:
    """As it is, and as it stands in JSON."""
    if not password:
        return []
    in_json = (json.dumps(password)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1])
    return list(dict.fromkeys((*in_json, password)))
