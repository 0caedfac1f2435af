"""The state behind a mirror against a small model of etcd's tree: any operations, their states and differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdv2._core.mirror.change_queue import ChangeQueue
from etcdv2._core.mirror.tree import MirrorTree
from etcdv2._core.watch.cursor import Cursor
from etcdv2._types.mirror import Change, MirrorState, Subtree
from etcdv2._types.results import Event, Snapshot
from etcdv2_api import KeysEvent, Node

Files = dict[str, Node]


def parents(key: str) -> list[str]:
    """The directories above, from the top, without the root."""
    parts = key.split("/")[1:-1]
    return ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]


class Store:
    """etcd's tree, as a watcher sees it: each write that succeeds makes one event (spec/protocol.md section 5)."""

    def __init__(self) -> None:
        self.index = 0
        self.nodes: dict[str, Node] = {}
        self.silent: set[str] = set()
        """Directories that only the write of a hidden key has made, of which no watcher hears."""

    def write(self, action: str, key: str, value: str | None, expiration: str | None = None) -> KeysEvent | None:
        """A file, or a directory when `value` is None. None when etcd would refuse it."""
        before = self.nodes.get(key)
        if any(not self.nodes[above].dir for above in parents(key) if above in self.nodes):
            return None
        if (before is not None and before.dir) or (action == "create" and before is not None):
            return None
        if action in ("update", "compareAndSwap") and before is None:
            return None
        self.index += 1
        created = before.created_index if before and action in ("update", "compareAndSwap") else self.index
        for above in parents(key):
            if above not in self.nodes:
                self.nodes[above] = directory(above, self.index)
                self.silent |= {above} if "/_" in key else set()
        node = Node.model_validate(
            {
                "key": key,
                "value": value,
                "dir": value is None,
                "expiration": expiration,
                "modifiedIndex": self.index,
                "createdIndex": created,
            }
        )
        self.nodes[key] = node
        return KeysEvent(action=action, node=node, prev_node=before)  # type: ignore[arg-type]

    def update_directory(self, key: str, expiration: str) -> KeysEvent | None:
        before = self.nodes.get(key)
        if before is None or not before.dir:
            return None
        self.index += 1
        node = Node.model_validate({**before.model_dump(), "expiration": expiration, "modified_index": self.index})
        self.nodes[key] = node
        return KeysEvent(action="update", node=node, prev_node=before)

    def remove(self, action: str, key: str) -> KeysEvent | None:
        before = self.nodes.get(key)
        if before is None or (action == "compareAndDelete" and before.dir):
            return None
        self.index += 1
        for other in list(self.nodes):
            if other == key or other.startswith(f"{key}/"):
                del self.nodes[other]
                self.silent.discard(other)
        fields = {"key": key, "dir": before.dir, "modifiedIndex": self.index, "createdIndex": before.created_index}
        return KeysEvent(action=action, node=Node.model_validate(fields), prev_node=before)  # type: ignore[arg-type]

    def listed(self, root: str) -> dict[str, Node]:
        """The files and directories that a recursive read of `root` lists."""
        start = "/" if root == "/" else f"{root}/"
        return {
            key: node
            for key, node in self.nodes.items()
            if key == root or (key.startswith(start) and "/_" not in key[len(start) - 1 :])
        }

    def read(self, root: str) -> Snapshot:
        """The answer to a recursive read, unsorted as the server's."""
        listed = self.listed(root)
        if root == "/":
            listed[root] = Node(dir=True)
        made: dict[str, Node] = {}
        for key in sorted(listed, key=len, reverse=True):
            below = [made[other] for other in made if other != "/" and (other.rpartition("/")[0] or "/") == key]
            made[key] = listed[key].model_copy(update={"nodes": tuple(below)})
        return Snapshot(made.get(root), self.index)


def directory(key: str, index: int) -> Node:
    return Node(key=key, dir=True, modified_index=index, created_index=index)


