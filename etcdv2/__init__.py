"""A typed client, sync and async, for the etcd v2 HTTP API.

`Client` and `AsyncClient` have the same surface. Start with `client.keys`.
"""

# Map of the house. A room imports from itself and from those below it: tests/repo/test_layers.py has the exact table.
#
#   _cli/          the command `etcdv2`: _main.py (dispatch, signals, exit codes), a module for each group of commands
#   compat/        python-etcd's names, for programs written for it
#   recipes/       locks, elections, registrations, on the client's public names
#   _async/        the shell, which sends, waits and sleeps: client, dispatcher (one call), keys, view, admin, modify,
#                  probes, resolve, mirror, raw, the httpx transport; in watch/ what runs in the background of a watch
#   _sync/         the same, derived from _async/ by scripts/unasync.py
#   _transport/    bytes: HTTP/1.1 over sockets, once for threads, once for an event loop
#   _core/         decisions without I/O, clock and sleep
#     call/        one call: what follows an attempt (verdict.py), whom to ask next and how long to pause (route.py,
#                  endpoint_pool.py), which error ends it (ledger.py)
#     watch/       one watch: its position and which events belong to it (cursor.py), when it is renewed (renewal.py)
#     mirror/      what an event does to the tree of a mirror, and what a reader of its changes has missed
#     wire.py      the seam between shell and transports; beside it etcd_headers.py, endpoints.py, deadline.py,
#                  keys.py and admin.py (arguments into requests, and what is refused), outcome.py, curl.py, raw.py
#   _types/        what users hold and give: results.py, mirror.py, settings.py, tls.py, hooks.py; the errors and their
#                  texts are in api_errors.py (etcd says no) and call_errors.py (nobody gave a usable answer)
#   _runtime/      what differs between threads and asyncio (sleep, lock, event, worker), and forks
#   testing/       real etcd servers for tests; imports nothing of the rest
#   transfer/      the way out of v2: a store in Python, members' files, dumps; uses the public names above only

from typing import TYPE_CHECKING

from etcdv2._types.version import __version__

if TYPE_CHECKING:
    from etcdv2._async.admin import AsyncAuthAPI, AsyncMembersAPI, AsyncRolesAPI, AsyncStatsAPI, AsyncUsersAPI
    from etcdv2._async.client import AsyncClient
    from etcdv2._async.keys import AsyncKeysAPI
    from etcdv2._async.mirror import AsyncMirror, AsyncMirrorChanges
    from etcdv2._async.raw import AsyncRawAPI
    from etcdv2._async.watch.watcher import AsyncWatcher
    from etcdv2._sync.admin import AuthAPI, MembersAPI, RolesAPI, StatsAPI, UsersAPI
    from etcdv2._sync.client import Client
    from etcdv2._sync.keys import KeysAPI
    from etcdv2._sync.mirror import Mirror, MirrorChanges
    from etcdv2._sync.raw import RawAPI
    from etcdv2._sync.watch.watcher import Watcher
    from etcdv2._types.api_errors import (
        ApiError,
        BadRequest,
        CompareFailed,
        Conflict,
        DirectoryTTL,
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
        ManyFailed,
        OutcomeUnknown,
        OutcomeUnknownTimeout,
        StaleRead,
        UnexpectedAnswer,
        V2ApiDisabled,
    )
    from etcdv2._types.hooks import AttemptInfo
    from etcdv2._types.mirror import Change, MirrorState
    from etcdv2._types.raw import RawAnswer
    from etcdv2._types.results import Ack, ClusterHealth, EndpointHealth, Event, Outcome, Readiness, Response, Snapshot
    from etcdv2._types.settings import KEEP, Timeout
    from etcdv2._types.tls import TLS
    from etcdv2_api import Health, LeaderStats, Member, Node, Role, SelfStats, StoreStats, User, UserState, Version

