# Derived from etcdv2/transfer/_async/online.py by scripts/unasync.py: change that file, make generate.
"""A tree read over HTTP.

Owns what is asked: one read with quorum, which is one moment, and one more for each hidden root that is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from etcdv2 import Client
from etcdv2.transfer._online import entries_of, tree_of_answers
from etcdv2.transfer._tree import Tree


def read_tree(client: Client, root: str = "/", *, hidden: Iterable[str] = (), auth: bool = False) -> Tree:
    """The keys below `root`, read with quorum.

    hidden: keys of hidden files and directories to be read as well; what is not there is left out. Each
        is a read of its own, so they are of a later moment than the rest. auth: with users and roles,
        for which root's credentials are needed.

    Raises KeyNotFound, NotDir where the root is a file, and the errors of a call.
    """
    made = time.time_ns()
    first = client.keys.get(root, recursive=True, quorum=True)
    named = list(hidden)
    found = [client.keys.get(key, recursive=True, quorum=True, default=None) for key in named]
    if not auth:
        return tree_of_answers(made, first, named, found, None, ())

    entries = entries_of(client.auth.roles.list(), client.auth.users.list())
    return tree_of_answers(made, first, named, found, client.auth.enabled(), entries)
