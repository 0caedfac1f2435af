"""A queue: items that programs put and others take, each by one at a time, until one says that it is done.

Owns what users call. The live copy that consumers choose from and the way of one `get` are the affair of `taking`.
"""

from __future__ import annotations

from math import inf

from etcdv2 import KeyNotFound
from etcdv2._runtime import clock
from etcdv2.recipes._arguments import check_segment, check_text, check_timeout
from etcdv2.recipes._async.item import AsyncItem
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.making import CREATE_SECONDS
from etcdv2.recipes._async.putting import AsyncPutting
from etcdv2.recipes._async.taking import AsyncQueueCopy, AsyncTaking
from etcdv2.recipes._async.waiting import WaitOver
from etcdv2.recipes._lease import LeaseTimes
from etcdv2.recipes._queue import count, is_item, items_of


class AsyncQueue:
    """A queue that survives its consumers: made by a session, used by any number of tasks or threads.

        queue.put("resize 17.png")
        with queue.get() as item:
            work(item.value)

    A consumer claims an item, by a key that is renewed; it deletes the item when it is done. When it
    dies, another one gets the item after the TTL. Items come nearly in their order: each consumer
    takes one of the first 16, so that they do not all go for the same.

    Guarantees: a put that returned is given to a consumer at least once, and never again after an
    `ack` that returned; at most one claim of an item is held at a time, as for a lock. So it is done
    once unless a consumer dies or loses its claim. A put whose answer was lost is one item all the
    same, unless a member that was paused for more than twice the TTL carries it out then, or `id` is
    given: an item of that name may come again after it was done.
    """

    def __init__(self, keeping: AsyncKeeping, key: str, times: LeaseTimes) -> None:
        self._keeping = keeping
        self._key = key
        self._times = times

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key}>"

    @property
    def key(self) -> str:
        """The directory, absolute: the items are in `items`, the claims in `claims`."""
        return self._key

    async def put(self, value: str, *, id: str | None = None, timeout: float | None = None) -> str:
        """Put an item, and return its id, which is its name in the queue.

        `id`: one key segment, not beginning with "_". While there is an item of this name nothing is
        put, and what is there keeps its value. Takes at most `timeout` seconds, by default 20, then
        raises what the last try ended in: after OutcomeUnknown it may be there.
        """
        self._keeping.check_open()
        check_timeout(timeout)
        check_text("value", value)
        until = clock.now() + (CREATE_SECONDS if timeout is None else timeout)
        keeping = self._keeping
        putting = AsyncPutting(keeping.client, self._key, value, self._times, keeping.rng, until)
        return await putting.unnamed() if id is None else await putting.named(check_segment("id", id))

    async def get(self, *, timeout: float | None = None) -> AsyncItem | None:
        """Claim an item, and wait for one where there is none: None when `timeout` seconds are over; 0 looks once.

        Failures of members are endured until then. The first `get` of a session begins a live copy of
        the queue (see `close`), for which a `timeout` of 0 waits up to 20 s.

        Raises AcquireCancelled when the session is closed, and ClusterChanged, Unauthorized and
        other errors that no other try can mend.
        """
        check_timeout(timeout)
        keeping = self._keeping
        keeping.check_open()
        until = inf if timeout is None else clock.now() + timeout
        copy = AsyncQueueCopy.of(keeping, self._key)
        if not await copy.begin(CREATE_SECONDS if timeout == 0 else None if timeout is None else timeout):
            return None
        taking = AsyncTaking(keeping, copy, self._times, until)
        keeping.waits.add(taking)
        try:
            return await taking.run()
        except WaitOver:
            return None

    def __len__(self) -> int:
        """How many items there are, claimed ones included, as last seen. No I/O. Raises ValueError before a `get`."""
        state = AsyncQueueCopy.of(self._keeping, self._key).state()
        return sum(is_item(node) for node in state.children(items_of(self._key)))

    def __bool__(self) -> bool:
        """True: whether anything is in it is the affair of `len` and `pending`."""
        return True

    async def pending(self) -> int:
        """How many items nobody has claimed. By a quorum read of the whole queue; raises what that raises."""
        return (await self._count())[0]

    async def claimed(self) -> int:
        """How many items are claimed. By a quorum read of the whole queue; raises what that raises."""
        return (await self._count())[1]

    async def close(self) -> None:
        """End the live copy that `get` uses, and the `get`s under way; the next one begins another. Items are kept."""
        await AsyncQueueCopy.of(self._keeping, self._key).close()

    async def _count(self) -> tuple[int, int]:
        self._keeping.check_open()
        try:
            return count((await self._keeping.client.keys.get(self._key, recursive=True, quorum=True)).node, self._key)
        except KeyNotFound:
            return 0, 0
