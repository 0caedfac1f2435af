"""A tree read over HTTP.

Owns what is asked: one read with quorum, which is one moment, and one more for each hidden root that is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from etcdv2 import AsyncClient
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._online import entries_of, tree_of_answers
from etcdv2.transfer._tree import Tree


async def async_read_tree(
    client: AsyncClient,
    root: str = "/",
    *,
    hidden: Iterable[str] = (),
    auth: bool = False,
    timeout: float | None = None,
) -> Tree:
    """The keys below `root`, read with quorum.

    hidden: keys of hidden files and directories to be read as well; what is not there is left out. Each
        is a read of its own, so they are of a later moment than the rest. auth: with users and roles,
        for which root's credentials are needed. timeout: seconds for all of it, which each call may use up;
        None leaves each call to the client's own times.

    Raises KeyNotFound, NotDir where the root is a file, DeadlineExceeded, and the errors of a call.
    """
    return await async_tree_within(client, root, hidden, auth, Limit(timeout))


async def async_tree_within(client: AsyncClient, root: str, hidden: Iterable[str], auth: bool, limit: Limit) -> Tree:
    """The same within a limit that other calls share."""
    made = time.time_ns()
    first = await client.keys.get(root, recursive=True, quorum=True, **limit.call())
    named = list(hidden)
    found = [await client.keys.get(key, recursive=True, quorum=True, default=None, **limit.call()) for key in named]
    if not auth:
        return tree_of_answers(made, first, named, found, None, ())

    roles, users = await client.auth.roles.list(**limit.call()), await client.auth.users.list(**limit.call())
    enabled = await client.auth.enabled(**limit.call())
    return tree_of_answers(made, first, named, found, enabled, entries_of(roles, users))
