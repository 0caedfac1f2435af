"""One node of a v2 store, what is shown of it, and the queue of those that expire.

Owns the shape of the tree: parents, children, removal, order of expiry. Knows no operation and no error.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from etcdv2.transfer._text import bytes_of


@dataclass(frozen=True, slots=True)
class StoreNode:
    """A node as it was at one moment."""

    path: str
    """From the root of the whole store: keys are below `/1`. A byte that is no UTF-8 is a surrogate escape."""
    dir: bool
    """Whether it is a directory."""
    value: str | None
    """None for directories and for the node of a deletion."""
    created_index: int
    """The index of its creation; set creates it again."""
    modified_index: int
    """The index of the last write, of a deletion or expiry its own."""
    expires_at: int | None
    """Nanoseconds since 1970, UTC; None for what does not expire."""

    @property
    def name(self) -> str:
        """The last segment of the path; "" for the root."""
        return self.path.rpartition("/")[2]


class TreeNode:
    """A node that lives in a tree. `children` is None for a file."""

    __slots__ = ("children", "created_index", "expires_at", "modified_index", "parent", "path", "value")

    def __init__(
        self, path: str, index: int, parent: TreeNode | None, *, value: str = "", dir: bool, expires_at: int | None
    ) -> None:
        self.path = path
        self.created_index = self.modified_index = index
        self.parent = parent
        self.value = value
        self.children: dict[str, TreeNode] | None = {} if dir else None
        self.expires_at = expires_at

    def __repr__(self) -> str:
        what = f"{len(self.children)} children" if self.children is not None else repr(self.value)
        return f"<TreeNode {self.path!r} {what}>"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def hidden(self) -> bool:
        """Whether listings leave it out (spec/protocol.md section 9)."""
        return self.name.startswith("_")

    def shown(self) -> StoreNode:
        """A copy that later writes do not change."""
        is_dir = self.children is not None
        value = None if is_dir else self.value
        return StoreNode(self.path, is_dir, value, self.created_index, self.modified_index, self.expires_at)

    def ordered(self) -> list[TreeNode]:
        """The children by the bytes of their names."""
        children = self.children or {}
        return [children[name] for name in sorted(children, key=bytes_of)]

    def walk(self, *, hidden: bool = True) -> Iterator[TreeNode]:
        """This node and all below it, parents first, by the bytes of their names.

        No recursion: a key may have as many segments as fit into a request.
        """
        waiting: list[TreeNode] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if node.children:
                waiting.extend(child for child in reversed(node.ordered()) if hidden or not child.hidden)

    def detach(self) -> None:
        """Out of the tree, with all below it; none of them expires any more."""
        if self.parent is not None and self.parent.children is not None:
            del self.parent.children[self.name]

        waiting: list[TreeNode] = [self]
        while waiting:
            node = waiting.pop()
            node.parent = None
            waiting.extend((node.children or {}).values())


class ExpiryQueue:
    """The nodes that expire, the earliest first.

    An entry whose node has left the tree, or expires at another time by now, is passed over. All of
    them are sorted out when they are most of the queue.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, TreeNode]] = []
        self._pushed = 0
        self._limit = 1024

    def push(self, node: TreeNode) -> None:
        """Called each time a node gets a moment of expiry."""
        if node.expires_at is None:
            return
        self._pushed += 1
        heapq.heappush(self._entries, (node.expires_at, self._pushed, node))

        if len(self._entries) > self._limit:
            newest = {id(entry[2]): entry for entry in self._entries if self._counts(entry)}
            self._entries = list(newest.values())
            heapq.heapify(self._entries)
            self._limit = max(1024, 2 * len(self._entries))

    def due(self, now: int) -> Iterator[TreeNode]:
        """The nodes that expire at `now` (nanoseconds since 1970) or before, each to be detached before the next."""
        while self._entries and self._entries[0][0] <= now:
            entry = heapq.heappop(self._entries)
            if self._counts(entry):
                yield entry[2]

    @staticmethod
    def _counts(entry: tuple[int, int, TreeNode]) -> bool:
        return entry[2].parent is not None and entry[2].expires_at == entry[0]
