# Made from spec/etcd-v2.yaml by scripts/generate.py (make generate). Not to be edited.
"""The bodies of requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime

from etcdv2_api.node import Model, Tree


class Node(Tree):
    """A key with its value, or a directory."""

    key: str = "/"
    """The whole path. The root is sent without one."""

    value: str | None = None
    """None for a directory, and in the `node` of a deletion or expiry. Bytes that are no UTF-8 read as U+FFFD."""

    dir: bool = False
    """Whether it is a directory. 2.3 leaves it out of the `node` of a directory's expiry."""

    expiration: AwareDatetime | None = None
    """When it expires, UTC, by the clock of the member that took the write; cut to microseconds here."""

    ttl: int | None = None
    """
    Seconds left, rounded up, by the clock of the member that answers. None without an expiry, and also in the
    half second when it is over and the key not swept yet (`expiration` is there); can be negative.
    """

    nodes: tuple[Node, ...] = ()
    """The children. Empty too for a directory that was not expanded."""

    modified_index: int = 0
    """The index of the last write, of a deletion its own. The root has none."""

    created_index: int = 0
    """The index of its creation; set creates it again. The root has none."""


class KeysError(Model):
    """Why a keys request was refused."""

    error_code: int
    """What to decide by; one HTTP status has many codes."""

    message: str
    """The same for every error of a code."""

    cause: str = ""
    """The path or the comparison concerned. Some have none."""

    index: int = 0
    """The index of the store; 0 where a parameter, a permission or the raft was the reason."""


class Message(Model):
    """Why something was refused, outside of keys; and what a proxy says."""

    message: str
    """For people. Decide by status; the wording differs between versions."""


class Member(Model):
    """A member of the cluster."""

    id: str
    """Lower-case hex, without leading zeros."""

    name: str
    """Empty until it has started for the first time."""

    peer_urls: tuple[str, ...]
    """Where the other members reach it."""

    client_urls: tuple[str, ...]
    """Where clients reach it, as it says itself. Empty until it has started for the first time."""


class Members(Model):
    """The members of the cluster."""

    members: tuple[Member, ...]
    """All of them, also those that were added and have not started yet."""


class MemberPeers(Model):
    """The peer URLs that a member is to have."""

    peer_urls: tuple[str, ...]
    """Scheme, host and port, without a path: http://10.0.0.10:2380."""


class LeaderInfo(Model):
    """The leader that a member knows."""

    leader: str
    """Its id."""

    uptime: str
    """For how long it has led, as Go writes durations: 14m2.267050208s."""

    start_time: AwareDatetime
    """When it began to lead."""


class FollowerLatency(Model):
    """Latencies of appends in milliseconds."""

    current: float
    """The last one."""

    average: float
    """The mean."""

    standard_deviation: float
    """The spread."""

    minimum: float
    """The least; 2^63 before the first success."""

    maximum: float
    """The most."""


class FollowerCounts(Model):
    """How many appends went well."""

    fail: int
    """How many did not."""

    success: int
    """How many did."""


class StoreStats(Model):
    """
    Counts of the operations on a member's store, since its data began; those of gets since its process was
    started.
    """

    gets_success: int
    """Reads that found something, with quorum or without. HEAD counts, a watch does not."""

    gets_fail: int
    """Reads that failed. Each request about keys adds one, its check of permission, where auth was never on."""

    sets_success: int
    """Sets: PUT without a condition, and what members write about themselves."""

    sets_fail: int
    """Sets that were refused. A creation below a file counts here, too."""

    delete_success: int
    """Deletions without a condition. One of the root, which is refused, counts here, too."""

    delete_fail: int
    """Deletions without a condition that were refused, such as of a missing key or a directory that is not empty."""

    update_success: int
    """Updates: PUT with `prevExist=true` alone. Refused ones of the root or of a directory count here, too."""

    update_fail: int
    """Updates that found no key, or a file above it."""

    create_success: int
    """Creations: PUT with `prevExist=false`, and POST."""

    create_fail: int
    """Creations that were refused, such as of a key that is there."""

    compare_and_swap_success: int
    """PUT with `prevValue` or `prevIndex` that was done. One of the root, which is refused, counts here, too."""

    compare_and_swap_fail: int
    """PUT with `prevValue` or `prevIndex` that was refused: another value or index, no key, or a directory."""

    compare_and_delete_success: int
    """DELETE with `prevValue` or `prevIndex`, also one whose condition failed or that found a directory."""

    compare_and_delete_fail: int
    """DELETE with `prevValue` or `prevIndex` that found no key, or a file above it."""

    expire_count: int
    """Nodes that expired. A directory counts once, whatever was in it."""

    watchers: int
    """Open watches now."""


