"""The way out of v2: read everything, also what HTTP does not show.

`DataDirectory` reads a member's files, stopped or running; `V2Store` is the server's v2 store as pure
Python, which replays them.
"""

from etcdv2.transfer._data_directory import DataDirectory, MemberState, RequestCount
from etcdv2.transfer._errors import DamagedFile, NoDataDirectory, TransferError
from etcdv2.transfer._node import StoreNode
from etcdv2.transfer._requests import StoreRequest, apply
from etcdv2.transfer._store import StoreEvent, V2Store

__all__ = [
    "DamagedFile",
    "DataDirectory",
    "MemberState",
    "NoDataDirectory",
    "RequestCount",
    "StoreEvent",
    "StoreNode",
    "StoreRequest",
    "TransferError",
    "V2Store",
    "apply",
]
