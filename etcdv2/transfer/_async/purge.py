"""The v2 store of a cluster is emptied over HTTP.

Owns the safeguards: the cluster is named, nobody else writes, and a dump is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from etcdv2 import AsyncClient
from etcdv2._runtime.primitives import async_sleep
from etcdv2._runtime.spread import async_aside
from etcdv2.transfer._async.online import async_tree_within
from etcdv2.transfer._dumpfile import write_dump
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._purge import NotPurged, Purged, tops


async def async_purge(
    client: AsyncClient,
    *,
    cluster_id: str,
    dump: str | os.PathLike[str] | None,
    keep: Iterable[str] = (),
    hidden: Iterable[str] = (),
    auth: bool = False,
    dry_run: bool = True,
    observe: float = 2.0,
    timeout: float | None = None,
) -> Purged:
    """Delete everything from the v2 store of the cluster with this id. Nothing is deleted with `dry_run`.

    dump: a file in which all that is deleted is kept first; None for none. keep: directly below the root,
        what stays. hidden: hidden keys to be deleted as well; a member's data directory has their names
        (`check_directory`). auth: users and roles as well, after auth was switched off; etcd keeps the
        role root and an empty directory. observe: seconds in which nobody may write. timeout: seconds for
        all of it, as of `read_tree`.

    Afterwards no quorum read and no /health, with v2 on, until `Purged.recipe` is done: each writes a v2
    request into the log. Raises NotPurged where it is another cluster, somebody writes (which the store's
    index shows at each deletion, too), or something is there again; DeadlineExceeded, and the errors of a
    call. What was deleted before is gone.
    """
    limit = Limit(timeout)

    # 1. The right cluster, at rest.
    kept, named = {"/" + key.strip("/") for key in keep}, ["/" + key.strip("/") for key in hidden]
    before = await async_tree_within(client, "/", named, auth, limit)
    if before.source["cluster_id"] != cluster_id:
        raise NotPurged(f"the cluster is {before.source['cluster_id']}, and not {cluster_id}")
    await async_sleep(limit.cut(observe))
    tree = await async_tree_within(client, "/", named, auth, limit)
    if tree.index != before.index:
        raise NotPurged(f"somebody writes: the index grew from {before.index} to {tree.index} within {observe} s")
    doomed = tops(tree, named, kept)
    users = tuple(entry.name for entry in tree.auth if entry.kind == "user")
    roles = tuple(entry.name for entry in tree.auth if entry.kind == "role")
    if dump is not None:
        await async_aside(partial(write_dump, tree, dump))
    if dry_run:
        return Purged(doomed, users, roles, True)

    # 2. Keys, then users and roles.
    await _delete_keys(client, doomed, tree.index, limit)
    if tree.auth_enabled:
        await client.auth.disable(**limit.call())
    for name in users:
        await client.auth.users.delete(name, **limit.call())
    for name in roles:
        await client.auth.roles.delete(name, **limit.call())

    # 3. Nothing has come back. Not by a read with quorum, which would be in the log.
    left = [node.key for node in (await client.keys.get("/", **limit.call())).node.nodes if node.key not in kept]
    if left:
        raise NotPurged(f"somebody writes: {', '.join(left)} is there again")
    return Purged(doomed, users, roles, False)


async def _delete_keys(client: AsyncClient, doomed: Iterable[str], index: int, limit: Limit) -> None:
    """Each deletion has to be the next change of the store: then nothing goes that is not in the dump.

    Raises NotPurged at the first that is not.
    """
    for key in doomed:
        index += 1
        gone = await client.keys.delete(key, recursive=True, missing_ok=True, **limit.call())
        if gone is None or gone.node.modified_index != index:
            raise NotPurged(
                f"somebody wrote, or a key expired, when {key} was deleted: what is below it may have gone"
                " without being in the dump; the rest is still there"
            )
