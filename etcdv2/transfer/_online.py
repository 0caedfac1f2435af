"""Answers of a server as a tree.

Owns what HTTP cannot show and how the tree says so: hidden nodes below names that were not asked for, and bytes
that are no UTF-8, of which the node says `damaged`. Asks nothing: `_async/online.py` does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from etcdv2 import Node, NotDir, Response, Role, User
from etcdv2.transfer._tree import REPLACEMENT, AuthEntry, DumpNode, Tree, tree_from

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def tree_of_answers(
    made: int,
    first: Response,
    named: Sequence[str],
    found: Sequence[Response | None],
    enabled: bool | None,
    auth: tuple[AuthEntry, ...],
) -> Tree:
    """One read of the root, and one for each hidden key that was named (None: not there). Raises NotDir."""
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
        yield DumpNode(one.key, value, one.created_index, one.modified_index, nanoseconds(one.expiration), damaged)


def nanoseconds(moment: dt.datetime | None) -> int | None:
    """Since 1970."""
    if moment is None:
        return None
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def entries_of(roles: Iterable[Role], users: Iterable[User]) -> tuple[AuthEntry, ...]:
    """Over HTTP etcd shows the role `root`, which is in no store, and of a user only roles that exist."""
    entries = [
        AuthEntry("role", role.role, {"permissions": role.permissions.model_dump(mode="json")})
        for role in roles
        if role.role != "root"
    ]
    entries += [AuthEntry("user", user.user, {"roles": [role.role for role in user.roles]}) for user in users]
    return tuple(entries)
