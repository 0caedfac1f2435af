"""An answer as python-etcd's methods hand it about: with the names of a urllib3 response that they use."""

from __future__ import annotations

from etcdv2 import RawAnswer


class Response:
    """`status`, `data` and `headers`, whose names are in lower case."""

    def __init__(self, answer: RawAnswer) -> None:
        self.status = answer.status
        self.data = answer.body
        self.headers: dict[str, str] = {}
        for name, value in (
            ("x-etcd-index", answer.index),
            ("x-raft-index", answer.raft_index),
            ("x-raft-term", answer.raft_term),
            ("x-etcd-cluster-id", answer.cluster_id),
        ):
            if value:
                self.headers[name] = str(value)

    def getheaders(self) -> dict[str, str]:
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return self.headers.get(name.lower(), default)
