"""The deletion of a key that is not renewed, until it is certain; and no later one of the same name.

Owns that loop. Keys that are renewed are deleted by `held_key`.
"""

from __future__ import annotations

from random import Random

from etcdv2 import AsyncClient, CompareFailed, KeyNotFound, NotDir
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import async_sleep
from etcdv2.recipes._async.ephemeral import PASSING
from etcdv2.recipes._async.held_key import within
from etcdv2.recipes._lease import AGAIN_SECONDS, TRY_SECONDS


async def async_remove(client: AsyncClient, key: str, rng: Random, until: float) -> None:
    """Delete the key that is there now, whosever it is. At `until` raises what the last try ended in.

    Each deletion names an index: one that was given up and is carried out late deletes no later key.
    """
    token: int | None = None
    while True:
        try:
            left = min(TRY_SECONDS[1], until - clock.now())
            node = (await client.keys.get(key, quorum=True, timeout=within(left))).node
            if token is not None and node.created_index != token:
                return
            token = node.created_index
            left = min(TRY_SECONDS[1], until - clock.now())
            await client.keys.delete(key, prev_index=node.modified_index, repeat_writes=False, timeout=within(left))
            return

        # 1. It is gone: by one of our tries, or by somebody else.
        except (KeyNotFound, NotDir):
            return

        # 2. It was changed or renewed meanwhile, or nobody says what became of it.
        except (CompareFailed, *PASSING):
            if clock.now() >= until:
                raise
        await async_sleep(min(rng.uniform(*AGAIN_SECONDS), max(0.0, until - clock.now())))
