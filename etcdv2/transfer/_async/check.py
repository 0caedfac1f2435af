"""Whether a cluster is ready for etcd 3.6, as far as HTTP shows it.

Owns what is asked, and in which order. What the answers mean is `_check`'s.
"""

from __future__ import annotations

from etcdv2 import AsyncClient, Unauthorized
from etcdv2._runtime.primitives import async_sleep
from etcdv2.transfer._async.online import async_read_tree
from etcdv2.transfer._check import ClusterCheck


async def async_check_cluster(client: AsyncClient, *, observe: float = 2.0) -> ClusterCheck:
    """Look at a cluster over HTTP, for `observe` seconds. Raises the errors of a call."""
    version = (await client.version()).etcdserver
    before = await async_read_tree(client)
    await async_sleep(observe)
    after = await async_read_tree(client)

    used: bool | None = None
    try:
        used = bool(await client.auth.users.list())
        used = used or any(role.role != "root" for role in await client.auth.roles.list())
    except Unauthorized:
        used = None
    expiring = sum(node.expires_at is not None for node in after)
    return ClusterCheck(version, len(after), expiring, used, after.index - before.index)
