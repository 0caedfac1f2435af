"""What has to be written so that a cluster holds what a tree holds.

Owns the decisions: which key is written, under which condition, with which TTL, in which order, and what
stands in the way. Does no I/O and has no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from etcdv2.transfer._errors import TransferError
from etcdv2.transfer._tree import SECOND, DumpNode, Tree, same_text, sort_key

If = Literal["absent", "changed", "always"]
TTL = Literal["remaining", "original", "drop"]
Reason = Literal["exists", "equal", "expired", "not UTF-8", "elsewhere"]
CLOSE = 2.0
"""Seconds that two moments of expiry may lie apart and count as one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One write."""

    action: Literal["make-dir", "set", "delete", "delete-dir"]
    """`set` writes a key, new or not; `make-dir` leaves a directory that is there; `delete-dir` takes all below it."""
    key: str
    """Absolute, in the cluster that is written to. A byte that is no UTF-8 is a surrogate escape."""
    value: str = ""
    """What `set` writes; "" for the other actions."""
    ttl: int | None = None
    """Seconds; None for what does not expire."""
    prev_index: int | None = None
    """The modified index that the key must have; None where it must not be there (of a write), or for no
    condition (`unconditional`, and deletions of directories).
    """
    unconditional: bool = False
    """Whether `set` writes whatever is there, as `always` asks for."""
    expires_at: int | None = None
    """The moment of expiry (nanoseconds since 1970) where that decides: `ttl` is what was left when it was planned."""

    def __str__(self) -> str:
        return f"{self.action} {self.key}" + ("" if self.ttl is None else f" ttl {self.ttl}")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A node that is left as it is, and why."""

    key: str
    """Where it would be in the cluster; of `elsewhere` where it is in the tree."""
    reason: Reason
    """`exists`: only `always` would replace it. `equal`. `expired` before it was written. `elsewhere`: not below
    what was to be stripped. `not UTF-8`: there, and not wanted, but HTTP does not show by which name to delete it.
    """


@dataclass(frozen=True, slots=True)
class Plan:
    """All writes in an order in which they can be made, and what is left as it is."""

    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]


def moved(tree: Tree, *, root: str | None = None) -> Tree:
    """The same tree below another root; hidden nodes that are not below the tree's own root stay where they are."""
    if root is None:
        return tree
    before, after = tree.root.rstrip("/"), "/" + root.strip("/") if root.strip("/") else ""
    nodes: dict[str, DumpNode] = {}
    for node in tree:
        if before and not node.key.startswith(before + "/"):
            raise TransferError(f"{node.key!r} is not below {tree.root!r}, so it cannot be moved with it")
        key = after + node.key[len(before) :]
        nodes[key] = DumpNode(key, node.value, node.created_index, node.modified_index, node.expires_at, node.damaged)
    return Tree(nodes, after or "/", tree.index, tree.made, tree.hidden, tree.source, tree.auth, tree.auth_enabled)


def below(tree: Tree, strip: str | None) -> tuple[Tree, tuple[Skipped, ...]]:
    """What is below `strip`, as a tree that has its keys from there on; and what is not."""
    top = "" if strip is None else "/" + strip.strip("/")
    if strip is None or top == "/":
        return tree, ()
    inside = {node.key: node for node in tree if node.key.startswith(f"{top}/")}
    above = {top[:at] for at in range(1, len(top) + 1) if top[at : at + 1] in ("", "/")}
    skipped = tuple(Skipped(node.key, "elsewhere") for node in tree if node.key not in inside | dict.fromkeys(above))
    found = Tree(inside, top, tree.index, tree.made, tree.hidden, tree.source, tree.auth, tree.auth_enabled)
    return moved(found, root="/"), skipped


def plan(wanted: Tree, there: Tree, *, if_: If, ttl: TTL, prune: bool, now: int) -> Plan:
    """What to do to `there`, read from the cluster, so that it holds `wanted`; at `now`, ns since 1970.

    if_: `absent` writes only what is not there; `changed` also what differs; `always` everything. A
        directory that is there is left as it is. Where one side has a key and the other a directory, only
        `always` replaces it. ttl: of a key that expires, what remains, what remained when the tree was
        read, or none. prune: delete what `wanted` does not have.
    """
    steps: list[Step] = []
    skipped: list[Skipped] = []
    above: Skipped | None = None  # a directory that is not made, and so nothing below it either
    for node in wanted:
        found = there.nodes.get(node.key)
        seconds = _seconds(node, wanted, ttl, now)
        if above is not None and node.key.startswith(above.key + "/"):
            skipped.append(Skipped(node.key, above.reason))
            continue
        reason = _left_out(node, found, if_, seconds, ttl, now)
        if reason is not None:
            skipped.append(Skipped(node.key, reason))
            if node.dir and not (found is not None and found.dir):
                above = skipped[-1]
        else:
            moment = node.expires_at if ttl == "remaining" else None
            steps.extend(_write(node, found, if_, seconds, moment))
    if prune:
        steps.extend(_prune(wanted, there))
    return Plan(tuple(steps), tuple(skipped))


def _left_out(
    node: DumpNode, found: DumpNode | None, if_: If, seconds: int | None, ttl: TTL, now: int
) -> Reason | None:
    # 1. What is over.
    if ttl == "remaining" and seconds is not None and seconds < 1:
        return "expired"

    # 2. What need not be.
    return None if found is None else _left_as_it_is(node, found, if_, seconds, now)


def _left_as_it_is(node: DumpNode, found: DumpNode, if_: If, seconds: int | None, now: int) -> Reason | None:
    if found.dir and node.dir:
        return "equal"
    if if_ == "absent" or (if_ == "changed" and found.dir != node.dir):
        return "exists"
    if if_ == "changed" and same_text(node, found) and _same_rest(seconds, found, now):
        return "equal"
    return None


def _same_rest(seconds: int | None, found: DumpNode, now: int) -> bool:
    if seconds is None or found.expires_at is None:
        return (seconds is None) == (found.expires_at is None)
    return abs(seconds - (found.expires_at - now) / SECOND) <= CLOSE


def _write(node: DumpNode, found: DumpNode | None, if_: If, seconds: int | None, moment: int | None) -> Iterator[Step]:
    always = if_ == "always"
    if found is not None and found.dir != node.dir:
        yield Step("delete-dir", node.key) if found.dir else Step("delete", node.key, prev_index=found.modified_index)
        found = None
    prev_index = None if found is None or always else found.modified_index
    if node.value is None:
        yield Step("make-dir", node.key, ttl=seconds, expires_at=moment)
    else:
        yield Step("set", node.key, node.value, seconds, prev_index, always, moment)


def _prune(wanted: Tree, there: Tree) -> Iterator[Step]:
    """The top of each part that is not wanted."""
    gone: list[str] = []
    for node in sorted(there, key=lambda one: sort_key(one.key)):
        if node.key in wanted.nodes or (gone and node.key.startswith(gone[-1] + "/")):
            continue
        gone.append(node.key)
        if node.dir:
            yield Step("delete-dir", node.key)
        else:
            yield Step("delete", node.key, prev_index=node.modified_index)


def _seconds(node: DumpNode, tree: Tree, ttl: TTL, now: int) -> int | None:
    if node.expires_at is None or ttl == "drop":
        return None
    since = now if ttl == "remaining" else tree.made
    return math.ceil((node.expires_at - since) / SECOND)
