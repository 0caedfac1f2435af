# Derived from etcdv2/transfer/_async/check.py by scripts/unasync.py: change that file, make generate.
"""Whether a cluster is ready for etcd 3.6, as far as HTTP shows it.

Owns what is asked, and in which order. What the answers mean is `_check`'s.
"""

from __future__ import annotations

from etcdv2 import Client, Unauthorized
from etcdv2._runtime.primitives import sleep
from etcdv2.transfer._check import ClusterCheck
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._sync.online import tree_within


def check_cluster(client: Client, *, observe: float = 2.0, timeout: float | None = None) -> ClusterCheck:
    """Look at a cluster over HTTP, for `observe` seconds. timeout: seconds for all of it, as of `read_tree`.

    Raises DeadlineExceeded, and the errors of a call.
    """
    limit = Limit(timeout)
    version = (client.version(**limit.call())).etcdserver
    before = tree_within(client, "/", (), False, limit)
    sleep(limit.cut(observe))
    after = tree_within(client, "/", (), False, limit)

    used: bool | None = None
    try:
        used = bool(client.auth.users.list(**limit.call()))
        used = used or any(role.role != "root" for role in client.auth.roles.list(**limit.call()))
    except Unauthorized:
        used = None
    expiring = sum(node.expires_at is not None for node in after)
    return ClusterCheck(version, len(after), expiring, used, after.index - before.index)
