"""What a watch reads beside its polls: the state to begin from, and how far the cluster is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from etcdv2._async.dispatcher import AsyncDispatcher, AsyncPoll
from etcdv2._core.call.policy import READS
from etcdv2._core.call.steps import Answered
from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.etcd_headers import Meta
from etcdv2._types.api_errors import ApiError, EtcdError, HistoryCleared, KeyNotFound, NotDir
from etcdv2._types.call_errors import ClusterChanged, StaleRead
from etcdv2._types.results import Snapshot
from etcdv2._types.settings import UNSET, TimeoutLike, Unset
from etcdv2_api import KeysEvent, operations


class AsyncStoreSeen(NamedTuple):
    """What an endpoint has just answered to a read."""

    endpoint: Endpoint
    meta: Meta


async def async_read_state(
    dispatcher: AsyncDispatcher, key: str, deadline: Deadline = NEVER, *, recursive: bool, quorum: bool = False
) -> Snapshot:
    """The key as it is, not older than what this client has seen: else a deletion could seem undone.

    `quorum`: what was seen does not count, as the store was put back.
    """
    call = operations.get_key(key, recursive=recursive or None, quorum=quorum or None)
    try:
        answered = await dispatcher.perform(call, READS["quorum" if quorum else "session"], deadline=deadline)
    except (KeyNotFound, NotDir) as error:  # NotDir: a file stands where a directory above the key would be
        return Snapshot(None, error.index)
    return Snapshot(answered.answer.node, answered.meta.index)


async def async_untouched_to(
    dispatcher: AsyncDispatcher, key: str, since: int, timeout: TimeoutLike | Unset = UNSET
) -> Answered[KeysEvent] | None:
    """The answer that shows that nothing has happened to the key after index `since`: it is a file, and older.

    None for what shows nothing: a directory, a key that is not there, one that has changed, nobody who answers. Raises
    ClusterChanged.
    """
    try:
        answered = await dispatcher.perform(operations.get_key(key), READS["session"], timeout)
    except ClusterChanged:
        raise
    except EtcdError:
        return None
    node = answered.answer.node
    untouched = node is not None and not node.dir and 0 < node.created_index <= node.modified_index <= since
    return answered if untouched else None


async def async_check_not_restored(
    dispatcher: AsyncDispatcher, probes: Iterable[str], wanted: int, poll: AsyncPoll | AsyncStoreSeen
) -> None:
    """For a poll at a member behind index `wanted`: it lags, or the whole store was put back to an older state.

    Raises HistoryCleared for that, StaleRead when that cannot be known now.
    """
    index = 0
    for probe in probes:
        index = index or await async_cluster_index(dispatcher, probe)
    if not index:  # no leader just now: ask again rather than wait for an index that may never come
        raise StaleRead(wanted, poll.meta.index)
    if index < wanted:
        text = f"The store went back from index {wanted} to {index}"
        raise HistoryCleared(text, code=401, index=index, endpoint=poll.endpoint.url)


async def async_see_store(
    dispatcher: AsyncDispatcher, probes: tuple[str, ...], deadline: Deadline = NEVER
) -> AsyncStoreSeen:
    """The store's index at whoever answers, not older than what this client has seen. Raises as `perform` does."""
    for probe in probes:
        try:
            answered = await dispatcher.perform(operations.get_key(probe), READS["session"], deadline=deadline)
        except ApiError as error:
            found = [one for one in dispatcher.endpoints if one.url == error.endpoint]
            if error.index and found:
                return AsyncStoreSeen(found[0], Meta(error.index, 0, 0, dispatcher.cluster_id))
            if probe == probes[-1]:  # its user may not read the watched key itself
                raise
        else:
            return AsyncStoreSeen(answered.endpoint, answered.meta)
    raise StaleRead(0, 0)


async def async_cluster_index(dispatcher: AsyncDispatcher, probe: str) -> int:
    """The store's index as the quorum has it; 0 when that cannot be known now."""
    try:
        answered = await dispatcher.perform(operations.get_key(probe, quorum=True), READS["quorum"])
    except ApiError as error:
        return error.index
    except EtcdError:
        return 0
    return answered.meta.index
