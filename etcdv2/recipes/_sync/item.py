# Derived from etcdv2/recipes/_async/item.py by scripts/unasync.py: change that file, make generate.
"""An item that was taken from a queue: done, or given back.

Owns the order of its end: the item goes before its claim, so that a claim whose item is there is proof that nobody has
done it.
"""

from __future__ import annotations

from random import Random
from types import TracebackType
from typing import Self

from etcdv2 import Client, CompareFailed, KeyNotFound
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes._errors import LeaseLost
from etcdv2.recipes._lease import AGAIN_SECONDS, TRY_SECONDS
from etcdv2.recipes._sync.ephemeral import PASSING
from etcdv2.recipes._sync.held_key import within
from etcdv2.recipes._sync.lease import Lease


class Item:
    """An item of a queue that was claimed. `with` acknowledges it at the end, or gives it back on an error.

    The claim is renewed in the background. When it is lost (`lease.lost`), another consumer may have
    the item.
    """

    def __init__(self, client: Client, key: str, value: str, token: int, index: int, lease: Lease, rng: Random) -> None:
        self._client = client
        self._key = key
        self._value = value
        self._token = token
        self._index = index
        self._lease = lease
        self._rng = rng
        self._ended = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.lease!r}>"

    @property
    def id(self) -> str:
        """Its name in the queue."""
        return self._key.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Absolute."""
        return self._key

    @property
    def value(self) -> str:
        """As it was when the item was claimed."""
        return self._value

    @property
    def lease(self) -> Lease:
        """The claim. Its token rises each time that the item is given: it fences what a former consumer writes."""
        return self._lease

    def ack(self) -> None:
        """It is done: take it out of the queue, then end the claim. May be called again.

        After it returns the item is never given again. Raises LeaseLost when the claim was lost before
        that was certain: then another consumer may have it, or get it. Waits for an answer no longer
        than the claim is held.
        """
        if self._ended:
            return
        self._lease.check()
        self._delete()
        self._ended = True
        self._lease.release()

    def give_back(self) -> None:
        """It is not done: end the claim, so that another consumer gets it. May be called again."""
        self._ended = True
        self._lease.release()

    def _delete(self) -> None:
        """Delete the item, by its index. Raises LeaseLost."""
        while True:
            limit = within(min(TRY_SECONDS[1], self._lease.remaining))
            try:
                self._client.keys.delete(self._key, prev_index=self._index, repeat_writes=False, timeout=limit)
                return
            except KeyNotFound:  # by one of our own tries, or by an operator
                return

            # 1. Somebody has written to it: another item under this name is not ours to take out.
            except CompareFailed:
                if not self._is_there():
                    return

            # 2. Once more, also where it may have been done: a late one finds nothing.
            except PASSING:
                sleep(self._rng.uniform(*AGAIN_SECONDS))
            self._lease.check()

    def _is_there(self) -> bool:
        """Whether the item is there, with which index; True where nobody says."""
        try:
            limit = within(min(TRY_SECONDS[1], self._lease.remaining))
            node = (self._client.keys.get(self._key, quorum=True, timeout=limit)).node
        except KeyNotFound:
            return False
        except PASSING:
            sleep(self._rng.uniform(*AGAIN_SECONDS))
            return True
        self._index = node.modified_index
        return node.created_index == self._token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.ack()
            return
        lost = not self._ended and not self._lease.held
        self.give_back()
        if lost and not isinstance(error, LeaseLost):
            error.add_note(f"the claim of {self._key} was lost: {self._lease.reason}")
