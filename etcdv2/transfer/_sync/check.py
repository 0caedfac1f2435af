# Derived from etcdv2/transfer/_async/check.py by scripts/unasync.py: change that file, make generate.
"""Whether a cluster is ready for etcd 3.6, as far as HTTP shows it.

Owns what is asked, and in which order. What the answers mean is `_check`'s.
"""

from __future__ import annotations

from etcdv2 import Client, Unauthorized
from etcdv2._runtime.primitives import sleep
from etcdv2.transfer._check import ClusterCheck
from etcdv2.transfer._sync.online import read_tree


def check_cluster(client: Client, *, observe: float = 2.0) -> ClusterCheck:
    """Look at a cluster over HTTP, for `observe` seconds. Raises the errors of a call."""
    version = (client.version()).etcdserver
    before = read_tree(client)
    sleep(observe)
    after = read_tree(client)

    used: bool | None = None
    try:
        used = bool(client.auth.users.list())
        used = used or any(role.role != "root" for role in client.auth.roles.list())
    except Unauthorized:
        used = None
    expiring = sum(node.expires_at is not None for node in after)
    return ClusterCheck(version, len(after), expiring, used, after.index - before.index)