def check(state: MirrorState, store: Store) -> None:
    """The state is what the store lists, read in every way that there is."""
    listed = store.listed(state.key)
    files = {key: node for key, node in listed.items() if not node.dir}
    assert dict(state) == files
    assert len(state) == len(files)
    assert list(state) == sorted(files, key=lambda key: key.split("/"))
    assert list(state.values()) == [files[key] for key in state]
    for key, node in store.nodes.items():
        assert state.node(key) == listed.get(key)
        if node.dir:
            start = f"{key}/"
            inside = [one for one in listed if one.startswith(start) and "/" not in one[len(start) :]]
            expected = tuple(listed[one] for one in sorted(inside)) if key in listed else ()
            assert state.children(key) == expected
            assert key not in state
        else:
            assert (key in state) == (key in listed)
            assert state.get(key) == listed.get(key)


def applied(files: Files, changes: Iterable[Change]) -> Files:
    """What `changes` make of `files`; each of them has to fit."""
    result = dict(files)
    for change in changes:
        assert (change.prev_node is None) == (change.kind == "added"), change
        assert (change.node is None) == (change.kind == "removed"), change
        assert result.get(change.key) == change.prev_node, change
        result.pop(change.key, None)
        if change.node is not None:
            result[change.key] = change.node
    return result


NAMES = ["a", "b", "a-", "_h"]
KEYS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
TIMES = st.sampled_from([None, "2099-01-01T00:00:00Z"])
Operation = Callable[[Store], KeysEvent | None]


def _write(action: str) -> st.SearchStrategy[Operation]:
    return st.builds(
        lambda key, value, expires: lambda store: store.write(action, key, value, expires),
        KEYS,
        st.sampled_from(["1", "2", "", None]) if action in ("set", "create") else st.sampled_from(["1", "2"]),
        TIMES,
    )


def _removal(action: str) -> st.SearchStrategy[Operation]:
    return st.builds(lambda key: lambda store: store.remove(action, key), KEYS)


OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    *[_write(action) for action in ("set", "set", "create", "update", "compareAndSwap")],
    *[_removal(action) for action in ("delete", "expire", "compareAndDelete")],
    st.builds(lambda key: lambda store: store.update_directory(key, "2098-01-01T00:00:00Z"), KEYS),
)
STEPS = st.lists(
    st.tuples(OPERATIONS, st.sampled_from(["event", "event", "event", "check", "lost", "read"])), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from(["/", "/a", "/a/b"]), st.integers(1, 4))
def test_state_is_the_servers_after_any_operations_and_losses(steps: list[Any], root: str, buffer: int) -> None:
    store, tree, cursor = Store(), MirrorTree(root), Cursor(root, recursive=True, wait_index=1)
    every, slow = ChangeQueue(10**6), ChangeQueue(buffer)
    seen: list[tuple[MirrorState, Files, int]] = []
    known: Files = {}

    def take(item: Event | Snapshot) -> None:
        nonlocal known
        step = tree.plan(item)
        assert step is not None
        tree.carry_out(step)
        for reader in (every, slow):
            reader.offer(step.changes, tree)
        known = applied(known, step.changes)
        assert all(change.index == item.index for change in step.changes)
        assert tree.plan(item) is None or isinstance(item, Snapshot)

    take(store.read(root))
    lost = False
    for operate, then in steps:
        made = operate(store)
        event = None if made is None else cursor.accept(made)
        lost = lost or then == "lost"
        if lost and then == "read":
            lost = False
            take(store.read(root))
        elif event is not None and not lost:
            take(event)
        if not lost and then in ("check", "read"):
            check_known(tree, store, known)
            seen.append((tree.freeze(), dict(known), tree.freeze().index))
    take(store.read(root))
    check_known(tree, store, known)
    for state, files, index in seen:
        assert dict(state) == files
        assert state.index == index
    everything = list(iter(every.take, None))
    assert applied({}, everything) == known
    assert applied({}, taken(slow, tree)) == known
    for (earlier, files, _), (later, later_files, _) in itertools.pairwise(seen):
        assert applied(files, earlier.differences(later)) == later_files


