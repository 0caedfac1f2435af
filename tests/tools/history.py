"""What happened in a store, replayed change by change, and what is wrong with what a watch has delivered of it.

`HistoryReader` reads it from the server beside the writers, and `reconcile` holds the two against
each other: every index is accounted for. Owns what "exactly, or the hole named exactly" means.
Knows no client, no faults and no watches.
"""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from etcdv2 import Event, Snapshot
from etcdv2._core.watch.renewal import Ended
from tests.tools.writers import HELD, REMOVALS, Done, Ports, Record, Write, write_all

FORGOTTEN = 1000
"""Events that a server keeps: a hole that is smaller is none."""


class Change(NamedTuple):
    """One change, and what it met."""

    index: int
    action: str
    key: str
    value: str | None
    old: str | None
    """The value before."""
    took: frozenset[str]
    """What was there and went: the key and all below it."""


State = dict[str, str | None]
"""Key to value; None for a directory."""


class History:
    """The changes of a store that was empty at index `first`, replayed."""

    def __init__(self, done: Iterable[Done], first: int) -> None:
        self.first = first
        self._done = sorted(done)
        state: State = {}
        self.changes = [_apply(state, one) for one in self._done]
        self._state: State = {}
        self._applied = 0

    def state(self, index: int, key: str) -> State:
        """The files that a recursive read of `key` shows at `index`."""
        if self._applied and self._done[self._applied - 1].index > index:
            self._state, self._applied = {}, 0
        while self._applied < len(self._done) and self._done[self._applied].index <= index:
            _apply(self._state, self._done[self._applied])
            self._applied += 1
        files = ((one, value) for one, value in self._state.items() if value is not None)
        return {one: value for one, value in files if is_seen(key, True, one, "set")}


def _apply(state: State, done: Done) -> Change:
    key, old, took = done.key, state.get(done.key), frozenset[str]()
    if done.action in REMOVALS:
        took = frozenset([key, *(one for one in state if one.startswith(f"{key}/"))] if old is None else [key])
        for one in took:
            state.pop(one, None)
    else:
        above = key.rpartition("/")[0]
        while above and above not in state:
            state[above] = None
            above = above.rpartition("/")[0]
        state[key] = done.value
    return Change(done.index, done.action, key, done.value, old, took)


def is_seen(key: str, recursive: bool, changed: str, action: str) -> bool:
    """Whether a watch of `key` gets a change of the key `changed`."""
    if changed == key:
        return True
    if key.startswith(f"{changed}/"):
        return action in REMOVALS
    start = "/" if key == "/" else f"{key}/"
    return recursive and changed.startswith(start) and "/_" not in changed[len(start) - 1 :]


class Cleared(NamedTuple):
    """The watch raised HistoryCleared of `index` when it stood at `after`, and was begun again after `index`."""

    after: int
    index: int
    why: str = ""


Item = Event | Snapshot | Cleared


def objections(
    history: History, key: str, items: list[Item], *, recursive: bool, start: int, unpaced: bool = False
) -> Iterator[str]:
    """What is wrong with what a watch has delivered up to its last item; it stood at `start` before the first write.

    `unpaced`: the writers may make 5,000 entries between two looks of the client at the raft index. That cannot be told
    from a snapshot, so a loss may be named for it.
    """
    due = {c.index: c for c in history.changes if is_seen(key, recursive, c.key, c.action)}
    # A watch on what is not there gets nothing of what goes above (spec/protocol.md section 11).
    must = [c.index for c in due.values() if c.key == key or not key.startswith(f"{c.key}/") or key in c.took]

    def silent(after: int, until: int) -> Iterator[str]:
        for index in must[bisect_right(must, after) : bisect_right(must, until)]:
            yield f"{key}: not delivered {due[index]}"

    if start > history.first:
        yield f"{key}: begins after {start}, the writers after {history.first}"
    last = history.first
    for item in items:
        index = item.index
        if isinstance(item, Event):
            if index <= last:
                yield f"{key}: {index} after {last}"
                continue
            yield from silent(last, index - 1)
            change = due.get(index)
            above = change is not None and key.startswith(f"{change.key}/")
            if change is None or _seen(item) != (change.action, change.key, change.value, change.old, above):
                yield f"{key}: delivered {_seen(item)} of {index}, it was {change}"
        else:
            after = item.after if isinstance(item, Cleared) else last
            yield from silent(last, after)
            # The state is read again, too, where another process answers and nothing says that it has the same history.
            excused = unpaced and isinstance(item, Cleared) and Ended.LEAPT.value in item.why
            if isinstance(item, Cleared) and index <= after + FORGOTTEN and not excused:
                yield f"{key}: a hole from {after} to {index}, which the server still had: {item.why}"
            if isinstance(item, Snapshot) and _files(item) != history.state(index, key):
                yield f"{key}: the snapshot of {index} is not the state"
        last = index