class AuthState(Model):
    """The switch."""

    enabled: bool
    """Whether authentication is on."""


class UserState(Model):
    """A user as a write answers it, with the names of its roles."""

    user: str
    """The name."""

    roles: tuple[str, ...] | None
    """The names. Null of a user just created without roles."""


class UserChange(Model):
    """What a user is to become."""

    user: str
    """The name, as in the path."""

    password: str | None = None
    """The new one. The server uses its first 72 bytes."""

    roles: tuple[str, ...] | None = None
    """The roles of a new user, none of them empty, `.`, `..` or of slashes. Not together with the other two."""

    grant: tuple[str, ...] | None = None
    """Roles to add, none of them empty, `.`, `..` or of slashes."""

    revoke: tuple[str, ...] | None = None
    """Roles to take away."""


class KeyPatterns(Model):
    """
    Patterns of keys, from the leading slash on. One that ends in `*` is a plain prefix, any other one is the
    exact path (`/a` is not `/a/`).
    """

    read: tuple[str, ...] | None = None
    """What may be read. Null is none."""

    write: tuple[str, ...] | None = None
    """What may be written. Null is none."""


class Version(Model):
    """Versions of a server and of its cluster."""

    etcdserver: str
    """Of the server: 3.5.1."""

    etcdcluster: str
    """Of the cluster: 3.5.0; `not_decided` while it starts."""


class Health(Model):
    """Whether a member can serve writes."""

    health: Literal["true", "false"]
    """A text, not a boolean."""

    reason: str = ""
    """Why not. Only 3.5 has it."""


class KeysEvent(Model):
    """What a keys request did or read, or what a watcher saw."""

    action: Literal[
        "get",
        "set",
        "create",
        "update",
        "delete",
        "compareAndSwap",
        "compareAndDelete",
        "expire",
    ]
    """What happened. `expire` comes to watchers only."""

    node: Node | None = None
    """
    The node after it; of a deletion without its value. Absent with `noValueOnSuccess` (2.3 sends it all the
    same).
    """

    prev_node: Node | None = None
    """The node before it, if there was one. Of a directory without its children."""


class SelfStats(Model):
    """What a member says about itself."""

    name: str
    """Its name."""

    id: str
    """Its id."""

    state: Literal["StateLeader", "StateFollower", "StateCandidate", "StatePreCandidate"]
    """Its part in raft."""

    start_time: AwareDatetime
    """When it started."""

    leader_info: LeaderInfo
    """Who leads, as far as it knows."""

    recv_append_request_cnt: int
    """Appends received."""

    recv_pkg_rate: float = 0
    """Packages received per second."""

    recv_bandwidth_rate: float = 0
    """Bytes received per second."""

    send_append_request_cnt: int
    """Appends sent."""

    send_pkg_rate: float = 0
    """Packages sent per second."""

    send_bandwidth_rate: float = 0
    """Bytes sent per second."""


class FollowerStats(Model):
    """One follower."""

    latency: FollowerLatency
    """How long appends to it take, in milliseconds."""

    counts: FollowerCounts
    """How many appends to it went well and how many did not."""


class Permissions(Model):
    """Permissions by resource; keys are the only one."""

    kv: KeyPatterns
    """Which keys may be read, and which written."""


class RoleChange(Model):
    """What a role is to become."""

    role: str
    """The name, as in the path."""

    permissions: Permissions | None = None
    """The permissions of a new role. Not together with the other two."""

    grant: Permissions | None = None
    """Permissions to add."""

    revoke: Permissions | None = None
    """Permissions to take away."""


class LeaderStats(Model):
    """How the followers do, as their leader sees it."""

    leader: str
    """The id of the leader."""

    followers: Mapping[str, FollowerStats]
    """By member id."""


class Role(Model):
    """A role with its permissions."""

    role: str
    """The name."""

    permissions: Permissions
    """What its users may read and write."""


class User(Model):
    """A user as it is read, with whole roles."""

    user: str
    """The name."""

    roles: tuple[Role, ...] = ()
    """Those of its roles that exist."""


class Roles(Model):
    """All roles."""

    roles: tuple[Role, ...]
    """Each with its permissions; the built-in `root` is among them."""


class Users(Model):
    """All users."""

    users: tuple[User, ...] | None
    """Null where there is none."""
