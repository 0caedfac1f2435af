"""What a client has seen of its cluster: id, highest index and term. No I/O."""

from __future__ import annotations

from etcdv2._core.etcd_headers import Meta


class ClusterView:
    """Grows with every answer; read by session consistency and by the check for another cluster."""

    __slots__ = ("cluster_id", "index", "term")

    def __init__(self) -> None:
        self.cluster_id = ""
        self.index = 0
        self.term = 0

    def __repr__(self) -> str:
        return f"<ClusterView of {self.cluster_id or 'no cluster yet'} at index {self.index}, term {self.term}>"

    def is_foreign(self, cluster_id: str) -> bool:
        return bool(cluster_id) and bool(self.cluster_id) and cluster_id != self.cluster_id

    def is_behind(self, meta: Meta) -> bool:
        """Whether the answer shows an older state, or an older term, than was seen already."""
        return (0 < meta.index < self.index) or (0 < meta.raft_term < self.term)

    def note(self, meta: Meta) -> None:
        if meta.cluster_id:
            self.cluster_id = meta.cluster_id
        if meta.index > self.index:
            self.index = meta.index
        if meta.raft_term > self.term:
            self.term = meta.raft_term

    def switch_to(self, cluster_id: str) -> None:
        """Go over to another cluster: nothing of the old one counts there."""
        self.index = 0  # first: whoever reads the new id must not find the old index with it
        self.term = 0
        self.cluster_id = cluster_id
