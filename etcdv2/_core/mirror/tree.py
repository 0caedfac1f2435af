"""The state behind a mirror: a tree of nodes kept by events and snapshots, its frozen states and their differences.

Owns what an event does to the tree (PROTOCOL section 5). No I/O, no clock, no lock: one writer, readers of its states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from etcdv2._types.results import Event, Snapshot
from etcdv2_api import Node


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two states of a mirror: of a file, never of a directory."""

    kind: Literal["added", "changed", "removed"]
    key: str
    node: Node | None
    """What is there now; None when removed."""
    prev_node: Node | None
    """What the mirror had there before; None when added."""
    index: int
    """The store index of the first state known to have it: of the event, or of the snapshot after a loss."""


class Directory:
    """A directory in a tree. Changed in place only by the tree whose `stamp` it has."""

    __slots__ = ("entries", "files", "node", "stamp")

    def __init__(self, node: Node, entries: dict[str, Entry], files: int, stamp: int) -> None:
        self.node = node
        self.entries = entries
        self.files = files
        """The number of files in it, at any depth."""
        self.stamp = stamp


Entry: TypeAlias = Node | Directory
"""A file is its node."""


class MirrorState(Mapping[str, Node]):
    """One state of a mirror, which the server really had: the files by absolute key. It never changes.

    Iterates in key order, directory by directory, as a read with `sorted` does. Directories are not among the keys, but
    `children` and `node` show them.
    """

    __slots__ = ("_names", "_root", "index", "key")

    def __init__(self, key: str, root: Entry | None, index: int) -> None:
        self.key = key
        """The mirrored key, absolute."""
        self.index = index
        """The store index of this state: a watch with `after_index=` this goes on from it."""
        self._root = root
        self._names = Names(key)

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
        return count(self._root)

    def node(self, key: str) -> Node | None:
        """The file or directory of that key, None where there is neither."""
        entry = self._entry(_without_slash(key))
        return entry.node if isinstance(entry, Directory) else entry

    def children(self, key: str | None = None) -> tuple[Node, ...]:
        """What is directly in a directory (None: the mirrored one), files and directories, in key order.

        Empty where there is no directory. `Node.nodes` is empty: ask for the children of a child by its key.
        """
        entry = self._root if key is None else self._entry(_without_slash(key))
        if not isinstance(entry, Directory):
            return ()
        found = (entry.entries[name] for name in sorted(entry.entries))
        return tuple(one.node if isinstance(one, Directory) else one for one in found)

    def _entry(self, key: object) -> Entry | None:
        return find(self._root, self._names.of(key))

    def differences(self, later: MirrorState) -> list[Change]:
        """What brings this state to `later`, in key order."""
        return differences(self._root, later._root, later.index)

    def as_added(self) -> list[Change]:
        """All its files, as if they had just come."""
        return differences(None, self._root, self.index)


class Names:
    """Splits keys below one directory into their segments."""

    __slots__ = ("_key", "_start")

    def __init__(self, key: str) -> None:
        self._key = key
        self._start = "/" if key == "/" else f"{key}/"

    def of(self, key: object) -> list[str] | None:
        """Empty for the directory itself, None for what is not below it."""
        if not isinstance(key, str):
            return None
        if key == self._key:
            return []
        return key[len(self._start) :].split("/") if key.startswith(self._start) else None


@dataclass(frozen=True, slots=True)
class Step:
    """What one event or snapshot does to a tree."""

    names: list[str]
    entry: Entry | None
    """What is there after it."""
    index: int
    changes: list[Change]


class MirrorTree:
    """The newest state, for one writer: `plan` a step, then `carry_out`; `freeze` makes a state of it that stays.

    Directories are copied when they change after a `freeze`, otherwise changed in place.
    """

    def __init__(self, key: str) -> None:
        self.key = _without_slash(key)
        self._names = Names(self.key)
        self._root: Entry | None = None
        self._index = 0
        self._stamp = 0
        self.frozen: MirrorState | None = None
        """The newest state, if `freeze` has made it already."""

    def freeze(self) -> MirrorState:
        """The newest state, the same object as long as nothing changes."""
        if self.frozen is None:
            self._stamp += 1
            self.frozen = MirrorState(self.key, self._root, self._index)
        return self.frozen

    def plan(self, item: Event | Snapshot) -> Step | None:
        """What `item` changes, itself changing nothing. None for an event that the state has already."""
        index = item.index
        if isinstance(item, Snapshot):
            root = None if item.node is None else _built(item.node, self._stamp)
            return Step([], root, index, differences(self._root, root, index))
        names = [] if item.ancestor else self._names.of(item.key)
        if index <= self._index or names is None:
            return None
        before = find(self._root, names)
        entry: Entry | None = None
        if not item.deleted:
            entry = item.node
            if entry.dir:
                kept = before if isinstance(before, Directory) else None
                entry = Directory(entry, dict(kept.entries) if kept else {}, count(kept), self._stamp)
        changes = differences(before, entry, index)
        replaced = None if entry is None else self._file_above(names)
        return Step(names, entry, index, [*differences(replaced, None, index), *changes])

    def carry_out(self, step: Step) -> None:
        self._index = step.index
        self.frozen = None
        if not step.names:
            self._root = step.entry
            return
        if step.entry is None and find(self._root, step.names) is None:
            return
        directory = self._root = self._own(self._root, self.key, step.index)
        path = [directory]
        for name in step.names[:-1]:
            child = directory.entries.get(name)
            if isinstance(child, Node):
                for above in path:
                    above.files -= 1
            directory.entries[name] = directory = self._own(
                child, f"{directory.node.key.rstrip('/')}/{name}", step.index
            )
            path.append(directory)
        more = count(step.entry) - count(directory.entries.get(step.names[-1]))
        if step.entry is None:
            del directory.entries[step.names[-1]]
        else:
            directory.entries[step.names[-1]] = step.entry
        for above in path:
            above.files += more

    def _own(self, entry: Entry | None, key: str, index: int) -> Directory:
        """The directory to change: itself, a copy where a frozen state has it, or one that a write below it implies."""
        if not isinstance(entry, Directory):
            # Created with the write's own index, and no event of its own (3.4.23, 3.5.1).
            return Directory(Node(key=key, dir=True, modified_index=index, created_index=index), {}, 0, self._stamp)
        if entry.stamp == self._stamp:
            return entry
        return Directory(entry.node, dict(entry.entries), entry.files, self._stamp)

    def _file_above(self, names: list[str]) -> Node | None:
        """The file where the server must have a directory by now: one made so by a refresh, which tells nobody."""
        entry = self._root
        for name in names:
            if not isinstance(entry, Directory):
                return entry
            entry = entry.entries.get(name)
        return None


