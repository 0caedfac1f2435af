"""python-etcd's `Lock`, with its layout on the server: old programs and new ones share a lock.

Entries are keys in order below `{lock_prefix}/{name}`, with a uuid as value; who has the lowest name
holds the lock. Nothing renews an entry but `acquire`, and its time counts from when it was made.

Nothing of it is `etcdv2.recipes`': those keep entries of other names, by an owner and a random number;
they renew them in the background, which python-etcd's programs do not expect of a lock that is to
run out; and they send by an etcdv2.Client, where here all goes through the client's `read`, `write`,
`delete` and `watch`, which programs replace. A recipe says when a lock is lost; this cannot.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import etcdv2  # its names are imported when they are asked for
from etcdv2.compat.python_etcd import _errors
from etcdv2.compat.python_etcd._advice import advise
from etcdv2.compat.python_etcd._arguments import sanitized

_log = logging.getLogger("etcdv2.compat.python_etcd")

PAUSE_SECONDS = 1.0
"""Before the entries are looked at again when the cluster could not be reached."""
RELEASE_SECONDS = 5.0
"""How long the deletion of an entry is tried again: an election takes less."""
NO_LEADER = frozenset({300, 301})
"""Codes of a member without leader: what was asked of it may still be done."""
_ENDS = (_errors.EtcdLockExpired, _errors.EtcdInsufficientPermissions, _errors.EtcdClusterIdChanged)
"""What waiting does not mend."""


class Lock:
    """A lock of a name, by its entry on the server.

    `is_taken`: whether this object holds it as far as it knows; `is_acquired` asks the server.
    """

    def __init__(self, client: Any, lock_name: str) -> None:
        advise("Lock")
        self.client = client
        self.name = lock_name
        self.path = f"{client.lock_prefix}/{lock_name}"
        self.is_taken = False
        self._sequence: str | None = None
        self._uuid = uuid.uuid4().hex
        self._doubtful = False
        """Whether there may be an entry of its uuid that no answer has told of."""
        self._listed = 0
        """etcd's index when the entries were listed last."""

    @property
    def uuid(self) -> str:
        """The value of its entry. It may be set to that of an entry that is there, else ValueError."""
        return self._uuid

    @uuid.setter
    def uuid(self, value: str) -> None:
        before = (self._uuid, self._sequence)
        self._uuid, self._sequence = value, None
        if not self._find_lock():
            self._uuid, self._sequence = before
            raise ValueError("Inexistent UUID")

    @property
    def lock_key(self) -> str:
        """The key of its entry. Raises ValueError where it has none."""
        if not self._sequence:
            raise ValueError("No sequence present.")
        return f"{self.path}/{self._sequence}"

    @property
    def is_acquired(self) -> bool:
        """Whether it is taken, and its entry still there."""
        if not self.is_taken:
            return False
        try:
            self.client.read(self.lock_key, quorum=True)
        except _errors.EtcdKeyNotFound:
            self.is_taken = False
        return self.is_taken

    def acquire(self, blocking: bool = True, lock_ttl: Any = 3600, timeout: float = 0) -> bool:
        """Queue for the lock, or renew the entry that is there.

        `lock_ttl`: seconds, None for ever. `timeout`: seconds to wait for others at most, 0 for ever; each
        call to the server may take the client's `read_timeout` beside. With `blocking=False` it returns
        False where somebody else holds it; the entry then keeps its place, for the next `acquire`, until
        `release`.

        Raises EtcdWatchTimedOut when the time is over, and EtcdLockExpired when the entry is gone. Whatever
        ends a wait, a KeyboardInterrupt, too: the entry is deleted then.
        """
        ends = time.monotonic() + timeout if timeout > 0 else None
        held = self.is_taken
        try:
            if not self._renewed(lock_ttl):
                held = False
                self._enter(lock_ttl)
            return self._acquired(blocking=blocking, ends=ends)
        except _errors.EtcdClusterIdChanged:
            self._sequence = None  # there it may be somebody else's
            raise
        except BaseException:
            # Of a lock that was held before somebody may still rely on the entry.
            if blocking and not held:
                self._give_up()
            raise

    def release(self) -> None:
        """Delete the entry. Raises ValueError for a lock that never had one.

        Where nobody answers, or there is no leader, it is tried again for some seconds: there is never
        another entry of this name.
        """
        if not self._sequence:
            self._find_lock()
        try:
            self._delete(self.lock_key)
            self._delete_others()
        finally:
            self.is_taken = False

    def __enter__(self) -> Self:
        self.acquire(blocking=True, lock_ttl=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    # --- entries ---------------------------------------------------------------------------------------------------

    def _renewed(self, lock_ttl: Any) -> bool:
        """Whether its entry is there, which then has all of `lock_ttl` before it."""
        if not self._find_lock():
            return False
        if lock_ttl:
            # It may run out just now, and somebody else hold the lock: made again it would be the first one.
            try:
                self.client.write(self.lock_key, self.uuid, ttl=lock_ttl, prevExist=True)
            except _errors.EtcdKeyNotFound:
                return False
        return True

    def _enter(self, lock_ttl: Any) -> None:
        """Make the entry. Where it may be there without an answer, it is looked for by its uuid."""
        before, self._doubtful, self._sequence = self._doubtful, True, None
        try:
            self._set_sequence(self.client.write(self.path, self.uuid, ttl=lock_ttl, append=True).key)
        except _errors.EtcdException as error:
            if not _may_be_done(error):
                self._doubtful = before
                raise
            if not self._find_lock():
                raise
        self._doubtful = before

    def _give_up(self) -> None:
        """Delete what a wait leaves, once: an exception is on its way. What stays is found again, or runs out."""
        self.is_taken = False
        with suppress(_errors.EtcdException):
            if self._sequence:
                self.client.delete(self.lock_key)
        with suppress(_errors.EtcdException):
            self._delete_others()

    def _delete(self, key: str) -> None:
        """Raises what the last try ended in."""
        ends = time.monotonic() + RELEASE_SECONDS
        while True:
            try:
                self.client.delete(key)
            except _errors.EtcdKeyNotFound:
                _log.info("lock %s is gone already", key)
            except _errors.EtcdException as error:
                passing = isinstance(error, _errors.EtcdConnectionFailed) or _may_be_done(error)
                if not passing or time.monotonic() >= ends:
                    raise
                _log.warning("deleting %s again: %s", key, error)
                time.sleep(PAUSE_SECONDS / 4)
                continue
            return

    def _delete_others(self) -> None:
        """Entries of the same uuid, which a server has made later than it could say."""
        if not self._doubtful:
            return
        with suppress(_errors.EtcdKeyNotFound):
            for one in self._entries():
                if one.value == self._uuid:
                    self._delete(one.key)

    def _set_sequence(self, key: str) -> None:
        self._sequence = key.rpartition("/")[2]

    def _entries(self) -> list[Any]:
        """All of them, in their order. None may be missing, so it is not a member's own state that counts.

        Raises EtcdKeyNotFound where there is no directory of them.
        """
        found = self.client.read(self.path, recursive=True, quorum=True)
        self._listed = getattr(found, "etcd_index", 0)

        # What is deeper belongs to a lock whose name begins with this one's.
        path = sanitized(self.path).rstrip("/")
        mine = [one for one in found.leaves if not one.dir and one.key.rpartition("/")[0] == path]
        return sorted(mine, key=lambda one: one.key)

    def _find_lock(self) -> bool:
        """Whether its entry is there: by its name, else by the uuid."""
        try:
            if self._sequence:
                self._uuid = self.client.read(self.lock_key, quorum=True).value
                return True
            mine = next((one for one in self._entries() if one.value == self._uuid), None)
        except _errors.EtcdKeyNotFound:
            return False
        if mine is not None:
            self._set_sequence(mine.key)
        return mine is not None

    def _get_locker(self) -> tuple[str, Any]:
        """The key of the entry that holds the lock, and the one before the own, None when that is it."""
        if not self._sequence:
            self._find_lock()
        try:
            entries = self._entries()
        except _errors.EtcdKeyNotFound:
            entries = []

        # An entry that came without an answer may be before the one that was made after it.
        own = next((at for at, one in enumerate(entries) if self._is_own(one)), None)
        if own is None:
            self.is_taken = False
            raise _errors.EtcdLockExpired("Lock not found")
        self._set_sequence(entries[own].key)
        return entries[0].key, entries[own - 1] if own else None

    def _is_own(self, entry: Any) -> bool:
        name: str = entry.key.rpartition("/")[2]
        return name == self._sequence or (self._doubtful and entry.value == self._uuid)

    def _acquired(self, blocking: bool = True, ends: float | None = None) -> bool:
        """Wait until no entry is before the own."""
        while True:
            self.is_taken = False
            try:
                _, nearest = self._get_locker()
                if nearest is None:
                    self.is_taken = True
                    return True
                if not blocking:
                    return False

                # From the listing on: of what was before the server may have no memory, and says so at once.
                index = max(nearest.modifiedIndex, self._listed) + 1
                self.client.watch(nearest.key, index=index, timeout=_left(ends))

            # Whatever has become of the entry before: the next look at all of them says so.
            except (_errors.EtcdWatchTimedOut, *_ENDS):
                raise
            except (_errors.EtcdKeyNotFound, _errors.EtcdEventIndexCleared):
                _left(ends)
            except _errors.EtcdException as error:
                if not blocking:
                    raise
                _log.warning("waiting for lock %s: %s", self.path, error)
                time.sleep(min(PAUSE_SECONDS, _left(ends) or PAUSE_SECONDS))


def _may_be_done(error: _errors.EtcdException) -> bool:
    """Whether a write that was answered so may be carried out, now or later."""
    if isinstance(error, _errors.EtcdConnectionFailed):
        return isinstance(error.cause, etcdv2.OutcomeUnknown)
    return (error.payload or {}).get("errorCode") in NO_LEADER


def _left(ends: float | None) -> float:
    """Seconds until then, as `watch` takes them: 0 is for ever. Raises EtcdWatchTimedOut when there are none."""
    if ends is None:
        return 0
    left = ends - time.monotonic()
    if left <= 0:
        raise _errors.EtcdWatchTimedOut("timed out while waiting for the lock", cause=TimeoutError("timed out"))
    return left
