"""What an observer of an election sees: each leader once, and when there is none.

Owns which events are changes of the leader. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from etcdv2 import Event, Node, Snapshot


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, as the key says."""

    value: str
    """What it proclaims."""
    token: int
    """The key's created index: rises from leader to leader."""


def leader_of(node: Node | None) -> Leader | None:
    """None for no key, and for a directory."""
    if node is None or node.value is None:
        return None
    return Leader(node.value, node.created_index)


class Observed:
    """What was seen of an election so far."""

    def __init__(self) -> None:
        self._begun = False
        self._leader: Leader | None = None

    @property
    def leader(self) -> Leader | None:
        return self._leader

    def step(self, item: Event | Snapshot) -> bool:
        """Whether this shows another leader, another value of the same, or none where there was one.

        The first item always is one. A renewal is no event at all.
        """
        is_gone = isinstance(item, Event) and item.deleted
        seen = None if is_gone else leader_of(item.node)
        changed = not self._begun or seen != self._leader
        self._begun, self._leader = True, seen
        return changed
