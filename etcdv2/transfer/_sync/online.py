# Derived from etcdv2/transfer/_async/online.py by scripts/unasync.py: change that file, make generate.
"""A tree read over HTTP.

Owns what is asked: one read with quorum, which is one moment, and one more for each hidden root that is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from etcdv2 import Client
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._online import entries_of, tree_of_answers
from etcdv2.transfer._tree import Tree


def read_tree(
    client: Client,
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
    return tree_within(client, root, hidden, auth, Limit(timeout))


def tree_within(client: Client, root: str, hidden: Iterable[str], auth: bool, limit: Limit) -> Tree:
    """The same within a limit that other calls share."""
    made = time.time_ns()
    first = client.keys.get(root, recursive=True, quorum=True, **limit.call())
    named = list(hidden)
    found = [client.keys.get(key, recursive=True, quorum=True, default=None, **limit.call()) for key in named]
    if not auth:
        return tree_of_answers(made, first, named, found, None, ())

    roles, users = client.auth.roles.list(**limit.call()), client.auth.users.list(**limit.call())
    enabled = client.auth.enabled(**limit.call())
    return tree_of_answers(made, first, named, found, enabled, entries_of(roles, users))
