# Made from scripts/templates/call.py by scripts/generate.py (make generate). Not to be edited.
"""What an operation returns: one HTTP call as plain data, and how to read its answer.

Owns the percent-encoding of paths and forms. Knows no HTTP library, no server, no headers of
answers.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote, quote_plus

# Only one of the two is covariant: with both, pyright 1.1.414 cannot tell them apart in `Answer | ErrorBody`.
Answer = TypeVar("Answer")
ErrorBody = TypeVar("ErrorBody", covariant=True)

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?", re.ASCII)
"""Keys that need no encoding and have no segment to refuse: most."""
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
HIDDEN = "***"
"""Stands for a password wherever one would be shown."""


def shortened(text: str, longest: int = 200) -> str:
    """As it is, or its beginning and how long it is: for errors, which may quote what is very long."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def quoted(text: str) -> str:
    """In quotes, and no longer than can be read."""
    return repr(text) if len(text) <= 200 else f"{text[:200]!r}... ({len(text)} characters)"


class UndescribedAnswer(ValueError):
    """Not as described: a proxy's page, a server without the v2 API, a cut body."""

    def __init__(self, status: int, body: bytes, reason: str) -> None:
        super().__init__(status, body, reason)
        self.status = status
        """The HTTP status of the answer."""
        self.body = body
        """As it came. A client with credentials, or whose call holds a password, cuts it and hides these."""
        self.reason = reason
        """What is wrong with it. No name and no value from the answer is quoted."""

    def __str__(self) -> str:
        return f"status {self.status}: {self.reason}; the body begins {self.body[:80]!r}"


class Call(NamedTuple, Generic[Answer, ErrorBody]):
    """One call: what to send, and how to read the answer.

    Send `method` to `target` with `headers` and `body`; then give status and body to `decode`.
    """

    operation: str
    """The operationId in the description."""
    method: str
    """`GET`, `PUT`, `POST` or `DELETE`."""
    path: str
    """Percent-encoded, from `/v2/` on."""
    query: tuple[tuple[str, str], ...]
    """Names and values, not encoded yet; empty for none."""
    form: tuple[tuple[str, str], ...] | None
    """Goes into the body of PUT and POST; the server ignores the body of DELETE."""
    json: str | None
    """The body as text, where it is JSON: None of a call with a form, or with no body."""
    decode: Callable[[int, bytes], Answer | ErrorBody]
    """Reads an answer (status, whole body). Raises `UndescribedAnswer`."""
    secret: bool = False
    """Whether `json` holds a password."""

    @property
    def target(self) -> str:
        """Path and query, as they go into the request line."""
        if not self.query:
            return self.path
        return f"{self.path}?{query_encoded(self.query)}"

    @property
    def content_type(self) -> str | None:
        """The media type of `body`; the server ignores a form that has another one."""
        if self.form is not None:
            return FORM
        return None if self.json is None else JSON

    @property
    def headers(self) -> dict[str, str]:
        """What the request needs beside its own standard headers."""
        kind = self.content_type
        return {} if kind is None else {"Content-Type": kind}

    @property
    def body(self) -> bytes | None:
        """The form or the JSON as bytes; None where there is neither. Raises ValueError for text that has no UTF-8."""
        if self.form is not None:
            return form_encoded(self.form).encode("ascii")
        return None if self.json is None else self.json.encode()

    def masked(self) -> Call[Answer, ErrorBody]:
        """The same call without its password: for logs and errors."""
        if not self.secret or self.json is None:
            return self
        content = _json.loads(self.json)
        if "password" in content:
            content["password"] = HIDDEN
        return self._replace(json=_json.dumps(content), secret=False)

    def __repr__(self) -> str:
        shown = self.masked()
        body = shown.json if shown.form is None else form_encoded(shown.form)
        target = shortened(self.target)
        return f"<Call {self.operation}: {self.method} {target}{f' {body[:200]}' if body else ''}>"


def key_path(key: str) -> str:
    """`key` percent-encoded segment by segment, with a leading slash.

    A trailing slash is kept (role patterns see it). Raises ValueError for empty, `.` and `..`
    segments: the server would clean the path and store under another key.
    """
    if _PLAIN.fullmatch(key):
        return key
    if key in ("", "/"):
        return "/"
    inner = key.removeprefix("/")
    segments = inner.split("/")
    last = len(segments) - 1
    for position, segment in enumerate(segments):
        if segment in (".", "..") or (segment == "" and position != last):
            shown = segment or "an empty segment"
            raise ValueError(
                f"key {quoted(key)}: {shown} is not a name; write the key without empty, '.' or '..' segments"
            )
    return "/" + encoded(inner, "/")


def path_segment(name: str) -> str:
    """One path segment: a user, role or member. Raises ValueError for what would leave its place."""
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"name {quoted(name)}: must not be empty, '.' or '..', and must have no slash")
    return encoded(name, "")


def encoded(text: str, safe: str) -> str:
    """Percent-encode UTF-8. Raises ValueError for a lone surrogate."""
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{quoted(text)} cannot be written as UTF-8: {error.reason} at position {error.start}"
        ) from error


def query_encoded(fields: tuple[tuple[str, str], ...]) -> str:
    """A query as it goes into a request line: a space is `%20`, and a slash is encoded, too."""
    return "&".join(
        [
            f"{name if name.isalnum() and name.isascii() else quote(name, safe='')}"
            f"={value if value.isalnum() and value.isascii() else quote(value, safe='')}"
            for name, value in fields
        ]
    )


def form_encoded(fields: tuple[tuple[str, str], ...]) -> str:
    """A form as it goes into a body. Surrogate escapes in a value are the bytes that they stand for."""
    return "&".join(
        [
            f"{name if name.isalnum() and name.isascii() else quote_plus(name)}"
            f"={value if value.isalnum() and value.isascii() else quote_plus(value, errors='surrogateescape')}"
            for name, value in fields
        ]
    )


def flag(value: bool) -> str:
    return "true" if value else "false"
