"""What programs give to python-etcd's methods, as etcd takes it: keys into paths, parameters into pairs.

Owns the cleaning of keys, by the server's rules. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from posixpath import normpath
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl, quote, urlsplit

Pairs: TypeAlias = list[tuple[str, str]]

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
"""What etcd takes for true: Go's words for it."""


def uri(protocol: str, host: str, port: int) -> str:
    """The URL of a member; an IPv6 address gets its brackets."""
    written = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{protocol}://{written}:{int(port)}"


def is_uri(text: str, protocol: str) -> bool:
    """Whether a member can be asked there; some advertise a unix socket, or the other protocol."""
    try:
        parts = urlsplit(text)
        return parts.scheme == protocol and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def sanitized(key: str) -> str:
    """A key with its slash in front, without empty, `.` and `..` segments, as the server cleans it.

    One slash at the end stays: etcd's roles tell `/a/` from `/a`.
    """
    clean = "/" + normpath("/" + key).lstrip("/")
    return clean + "/" if key.endswith("/") and clean != "/" else clean


@lru_cache(maxsize=1024)
def quoted(key: str) -> str:
    """Percent-encoded, so that the key may hold any character."""
    return quote(key, safe="/")


def target(path: str) -> tuple[str, Pairs]:
    """The path of a request, and what stands behind a question mark in it."""
    before, _, query = path.partition("?")
    return before, parse_qsl(query, keep_blank_values=True) if query else []


def flag(value: Any) -> Any:
    """etcd's words for True and False."""
    return ("true" if value else "false") if isinstance(value, bool) else value


def pairs(params: Any) -> Pairs:
    """Parameters as text: everything is what `str` says, but bytes, which are sent as they are."""
    if not params:
        return []
    given: Any = cast("Any", params).items() if isinstance(params, (dict, Mapping)) else params
    named: Iterable[tuple[Any, Any]] = given
    return [
        (str(name), value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value))
        for name, value in named
    ]
