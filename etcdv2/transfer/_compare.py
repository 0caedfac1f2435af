"""How two trees differ.

Owns what counts as a difference, and how one reads as a line. Compares trees that are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from etcdv2.transfer._text import as_etcd_shows, is_exact
from etcdv2.transfer._tree import SECOND, DumpNode, Tree, same_text, sort_key


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that is not the same in two trees."""

    kind: Literal["+", "-", "~", "t", "i"]
    """`+` only in the second, `-` only in the first; `~` another value or kind, `t` another expiry, `i` other
    indexes.
    """
    key: str
    """From its tree's root on, with a leading slash; whole where the key is not below the root."""
    before: DumpNode | None
    """The node in the first tree; None for `+`."""
    after: DumpNode | None
    """The node in the second tree; None for `-`."""

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.kind} {self.key}"
        if self.kind == "t":
            return f"t {self.key} expires {self.before.moment or 'never'} -> {self.after.moment or 'never'}"
        if self.kind == "i":
            return f"i {self.key} {_indexes(self.before)} -> {_indexes(self.after)}"
        return f"~ {self.key} {_value(self.before)} -> {_value(self.after)}"


def compare(before: Tree, after: Tree, *, indexes: bool = False, within: float = 2.0) -> Iterator[Difference]:
    """The differences, by the bytes of the keys.

    indexes: whether indexes count too: of two readings of one cluster they are equal, of two clusters
        they are not. within: seconds that two moments of expiry may lie apart.

    Where a value may be damaged (`DumpNode.damaged`), it equals one of which etcd would show the same.
    So do keys. Keys are compared below each tree's own root.
    """
    first, second = _relative(before), _relative(after)
    _pair(first, second)
    _pair(second, first)
    for key in sorted(first.keys() | second.keys(), key=sort_key):
        one, other = first.get(key), second.get(key)
        if one is None or other is None:
            yield Difference("+" if one is None else "-", key, one, other)
        elif not same_text(one, other):
            yield Difference("~", key, one, other)
        elif not _same_moment(one, other, within):
            yield Difference("t", key, one, other)
        elif indexes and _indexes(one) != _indexes(other):
            yield Difference("i", key, one, other)


def _relative(tree: Tree) -> dict[str, DumpNode]:
    prefix = tree.root.rstrip("/")
    return {node.key.removeprefix(prefix): node for node in tree}


def _pair(exact: dict[str, DumpNode], shown: dict[str, DumpNode]) -> None:
    """A key that is no UTF-8 is what etcd shows of it, where only the other tree has that."""
    for key in [key for key in exact if not is_exact(key) and key not in shown]:
        image = as_etcd_shows(key)
        if image in shown and image not in exact:
            shown[key] = shown.pop(image)


def _same_moment(one: DumpNode, other: DumpNode, within: float) -> bool:
    if one.expires_at is None or other.expires_at is None:
        return one.expires_at == other.expires_at
    return abs(one.expires_at - other.expires_at) <= within * SECOND


def _value(node: DumpNode) -> str:
    return "a directory" if node.value is None else f'"{node.value}"'


def _indexes(node: DumpNode) -> str:
    return f"{node.created_index}/{node.modified_index}"
