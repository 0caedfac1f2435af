"""python-etcd's result: one node of an answer, with what is below it.

Owns the quirks that programs rely on: it may be changed, a node without children yields itself, and
without a node before there is no `_prev_node`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from etcdv2.compat.python_etcd._response import Response

_NO_INDEX = 1
"""Of an answer without the header."""


class EtcdResult:
    """What a call has found or done. Further fields of the server's JSON are ignored."""

    _node_props: ClassVar[dict[str, Any]] = {
        "key": None,
        "value": None,
        "expiration": None,
        "ttl": None,
        "modifiedIndex": None,
        "createdIndex": None,
        "newKey": False,
        "dir": False,
    }

    action: str | None
    key: Any
    value: Any
    expiration: Any
    ttl: Any
    modifiedIndex: Any  # noqa: N815 - the server's names, as python-etcd has them
    createdIndex: Any  # noqa: N815
    newKey: bool  # noqa: N815
    dir: bool
    etcd_index: int
    raft_index: int
    _prev_node: EtcdResult

    def __init__(
        self,
        action: str | None = None,
        node: Any = None,
        prevNode: Any = None,  # noqa: N803
        **ignored: Any,
    ) -> None:
        """`node`, `prevNode`: as in the server's JSON. Raises AttributeError without a node."""
        del ignored
        self.action = action
        for name, default in self._node_props.items():
            setattr(self, name, node.get(name, default))
        self._children: list[Any] = node["nodes"] if self.dir and "nodes" in node else []

        # The answer to a write of a directory does not always say that it is one.
        if prevNode:
            self._prev_node = EtcdResult(None, prevNode)
            if self._prev_node.dir:
                self.dir = True

    def parse_headers(self, response: Any) -> None:
        """Take `etcd_index` and `raft_index` from the headers of a response, be it of urllib3 or a stand-in."""
        if isinstance(response, Response):
            self.etcd_index, self.raft_index = (
                response.answer.index or _NO_INDEX,
                response.answer.raft_index or _NO_INDEX,
            )
            return
        headers: Any = getattr(response, "headers", None)
        if not isinstance(headers, Mapping):
            headers = response.getheaders()
        found: dict[str, Any] = {str(name).lower(): value for name, value in cast("Mapping[Any, Any]", headers).items()}
        self.etcd_index = int(found.get("x-etcd-index", _NO_INDEX))
        self.raft_index = int(found.get("x-raft-index", _NO_INDEX))

    def get_subtree(self, leaves_only: bool = False) -> Iterator[EtcdResult]:
        """This node and all that was read below it, depth first; or only those without children.

        So an empty directory, and a directory whose children were not read, is a leaf.
        """
        if not self._children:
            yield self
            return
        if not leaves_only:
            yield self
        for child in self._children:
            yield from EtcdResult(None, child).get_subtree(leaves_only=leaves_only)

    @property
    def leaves(self) -> Iterator[EtcdResult]:
        """The nodes without children: itself where it has none."""
        return self.get_subtree(leaves_only=True)

    @property
    def children(self) -> Iterator[EtcdResult]:
        """The same as `leaves`."""
        return self.leaves

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        try:
            return all(getattr(self, name) == getattr(other, name) for name in self._node_props)
        except AttributeError:
            return False

    __hash__ = None  # type: ignore[assignment]  # it may be changed, and python-etcd's has none

    def __repr__(self) -> str:
        return f"{type(self)}({self.__dict__!r})"
