"""A directory that is to be there, whoever makes it: create, look, and again, until one or the other says so."""

from __future__ import annotations

import time

from etcdv2._async.dispatcher import AsyncDispatcher
from etcdv2._core import keys as key_calls
from etcdv2._core.call.policy import READS, CallPolicy
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import NEVER, Deadline, backoff
from etcdv2._core.keys import TTL
from etcdv2._runtime.primitives import async_sleep
from etcdv2._types.api_errors import EtcdError, KeyExists, KeyNotFound, NotDir
from etcdv2._types.call_errors import ClusterUnavailable, OutcomeUnknown
from etcdv2._types.results import Response
from etcdv2._types.settings import TimeoutLike, Unset

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
TRIES_WITHOUT_TOTAL = 8
"""When there is no total time."""


async def async_make_dir(
    dispatcher: AsyncDispatcher,
    key: str,
    ttl: TTL | None,
    policy: CallPolicy,
    timeout: TimeoutLike | Unset,
    deadline: Deadline = NEVER,
) -> Response:
    """Create the directory, or return the one that is there. Raises KeyExists for a file.

    A lost answer does no harm: what is there is read, and where nothing is, it is created again.
    OutcomeUnknown only when the time is over, or nobody answers any more.
    """
    deadline = min(deadline, Deadline.after(dispatcher.times(timeout).total, time.monotonic()))
    create = key_calls.make_dir(key, ttl)
    read = key_calls.get(key, recursive=False, sort=False, quorum=True)
    lost: OutcomeUnknown | None = None
    problem: EtcdError
    number = 0

    while True:
        # 1. It is created. Or something is there, or perhaps.
        number += 1
        refused = False
        try:
            return response_of(await dispatcher.perform(create, policy, timeout, deadline))
        except KeyExists as error:
            problem, refused = error, True
        except OutcomeUnknown as error:
            problem = lost = error
        except ClusterUnavailable as error:
            if lost is None:
                raise
            raise lost from error

        # 2. A directory is what was asked for.
        try:
            found = response_of(await dispatcher.perform(read, READS["quorum"], timeout, deadline))
        except (KeyNotFound, NotDir):
            pass
        except EtcdError as error:
            if lost is None:
                raise
            raise lost from error
        else:
            if found.node.dir:
                return found
            if refused:
                raise problem

        # 3. Nothing is there (any more), or a file, of which the server says so itself when it is asked again.
        if number >= TRIES_WITHOUT_TOTAL and deadline == NEVER:
            raise lost or problem
        pause = backoff(number, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        await async_sleep(deadline.cut(pause, time.monotonic()) or 0.0)
