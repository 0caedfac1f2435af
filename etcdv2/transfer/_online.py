"""A tree read over HTTP, sync and async.

Owns what is asked: one read with quorum, which is one moment, and one more for each hidden root that is
named. What HTTP cannot show stays out: hidden nodes below other names, and bytes that are no UTF-8, of
which the node says `damaged`.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Sequence

from etcdv2 import AsyncClient, Client, Node, NotDir, Response, Role, User
from etcdv2.transfer._tree import REPLACEMENT, AuthEntry, DumpNode, Tree, tree_from

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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
        return _tree(made, first, named, found, None, ())
    entries = _entries(client.auth.roles.list(), client.auth.users.list())
    return _tree(made, first, named, found, client.auth.enabled(), entries)


async def async_read_tree(
    client: AsyncClient, root: str = "/", *, hidden: Iterable[str] = (), auth: bool = False
) -> Tree:
    """The same as `read_tree`, with an AsyncClient."""
    made = time.time_ns()
    first = await client.keys.get(root, recursive=True, quorum=True)
    named = list(hidden)
    found = [await client.keys.get(key, recursive=True, quorum=True, default=None) for key in named]
    if not auth:
        return _tree(made, first, named, found, None, ())
    entries = _entries(await client.auth.roles.list(), await client.auth.users.list())
    return _tree(made, first, named, found, await client.auth.enabled(), entries)


def _tree(
    made: int,
    first: Response,
    named: Sequence[str],
    found: Sequence[Response | None],
    enabled: bool | None,
    auth: tuple[AuthEntry, ...],
) -> Tree:
    if not first.node.dir:
        raise NotDir("Not a directory", code=104, cause=first.node.key, index=first.index)
    nodes = [*_nodes(first.node, whole=False)]
    for response in found:
        if response is not None:
            nodes.extend(_nodes(response.node, whole=True))
    return tree_from(
        nodes,
        root=first.node.key,
        index=first.index,
        made=made,
        hidden="named" if named else "none",
        source={"kind": "http", "cluster_id": first.cluster_id},
        auth=auth,
        auth_enabled=enabled,
    )


def _nodes(node: Node, *, whole: bool) -> Iterator[DumpNode]:
    """All below a node; with `whole` itself too, unless it is the root."""
    for one in node.walk():
        if one.key == "/" or (one is node and not whole):
            continue
        value = None if one.dir else one.value or ""
        damaged = REPLACEMENT in one.key or REPLACEMENT in (value or "")
        yield DumpNode(one.key, value, one.created_index, one.modified_index, _nanoseconds(one.expiration), damaged)


def _nanoseconds(moment: dt.datetime | None) -> int | None:
    if moment is None:
        return None
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _entries(roles: Iterable[Role], users: Iterable[User]) -> tuple[AuthEntry, ...]:
    """Over HTTP etcd shows the role `root`, which is in no store, and of a user only roles that exist."""
    entries = [
        AuthEntry("role", role.role, {"permissions": role.permissions.model_dump(mode="json")})
        for role in roles
        if role.role != "root"
    ]
    entries += [AuthEntry("user", user.user, {"roles": [role.role for role in user.roles]}) for user in users]
    return tuple(entries)
