"""Many writes, so many at a time: what waits, waits here and not for a connection.

Owns the bound, and what is done after a failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core.call.policy import CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.keys import KeysCall
from etcdv2._runtime.primitives import async_at_once, async_checkpoint
from etcdv2._types.api_errors import EtcdError
from etcdv2._types.call_errors import ManyFailed
from etcdv2._types.results import Response
from etcdv2._types.settings import TimeoutLike, Unset


async def async_write_many(
    dispatcher: AsyncDispatcher,
    calls: Sequence[tuple[str, KeysCall]],
    concurrency: int,
    policy: CallPolicy,
    timeout: TimeoutLike | Unset,
) -> tuple[Response, ...]:
    """The responses in the order of the calls, each a key and its write.

    After a failure none is begun any more, and those under way are waited for. Raises ManyFailed.
    """
    await dispatcher.check_open()
    if not calls:
        await async_checkpoint()
    work = enumerate(calls)
    done: dict[int, Response] = {}
    failed: dict[int, EtcdError] = {}
    begun: set[int] = set()
    ended = False

    async def run() -> None:
        nonlocal ended
        while not ended and (item := next(work, None)) is not None:
            place, (_, call) = item
            begun.add(place)
            try:
                done[place] = response_of(await dispatcher.perform(call, policy, timeout))
            except EtcdError as error:
                failed[place], ended = error, True
            except BaseException:  # cancelled, interrupted: nothing more is begun
                ended = True
                raise

    await async_at_once(min(concurrency, len(calls)), run)
    if failed:
        keys = [key for key, _ in calls]
        raise ManyFailed(
            {keys[place]: done[place] for place in sorted(done)},
            {keys[place]: failed[place] for place in sorted(failed)},
            tuple(key for place, key in enumerate(keys) if place not in begun),
        ) from failed[min(failed)]
    return tuple(done[place] for place in range(len(calls)))
