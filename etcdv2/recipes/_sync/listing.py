# Derived from etcdv2/recipes/_async/listing.py by scripts/unasync.py: change that file, make generate.
"""The entries of one directory, for all of a session that contend there at the same time.

Owns that they share a listing. Who comes before whom is the affair of `contest`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from etcdv2 import Client, KeyNotFound, NotDir, Response, Timeout
from etcdv2._runtime.primitives import Pulse
from etcdv2.recipes._contest import Entry

Found = tuple[int, tuple[Entry, ...]]
"""The index of a listing, and what it has."""


def list(client: Client, key: str, limit: Timeout, *, quorum: bool = False) -> Found:
    """All entries there are, in one request. Raises what a read raises, NotDir for a file."""
    try:
        if quorum:
            listing = client.keys.get(key, quorum=True, timeout=limit)
        else:
            listing = client.keys.get(key, consistency="session", timeout=limit)
    except KeyNotFound as error:
        return error.index, ()
    if not listing.node.dir:
        raise NotDir("Not a directory", code=104, cause=key, index=listing.index)
    return listing.index, entries_of(listing)


def entries_of(listing: Response) -> tuple[Entry, ...]:
    """The files of a listing."""
    nodes = listing.node.nodes or ()
    return tuple(
        Entry(node.key.rpartition("/")[2], node.created_index, node.value) for node in nodes if node.value is not None
    )


class Listing:
    """One listing at a time: whoever comes while it is under way gets the next one, with all others that came.

    A thousand that list a thousand entries each would take so long that each had to begin again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._found: tuple[int, Found] | None = None
        """The newest, with its number among those that were begun."""
        self._under_way: Pulse | None = None

    def begun_from_now_on(self, read: Callable[[], Found], seconds: Callable[[], float]) -> Found:
        """A listing that begins after this call, by whomever. Raises what `read` raises, for whom it was.

        `seconds`: how long to wait for another's at the most; then this one lists by itself, as it does
        when the other has failed.
        """
        before = self._begun
        while True:
            # 1. One that was begun since then; or the next, by the first that comes here.
            with self._lock:
                if self._found is not None and self._found[0] > before:
                    return self._found[1]
                other = self._under_way
                if other is None:
                    self._begun += 1
                    number, mine = self._begun, Pulse()
                    self._under_way = mine
                    break

            # 2. Another's, which may have been begun too early, may fail, or be given up at any line.
            if not other.wait(seconds()):
                with self._lock:
                    if self._under_way is other:
                        self._under_way = None

        try:
            found = read()
            with self._lock:
                if self._found is None or self._found[0] < number:
                    self._found = number, found
            return found
        finally:
            with self._lock:
                if self._under_way is mine:
                    self._under_way = None
            mine.set()
