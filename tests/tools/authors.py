"""Writers who do everything that makes an event and know what each did, and what a watcher then has to tell.

Owns what "complete, or the hole named" means for one watch. Knows no faults and no cluster.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from etcdv2 import Client, ClusterUnavailable, Event, OutcomeUnknown, Snapshot, Timeout
from tests.tools.written import Done

REMOVALS = ("delete", "expire", "compareAndDelete")
TIMES = Timeout(connect=0.5, attempt=1, commit=3, total=15)
PLACES = 4
"""Files that each author changes again and again."""


class Told(NamedTuple):
    """One change, as its author knows it."""

    index: int
    action: str
    key: str
    value: str | None
    took: frozenset[str] = frozenset()
    """What was there below, when it was a directory that went."""


class Story:
    """What all authors together did."""

    def __init__(self) -> None:
        self.told: dict[int, Told] = {}
        self.expiring: dict[str, int] = {}
        """Keys left to expire, with the index of their making."""
        self.maybe: set[str] = set()
        """Keys of writes whose outcome is not known."""

    def add(self, response: Any, took: Iterable[str] = ()) -> None:
        node = response.node
        value = None if response.action in REMOVALS else node.value
        self.told[node.modified_index] = Told(node.modified_index, response.action, node.key, value, frozenset(took))

    def tell(self, done: Done) -> None:
        self.told[done.index] = Told(done.index, done.action, done.key, done.value)


class Author:
    """A thread with a client of its own, that writes below `/story/<name>`."""

    def __init__(self, endpoints: Any, story: Story, name: str, count: int, pause: float) -> None:
        self.home = f"/story/{name}"
        self._story = story
        self._count = count
        self._pause = pause
        self._random = random.Random(name)
        self._files: dict[int, str] = {}
        self._renamed = [0] * PLACES
        self._below: set[str] = set()
        self._dir = f"{self.home}/d0"
        self.failure: BaseException | None = None
        self._client = Client(endpoints, timeout=TIMES)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        deeds = [self._set, self._set, self._swap, self._update, self._delete, self._compare_and_delete]
        deeds += [self._queue, self._fill, self._fill, self._empty, self._hide, self._let_expire]
        try:
            with self._client:
                for number in range(self._count):
                    self._random.choice(deeds)(number)
                    time.sleep(self._pause)
        except BaseException as error:
            self.failure = error

    def _do(self, key: str, deed: Callable[[], Any], took: Iterable[str] = ()) -> Any:
        """The response; None when the outcome is unknown."""
        try:
            response = deed()
        except (OutcomeUnknown, ClusterUnavailable):
            self._story.maybe.add(key)
            return None
        self._story.add(response, took)
        return response

    def _place(self) -> tuple[int, str]:
        place = self._random.randrange(PLACES)
        return place, f"{self.home}/k{place}.{self._renamed[place]}"

    def _change(self, place: int, value: str | None, key: str, deed: Callable[[], Any]) -> None:
        """A write of one of the files; one whose outcome is unknown is not used any more."""
        if self._do(key, deed) is None:
            self._renamed[place] += 1
            value = None
        self._files.pop(place, None)
        if value is not None:
            self._files[place] = value

    def _set(self, number: int) -> None:
        place, key = self._place()
        self._change(place, f"{number}", key, lambda: self._client.keys.set(key, f"{number}"))

    def _swap(self, number: int) -> None:
        place, key = self._place()
        old = self._files.get(place)
        if old is not None:
            self._change(place, f"{number}", key, lambda: self._client.keys.set(key, f"{number}", prev_value=old))

    def _update(self, number: int) -> None:
        place, key = self._place()
        if place in self._files:
            self._change(place, f"{number}", key, lambda: self._client.keys.update(key, f"{number}"))

    def _delete(self, number: int) -> None:
        place, key = self._place()
        if place in self._files:
            self._change(place, None, key, lambda: self._client.keys.delete(key))

    def _compare_and_delete(self, number: int) -> None:
        place, key = self._place()
        old = self._files.get(place)
        if old is not None:
            self._change(place, None, key, lambda: self._client.keys.delete(key, prev_value=old))

    def _queue(self, number: int) -> None:
        try:
            self._story.add(self._client.keys.create_in_order(f"{self.home}/queue", f"{number}"))
        except (OutcomeUnknown, ClusterUnavailable):
            self._story.maybe.add(f"{self.home}/queue")

    def _fill(self, number: int) -> None:
        key = f"{self._dir}/{self._random.choice('xyz')}"
        if self._do(key, lambda: self._client.keys.set(key, f"{number}")) is None:
            self._dir, self._below = f"{self.home}/d{number}", set()
        else:
            self._below.add(key)

    def _empty(self, number: int) -> None:
        if not self._below:
            return
        where, took = self._dir, {self._dir, *self._below}
        if self._do(where, lambda: self._client.keys.delete(where, recursive=True), took) is None:
            self._dir = f"{self.home}/d{number}"
        self._below = set()

    def _hide(self, number: int) -> None:
        key = f"{self.home}/_hidden/{self._random.choice('xyz')}"
        self._do(key, lambda: self._client.keys.set(key, f"{number}"))

    def _let_expire(self, number: int) -> None:
        key = f"{self.home}/t{number}"
        response = self._do(key, lambda: self._client.keys.set(key, f"{number}", ttl=1))
        if response is not None:
            self._story.expiring[key] = response.node.modified_index


def is_told(key: str, recursive: bool, told: str, action: str) -> bool:
    """Whether a watch of `key` tells a change of the key `told`."""
    if told == key:
        return True
    if key.startswith(f"{told}/"):
        return action in REMOVALS
    start = "/" if key == "/" else f"{key}/"
    return recursive and told.startswith(start) and "/_" not in told[len(start) - 1 :]


def check(story: Story, key: str, items: list[Any], start: int, *, recursive: bool, end: int) -> int:
    """Fails unless the watch has told the story exactly, but for holes that it named; the number of these."""
    holes: list[tuple[int, int]] = []
    seen: dict[int, Event] = {}
    last = start
    for item in items:
        if isinstance(item, Snapshot):
            assert item.index > last or not seen, f"a snapshot of {item.index} after {last}"
            if item is not items[0]:
                holes.append((last, item.index))
            last = item.index
            start = start if seen or holes else item.index
            continue
        assert item.index > last, f"{item.index} after {last}"
        seen[item.index] = item
        last = item.index

    def in_hole(index: int) -> bool:
        return any(after < index <= until for after, until in holes)

    for told in story.told.values():
        if not start < told.index <= end or not is_told(key, recursive, told.key, told.action):
            assert told.index not in seen, f"not of {key}: {told}"
            continue
        above = key.startswith(f"{told.key}/")
        event = seen.get(told.index)
        if event is None:
            # A watch on what is not there gets nothing of what goes above (spec/protocol.md section 11).
            assert in_hole(told.index) or (above and key not in told.took), f"{key}: not told {told}, holes {holes}"
            continue
        assert (event.action, event.key, event.value, event.ancestor) == (told.action, told.key, told.value, above)
    for event in seen.values():
        if event.index not in story.told:
            unknown = any(f"{event.key}/".startswith(f"{one}/") for one in story.maybe)
            assert unknown or (event.action == "expire" and event.key in story.expiring), f"{key}: made up {event}"
    if recursive and not holes:
        expired = {event.key for event in seen.values() if event.action == "expire"}
        due = {one for one, made in story.expiring.items() if made > start and is_told(key, True, one, "expire")}
        assert due <= expired, f"{key}: no expiry of {sorted(due - expired)[:5]}"
    return len(holes)
