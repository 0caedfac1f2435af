"""The tree behind a mirror: nodes kept current by events and snapshots.

Owns what an event does to the tree (spec/protocol.md section 5). No I/O, no clock, no lock: one
writer, and readers of the states that it has frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

from etcdv2._types.mirror import Change, Directory, Entry, MirrorState, Subtree, compare, file_count, find
from etcdv2._types.results import Event, Snapshot
from etcdv2_api import Node


@dataclass(frozen=True, slots=True)
class Step:
    """What one event or snapshot does to a tree."""

    segments: list[str]
    """Where, from the mirrored key on."""
    entry: Entry | None
    """What is there after it."""
    index: int
    changes: list[Change]


class MirrorTree:
    """The newest state, for one writer: `plan` a step, then `carry_out`.

    `freeze` makes a state of it that stays. Directories are copied when they change after that,
    otherwise changed in place.
    """

    def __init__(self, key: str) -> None:
        self._subtree = Subtree(key)
        self.key = self._subtree.key
        self._root: Entry | None = None
        self._index = 0
        self._stamp = 0
        """Grows with each `freeze`: a directory with an older one may be in a frozen state."""
        self.frozen: MirrorState | None = None
        """The newest state, if `freeze` has made it already."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key} at {self._index}: {file_count(self._root)} files>"

    def freeze(self) -> MirrorState:
        """The newest state, the same object as long as nothing changes."""
        if self.frozen is None:
            self._stamp += 1
            self.frozen = MirrorState(self.key, self._root, self._index)
        return self.frozen

    def plan(self, item: Event | Snapshot) -> Step | None:
        """What `item` changes, itself changing nothing. None for an event that the state has."""
        index = item.index

        # 1. A snapshot replaces everything, also a state that is newer: the store may have gone back.
        if isinstance(item, Snapshot):
            root = None if item.node is None else _built(item.node, self._stamp)
            return Step([], root, index, compare(self._root, root, index))

        # 2. An event: of a key in the tree, or of a directory above, which takes all of it along.
        segments = [] if item.ancestor else self._subtree.segments(item.key)
        if index <= self._index or segments is None:
            return None

        # 3. What is there after it. A directory's event (a new TTL, say) leaves what is in it.
        before = find(self._root, segments)
        entry = None if item.deleted else self._entry_of(item.node, before)

        # 4. A file above the key must have become a directory without an event: then it is gone.
        replaced = None if entry is None else self._file_above(segments)
        return Step(segments, entry, index, [*compare(replaced, None, index), *compare(before, entry, index)])

    def carry_out(self, step: Step) -> None:
        """Do what `plan` said. Nothing else may have been carried out in between."""
        self._index = step.index
        self.frozen = None

        # 1. All of it, or the deletion of what is not there.
        if not step.segments:
            self._root = step.entry
            return
        if step.entry is None and find(self._root, step.segments) is None:
            return

        # 2. Down to the directory of the key: each one on the way our own, made where it is missing.
        directory = self._root = self._own(self._root, self.key, step.index)
        path = [directory]
        for name in step.segments[:-1]:
            child = directory.entries.get(name)
            if isinstance(child, Node):  # a file that has become a directory
                for above in path:
                    above.files -= 1
            key = f"{directory.node.key.rstrip('/')}/{name}"
            directory.entries[name] = directory = self._own(child, key, step.index)
            path.append(directory)

        # 3. The entry itself, and the counts of all directories above it.
        last = step.segments[-1]
        more = file_count(step.entry) - file_count(directory.entries.get(last))
        if step.entry is None:
            del directory.entries[last]
        else:
            directory.entries[last] = step.entry
        for above in path:
            above.files += more

    def _entry_of(self, node: Node, before: Entry | None) -> Entry:
        """The entry for an event's node: a directory keeps what it had in it."""
        if not node.dir:
            return node
        kept = before if isinstance(before, Directory) else None
        return Directory(node, dict(kept.entries) if kept else {}, file_count(kept), self._stamp)

    def _own(self, entry: Entry | None, key: str, index: int) -> Directory:
        """The directory to change: itself, a copy where a frozen state has it, or a new one."""
        if not isinstance(entry, Directory):
            # Created with the write's own index, and no event of its own (3.4.23, 3.5.1).
            return Directory(Node(key=key, dir=True, modified_index=index, created_index=index), {}, 0, self._stamp)
        if entry.stamp == self._stamp:
            return entry
        return Directory(entry.node, dict(entry.entries), entry.files, self._stamp)

    def _file_above(self, segments: list[str]) -> Node | None:
        """The file that must be a directory by now: a refresh has made it one, which has no event."""
        entry = self._root
        for name in segments:
            if not isinstance(entry, Directory):
                return entry
            entry = entry.entries.get(name)
        return None


def _built(root: Node, stamp: int) -> Entry:
    """The tree of a snapshot's node."""
    if not root.dir:
        return root

    # 1. Every directory after the one that it is in. The list grows while it is walked.
    top = _bare(root, stamp)
    order = [(top, root)]
    for directory, node in order:
        for child in node.nodes:
            entry: Entry = child
            if child.dir:
                entry = _bare(child, stamp)
                order.append((entry, child))
            directory.entries[child.name] = entry

    # 2. Their counts, from the innermost ones outwards.
    for directory, _ in reversed(order):
        directory.files = sum(map(file_count, directory.entries.values()))
    return top


def _bare(node: Node, stamp: int) -> Directory:
    return Directory(node.model_copy(update={"nodes": ()}) if node.nodes else node, {}, 0, stamp)
