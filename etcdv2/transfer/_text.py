"""Bytes as text and back, as the v2 store has them: keys and values that need not be UTF-8.

Owns the two ways to write such bytes: exactly (as Python does for file names: a byte that is no UTF-8
is a surrogate escape), and as etcd's JSON loses them (spec/protocol.md section 1: one U+FFFD each).
"""

from __future__ import annotations

import re

_ESCAPED = re.compile("[\udc80-\udcff]")


def text_of(raw: bytes) -> str:
    """The bytes as text; what is no UTF-8 is kept as surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The bytes that `text_of` was given. Raises UnicodeEncodeError for other surrogates."""
    return text.encode("utf-8", "surrogateescape")


def is_exact(text: str) -> bool:
    """Whether the text is UTF-8, so that JSON can carry it as it is."""
    return text.isascii() or _ESCAPED.search(text) is None


def as_etcd_shows(text: str) -> str:
    """What etcd's JSON shows of it, in answers and in snapshots: each byte that is no UTF-8 is U+FFFD."""
    return text if text.isascii() else _ESCAPED.sub("\ufffd", text)
