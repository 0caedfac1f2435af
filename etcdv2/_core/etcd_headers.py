"""The etcd headers of one answer, and which member gave it.

X-Etcd-Index, X-Raft-Index, X-Raft-Term, X-Etcd-Cluster-Id; the id in `/v2/stats/self`. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from etcdv2._core.wire import CLUSTER_ID

MAX_INDEX = 2**64 - 1
_MOST_DIGITS = len(str(MAX_INDEX))
_LONGEST_ID = 16
"""Hexadecimal digits of a cluster id."""


@dataclass(slots=True)
class Meta:
    """The etcd headers of one answer, 0 or "" where it has none."""

    index: int
    raft_index: int
    raft_term: int
    cluster_id: str


def meta_of(headers: Mapping[str, str]) -> Meta:
    """Raises ValueError, which shows nothing of the headers, when they are not etcd's."""
    get = headers.get
    index, raft_index, term = get("x-etcd-index", ""), get("x-raft-index", ""), get("x-raft-term", "")
    cluster_id = get(CLUSTER_ID, "")

    # The three numbers are checked together: this runs for every answer.
    digits = index + raft_index + term
    longest = max(len(index), len(raft_index), len(term))
    if (longest and not (digits.isascii() and digits.isdigit() and longest <= _MOST_DIGITS)) or (
        cluster_id and not (cluster_id.isalnum() and len(cluster_id) <= _LONGEST_ID)
    ):
        raise ValueError("X-Etcd-Index, X-Raft-Index or X-Raft-Term is not a number, or X-Etcd-Cluster-Id not an id")

    meta = Meta(int(index or 0), int(raft_index or 0), int(term or 0), cluster_id)
    if meta.index > MAX_INDEX:
        raise ValueError("X-Etcd-Index is beyond 64 bits")
    return meta


@lru_cache(maxsize=256)
def member_of(stats: bytes) -> str:
    """The member's id in the body of `/v2/stats/self`, "" where there is none.

    The same connection gives the same bytes.
    """
    return _text_in(stats, "id")


@lru_cache(maxsize=256)
def process_of(stats: bytes) -> str:
    """The member's id and when its process was started, "" where one of them is not there."""
    member, started = _text_in(stats, "id"), _text_in(stats, "startTime")
    return f"{member} since {started}" if member and started else ""


def _text_in(stats: bytes, name: str) -> str:
    try:
        found: object = json.loads(stats)[name] if stats else ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
