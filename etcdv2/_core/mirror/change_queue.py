"""What one reader of a mirror has not taken yet, and how it catches up. No I/O."""

from __future__ import annotations

from collections import deque

from etcdv2._core.mirror.tree import MirrorTree
from etcdv2._types.mirror import Change, MirrorState, Subtree


class ChangeQueue:
    """Holds at most `size` changes and those of one event more.

    What comes when it is full is left out, and caught up with by a comparison of two states.
    """

    def __init__(self, size: int, key: str | None = None) -> None:
        """`key`: only of this file, or of what is below this directory; None for all."""
        self._size = size
        self._subtree = None if key is None else Subtree(key)
        self._waiting: deque[Change] = deque()
        self._reached: MirrorState | None = None
        """The state up to which nothing was left out; None while nothing was."""

    def __repr__(self) -> str:
        of = "" if self._subtree is None else f" of {self._subtree.key}"
        full = "" if self._reached is None else f", full since {self._reached.index}"
        return f"<{type(self).__name__}{of}: {len(self._waiting)} waiting{full}>"

    @property
    def waiting(self) -> int:
        """How many changes are held."""
        return len(self._waiting)

    def wanted(self, changes: list[Change]) -> list[Change]:
        """Those that this reader is for."""
        subtree = self._subtree
        return changes if subtree is None else [one for one in changes if subtree.segments(one.key) is not None]

    def offer(self, changes: list[Change], tree: MirrorTree) -> None:
        """`changes` have just been made to `tree`."""
        if self._reached is not None:
            return
        self._waiting.extend(self.wanted(changes))
        if len(self._waiting) > self._size:
            self._reached = tree.freeze()

    def take(self) -> Change | None:
        """The oldest change, None when none is held."""
        return self._waiting.popleft() if self._waiting else None

    def catch_up(self, tree: MirrorTree) -> tuple[MirrorState, MirrorState] | None:
        """When all is taken and some was left out: two states to compare. None when nothing was."""
        reached, self._reached = self._reached, None
        return None if reached is None else (reached, tree.freeze())
