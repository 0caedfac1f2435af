"""What a mirror hands out: `MirrorState`, a frozen tree of files, and `Change`.

Owns how such trees are read and compared. How events and snapshots make one is the affair of
`_core.mirror`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from etcdv2_api import Node


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two states of a mirror: of a file, never of a directory."""

    kind: Literal["added", "changed", "removed"]
    """Which of these it is."""
    key: str
    """Absolute."""
    node: Node | None
    """What is there now; None when removed."""
    prev_node: Node | None
    """What the mirror had there before; None when added."""
    index: int
    """The store index of the first state that has it: an event's, or a snapshot's after a loss."""


class Directory:
    """A directory in a tree. Only the tree with the same `stamp` changes it, until it freezes."""

    __slots__ = ("entries", "files", "node", "stamp")

    def __init__(self, node: Node, entries: dict[str, Entry], files: int, stamp: int) -> None:
        self.node = node
        """Without its children: those are in `entries`."""
        self.entries = entries
        """By the last segment of their keys."""
        self.files = files
        """The number of files in it, at any depth."""
        self.stamp = stamp

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.node.key}: {len(self.entries)} entries, {self.files} files>"


Entry: TypeAlias = Node | Directory
"""A file is its node."""


class Subtree:
    """The keys of one directory and below it, split into segments."""

    __slots__ = ("_start", "key")

    def __init__(self, key: str) -> None:
        self.key = without_slash(key)
        self._start = "/" if self.key == "/" else f"{self.key}/"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    def segments(self, key: object) -> list[str] | None:
        """Those of `key` below the directory, none for itself. None for what is not in it."""
        if not isinstance(key, str):
            return None
        if key == self.key:
            return []
        return key[len(self._start) :].split("/") if key.startswith(self._start) else None


class MirrorState(Mapping[str, Node]):
    """One state of a mirror, one that the server had: the files by absolute key. It never changes.

    Iterates in key order, directory by directory, as a read with `sorted` does. Directories are not
    among the keys, but `children` and `node` show them.
    """

    __slots__ = ("_root", "_subtree", "index", "key")

    def __init__(self, key: str, root: Entry | None, index: int) -> None:
        self.key = key
        """The mirrored key, absolute."""
        self.index = index
        """The store index of this state: a watch with `after_index=` this goes on from it."""
        self._root = root
        self._subtree = Subtree(key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key} at {self.index}: {len(self)} files>"

    def __getitem__(self, key: str) -> Node:
        entry = self._entry(key)
        if isinstance(entry, Node):
            return entry
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        waiting = [] if self._root is None else [self._root]
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, Directory):
                waiting.extend(entry.entries[name] for name in sorted(entry.entries, reverse=True))
            else:
                yield entry.key

    def __len__(self) -> int:
        return file_count(self._root)

    def node(self, key: str) -> Node | None:
        """The file or directory of that absolute key, None where there is neither."""
        entry = self._entry(without_slash(key))
        return entry.node if isinstance(entry, Directory) else entry

    def children(self, key: str | None = None) -> tuple[Node, ...]:
        """The files and directories directly in a directory (None: the mirrored one), in key order.

        Empty where there is no directory. `Node.nodes` is empty: ask for the children of a child by
        its key.
        """
        entry = self._root if key is None else self._entry(without_slash(key))
        if not isinstance(entry, Directory):
            return ()

        found = (entry.entries[name] for name in sorted(entry.entries))
        return tuple(one.node if isinstance(one, Directory) else one for one in found)

    def differences(self, later: MirrorState) -> list[Change]:
        """What brings this state to `later`, in key order."""
        return compare(self._root, later._root, later.index)

    def as_added(self) -> list[Change]:
        """All its files as changes, each `added`, in key order."""
        return compare(None, self._root, self.index)

    def _entry(self, key: object) -> Entry | None:
        return find(self._root, self._subtree.segments(key))


def without_slash(key: str) -> str:
    """The key without slashes at its end; "/" for the root."""
    return key.rstrip("/") or "/"


def file_count(entry: Entry | None) -> int:
    """The number of files in an entry, itself included."""
    if isinstance(entry, Directory):
        return entry.files
    return 0 if entry is None else 1


def find(root: Entry | None, segments: list[str] | None) -> Entry | None:
    """The entry below `root` that the segments lead to, None where there is none."""
    if segments is None:
        return None

    entry = root
    for name in segments:
        if not isinstance(entry, Directory):
            return None
        entry = entry.entries.get(name)
    return entry


def compare(before: Entry | None, after: Entry | None, index: int) -> list[Change]:
    """What changed among the files, in key order. Objects that both have cost nothing."""
    changes: list[Change] = []
    waiting = [(before, after)]
    nothing: dict[str, Entry] = {}

    while waiting:
        old, new = waiting.pop()
        if old is new:
            continue

        # 1. A file on either side. Where the other side is a directory, its files follow below.
        old_file = old if isinstance(old, Node) else None
        new_file = new if isinstance(new, Node) else None
        if old_file is not None or new_file is not None:
            changes += _compare_files(old_file, new_file, index)

        # 2. What is in the directories of both sides, pushed in reverse: the first name is popped first.
        old_entries = old.entries if isinstance(old, Directory) else nothing
        new_entries = new.entries if isinstance(new, Directory) else nothing
        names = sorted(old_entries.keys() | new_entries.keys(), reverse=True)
        waiting.extend((old_entries.get(name), new_entries.get(name)) for name in names)

    return changes


def _compare_files(old: Node | None, new: Node | None, index: int) -> list[Change]:
    if new is None:
        return [] if old is None else [Change("removed", old.key, None, old, index)]
    if old is None:
        return [Change("added", new.key, new, None, index)]

    # Without the TTL, which counts down between two reads.
    was = (old.modified_index, old.created_index, old.value, old.expiration)
    if was == (new.modified_index, new.created_index, new.value, new.expiration):
        return []
    return [Change("changed", new.key, new, old, index)]
