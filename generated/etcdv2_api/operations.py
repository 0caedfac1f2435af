# Made from spec/etcd-v2.yaml by scripts/generate.py (make generate). Not to be edited.
"""One function for each operation of the etcd v2 API. Each returns a `Call`: plain data, for whatever speaks HTTP."""

from __future__ import annotations

from etcdv2_api.answer import expect_nothing, read, read_either, read_text, undescribed
from etcdv2_api.call import Call, flag, key_path, path_segment
from etcdv2_api.models import (
    AuthState,
    Health,
    KeysError,
    KeysEvent,
    LeaderStats,
    Member,
    MemberPeers,
    Members,
    Message,
    Role,
    RoleChange,
    Roles,
    SelfStats,
    StoreStats,
    User,
    UserChange,
    Users,
    UserState,
    Version,
)


def get_key(
    key: str,
    *,
    recursive: bool | None = None,
    sorted: bool | None = None,
    quorum: bool | None = None,
    wait: bool | None = None,
    wait_index: int | None = None,
    stream: bool | None = None,
) -> Call[KeysEvent, KeysError | Message]:
    """Read a key or a directory, or wait for a change.

    Without `wait`, the state now: from this member's own store, which may lag behind, or through raft with `quorum`. A
    directory lists one level, or all with `recursive`; sub-directories that were not expanded look like empty ones.
    Names that start with `_` are left out of listings.

    With `wait`, the headers come at once and the body when an event happens (or at once, for an event in the past, from
    `waitIndex`). A recursive watch also gets the deletion or expiry of a directory above, whose key is then shorter
    than the one watched. A watch that reads history (`waitIndex` in the past) also delivers what happened to hidden
    keys, and the deletion of `/foo` to a watch of `/foobar`. A body without content means that the watch ended without
    an event (proxies do that).

    key: Path. The key, with or without its leading slash; "/" is the root. Every segment is percent-encoded by itself,
        slashes are kept, so is one trailing slash (the server drops it, but compares role patterns with it). Empty, `.`
        and `..` segments are refused: the server would redirect to a cleaned path.
    recursive: Query. The whole tree below. Needs a role pattern that ends in `*`.
    sorted: Query. Sort every level by key, bytewise; else the order is random.
    quorum: Query. Read through raft, so that nothing older than the last write is seen. With it the server ignores
        `wait`.
    wait: Query. Answer with the next event instead of the state.
    wait_index: Query. With `wait`, the first event at or after this index; 0 or absent is from now on. The server keeps
        the last 1000 events of the whole store; what is older is answered with error 401 (status 400).
    stream: Query. With `wait`, one event after the other, a line each. Deletions come twice to a watch of exactly that
        key; with a `waitIndex` in the past one event comes and then nothing more; a reader that falls 100 events behind
        gets nothing more either.
    """
    query: tuple[tuple[str, str], ...] = ()
    if recursive is not None:
        query += (("recursive", flag(recursive)),)
    if sorted is not None:
        query += (("sorted", flag(sorted)),)
    if quorum is not None:
        query += (("quorum", flag(quorum)),)
    if wait is not None:
        query += (("wait", flag(wait)),)
    if wait_index is not None:
        query += (("waitIndex", str(wait_index)),)
    if stream is not None:
        query += (("stream", flag(stream)),)
    return Call("get_key", "GET", "/v2/keys" + key_path(key), query, None, None, _read_get_key)


