"""What a client has seen of its cluster: id, highest index and term. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLUSTER_ID = "x-etcd-cluster-id"
MAX_INDEX = 2**64 - 1
_MOST_DIGITS = len(str(MAX_INDEX))
_LONGEST_ID = 16


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
    digits = index + raft_index + term
    longest = max(len(index), len(raft_index), len(term))
    if (longest and not (digits.isascii() and digits.isdigit() and longest <= _MOST_DIGITS)) or (
        cluster_id and not (cluster_id.isalnum() and len(cluster_id) <= _LONGEST_ID)
    ):
        raise ValueError("X-Etcd-Index, X-Raft-Index or X-Raft-Term is no number, or X-Etcd-Cluster-Id no id")
    meta = Meta(int(index or 0), int(raft_index or 0), int(term or 0), cluster_id)
    if meta.index > MAX_INDEX:
        raise ValueError("X-Etcd-Index is beyond 64 bits")
    return meta


class ClusterView:
    """Grows with every answer; read by session consistency and by the check for another cluster."""

    __slots__ = ("cluster_id", "index", "term")

    def __init__(self) -> None:
        self.cluster_id = ""
        self.index = 0
        self.term = 0

    def is_foreign(self, cluster_id: str) -> bool:
        return bool(cluster_id) and bool(self.cluster_id) and cluster_id != self.cluster_id

    def is_behind(self, meta: Meta) -> bool:
        """Whether the answer shows an older state, or comes from an older term, than was seen already."""
        return (0 < meta.index < self.index) or (0 < meta.raft_term < self.term)

    def note(self, meta: Meta) -> None:
        if meta.cluster_id:
            self.cluster_id = meta.cluster_id
        self.index = max(meta.index, self.index)
        self.term = max(meta.raft_term, self.term)

    def adopt(self, cluster_id: str) -> None:
        """Go over to another cluster: nothing of the old one counts there."""
        self.index = 0  # first: whoever reads the new id must not find the old index with it
        self.term = 0
        self.cluster_id = cluster_id
