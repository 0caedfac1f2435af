# Derived from etcdv2/_async/admin.py by scripts/unasync.py: change that file, make generate.
"""Members, statistics and auth: thin over the generated operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from etcdv2._core import admin as bodies
from etcdv2._core.call.policy import policy_for
from etcdv2._runtime.primitives import gives_way
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2._types.api_errors import Conflict, NotFound
from etcdv2._types.settings import UNSET, TimeoutLike, Unset
from etcdv2_api import (
    Call,
    LeaderStats,
    Member,
    Message,
    Role,
    SelfStats,
    StoreStats,
    User,
    UserState,
    operations,
)
from etcdv2_api.call import shortened

Answer = TypeVar("Answer")


class Section:
    """What the sections share: one way to send."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def _send(self, call: Call[Answer, Message], timeout: TimeoutLike | Unset) -> Answer:
        policy = policy_for(call, repeat=self._dispatcher.repeat_writes, quorum=False)
        return (self._dispatcher.perform(call, policy, timeout)).answer


@gives_way
class MembersAPI(Section):
    """The members of the cluster. Changing them needs the root user where auth is on."""

    def list(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[Member, ...]:
        """Every member; one that was added but never started has no name and no client URLs."""
        return (self._send(operations.list_members(), timeout)).members

    def leader(self, *, timeout: TimeoutLike | Unset = UNSET) -> Member:
        """The leader; asked again during an election, until the total time is over."""
        return self._send(operations.get_leader(), timeout)

    def add(self, peer_urls: str | Iterable[str], *, timeout: TimeoutLike | Unset = UNSET) -> Member:
        """Announce a member by its peer URLs.

        Raises Conflict when one is in use, BadRequest for a bad URL. A cluster that would lose its
        quorum by it refuses with status 500, which cannot be distinguished from a lost commit:
        OutcomeUnknown.
        """
        return self._send(operations.add_member(bodies.peers(peer_urls)), timeout)

    def update(self, id: str, peer_urls: str | Iterable[str], *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Give a member other peer URLs. Raises NotFound, Conflict, BadRequest."""
        self._send(operations.update_member(id, bodies.peers(peer_urls)), timeout)

    def remove(self, id: str, *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Remove a member for good. Raises NotFound, or Gone when it was removed before."""
        self._send(operations.remove_member(id), timeout)


@gives_way
class StatsAPI(Section):
    """Statistics, of whichever member answers (`leader`: of the leader)."""

    def self_(self, *, timeout: TimeoutLike | Unset = UNSET) -> SelfStats:
        """The answering member's own state and counters (`/v2/stats/self`)."""
        return self._send(operations.get_self_stats(), timeout)

    def leader(self, *, timeout: TimeoutLike | Unset = UNSET) -> LeaderStats:
        """The leader's view of its followers, latencies in milliseconds.

        Endpoints are asked until one is the leader.
        """
        return self._send(operations.get_leader_stats(), timeout)

    def store(self, *, timeout: TimeoutLike | Unset = UNSET) -> StoreStats:
        """Counts of operations since the member's start, internal ones included."""
        return self._send(operations.get_store_stats(), timeout)


@gives_way
class UsersAPI(Section):
    """Users. Everything here needs the root user where auth is on."""

    def list(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[User, ...]:
        """All users but those whose names begin with "_"; roles that were deleted are left out."""
        return (self._send(operations.list_users(), timeout)).users or ()

    def get(self, name: str, *, timeout: TimeoutLike | Unset = UNSET) -> User:
        """One user with its roles.

        Raises NotFound, also when a role of the user no longer exists: the message names it.
        """
        return self._send(operations.get_user(name), timeout)

    def create(
        self, name: str, password: str, roles: Iterable[str] = (), *, timeout: TimeoutLike | Unset = UNSET
    ) -> UserState:
        """Create a user. Raises Conflict when the name is taken.

        So the name is looked up first: a server itself would change the password of a user that is
        there already, unless roles are given. Passwords over 72 bytes are refused: the server would
        cut them. Roles need not exist; names that none can have ("", ".", "..", with a slash) are
        refused (ValueError): with most of them the server could no longer read any user.
        """
        body = bodies.new_user(name, password, roles)
        if self._exists(name, timeout):
            raise Conflict(f"User {shortened(name)} already exists; use change_password() or grant()", status=409)
        return self._send(operations.put_user(name, body), timeout)

    def change_password(self, name: str, password: str, *, timeout: TimeoutLike | Unset = UNSET) -> UserState:
        """Give a user another password. Raises NotFound: the server itself would create the user."""
        body = bodies.new_password(name, password)
        if not self._exists(name, timeout):
            raise NotFound(f"User {shortened(name)} does not exist; use create()", status=404)
        return self._send(operations.put_user(name, body), timeout)

    def grant(self, name: str, *roles: str, timeout: TimeoutLike | Unset = UNSET) -> UserState:
        """Give a user roles. Raises NotFound, or Conflict when it has one already.

        Raises ValueError for names that no role can have, as `create` does.
        """
        return self._send(operations.put_user(name, bodies.grant_user(name, roles)), timeout)

    def revoke(self, name: str, *roles: str, timeout: TimeoutLike | Unset = UNSET) -> UserState:
        """Take roles from a user. Raises NotFound, or Conflict when it does not have one.

        Any name is sent: where another tool has given an empty one, `revoke(name, "")` is what
        makes the users readable again.
        """
        return self._send(operations.put_user(name, bodies.revoke_user(name, roles)), timeout)

    def delete(self, name: str, *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Delete a user. Raises NotFound; ApiError with status 403 for root while auth is on."""
        self._send(operations.delete_user(name), timeout)

    def _exists(self, name: str, timeout: TimeoutLike | Unset) -> bool:
        if not name.startswith("_"):
            return any(user.user == name for user in self.list(timeout=timeout))
        try:  # names with "_" are not listed (seen on 3.5.1, 3.4.23)
            self.get(name, timeout=timeout)
        except NotFound:
            return False
        return True


@gives_way
class RolesAPI(Section):
    """Roles: key patterns to read and write.

    A pattern that ends in "*" is a prefix, any other one exact. Patterns are compared with the key
    as sent, so `/app/*` permits `/app/` and what is below, but not `/app`.
    """

    def list(self, *, timeout: TimeoutLike | Unset = UNSET) -> tuple[Role, ...]:
        """All roles; root and guest are there without having been made."""
        return (self._send(operations.list_roles(), timeout)).roles

    def get(self, name: str, *, timeout: TimeoutLike | Unset = UNSET) -> Role:
        """One role. Raises NotFound."""
        return self._send(operations.get_role(name), timeout)

    def create(
        self,
        name: str,
        *,
        read: str | Iterable[str] = (),
        write: str | Iterable[str] = (),
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Role:
        """Create a role. Raises Conflict when it exists.

        Patterns begin with "/" or are "*"; an empty one would crash the server, so others are
        refused (ValueError).
        """
        return self._send(operations.put_role(name, bodies.new_role(name, read, write)), timeout)

    def grant(
        self,
        name: str,
        *,
        read: str | Iterable[str] = (),
        write: str | Iterable[str] = (),
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Role:
        """Add patterns. Raises NotFound, or Conflict for one that is there already."""
        return self._send(operations.put_role(name, bodies.grant_role(name, read, write)), timeout)

    def revoke(
        self,
        name: str,
        *,
        read: str | Iterable[str] = (),
        write: str | Iterable[str] = (),
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Role:
        """Take patterns away. Raises NotFound, or BadRequest when nothing changes."""
        return self._send(operations.put_role(name, bodies.revoke_role(name, read, write)), timeout)

    def delete(self, name: str, *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Delete a role; revoke it first.

        Users keep the name of a deleted role, and `users.get` of such a user raises NotFound.
        """
        self._send(operations.delete_role(name), timeout)


@gives_way
class AuthAPI(Section):
    """Authentication: on or off, users, roles."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self._users = UsersAPI(dispatcher)
        self._roles = RolesAPI(dispatcher)

    @property
    def users(self) -> UsersAPI:
        """Users: list, get, create, grant, revoke, change_password, delete."""
        return self._users

    @property
    def roles(self) -> RolesAPI:
        """Roles: list, get, create, grant, revoke, delete."""
        return self._roles

    def enabled(self, *, timeout: TimeoutLike | Unset = UNSET) -> bool:
        """Whether authentication is on. Anybody may ask."""
        return (self._send(operations.get_auth_state(), timeout)).enabled

    def enable(self, *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Turn authentication on. Raises Conflict when it is on, or without a user root."""
        self._send(operations.enable_auth(), timeout)

    def disable(self, *, timeout: TimeoutLike | Unset = UNSET) -> None:
        """Turn authentication off. Raises Conflict when it is off, Unauthorized unless root."""
        self._send(operations.disable_auth(), timeout)