def check_known(tree: MirrorTree, store: Store, known: Files) -> None:
    """Files in any case; directories too, unless there is one that only a hidden key made: it has no event."""
    state = tree.freeze()
    if not store.silent:
        check(state, store)
    listed = store.listed(tree.key)
    assert dict(state) == {key: node for key, node in listed.items() if not node.dir}
    assert known == dict(state)
    assert len(state) == len(known)


def taken(reader: ChangeQueue, tree: MirrorTree) -> list[Change]:
    """All that a reader has to get."""
    changes: list[Change] = []
    while True:
        changes += iter(reader.take, None)
        behind = reader.catch_up(tree)
        if behind is None:
            return changes
        changes += behind[0].differences(behind[1])


def tree_of(*keys: str, root: str = "/c") -> tuple[MirrorTree, Store]:
    """A mirror of a store with these files."""
    store = Store()
    for key in keys:
        assert store.write("set", key, "1")
    tree = MirrorTree(root)
    step = tree.plan(store.read(root))
    assert step is not None
    tree.carry_out(step)
    return tree, store


def step(tree: MirrorTree, made: KeysEvent | None) -> list[tuple[str, str]]:
    """Carry out an event; its changes in short."""
    assert made is not None
    event = Cursor(tree.key, recursive=True, wait_index=1).accept(made)
    assert event is not None
    planned = tree.plan(event)
    assert planned is not None
    tree.carry_out(planned)
    return [(change.kind, change.key) for change in planned.changes]


def test_a_deep_write_makes_the_directories_that_it_implies() -> None:
    tree, store = tree_of(root="/c")
    assert step(tree, store.write("set", "/c/a/b/c", "1")) == [("added", "/c/a/b/c")]
    state = tree.freeze()
    assert [node.key for node in state.children()] == ["/c/a"]
    assert state.children("/c/a/") == (directory("/c/a/b", store.index),)
    assert state.children("/c/a/b/c") == ()
    check(state, store)


def test_a_key_deeper_than_pythons_stack_is_no_matter() -> None:
    tree, store = tree_of(root="/c")
    key = "/c" + "/x" * 2000
    step(tree, store.write("set", key, "1"))
    assert list(tree.freeze()) == [key]
    assert step(tree, store.remove("delete", "/c/x")) == [("removed", key)]


def test_a_directory_in_place_of_a_file_removes_the_file() -> None:
    tree, store = tree_of("/c/a", "/c/b")
    assert step(tree, store.write("set", "/c/a", None)) == [("removed", "/c/a")]
    assert [node.dir for node in tree.freeze().children()] == [True, False]


def test_deletion_of_a_directory_above_removes_everything() -> None:
    tree, store = tree_of("/o/c/a", "/o/c/d/b", root="/o/c")
    assert step(tree, store.remove("expire", "/o")) == [("removed", "/o/c/a"), ("removed", "/o/c/d/b")]
    assert len(tree.freeze()) == 0
    assert tree.freeze().node("/o/c") is None


def test_update_of_a_directory_keeps_what_is_in_it() -> None:
    tree, store = tree_of("/c/d/a")
    assert step(tree, store.update_directory("/c/d", "2099-01-01T00:00:00Z")) == []
    check(tree.freeze(), store)
    assert tree.freeze().index == store.index


def test_a_file_as_the_mirrored_key_is_its_only_entry() -> None:
    tree, store = tree_of("/c")
    assert list(tree.freeze()) == ["/c"]
    assert tree.freeze().children() == ()
    assert step(tree, store.remove("delete", "/c")) == [("removed", "/c")]
    assert step(tree, store.write("set", "/c/a", "1")) == [("added", "/c/a")]
    check(tree.freeze(), store)


def test_a_file_that_became_a_directory_unnoticed_is_removed_by_what_is_written_into_it() -> None:
    tree, store = tree_of("/c/d/f", "/c/d/g")
    store.remove("delete", "/c/d/f")
    assert step(tree, store.write("set", "/c/d/f/x/y", "1")) == [("removed", "/c/d/f"), ("added", "/c/d/f/x/y")]
    assert list(tree.freeze()) == ["/c/d/f/x/y", "/c/d/g"]
    assert len(tree.freeze()) == 2


