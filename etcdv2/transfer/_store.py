"""The v2 store as pure Python: its operations, what they return, what they refuse, and expiry.

Owns the rules of `etcdserver/api/v2store/store.go`, which 2.3 to 3.5 share but for one line
(`directory_ttl`); all of them are in spec/protocol.md sections 3, 5, 7, 8, 9, 10 and 13. It is what
replays a member's log, and a model for tests. It has no clock: moments come in as arguments, in
nanoseconds since 1970. Knows nothing of HTTP: parameters are checked elsewhere (spec/protocol.md
section 4).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from etcdv2 import (
    ApiError,
    CompareFailed,
    DirectoryTTL,
    DirNotEmpty,
    KeyExists,
    KeyNotFound,
    NotDir,
    NotFile,
    RootReadOnly,
)
from etcdv2.transfer._node import ExpiryQueue, StoreNode, TreeNode

EARLIEST_EXPIRY = 946_684_800_000_000_000
"""2000-01-01: a node that is made with an earlier expiry has none at all (`minExpireTime`)."""

_REFUSALS: dict[type[ApiError], tuple[int, str]] = {
    KeyNotFound: (100, "Key not found"),
    CompareFailed: (101, "Compare failed"),
    NotFile: (102, "Not a file"),
    NotDir: (104, "Not a directory"),
    KeyExists: (105, "Key already exists"),
    RootReadOnly: (107, "Root is read only"),
    DirNotEmpty: (108, "Directory not empty"),
}


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """One change of the store."""

    action: str
    """`set`, `create`, `update`, `compareAndSwap`, `delete`, `compareAndDelete` or `expire`."""
    node: StoreNode
    """After the change; of a deletion or expiry without its value."""
    prev_node: StoreNode | None
    """Before the change; None where nothing was there."""


def clean_path(path: str) -> str:
    """The path under which the store keeps it: one leading slash, no empty segment, no `.` and `..`."""
    return posixpath.normpath("/" + path.lstrip("/"))


class V2Store:
    """A v2 store. Paths are those of the whole store: keys are below `/1`, users below `/2`, members below `/0`.

    index: the index that the last change took; a new store of a real server has 0.
    directory_ttl: whether the TTL of a directory can be changed, as up to 3.4; 3.5 refuses it
        (spec/protocol.md section 7).

    The operations raise the errors that a client would raise for the same request, with the same
    `code`, `message`, `cause` and `index`: KeyNotFound, CompareFailed, NotFile, NotDir, KeyExists,
    RootReadOnly, DirNotEmpty, DirectoryTTL. What raises has changed nothing.
    """

    def __init__(self, *, index: int = 0, directory_ttl: bool = True) -> None:
        self.index = index
        """The index that the last change took. What raises takes none, and neither does `place`."""
        self.directory_ttl = directory_ttl
        """Whether `update` can change the expiry of a directory; else it raises DirectoryTTL."""
        self._root = TreeNode("/", 0, None, dir=True, expires_at=None)
        self._expiring = ExpiryQueue()
        self._read_only = frozenset(("/", "/0", "/1"))
        for namespace in ("/0", "/1"):
            self._add(self._root, TreeNode(namespace, 0, self._root, dir=True, expires_at=None))

    def __repr__(self) -> str:
        return f"<V2Store at index {self.index}>"

    # Reading.

    def get(self, path: str) -> StoreNode:
        """The node at this path, be it hidden or not. Raises KeyNotFound and NotDir."""
        return self._find(path).shown()

    def children(self, path: str, *, hidden: bool = True) -> tuple[StoreNode, ...]:
        """The nodes directly below a directory, by the bytes of their names. Raises KeyNotFound and NotDir."""
        found = self._find(path)
        return tuple(child.shown() for child in found.ordered() if hidden or not child.hidden)

    def walk(self, path: str = "/", *, hidden: bool = True) -> Iterator[StoreNode]:
        """The node and all below it, parents first, by the bytes of their names.

        With hidden=False as a recursive GET lists them (the node itself is always there). Raises
        KeyNotFound and NotDir.
        """
        return (node.shown() for node in self._find(path).walk(hidden=hidden))

    # Writing. `expires_at` is in nanoseconds since 1970, None for ever.

    def create(
        self,
        path: str,
        value: str = "",
        *,
        dir: bool = False,
        expires_at: int | None = None,
        in_order: bool = False,
    ) -> StoreEvent:
        """Make a node that is not there yet; with `in_order` one with the next index as its name below `path`."""
        if in_order:
            path = f"{path}/{self.index + 1:020d}"
        return self._make("create", path, value, dir, expires_at, replace=False)

    def set(
        self,
        path: str,
        value: str = "",
        *,
        dir: bool = False,
        expires_at: int | None = None,
        refresh: bool = False,
    ) -> StoreEvent:
        """Make a node, or replace the file that is there. With `refresh` that file keeps its value."""
        if refresh:
            value = self._find(path).value
        return self._make("set", path, value, dir, expires_at, replace=True)

    def update(self, path: str, value: str = "", *, expires_at: int | None = None, refresh: bool = False) -> StoreEvent:
        """Change the value and the expiry of a file, or the expiry of a directory.

        The latter takes an index and does not change the directory's own; on 3.5 it is DirectoryTTL.
        """
        path = self._writable(path)
        node = self._find(path)
        if node.children is not None and value:
            self._refuse(NotFile, path)

        # The whole of a directory: its expiry.
        if node.children is not None:
            if not self.directory_ttl:
                cause = f"nodePath {path} : Not a file ()"
                raise DirectoryTTL("Raft Internal Error", code=300, cause=cause)
            before = node.shown()
            self.index += 1
            self._expire_at(node, expires_at)
            shown = StoreNode(path, True, None, node.created_index, self.index, node.expires_at)
            return StoreEvent("update", shown, before)

        return self._write("update", node, node.value if refresh else value, expires_at)

    def compare_and_swap(
        self,
        path: str,
        value: str = "",
        *,
        prev_value: str = "",
        prev_index: int = 0,
        expires_at: int | None = None,
        refresh: bool = False,
    ) -> StoreEvent:
        """Change a file that has this value and this modified index; "" and 0 are no conditions."""
        path = self._writable(path)
        node = self._compared(path, prev_value, prev_index)
        return self._write("compareAndSwap", node, node.value if refresh else value, expires_at)

    def delete(self, path: str, *, dir: bool = False, recursive: bool = False) -> StoreEvent:
        """Delete a file; with `dir` an empty directory; with `recursive` whatever is there."""
        path = self._writable(path)
        node = self._find(path)
        if node.children is not None:
            if not dir and not recursive:
                self._refuse(NotFile, path)
            if node.children and not recursive:
                self._refuse(DirNotEmpty, path)
        return self._remove("delete", node)

    def compare_and_delete(self, path: str, *, prev_value: str = "", prev_index: int = 0) -> StoreEvent:
        """Delete a file that has this value and this modified index; "" and 0 are no conditions."""
        return self._remove("compareAndDelete", self._compared(clean_path(path), prev_value, prev_index))

    def expire(self, now: int) -> tuple[StoreEvent, ...]:
        """Remove what expires at `now` (nanoseconds since 1970) or before, each with all below it.

        The earliest goes first, and each takes an index, as a leader's SYNC does it.
        """
        return tuple(self._remove("expire", node) for node in self._expiring.due(now))

    # Restoring.

    def place(self, node: StoreNode) -> None:
        """Put a node there as it is, with its own indexes, as a snapshot holds it. Takes no index.

        A node that is there keeps its children where both are directories. Raises KeyNotFound and
        NotDir where there is no parent.
        """
        path = clean_path(node.path)
        there = self._root if path == "/" else None
        if there is None:
            parent = self._find(posixpath.dirname(path))
            if parent.children is None:
                self._refuse(NotDir, parent.path)
            there = parent.children.get(posixpath.basename(path))
            if there is None or there.children is None or not node.dir:
                if there is not None:
                    there.detach()
                there = TreeNode(path, 0, parent, value=node.value or "", dir=node.dir, expires_at=None)
                self._add(parent, there)

        there.created_index, there.modified_index = node.created_index, node.modified_index
        self._expire_at(there, node.expires_at)

    # Inside.

    def _find(self, path: str) -> TreeNode:
        node = self._root
        for name in clean_path(path).split("/")[1:]:
            if not name:
                break  # the root
            if node.children is None:
                self._refuse(NotDir, node.path)
            child = node.children.get(name)
            if child is None:
                self._refuse(KeyNotFound, posixpath.join(node.path, name))
            node = child
        return node

    def _make(
        self, action: str, path: str, value: str, dir: bool, expires_at: int | None, *, replace: bool
    ) -> StoreEvent:
        path = self._writable(path)
        if expires_at is not None and expires_at < EARLIEST_EXPIRY:
            expires_at = None

        # 1. The directory, made with its own parents where it is missing. Nothing can fail once one was missing.
        above, _, name = path.rpartition("/")
        parent = self._root
        for segment in above.split("/")[1:]:
            assert parent.children is not None
            child = parent.children.get(segment)
            if child is None:
                child = TreeNode(
                    posixpath.join(parent.path, segment), self.index + 1, parent, dir=True, expires_at=None
                )
                parent.children[segment] = child
            if child.children is None:
                self._refuse(NotDir, child.path)
            parent = child

        # 2. What is there: a file can be replaced.
        assert parent.children is not None
        there = parent.children.get(name)
        before = None if there is None else there.shown()
        if there is not None:
            if not replace:
                self._refuse(KeyExists, path)
            if there.children is not None:
                self._refuse(NotFile, path)
            there.detach()

        # 3. The new node.
        self.index += 1
        node = TreeNode(path, self.index, parent, value="" if dir else value, dir=dir, expires_at=expires_at)
        self._add(parent, node)
        return StoreEvent(action, node.shown(), before)

    def _write(self, action: str, node: TreeNode, value: str, expires_at: int | None) -> StoreEvent:
        before = node.shown()
        self.index += 1
        node.value, node.modified_index = value, self.index
        self._expire_at(node, expires_at)
        return StoreEvent(action, node.shown(), before)

    def _remove(self, action: str, node: TreeNode) -> StoreEvent:
        before = node.shown()
        node.detach()
        self.index += 1
        gone = StoreNode(before.path, before.dir, None, before.created_index, self.index, None)
        return StoreEvent(action, gone, before)

    def _compared(self, path: str, prev_value: str, prev_index: int) -> TreeNode:
        node = self._find(path)
        if node.children is not None:
            self._refuse(NotFile, path)

        causes: list[str] = []
        if prev_value and prev_value != node.value:
            causes.append(f"[{prev_value} != {node.value}]")
        if prev_index and prev_index != node.modified_index:
            causes.append(f"[{prev_index} != {node.modified_index}]")
        if causes:
            self._refuse(CompareFailed, " ".join(causes))
        return node

    def _writable(self, path: str) -> str:
        path = clean_path(path)
        if path in self._read_only:
            self._refuse(RootReadOnly, "/")
        return path

    def _add(self, parent: TreeNode, node: TreeNode) -> None:
        assert parent.children is not None
        parent.children[node.name] = node
        self._expiring.push(node)

    def _expire_at(self, node: TreeNode, expires_at: int | None) -> None:
        node.expires_at = expires_at
        self._expiring.push(node)

    def _refuse(self, kind: type[ApiError], cause: str) -> NoReturn:
        code, message = _REFUSALS[kind]
        raise kind(message, code=code, cause=cause, index=self.index)