def _read_get_key(status: int, body: bytes) -> KeysEvent | KeysError | Message:
    if status == 200:
        return read(KeysEvent, status, body)
    if status in (400, 401, 404, 500):
        return read(KeysError, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def put_key(
    key: str,
    *,
    value: str | None = None,
    ttl: int | None = None,
    dir: bool | None = None,
    refresh: bool | None = None,
    prev_value: str | None = None,
    prev_index: int | None = None,
    prev_exist: bool | None = None,
    no_value_on_success: bool | None = None,
) -> Call[KeysEvent, KeysError | Message]:
    """Set, create, update, refresh or compare and swap a key; make a directory.

    Which of them is decided by the conditions: `prevExist=true` alone updates, `prevExist=false` creates (and silently
    ignores the other conditions), `prevValue` or `prevIndex` compare and swap, none of them sets. Parents are made as
    needed. Every write without `ttl` removes an expiry, and every write without `value` stores "" (only `refresh` keeps
    the value). 201 when the key is new, else 200.

    key: Path. The key, with or without its leading slash; "/" is the root. Every segment is percent-encoded by itself,
        slashes are kept, so is one trailing slash (the server drops it, but compares role patterns with it). Empty, `.`
        and `..` segments are refused: the server would redirect to a cleaned path.
    value: Form. The new value; absent is "". Ignored where a directory is made.
    ttl: Form. Seconds until expiry. Absent removes an expiry that was there; 0 expires at once. From about 7.5e9 on the
        server's arithmetic overflows and the key is permanent, or gone.
    dir: Form. Make a directory; a file of that name is replaced and its value lost.
    refresh: Form. Keep the value, set `ttl`, wake no watcher. Needs `ttl` and no value. 2.3 and later.
    prev_value: Form, as it may be long. Only if the value is this one. Must not be empty.
    prev_index: Form. Only if `modifiedIndex` is this one. The server takes 0 as absent and writes without a condition.
    prev_exist: Form. true - only if the key exists (update); false - only if it does not (create, ignores the other
        two).
    no_value_on_success: Form. Leave `node` and `prevNode` out of a successful answer. 2.3 ignores it.
    """
    form: tuple[tuple[str, str], ...] = ()
    if value is not None:
        form += (("value", value),)
    if ttl is not None:
        form += (("ttl", str(ttl)),)
    if dir is not None:
        form += (("dir", flag(dir)),)
    if refresh is not None:
        form += (("refresh", flag(refresh)),)
    if prev_value is not None:
        form += (("prevValue", prev_value),)
    if prev_index is not None:
        form += (("prevIndex", str(prev_index)),)
    if prev_exist is not None:
        form += (("prevExist", flag(prev_exist)),)
    if no_value_on_success is not None:
        form += (("noValueOnSuccess", flag(no_value_on_success)),)
    return Call("put_key", "PUT", "/v2/keys" + key_path(key), (), form, None, _read_put_key)


def _read_put_key(status: int, body: bytes) -> KeysEvent | KeysError | Message:
    if status in (200, 201):
        return read(KeysEvent, status, body)
    if status in (400, 401, 403, 404, 412, 500):
        return read(KeysError, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def post_key(
    key: str,
    *,
    value: str | None = None,
    ttl: int | None = None,
    dir: bool | None = None,
    no_value_on_success: bool | None = None,
) -> Call[KeysEvent, KeysError | Message]:
    """Create a key with an increasing name below a directory.

    The name is the new index with 20 digits, so names sort in the order of creation; they have gaps. The directory is
    made if it is missing. A repeated POST makes a second key.

    key: Path. The key, with or without its leading slash; "/" is the root. Every segment is percent-encoded by itself,
        slashes are kept, so is one trailing slash (the server drops it, but compares role patterns with it). Empty, `.`
        and `..` segments are refused: the server would redirect to a cleaned path.
    value: Form. The value; absent is "". Ignored where a directory is made.
    ttl: Form. Seconds until expiry; absent is never, 0 at once.
    dir: Form. Make a directory with an increasing name.
    no_value_on_success: Form. Leave out `node`, and with it the only word of the new name. 2.3 ignores it.
    """
    form: tuple[tuple[str, str], ...] = ()
    if value is not None:
        form += (("value", value),)
    if ttl is not None:
        form += (("ttl", str(ttl)),)
    if dir is not None:
        form += (("dir", flag(dir)),)
    if no_value_on_success is not None:
        form += (("noValueOnSuccess", flag(no_value_on_success)),)
    return Call("post_key", "POST", "/v2/keys" + key_path(key), (), form, None, _read_post_key)


def _read_post_key(status: int, body: bytes) -> KeysEvent | KeysError | Message:
    if status == 201:
        return read(KeysEvent, status, body)
    if status in (400, 401, 404, 500):
        return read(KeysError, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def delete_key(
    key: str,
    *,
    dir: bool | None = None,
    recursive: bool | None = None,
    prev_value: str | None = None,
    prev_index: int | None = None,
) -> Call[KeysEvent, KeysError | Message]:
    """Delete a key or a directory, with conditions if wanted.

    All parameters go into the query: the server ignores the body of DELETE, so a condition in a form would be lost and
    the key deleted. With a condition only a file can be deleted, whatever `dir` and `recursive` say.

    key: Path. The key, with or without its leading slash; "/" is the root. Every segment is percent-encoded by itself,
        slashes are kept, so is one trailing slash (the server drops it, but compares role patterns with it). Empty, `.`
        and `..` segments are refused: the server would redirect to a cleaned path.
    dir: Query. Allow the deletion of an empty directory.
    recursive: Query. The whole tree below. Needs a role pattern that ends in `*`.
    prev_value: Query. Only if the value is this one. Must not be empty. Long values do not fit into the query - use
        `prevIndex`.
    prev_index: Query. Only if `modifiedIndex` is this one. The server takes 0 as absent and deletes without a
        condition.
    """
    query: tuple[tuple[str, str], ...] = ()
    if dir is not None:
        query += (("dir", flag(dir)),)
    if recursive is not None:
        query += (("recursive", flag(recursive)),)
    if prev_value is not None:
        query += (("prevValue", prev_value),)
    if prev_index is not None:
        query += (("prevIndex", str(prev_index)),)
    return Call("delete_key", "DELETE", "/v2/keys" + key_path(key), query, None, None, _read_delete_key)


def _read_delete_key(status: int, body: bytes) -> KeysEvent | KeysError | Message:
    if status == 200:
        return read(KeysEvent, status, body)
    if status in (400, 401, 403, 404, 412, 500):
        return read(KeysError, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def list_members() -> Call[Members, Message]:
    """All members of the cluster, as this member knows them."""
    return Call("list_members", "GET", "/v2/members", (), None, None, _read_list_members)


def _read_list_members(status: int, body: bytes) -> Members | Message:
    if status == 200:
        return read(Members, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def add_member(body: MemberPeers) -> Call[Member, Message]:
    """Add a member, which is then to be started with this peer URL.

    A cluster of one needs the new member to run before it accepts the next write. With 500 or no answer the member may
    have been added all the same. The content type must be exactly `application/json` on 2.3; later ones accept a
    charset.

    body: The peer URLs of the new member.
    """
    return Call(
        "add_member",
        "POST",
        "/v2/members",
        (),
        None,
        body.model_dump_json(by_alias=True, exclude_none=True),
        _read_add_member,
    )


def _read_add_member(status: int, body: bytes) -> Member | Message:
    if status == 201:
        return read(Member, status, body)
    if status in (400, 401, 409, 415, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_leader() -> Call[Member, Message]:
    """The member that leads now."""
    return Call("get_leader", "GET", "/v2/members/leader", (), None, None, _read_get_leader)


def _read_get_leader(status: int, body: bytes) -> Member | Message:
    if status == 200:
        return read(Member, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def update_member(id: str, body: MemberPeers) -> Call[None, Message]:
    """Change the peer URLs of a member.

    id: Path. The id of the member, hex as in the list.
    body: The new peer URLs.
    """
    return Call(
        "update_member",
        "PUT",
        "/v2/members/" + path_segment(id),
        (),
        None,
        body.model_dump_json(by_alias=True, exclude_none=True),
        _read_update_member,
    )


def _read_update_member(status: int, body: bytes) -> Message | None:
    if status == 204:
        expect_nothing(status, body)
        return None
    if status in (400, 401, 404, 409, 415, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def remove_member(id: str) -> Call[None, Message]:
    """Remove a member for ever. Its id never comes back.

    id: Path. The id of the member, hex as in the list.
    """
    return Call("remove_member", "DELETE", "/v2/members/" + path_segment(id), (), None, None, _read_remove_member)


def _read_remove_member(status: int, body: bytes) -> Message | None:
    if status == 204:
        expect_nothing(status, body)
        return None
    if status in (401, 404, 410, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def list_machines() -> Call[str, Message]:
    """The client URLs of all started members, as one line of text."""
    return Call("list_machines", "GET", "/v2/machines", (), None, None, _read_list_machines)


def _read_list_machines(status: int, body: bytes) -> str | Message:
    if status == 200:
        return read_text(status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_self_stats() -> Call[SelfStats, Message]:
    """What this member says about itself.

    Without a quorum a former leader may go on to call itself `StateLeader`.
    """
    return Call("get_self_stats", "GET", "/v2/stats/self", (), None, None, _read_get_self_stats)


def _read_get_self_stats(status: int, body: bytes) -> SelfStats | Message:
    if status == 200:
        return read(SelfStats, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_leader_stats() -> Call[LeaderStats, Message]:
    """How the followers do, as their leader sees it."""
    return Call("get_leader_stats", "GET", "/v2/stats/leader", (), None, None, _read_get_leader_stats)


def _read_get_leader_stats(status: int, body: bytes) -> LeaderStats | Message:
    if status == 200:
        return read(LeaderStats, status, body)
    if status in (403, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_store_stats() -> Call[StoreStats, Message]:
    """Counts of the operations on this member's store.

    Internal traffic is counted too; every check of a permission is a get. After a restart with the same data all but
    the gets go on.
    """
    return Call("get_store_stats", "GET", "/v2/stats/store", (), None, None, _read_get_store_stats)


def _read_get_store_stats(status: int, body: bytes) -> StoreStats | Message:
    if status == 200:
        return read(StoreStats, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_auth_state() -> Call[AuthState, Message]:
    """Whether authentication is on. Open to everybody."""
    return Call("get_auth_state", "GET", "/v2/auth/enable", (), None, None, _read_get_auth_state)


def _read_get_auth_state(status: int, body: bytes) -> AuthState | Message:
    if status == 200:
        return read(AuthState, status, body)
    if status in (500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def enable_auth() -> Call[None, Message]:
    """Switch authentication on. A user `root` must exist.

    The role `guest` is made, with all rights on all keys, if it is missing.
    """
    return Call("enable_auth", "PUT", "/v2/auth/enable", (), None, None, _read_enable_auth)


def _read_enable_auth(status: int, body: bytes) -> Message | None:
    if status == 200:
        expect_nothing(status, body)
        return None
    if status in (401, 409, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def disable_auth() -> Call[None, Message]:
    """Switch authentication off."""
    return Call("disable_auth", "DELETE", "/v2/auth/enable", (), None, None, _read_disable_auth)


def _read_disable_auth(status: int, body: bytes) -> Message | None:
    if status == 200:
        expect_nothing(status, body)
        return None
    if status in (401, 409, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def list_users() -> Call[Users, Message]:
    """All users with their roles. Users whose names start with `_` are missing."""
    return Call("list_users", "GET", "/v2/auth/users", (), None, None, _read_list_users)


def _read_list_users(status: int, body: bytes) -> Users | Message:
    if status == 200:
        return read(Users, status, body)
    if status in (401, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_user(name: str) -> Call[User, Message]:
    """One user with the roles and their permissions.

    Needs the root role: a user cannot read itself. A user that holds a role which does not exist is answered with 404
    and the name of the role.

    name: Path. The name of the user, one percent-encoded segment.
    """
    return Call("get_user", "GET", "/v2/auth/users/" + path_segment(name), (), None, None, _read_get_user)


def _read_get_user(status: int, body: bytes) -> User | Message:
    if status == 200:
        return read(User, status, body)
    if status in (400, 401, 404, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def put_user(name: str, body: UserChange) -> Call[UserState, Message]:
    """Create a user, change the password, or grant and revoke roles.

    A password alone creates the user, or changes the password of one that exists. A password with roles creates only.
    `grant` and `revoke` change the roles of a user that exists. Roles need not exist. The server uses the first 72
    bytes of a password; a name with a colon can be created and never logs in. The names of roles are not checked: one
    that is empty, `.`, `..` or only slashes is taken, and from then on reading that user and listing all users ends the
    connection without an answer, for everybody, until it is revoked (seen on 3.4.23 and 3.5.1).

    name: Path. The name of the user, one percent-encoded segment.
    body: The name must be the one of the path. The content type is not looked at.
    """
    return Call(
        "put_user",
        "PUT",
        "/v2/auth/users/" + path_segment(name),
        (),
        None,
        body.model_dump_json(by_alias=True, exclude_none=True),
        _read_put_user,
        secret=True,
    )


def _read_put_user(status: int, body: bytes) -> UserState | Message:
    if status in (200, 201):
        return read(UserState, status, body)
    if status in (400, 401, 403, 404, 409, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def delete_user(name: str) -> Call[None, Message]:
    """Delete a user. Not root, while authentication is on.

    name: Path. The name of the user, one percent-encoded segment.
    """
    return Call("delete_user", "DELETE", "/v2/auth/users/" + path_segment(name), (), None, None, _read_delete_user)


def _read_delete_user(status: int, body: bytes) -> Message | None:
    if status == 200:
        expect_nothing(status, body)
        return None
    if status in (400, 401, 403, 404, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def list_roles() -> Call[Roles, Message]:
    """All roles with their permissions. `root` is always among them."""
    return Call("list_roles", "GET", "/v2/auth/roles", (), None, None, _read_list_roles)


def _read_list_roles(status: int, body: bytes) -> Roles | Message:
    if status == 200:
        return read(Roles, status, body)
    if status in (401, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_role(name: str) -> Call[Role, Message]:
    """One role with its permissions.

    name: Path. The name of the role, one percent-encoded segment.
    """
    return Call("get_role", "GET", "/v2/auth/roles/" + path_segment(name), (), None, None, _read_get_role)


def _read_get_role(status: int, body: bytes) -> Role | Message:
    if status == 200:
        return read(Role, status, body)
    if status in (400, 401, 404, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def put_role(name: str, body: RoleChange) -> Call[Role, Message]:
    """Create a role, or grant and revoke its permissions.

    Without `grant` and `revoke` the role is created, with `permissions`. With one of them a role that exists is
    changed. An empty pattern panics the server's check: it then closes the connection of every request of the role's
    users.

    name: Path. The name of the role, one percent-encoded segment.
    body: The name must be the one of the path. The content type is not looked at.
    """
    return Call(
        "put_role",
        "PUT",
        "/v2/auth/roles/" + path_segment(name),
        (),
        None,
        body.model_dump_json(by_alias=True, exclude_none=True),
        _read_put_role,
    )


def _read_put_role(status: int, body: bytes) -> Role | Message:
    if status in (200, 201):
        return read(Role, status, body)
    if status in (400, 401, 403, 404, 409, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def delete_role(name: str) -> Call[None, Message]:
    """Delete a role. Users who hold it keep its name.

    name: Path. The name of the role, one percent-encoded segment.
    """
    return Call("delete_role", "DELETE", "/v2/auth/roles/" + path_segment(name), (), None, None, _read_delete_role)


def _read_delete_role(status: int, body: bytes) -> Message | None:
    if status == 200:
        expect_nothing(status, body)
        return None
    if status in (400, 401, 403, 404, 500, 502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_version() -> Call[Version, Message]:
    """The versions of this server and of its cluster."""
    return Call("get_version", "GET", "/version", (), None, None, _read_get_version)


def _read_get_version(status: int, body: bytes) -> Version | Message:
    if status == 200:
        return read(Version, status, body)
    if status in (502, 503):
        return read(Message, status, body)
    raise undescribed(status, body)


def get_health() -> Call[Health, Message]:
    """Whether this member can serve writes.

    JSON that is sent as text/plain. Asks the cluster, so it takes up to a second without a quorum, on 2.3 always 250
    ms. Each request writes an entry into every member's raft log (a quorum read), on 3.5 only where the v2 API is on.
    It says nothing of the v2 API: a server where that is off is healthy, and an alarm of v3 (NOSPACE) makes one
    unhealthy whose v2 API works.
    """
    return Call("get_health", "GET", "/health", (), None, None, _read_get_health)


def _read_get_health(status: int, body: bytes) -> Health | Message:
    if status == 200:
        return read(Health, status, body)
    if status == 502:
        return read(Message, status, body)
    if status == 503:
        return read_either(Health, Message, status, body)
    raise undescribed(status, body)
