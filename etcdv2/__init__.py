"""A typed client, sync and async, for the etcd v2 HTTP API.

`Client` and `AsyncClient` have the same surface. Start with `client.keys`.
"""

from typing import TYPE_CHECKING

from etcdv2._types.api_errors import (
    ApiError,
    BadRequest,
    CompareFailed,
    Conflict,
    DirNotEmpty,
    EtcdError,
    Gone,
    HistoryCleared,
    InvalidRequest,
    KeyExists,
    KeyNotFound,
    LeaderElection,
    NotDir,
    NotFile,
    NotFound,
    RaftInternal,
    RootReadOnly,
    Unauthorized,
    WatcherCleared,
)
from etcdv2._types.call_errors import (
    Attempt,
    ClusterChanged,
    ClusterUnavailable,
    DeadlineExceeded,
    OutcomeUnknown,
    OutcomeUnknownTimeout,
    StaleRead,
    UnexpectedAnswer,
    V2ApiDisabled,
)
from etcdv2._types.hooks import AttemptInfo
from etcdv2._types.mirror import Change, MirrorState
from etcdv2._types.results import Ack, ClusterHealth, EndpointHealth, Event, Outcome, Response, Snapshot
from etcdv2._types.settings import Timeout
from etcdv2._types.tls import TLS
from etcdv2._types.version import __version__
from etcdv2_api import Health, LeaderStats, Member, Node, Role, SelfStats, StoreStats, User, UserState, Version

if TYPE_CHECKING:
    from etcdv2._async.admin import AsyncAuthAPI, AsyncMembersAPI, AsyncRolesAPI, AsyncStatsAPI, AsyncUsersAPI
    from etcdv2._async.client import AsyncClient
    from etcdv2._async.keys import AsyncKeysAPI
    from etcdv2._async.mirror import AsyncMirror, AsyncMirrorChanges
    from etcdv2._async.watch.watcher import AsyncWatcher
    from etcdv2._sync.admin import AuthAPI, MembersAPI, RolesAPI, StatsAPI, UsersAPI
    from etcdv2._sync.client import Client
    from etcdv2._sync.keys import KeysAPI
    from etcdv2._sync.mirror import Mirror, MirrorChanges
    from etcdv2._sync.watch.watcher import Watcher

__all__ = [
    "TLS",
    "Ack",
    "ApiError",
    "AsyncAuthAPI",
    "AsyncClient",
    "AsyncKeysAPI",
    "AsyncMembersAPI",
    "AsyncMirror",
    "AsyncMirrorChanges",
    "AsyncRolesAPI",
    "AsyncStatsAPI",
    "AsyncUsersAPI",
    "AsyncWatcher",
    "Attempt",
    "AttemptInfo",
    "AuthAPI",
    "BadRequest",
    "Change",
    "Client",
    "ClusterChanged",
    "ClusterHealth",
    "ClusterUnavailable",
    "CompareFailed",
    "Conflict",
    "DeadlineExceeded",
    "DirNotEmpty",
    "EndpointHealth",
    "EtcdError",
    "Event",
    "Gone",
    "Health",
    "HistoryCleared",
    "InvalidRequest",
    "KeyExists",
    "KeyNotFound",
    "KeysAPI",
    "LeaderElection",
    "LeaderStats",
    "Member",
    "MembersAPI",
    "Mirror",
    "MirrorChanges",
    "MirrorState",
    "Node",
    "NotDir",
    "NotFile",
    "NotFound",
    "Outcome",
    "OutcomeUnknown",
    "OutcomeUnknownTimeout",
    "RaftInternal",
    "Response",
    "Role",
    "RolesAPI",
    "RootReadOnly",
    "SelfStats",
    "Snapshot",
    "StaleRead",
    "StatsAPI",
    "StoreStats",
    "Timeout",
    "Unauthorized",
    "UnexpectedAnswer",
    "User",
    "UserState",
    "UsersAPI",
    "V2ApiDisabled",
    "Version",
    "Watcher",
    "WatcherCleared",
    "__version__",
]

_HALVES = {
    "AsyncAuthAPI": "etcdv2._async.admin",
    "AsyncMembersAPI": "etcdv2._async.admin",
    "AsyncRolesAPI": "etcdv2._async.admin",
    "AsyncStatsAPI": "etcdv2._async.admin",
    "AsyncUsersAPI": "etcdv2._async.admin",
    "AsyncClient": "etcdv2._async.client",
    "AsyncKeysAPI": "etcdv2._async.keys",
    "AsyncMirror": "etcdv2._async.mirror",
    "AsyncMirrorChanges": "etcdv2._async.mirror",
    "AsyncWatcher": "etcdv2._async.watch.watcher",
    "AuthAPI": "etcdv2._sync.admin",
    "MembersAPI": "etcdv2._sync.admin",
    "RolesAPI": "etcdv2._sync.admin",
    "StatsAPI": "etcdv2._sync.admin",
    "UsersAPI": "etcdv2._sync.admin",
    "Client": "etcdv2._sync.client",
    "KeysAPI": "etcdv2._sync.keys",
    "Mirror": "etcdv2._sync.mirror",
    "MirrorChanges": "etcdv2._sync.mirror",
    "Watcher": "etcdv2._sync.watch.watcher",
}
"""The two clients, each imported when it is first asked for: a program uses one of them."""


def __getattr__(name: str) -> object:
    module = _HALVES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
