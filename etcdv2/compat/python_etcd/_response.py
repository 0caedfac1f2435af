"""An answer as python-etcd's methods hand it about: with the names of a urllib3 response that they use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etcdv2 import RawAnswer


class Headers(dict[str, str]):
    """Names are in lower case, and found in any."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.lower() if isinstance(name, str) else name)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Response:
    """`status`, `data` and `headers`: of the latter those that etcd adds."""

    def __init__(self, answer: RawAnswer) -> None:
        self.status = answer.status
        self.data = answer.body
        self.answer = answer

    @cached_property
    def headers(self) -> Headers:
        answer = self.answer
        named = (
            ("x-etcd-index", answer.index),
            ("x-raft-index", answer.raft_index),
            ("x-raft-term", answer.raft_term),
            ("x-etcd-cluster-id", answer.cluster_id),
        )
        return Headers({name: str(value) for name, value in named if value})

    def getheaders(self) -> Headers:
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        found: str | None = self.headers.get(name, default)
        return found
