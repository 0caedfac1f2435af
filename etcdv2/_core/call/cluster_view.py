"""What a client has seen of its cluster: id, highest index and term. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from etcdv2._core.etcd_headers import Meta
from etcdv2._types.call_errors import ClusterChanged


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the store had come by some moment."""

    index: int
    term: int


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

    @property
    def seen(self) -> Seen:
        return Seen(self.index, self.term)

    def check_not_put_back(self, before: Seen, quorum: Meta, url: str) -> None:
        """Raises ClusterChanged when the store is not the one that was seen.

        `quorum`: of an answer to a read with quorum that was begun after `before`; in one history it
        has all that any member had shown by then. Goes over to the store as it is, unless another
        call has done so meanwhile.
        """
        # 1. What is older than it was. A term without an index that is older is one of a store that has grown again.
        older_index, older_term = 0 < quorum.index < before.index, 0 < quorum.raft_term < before.term
        if not (older_index or older_term):
            return

        # 2. Nothing that was seen before counts from now on.
        if (older_index and self.index >= before.index) or (older_term and self.term >= before.term):
            self.switch_to(self.cluster_id)
            self.note(quorum)

        term = f" and raft term {quorum.raft_term}" if quorum.raft_term else ""
        shown = (
            f"index {before.index} and raft term {before.term} were seen before,"
            f" and by a read with quorum {url} has index {quorum.index}{term}"
        )
        raise ClusterChanged(self.cluster_id, self.cluster_id, url, put_back=shown)

    def switch_to(self, cluster_id: str) -> None:
        """Go over to another cluster: nothing of the old one counts there."""
        self.index = 0  # first: whoever reads the new id must not find the old index with it
        self.term = 0
        self.cluster_id = cluster_id