def test_what_is_not_a_key_of_the_tree_is_not_in_it() -> None:
    state = tree_of("/c/a", "/ca")[0].freeze()
    for key in ["/ca", "/", "", "c/a", "/c/a/b", "/c/", "/c//a", None, 5]:
        assert key not in state
    with pytest.raises(KeyError, match="/ca"):
        state["/ca"]
    assert state.node("/c/") is not None
    assert state.node("/") is None


def test_a_ttl_that_counted_down_between_two_reads_is_no_change() -> None:
    def read(ttl: int, value: str = "1") -> Snapshot:
        node = {"key": "/c", "value": value, "ttl": ttl, "expiration": "2099-01-01T00:00:00Z", "modifiedIndex": 5}
        return Snapshot(Node.model_validate(node), 7)

    tree = MirrorTree("/c")
    for item, kinds in [(read(9), ["added"]), (read(8), []), (read(8, "2"), ["changed"])]:
        planned = tree.plan(item)
        assert planned is not None
        tree.carry_out(planned)
        assert [change.kind for change in planned.changes] == kinds
    assert tree.freeze()["/c"].value == "2"


def test_a_snapshot_of_a_smaller_index_is_the_state_and_goes_on_from_there() -> None:
    tree, _ = tree_of("/c/a", "/c/b")
    rebuilt = Store()
    rebuilt.write("set", "/c/a", "new")
    planned = tree.plan(rebuilt.read("/c"))
    assert planned is not None
    tree.carry_out(planned)
    assert [(change.kind, change.key, change.index) for change in planned.changes] == [
        ("changed", "/c/a", 1),
        ("removed", "/c/b", 1),
    ]
    assert step(tree, rebuilt.write("set", "/c/z", "1")) == [("added", "/c/z")]
    check(tree.freeze(), rebuilt)


def test_a_slow_reader_holds_no_more_than_it_may_and_gets_the_rest_as_one_comparison() -> None:
    tree, store = tree_of("/c/a")
    slow = ChangeQueue(10)
    for number in range(1000):
        made = store.write("set", f"/c/{number % 50}", str(number))
        assert made is not None
        planned = tree.plan(Event(made.action, made.node or Node(), made.prev_node, None))
        assert planned is not None
        tree.carry_out(planned)
        slow.offer(planned.changes, tree)
    assert slow.waiting == 11
    changes = taken(slow, tree)
    assert len(changes) == 11 + 50
    assert {change.index for change in changes[11:]} == {store.index}
    assert applied({"/c/a": tree.freeze()["/c/a"]}, changes) == dict(tree.freeze())


def test_a_state_is_made_once_until_something_changes() -> None:
    tree, store = tree_of("/c/a")
    state = tree.freeze()
    assert tree.freeze() is state
    assert repr(state) == f"<MirrorState of /c at {store.index}: 1 files>"
    step(tree, store.write("set", "/c/a", "2"))
    assert tree.freeze() is not state
    assert (state["/c/a"].value, tree.freeze()["/c/a"].value) == ("1", "2")


def test_trees_and_queues_show_what_they_hold() -> None:
    tree, store = tree_of("/c/a", "/c/d/b")
    queue = ChangeQueue(1, "/c/d/")
    assert repr(tree) == f"<MirrorTree of /c at {store.index}: 2 files>"
    assert repr(queue) == "<ChangeQueue of /c/d: 0 waiting>"
    for value in "12":
        made = store.write("set", "/c/d/b", value)
        assert made is not None
        planned = tree.plan(Event(made.action, made.node or Node(), made.prev_node, None))
        assert planned is not None
        tree.carry_out(planned)
        queue.offer(planned.changes, tree)
    assert repr(queue) == f"<ChangeQueue of /c/d: 2 waiting, full since {store.index}>"
    root = tree._root
    assert repr(root) == "<Directory /c: 2 entries, 2 files>"
    assert repr(Subtree("/c/")) == "<Subtree /c>"