class Differences:
    """The changes that one reader has not taken yet.

    Holds at most `size` and those of one event more; what comes then is left out, and caught up with by a comparison.
    """

    def __init__(self, size: int, key: str | None = None) -> None:
        """`key`: only of this file, or of what is below this directory; None for all."""
        self._size = size
        self._names = None if key is None else Names(_without_slash(key))
        self._waiting: deque[Change] = deque()
        self._reached: MirrorState | None = None

    @property
    def waiting(self) -> int:
        """How many are held."""
        return len(self._waiting)

    def wanted(self, changes: list[Change]) -> list[Change]:
        """Those that this reader is for."""
        names = self._names
        return changes if names is None else [change for change in changes if names.of(change.key) is not None]

    def offer(self, changes: list[Change], tree: MirrorTree) -> None:
        """`changes` have just been made to `tree`."""
        if self._reached is None:
            self._waiting.extend(self.wanted(changes))
            if len(self._waiting) > self._size:
                self._reached = tree.freeze()

    def take(self) -> Change | None:
        return self._waiting.popleft() if self._waiting else None

    def catch_up(self, tree: MirrorTree) -> tuple[MirrorState, MirrorState] | None:
        """When all is taken and some was left out: two states to compare, for `compared`. None when nothing was."""
        reached, self._reached = self._reached, None
        return None if reached is None else (reached, tree.freeze())


def count(entry: Entry | None) -> int:
    """The number of files."""
    if isinstance(entry, Directory):
        return entry.files
    return 0 if entry is None else 1


def find(root: Entry | None, names: list[str] | None) -> Entry | None:
    if names is None:
        return None
    entry = root
    for name in names:
        if not isinstance(entry, Directory):
            return None
        entry = entry.entries.get(name)
    return entry


def differences(before: Entry | None, after: Entry | None, index: int) -> list[Change]:
    """What changed among the files, in key order. What both have in common (as objects) is not looked at."""
    changes: list[Change] = []
    waiting = [(before, after)]
    nothing: dict[str, Entry] = {}
    while waiting:
        old, new = waiting.pop()
        if old is new:
            continue
        old_file = old if isinstance(old, Node) else None
        new_file = new if isinstance(new, Node) else None
        if old_file is not None or new_file is not None:
            changes += _of_file(old_file, new_file, index)
        old_entries = old.entries if isinstance(old, Directory) else nothing
        new_entries = new.entries if isinstance(new, Directory) else nothing
        names = sorted(old_entries.keys() | new_entries.keys(), reverse=True)
        waiting.extend((old_entries.get(name), new_entries.get(name)) for name in names)
    return changes


def _of_file(old: Node | None, new: Node | None, index: int) -> list[Change]:
    if new is None:
        return [] if old is None else [Change("removed", old.key, None, old, index)]
    if old is None:
        return [Change("added", new.key, new, None, index)]
    # Without the TTL, which counts down between two reads.
    if (old.modified_index, old.created_index, old.value, old.expiration) == (
        new.modified_index,
        new.created_index,
        new.value,
        new.expiration,
    ):
        return []
    return [Change("changed", new.key, new, old, index)]


def _built(root: Node, stamp: int) -> Entry:
    """The tree of a snapshot's node."""
    if not root.dir:
        return root
    top = _bare(root, stamp)
    order = [(top, root)]
    for directory, node in order:
        for child in node.nodes:
            entry: Entry = child
            if child.dir:
                entry = _bare(child, stamp)
                order.append((entry, child))
            directory.entries[child.name] = entry
    for directory, _ in reversed(order):
        directory.files = sum(map(count, directory.entries.values()))
    return top


def _bare(node: Node, stamp: int) -> Directory:
    return Directory(node.model_copy(update={"nodes": ()}) if node.nodes else node, {}, 0, stamp)


def _without_slash(key: str) -> str:
    return key.rstrip("/") or "/"
