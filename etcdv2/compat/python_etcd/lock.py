"""python-etcd's `Lock`, with its layout on the server: old programs and new ones share a lock.

Entries are keys in order below `{lock_prefix}/{name}`, with a uuid as value; who has the lowest name
holds the lock. Nothing renews an entry but `acquire`. Recipes of etcdv2 have another layout, renew by
themselves, and say when a lock is lost: see `etcdv2.recipes`.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from etcdv2 import OutcomeUnknown
from etcdv2.compat.python_etcd import _errors
from etcdv2.compat.python_etcd._advice import advise

_log = logging.getLogger("etcdv2.compat.python_etcd")

PAUSE_SECONDS = 1.0
"""Before the entries are looked at again when the cluster could not be reached."""
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

    @property
    def uuid(self) -> str:
        """The value of its entry. It may be set to that of an entry that is there, else ValueError."""
        return self._uuid

    @uuid.setter
    def uuid(self, value: str) -> None:
        before, self._uuid = self._uuid, value
        if not self._find_lock():
            self._uuid = before
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

        `lock_ttl`: seconds, None for ever. `timeout`: seconds to wait at most, 0 for ever. With
        `blocking=False` it returns False where somebody else holds it; the entry then keeps its place,
        for the next `acquire`, until `release`.

        Raises EtcdWatchTimedOut when the time is over: the entry is deleted then. Raises
        EtcdLockExpired when the entry is gone.
        """
        ends = time.monotonic() + timeout if timeout > 0 else None
        if not self._find_lock():
            self._enter(lock_ttl)
        elif lock_ttl:
            self.client.write(self.lock_key, self.uuid, ttl=lock_ttl)

        try:
            return self._acquired(blocking=blocking, ends=ends)
        except _errors.EtcdWatchTimedOut:
            with suppress(_errors.EtcdException):
                self.client.delete(self.lock_key)
            self._sequence = None
            raise

    def release(self) -> None:
        """Delete the entry. Raises ValueError for a lock that never had one."""
        if not self._sequence:
            self._find_lock()
        try:
            self.client.delete(self.lock_key)
        except _errors.EtcdKeyNotFound:
            _log.info("lock %s is gone already", self.lock_key)
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

    def _enter(self, lock_ttl: Any) -> None:
        """Make the entry. Where the answer is lost, it is looked for by its uuid."""
        try:
            self._set_sequence(self.client.write(self.path, self.uuid, ttl=lock_ttl, append=True).key)
        except _errors.EtcdConnectionFailed as error:
            if not isinstance(error.cause, OutcomeUnknown) or not self._find_lock():
                raise

    def _set_sequence(self, key: str) -> None:
        self._sequence = key.removeprefix(self.path).lstrip("/")

    def _entries(self) -> list[Any]:
        """All of them, in their order. None may be missing, so it is not a member's own state that counts."""
        found = [one for one in self.client.read(self.path, recursive=True, quorum=True).leaves if not one.dir]
        return sorted(found, key=lambda one: one.key)

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
        entries = self._entries()
        keys = [one.key for one in entries]
        if self.lock_key not in keys:
            self.is_taken = False
            raise _errors.EtcdLockExpired("Lock not found")
        own = keys.index(self.lock_key)
        return keys[0], entries[own - 1] if own else None

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
                self.client.watch(nearest.key, index=nearest.modifiedIndex + 1, timeout=_left(ends))

            # Whatever has become of the entry before: the next look at all of them says so.
            except (_errors.EtcdWatchTimedOut, *_ENDS):
                raise
            except (_errors.EtcdKeyNotFound, _errors.EtcdEventIndexCleared):
                continue
            except _errors.EtcdException as error:
                if not blocking:
                    raise
                _log.warning("waiting for lock %s: %s", self.path, error)
                time.sleep(min(PAUSE_SECONDS, _left(ends) or PAUSE_SECONDS))


def _left(ends: float | None) -> float:
    """Seconds until then, as `watch` takes them: 0 is for ever. Raises EtcdWatchTimedOut when there are none."""
    if ends is None:
        return 0
    left = ends - time.monotonic()
    if left <= 0:
        raise _errors.EtcdWatchTimedOut("timed out while waiting for the lock", cause=TimeoutError("timed out"))
    return left
