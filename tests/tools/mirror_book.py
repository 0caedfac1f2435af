"""What is known of a mirrored tree: what was written and what the server had at which index; judges a mirror's state.

Owns what a mirror may differ in (spec/protocol.md sections 5, 8 and 9). Knows no faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from etcdv2 import ApiError, Client, ClusterUnavailable, KeyNotFound, Mirror, MirrorState, Node, NotDir, OutcomeUnknown
from etcdv2_api import operations
from tests.facade._sync.test_mirror import Plain, carry_out, plain

Deed = Callable[[Client, str, str], Any]


def _index_of(client: Client, key: str) -> int:
    return client.keys.get(key, quorum=True).node.modified_index


DEEDS: dict[str, Deed] = {
    "set": lambda client, key, value: client.keys.set(key, value),
    "set for 1 s": lambda client, key, value: client.keys.set(key, value, ttl=1),
    "set for 1000 s": lambda client, key, value: client.keys.set(key, value, ttl=1000),
    "create": lambda client, key, value: client.keys.create(key, value),
    "update": lambda client, key, value: client.keys.update(key, value),
    "swap": lambda client, key, value: client.keys.set(key, value, prev_index=_index_of(client, key)),
    "swap in vain": lambda client, key, value: client.keys.set(key, value, prev_value="never written"),
    "delete": lambda client, key, _: client.keys.delete(key),
    "delete directory": lambda client, key, _: client.keys.delete(key, dir=True),
    "delete tree": lambda client, key, _: client.keys.delete(key, recursive=True),
    "compare and delete": lambda client, key, _: client.keys.delete(key, prev_index=_index_of(client, key)),
    "delete in vain": lambda client, key, _: client.keys.delete(key, prev_value="never written"),
    "make directory": lambda client, key, _: client.keys.make_dir(key),
    "make directory for 1 s": lambda client, key, _: client.keys.make_dir(key, ttl=1),
    "directory over a file": lambda client, key, _: client.send(operations.put_key(key, dir=True)),
    # On 3.5 an error with nothing changed (spec/protocol.md section 7); of a file it makes the value "".
    "directory's ttl": lambda client, key, _: client.send(operations.put_key(key, dir=True, prev_exist=True, ttl=1)),
    "entry in order": lambda client, key, value: client.keys.create_in_order(key, value),
    "directory in order": lambda client, key, _: client.send(operations.post_key(key, dir=True)),
    "refresh": lambda client, key, _: client.keys.refresh(key, 1000),
    "refresh for 1 s": lambda client, key, _: client.keys.refresh(key, 1),
    "persist": lambda client, key, _: client.keys.persist(key),
}


@dataclass(frozen=True, slots=True)
class Tree:
    """The server's answer to a quorum read of the mirrored key, in key order."""

    files: dict[str, Node]
    directories: dict[str, Node]
    index: int


class Book:
    """One writer's knowledge of one tree. Nobody else writes there."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.trees: dict[int, Tree] = {}
        """By store index."""
        self._values: set[tuple[str, int, str | None]] = set()
        self._unsure: set[str] = set()
        """Keys of writes whose outcome is not known."""
        self._refreshed: set[int] = set()
        """The indexes of refreshes, and the created indexes of refreshed directories."""
        self._hidden: set[int] = set()
        """The indexes of writes below a hidden key: the directories that they imply have no event of their own."""
        self._seen_index = 0

    def carry_out(self, client: Client, deed: str, key: str, value: str) -> int:
        """The index of what was done, 0 where the server refused it or nobody knows."""
        try:
            node = DEEDS[deed](client, key, value).node
        except (OutcomeUnknown, ClusterUnavailable):
            self._unsure.add(key)
            return 0
        except ApiError:
            return 0
        if deed.startswith("refresh"):
            self._refreshed.add(node.created_index if node.dir else node.modified_index)
        if "/_" in node.key[len(self.key) :]:
            self._hidden.add(node.modified_index)
        self._values.add((node.key, node.modified_index, node.value))
        index: int = node.modified_index
        return index

    def look(self, client: Client) -> Tree:
        """Note what the server has now."""
        try:
            answer = client.keys.get(self.key, recursive=True, sorted=True, quorum=True)
        except (KeyNotFound, NotDir) as error:
            tree = Tree({}, {}, error.index)
        else:
            nodes = list(answer.walk())
            files = {node.key: node for node in nodes if not node.dir}
            tree = Tree(files, {node.key: node for node in nodes if node.dir}, answer.index)
        self.trees[tree.index] = tree
        return tree

    def objections(self, state: MirrorState, tree: Tree) -> Iterator[str]:
        """What is wrong with `state` as a copy of `tree`."""
        if list(state) != list(tree.files):
            yield f"the mirror has {list(state)}, the server has {list(tree.files)}"
            return
        for key, there in tree.files.items():
            here = state[key]
            if there.modified_index in self._refreshed:
                if here.value != there.value or here.modified_index > there.modified_index:
                    yield f"refreshed {key}: {here} for {there}"
            elif plain([here]) != plain([there]):
                yield f"{key}: {here} for {there}"
        known = [self.key]
        while known:
            node = state.node(key := known.pop())
            if node is None or not node.dir:
                continue
            if key not in tree.directories:
                yield f"{key} is no directory on the server"
                continue
            known += [child.key for child in state.children(key) if child.dir]
        for key, there in tree.directories.items():
            if there.created_index in self._hidden:
                continue
            node = state.node(key)
            # An update of a directory's TTL is not in its modified index when it is read (3.4.23).
            if node is None or not node.dir or node.created_index != there.created_index:
                yield f"directory {key}: {node} for {there}"
            elif node.expiration != there.expiration and there.created_index not in self._refreshed:
                yield f"directory {key} expires at {node.expiration}, not at {there.expiration}"

    def check_seen(self, states: list[MirrorState]) -> None:
        """States in the order in which a mirror showed them: each must be one that the server had."""
        for state in states:
            assert state.index >= self._seen_index, f"went back from {self._seen_index} to {state.index}"
            self._seen_index = state.index
            for key, node in state.items():
                known = (key, node.modified_index, node.value) in self._values
                assert known or not self._unsure.isdisjoint((key, key.rpartition("/")[0])), f"nobody wrote {node}"
            if state.index in self.trees:
                wrong = list(self.objections(state, self.trees[state.index]))
                assert not wrong, f"at {state.index}: {wrong}"


class Replay:
    """The changes of a mirror from its first state on, carried out on a dict."""

    def __init__(self, mirror: Mirror, buffer: int) -> None:
        self._mirror = mirror
        self._changes = mirror.changes(existing=True, buffer=buffer)
        self._files: Plain = {}

    def check(self) -> None:
        while True:
            state = self._mirror.state
            while change := self._changes.next(timeout=0.001):
                carry_out(self._files, change)
            if self._mirror.state is state:
                break
        assert self._files == plain(state.values()), "the changes do not lead to the state"
