"""What a purge would delete, and why it may stop.

Owns these decisions. What asks and deletes is `_async/purge.py`; what is left to do on the members' hosts is `RECIPE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etcdv2.transfer._check import RECIPE
from etcdv2.transfer._errors import TransferError
from etcdv2.transfer._tree import Tree


class NotPurged(TransferError):
    """The store was not emptied, or not wholly: the text says why."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What `purge` has deleted, or would delete."""

    keys: tuple[str, ...]
    """With all below each of them."""
    users: tuple[str, ...]
    """By name; empty unless `auth` was asked for."""
    roles: tuple[str, ...]
    """By name, without `root`, which etcd keeps; empty unless `auth` was asked for."""
    dry_run: bool
    """Whether nothing was deleted."""
    recipe: tuple[str, ...] = RECIPE
    """What to do on each member's host afterwards, in this order."""


def tops(tree: Tree, named: Iterable[str], kept: set[str]) -> tuple[str, ...]:
    """The keys whose deletion, with all below them, leaves only what is kept."""
    top = [node.key for node in tree if node.key.count("/") == 1 and node.key not in kept]
    below = [key for key in named if key in tree.nodes and not key.startswith(tuple(f"{one}/" for one in top))]
    return tuple(dict.fromkeys([*top, *(key for key in below if key not in kept)]))
