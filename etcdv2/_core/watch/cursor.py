"""Where a watch stands, and which of the server's events belong to it.

Owns the resume rule and the filters for the server's false positives (`spec/protocol.md` section 11). No I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from etcdv2._core.watch.one_history import Landmark, landmark_of
from etcdv2._types.results import Event
from etcdv2_api import KeysEvent

_REMOVALS = ("delete", "expire", "compareAndDelete")


class Cursor:
    """The position of one watch: `wait_index` is asked for next, None means "from now"."""

    __slots__ = (
        "_from_oldest",
        "_furthest",
        "_oldest_new",
        "_registered",
        "key",
        "landmark",
        "recursive",
        "seen",
        "wait_index",
    )

    def __init__(self, key: str, *, recursive: bool, wait_index: int | None) -> None:
        self.key = key.rstrip("/") or "/"
        self.recursive = recursive
        self.wait_index = wait_index
        self._oldest_new = wait_index or 0
        """What is older was seen, or came before this watch. `wait_index` may be later: there nothing was found."""
        self._registered = 0
        self.seen = 0
        """The highest index that the store has shown to this watch."""
        self._from_oldest = wait_index == 1
        self.landmark: Landmark | None = None
        """The last event, also where it was not one of this watch; None before the first."""
        self._furthest = wait_index or 0
        """The latest `wait_index` since the last event."""

    @property
    def registered(self) -> int:
        """X-Etcd-Index when the last poll was registered."""
        return self._registered

    def restart(self, index: int) -> None:
        """The state was read again at `index`: go on after it, even when that is less than before."""
        self.wait_index = self._oldest_new = self._furthest = index + 1
        self._registered = self.seen = index
        self.landmark = None

    def opened(self, index: int) -> None:
        """A poll was registered when the store was at `index`. From now on no event after that can be missed."""
        self._registered = index
        self.seen = max(self.seen, index)
        if self.wait_index is None:
            self.wait_index = self._oldest_new = self._furthest = index + 1

    def seek_oldest(self, cause: str) -> bool:
        """For a watch that begins at the oldest event: take it from a "cleared" error's cause, `... [oldest/asked]`.

        False when the watch did not ask for the oldest, or the cause has no index.
        """
        found = re.search(r"\[(\d{1,20})/\d+\]", cause)
        if not self._from_oldest or found is None:
            return False
        self.wait_index = max(int(found[1]), (self.wait_index or 0) + 1)
        return True

    def moved_to(self, index: int) -> None:
        """It is proved that nothing is missing up to `index` (`renewal` has the rules); what comes
        late is still new.
        """
        self.wait_index = max(self.wait_index or 0, index + 1)
        self._furthest = max(self._furthest, self.wait_index)

    @property
    def furthest(self) -> int:
        """Where `wait_index` was before it went back."""
        return max(self._furthest, self.wait_index or 0)

    def go_back(self) -> bool:
        """Ask from right behind the last event: what was proved since holds for one history (`one_history`).

        False when that is nothing else.
        """
        if self.landmark is None or self.wait_index == self.landmark.modified + 1:
            return False
        self.wait_index = self.landmark.modified + 1
        return True

    def go_forth(self) -> bool:
        """The history has left that index: ask from where the watch was before. False when that is nothing else."""
        if self.wait_index is None or self.wait_index >= self._furthest:
            return False
        self.wait_index = self._furthest
        return True

    def follows_on(self, changes: Iterable[KeysEvent]) -> bool:
        """Whether no event of the whole store lies between these changes, nor before the first of them."""
        expected = self.wait_index or 0
        for change in changes:
            index = 0 if change.node is None else change.node.modified_index
            if index > expected:
                return False
            expected = max(expected, index + 1)
        return True

    def accept(self, change: KeysEvent) -> Event | None:
        """Moves on behind `change`. Returns it as an event, or None when it was seen before or is not of this watch."""
        node = change.node
        if node is None:
            return None
        index = node.modified_index
        if index < self._oldest_new:
            return None
        # Perhaps back: it came later than was thought possible.
        self.wait_index = self._oldest_new = self._furthest = index + 1
        self.landmark = landmark_of(change)
        self.seen = max(self.seen, index)
        key = node.key
        ancestor = False
        if key != self.key:
            ancestor = self.is_above(key)
            if ancestor:
                if change.action not in _REMOVALS:
                    return None
            elif not self.is_below(key):
                return None
        value = None if change.action in _REMOVALS else node.value
        return Event(change.action, node, change.prev_node, value, ancestor)

    def is_above(self, key: str) -> bool:
        """Whether `key` is a directory above the watched key. The server's history test has no slash: /fo for /foo."""
        return self.key.startswith(f"{key.rstrip('/')}/") and key != self.key

    def is_below(self, key: str) -> bool:
        """Whether `key` is below the watched key and visible from there: history also delivers hidden keys."""
        if not self.recursive:
            return False
        start = "/" if self.key == "/" else f"{self.key}/"
        return key.startswith(start) and "/_" not in key[len(start) - 1 :]