def _seen(event: Event) -> tuple[str, str, str | None, str | None, bool]:
    old = None if event.prev_node is None else event.prev_node.value
    return event.action, event.key, event.value, old, event.ancestor


def _files(snapshot: Snapshot) -> State:
    return {node.key: node.value for node in snapshot.leaves()}


# --- the store's own history -----------------------------------------------------------------------------------------


class HistoryReader:
    """A thread that reads the store's own history, each index asked for by itself, not far behind the writers.

    Reads only what is past: that has the hidden keys too, which a waiting watch does not get (spec/protocol.md
    section 11).
    """

    def __init__(self, ports: Ports, record: Record, first: int) -> None:
        self.known: dict[int, Done] = {}
        self.next = first + 1
        self._ports, self._record = ports, record
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read what is left, and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.05):
                self._read_up_to(self._record.last)
            self._read_up_to(self._record.last)
        except BaseException as error:
            self.failure = error

    def _read_up_to(self, last: int) -> None:
        ends = time.monotonic() + HELD
        while self.next <= last:
            until = min(last + 1, self.next + 200)
            try:
                self._read(random.choice(self._ports()), range(self.next, until))
                self.next = until
            except (OSError, ValueError, IndexError):  # it went away within an answer, or nobody is there
                assert time.monotonic() < ends, "the history cannot be read"
                time.sleep(0.05)

    def _read(self, port: int, indexes: Iterable[int]) -> None:
        missing = list(indexes)
        for _ in range(2):  # a member that lags has a later one first
            found = write_all(port, [_first_event_from(index) for index in missing], at_once=50)
            assert len(found) == len(missing), "the reader was too slow"
            self.known |= {done.index: done for done in found}
            missing = [index for index in missing if index not in self.known]


def _first_event_from(index: int) -> Write:
    return Write("GET", f"/?wait=true&recursive=true&waitIndex={index}", {})


def reconcile(record: Record, reader: HistoryReader, first: int) -> tuple[list[Done], int]:
    """All changes after `first`, and how many indexes nobody knows. Fails where history and writers do not agree."""
    found = {index: done for index, done in reader.known.items() if first < index}
    for done in record.done.values():
        assert done.index <= first or found.get(done.index) == done, f"{done} is {found.get(done.index)} in the history"
    unknown = list(record.unknown)
    for index in sorted(found.keys() - record.done.keys()):
        done = found[index]
        if done.action == "expire":
            assert done.key in record.mortal, f"{done} has no TTL"
            continue
        mine = next((write for write in unknown if _may_be(write, done)), None)
        assert mine is not None, f"nobody made {done}"
        unknown.remove(mine)
    assert record.refreshed.isdisjoint(found), "a refresh has no event"
    nameless = set(range(first + 1, max(found) + 1)) - found.keys() - record.refreshed
    return [found[index] for index in sorted(found)], len(nameless)


def _may_be(write: Write, done: Done) -> bool:
    if "elete" in done.action:
        return write.method == "DELETE" and write.key == done.key
    in_place = done.key == write.key or (write.method == "POST" and done.key.startswith(f"{write.key}/"))
    return write.method != "DELETE" and in_place and write.form.get("value") == done.value