__all__ = [
    "KEEP",
    "TLS",
    "Ack",
    "ApiError",
    "AsyncAuthAPI",
    "AsyncClient",
    "AsyncKeysAPI",
    "AsyncMembersAPI",
    "AsyncMirror",
    "AsyncMirrorChanges",
    "AsyncRawAPI",
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
    "DirectoryTTL",
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
    "ManyFailed",
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
    "RawAPI",
    "RawAnswer",
    "Readiness",
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

_MODULE_OF = {
    "Ack": "etcdv2._types.results",
    "ApiError": "etcdv2._types.api_errors",
    "AsyncAuthAPI": "etcdv2._async.admin",
    "AsyncClient": "etcdv2._async.client",
    "AsyncKeysAPI": "etcdv2._async.keys",
    "AsyncMembersAPI": "etcdv2._async.admin",
    "AsyncMirror": "etcdv2._async.mirror",
    "AsyncMirrorChanges": "etcdv2._async.mirror",
    "AsyncRawAPI": "etcdv2._async.raw",
    "AsyncRolesAPI": "etcdv2._async.admin",
    "AsyncStatsAPI": "etcdv2._async.admin",
    "AsyncUsersAPI": "etcdv2._async.admin",
    "AsyncWatcher": "etcdv2._async.watch.watcher",
    "Attempt": "etcdv2._types.call_errors",
    "AttemptInfo": "etcdv2._types.hooks",
    "AuthAPI": "etcdv2._sync.admin",
    "BadRequest": "etcdv2._types.api_errors",
    "Change": "etcdv2._types.mirror",
    "Client": "etcdv2._sync.client",
    "ClusterChanged": "etcdv2._types.call_errors",
    "ClusterHealth": "etcdv2._types.results",
    "ClusterUnavailable": "etcdv2._types.call_errors",
    "CompareFailed": "etcdv2._types.api_errors",
    "Conflict": "etcdv2._types.api_errors",
    "DeadlineExceeded": "etcdv2._types.call_errors",
    "DirNotEmpty": "etcdv2._types.api_errors",
    "DirectoryTTL": "etcdv2._types.api_errors",
    "EndpointHealth": "etcdv2._types.results",
    "EtcdError": "etcdv2._types.api_errors",
    "Event": "etcdv2._types.results",
    "Gone": "etcdv2._types.api_errors",
    "Health": "etcdv2_api",
    "HistoryCleared": "etcdv2._types.api_errors",
    "InvalidRequest": "etcdv2._types.api_errors",
    "KEEP": "etcdv2._types.settings",
    "KeyExists": "etcdv2._types.api_errors",
    "KeyNotFound": "etcdv2._types.api_errors",
    "KeysAPI": "etcdv2._sync.keys",
    "LeaderElection": "etcdv2._types.api_errors",
    "LeaderStats": "etcdv2_api",
    "ManyFailed": "etcdv2._types.call_errors",
    "Member": "etcdv2_api",
    "MembersAPI": "etcdv2._sync.admin",
    "Mirror": "etcdv2._sync.mirror",
    "MirrorChanges": "etcdv2._sync.mirror",
    "MirrorState": "etcdv2._types.mirror",
    "Node": "etcdv2_api",
    "NotDir": "etcdv2._types.api_errors",
    "NotFile": "etcdv2._types.api_errors",
    "NotFound": "etcdv2._types.api_errors",
    "Outcome": "etcdv2._types.results",
    "OutcomeUnknown": "etcdv2._types.call_errors",
    "OutcomeUnknownTimeout": "etcdv2._types.call_errors",
    "RaftInternal": "etcdv2._types.api_errors",
    "RawAPI": "etcdv2._sync.raw",
    "RawAnswer": "etcdv2._types.raw",
    "Readiness": "etcdv2._types.results",
    "Response": "etcdv2._types.results",
    "Role": "etcdv2_api",
    "RolesAPI": "etcdv2._sync.admin",
    "RootReadOnly": "etcdv2._types.api_errors",
    "SelfStats": "etcdv2_api",
    "Snapshot": "etcdv2._types.results",
    "StaleRead": "etcdv2._types.call_errors",
    "StatsAPI": "etcdv2._sync.admin",
    "StoreStats": "etcdv2_api",
    "TLS": "etcdv2._types.tls",
    "Timeout": "etcdv2._types.settings",
    "Unauthorized": "etcdv2._types.api_errors",
    "UnexpectedAnswer": "etcdv2._types.call_errors",
    "User": "etcdv2_api",
    "UserState": "etcdv2_api",
    "UsersAPI": "etcdv2._sync.admin",
    "V2ApiDisabled": "etcdv2._types.call_errors",
    "Version": "etcdv2_api",
    "Watcher": "etcdv2._sync.watch.watcher",
    "WatcherCleared": "etcdv2._types.api_errors",
}
"""Where each name is. It is imported when it is first used: a program uses one of the two clients, and the command line
shows its help without either.
"""


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
