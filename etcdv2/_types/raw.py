"""What the lowest calls of a client return: an answer as the server gave it.

Owns no decoding: the body is bytes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A whole answer, a success or etcd's refusal, with the headers that etcd adds."""

    status: int
    """The HTTP status."""
    body: bytes
    """As it came."""
    index: int
    """X-Etcd-Index, 0 where there is none; of a refusal the index in its body."""
    raft_index: int
    """X-Raft-Index, 0 where there is none, and for a refusal."""
    raft_term: int
    """X-Raft-Term, 0 where there is none, and for a refusal."""
    cluster_id: str
    """X-Etcd-Cluster-Id, "" where there is none, and for a refusal."""
    endpoint: str
    """The URL of the endpoint that gave it."""
