"""The way out of v2: read everything, also what HTTP does not show, keep it, and prove it equal.

`DataDirectory` reads a member's files, stopped or running; `V2Store` is the server's v2 store as pure
Python, which replays them. `read_tree` reads over HTTP. Each makes a `Tree`, which `write_dump` and
`read_dump` keep in a file, `compare` holds against another, and `load` writes into a cluster.
`compare_members` holds the directories of a cluster's members against each other.
`check_directory` and `check_cluster` say whether etcd 3.6 would start, and `purge` empties the v2 store.
What asks a cluster is there for an AsyncClient as well: `async_read_tree`, `async_load`,
`async_check_cluster`, `async_purge`. What reads and writes files is not: `asyncio.to_thread` runs it aside.
"""

# Formats and decisions are in the modules here; what sends and waits is in _async/, from which _sync/ is derived.

from etcdv2.transfer._async.check import async_check_cluster
from etcdv2.transfer._async.load import async_load
from etcdv2.transfer._async.online import async_read_tree
from etcdv2.transfer._async.purge import async_purge
from etcdv2.transfer._check import RECIPE, ClusterCheck, DirectoryCheck, check_directory
from etcdv2.transfer._compare import Difference, compare
from etcdv2.transfer._compare_members import MemberComparison, MembersCompared, compare_members
from etcdv2.transfer._data_directory import DataDirectory, MemberState, RequestCount
from etcdv2.transfer._dumpfile import read_dump, write_dump
from etcdv2.transfer._errors import DamagedFile, NoDataDirectory, TransferError
from etcdv2.transfer._load import Loaded
from etcdv2.transfer._node import StoreNode
from etcdv2.transfer._plan import Skipped, Step
from etcdv2.transfer._purge import NotPurged, Purged
from etcdv2.transfer._requests import StoreRequest, apply
from etcdv2.transfer._store import StoreEvent, V2Store
from etcdv2.transfer._sync.check import check_cluster
from etcdv2.transfer._sync.load import load
from etcdv2.transfer._sync.online import read_tree
from etcdv2.transfer._sync.purge import purge
from etcdv2.transfer._tree import AuthEntry, DumpNode, Tree

__all__ = [
    "RECIPE",
    "AuthEntry",
    "ClusterCheck",
    "DamagedFile",
    "DataDirectory",
    "Difference",
    "DirectoryCheck",
    "DumpNode",
    "Loaded",
    "MemberComparison",
    "MemberState",
    "MembersCompared",
    "NoDataDirectory",
    "NotPurged",
    "Purged",
    "RequestCount",
    "Skipped",
    "Step",
    "StoreEvent",
    "StoreNode",
    "StoreRequest",
    "TransferError",
    "Tree",
    "V2Store",
    "apply",
    "async_check_cluster",
    "async_load",
    "async_purge",
    "async_read_tree",
    "check_cluster",
    "check_directory",
    "compare",
    "compare_members",
    "load",
    "purge",
    "read_dump",
    "read_tree",
    "write_dump",
]
