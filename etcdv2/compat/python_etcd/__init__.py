"""python-etcd's names, on this client: for programs that were written for `etcd` 0.4.

    from etcdv2.compat import python_etcd as etcd        # or etcdv2.compat.install(), and then
    client = etcd.Client(host="127.0.0.1", port=2379)    # import etcd

The API is that of python-etcd (https://github.com/jplana/python-etcd, MIT), written again from its
behaviour. What differs, and how each call is named in etcdv2, is in docs/coming-from/python-etcd.md. New
programs are better off with `etcdv2.Client`.
"""

from __future__ import annotations

from etcdv2.compat.python_etcd._errors import (
    EtcdAlreadyExist,
    EtcdClusterIdChanged,
    EtcdCompareFailed,
    EtcdConnectionFailed,
    EtcdDirNotEmpty,
    EtcdError,
    EtcdEventIndexCleared,
    EtcdException,
    EtcdInsufficientPermissions,
    EtcdKeyError,
    EtcdKeyNotFound,
    EtcdLeaderElectionInProgress,
    EtcdLockExpired,
    EtcdNotDir,
    EtcdNotFile,
    EtcdRootReadOnly,
    EtcdValueError,
    EtcdWatcherCleared,
    EtcdWatchTimedOut,
)
from etcdv2.compat.python_etcd._result import EtcdResult
from etcdv2.compat.python_etcd.client import Client
from etcdv2.compat.python_etcd.lock import Lock

__all__ = [
    "Client",
    "EtcdAlreadyExist",
    "EtcdClusterIdChanged",
    "EtcdCompareFailed",
    "EtcdConnectionFailed",
    "EtcdDirNotEmpty",
    "EtcdError",
    "EtcdEventIndexCleared",
    "EtcdException",
    "EtcdInsufficientPermissions",
    "EtcdKeyError",
    "EtcdKeyNotFound",
    "EtcdLeaderElectionInProgress",
    "EtcdLockExpired",
    "EtcdNotDir",
    "EtcdNotFile",
    "EtcdResult",
    "EtcdRootReadOnly",
    "EtcdValueError",
    "EtcdWatchTimedOut",
    "EtcdWatcherCleared",
    "Lock",
]
