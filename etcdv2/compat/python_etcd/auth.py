"""python-etcd's users and roles as objects, for etcd 2.3 and newer: read, change, write back.

Owns what of an object is sent. All of it needs the user root where authentication is on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

from etcdv2.compat.python_etcd import _errors
from etcdv2.compat.python_etcd._advice import advise


class EtcdAuthBase:
    """What users and roles have in common."""

    entity: ClassVar[str] = "example"

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name
        self.uri = f"{client.version_prefix}/auth/{self.entity}s/{name}"

    @property
    def names(self) -> list[str]:
        """All that there are."""
        listed = f"{self.entity}s"
        response = self.client.api_execute(f"{self.client.version_prefix}/auth/{listed}", self.client._MGET)
        found: list[Any] = json.loads(response.data.decode())[listed] or []
        return [one if isinstance(one, str) else one[self.entity] for one in found]

    def read(self) -> None:
        """Take what the server has. Raises EtcdKeyNotFound, EtcdInsufficientPermissions, EtcdException."""
        try:
            response = self.client.api_execute(self.uri, self.client._MGET)
        except (_errors.EtcdInsufficientPermissions, _errors.EtcdKeyNotFound):
            raise
        except Exception as error:
            raise _errors.EtcdException(f"Could not fetch {self.entity} '{self.name}': {error}") from error
        self._from_net(response.data)

    def write(self) -> None:
        """Make it, or send what differs from the server's. Raises as `read` does."""
        found = type(self)(self.client, self.name)
        try:
            found.read()
            changes = self._to_net(found)
        except _errors.EtcdKeyNotFound:
            changes = self._to_net()
        try:
            for payload in changes:
                response = self.client.api_execute_json(self.uri, self.client._MPUT, params=payload)
                self._from_net(response.data)
        except _errors.EtcdInsufficientPermissions:
            raise
        except Exception as error:
            raise _errors.EtcdException(f"Could not write {self.entity} '{self.name}': {error}") from error

    def delete(self) -> None:
        """Raises as `read` does."""
        try:
            self.client.api_execute(self.uri, self.client._MDELETE)
        except (_errors.EtcdInsufficientPermissions, _errors.EtcdKeyNotFound):
            raise
        except Exception as error:
            raise _errors.EtcdException(f"Could not delete {self.entity} '{self.name}': {error}") from error

    @classmethod
    def new(cls, client: Any, data: Mapping[str, Any]) -> Self:
        """From the server's JSON."""
        made = cls(client, data[cls.entity])
        made._from_net(json.dumps(data).encode())
        return made

    def _from_net(self, data: bytes) -> None:
        raise NotImplementedError

    def _to_net(self, prevobj: Any = None) -> list[dict[str, Any]]:
        raise NotImplementedError


class EtcdUser(EtcdAuthBase):
    """A user: `roles` is a set of names; `password` can only be set."""

    entity = "user"

    def __init__(self, client: Any, name: str) -> None:
        advise("EtcdUser")
        super().__init__(client, name)
        self._roles: set[str] = set()
        self._password: str | None = None

    @property
    def roles(self) -> set[str]:
        return self._roles

    @roles.setter
    def roles(self, names: Iterable[str]) -> None:
        self._roles = set(names)

    @property
    def password(self) -> None:
        """Not shown."""
        return

    @password.setter
    def password(self, new_password: str | None) -> None:
        self._password = new_password

    def __str__(self) -> str:
        return json.dumps({"user": self.name, "roles": sorted(self._roles)})

    def _from_net(self, data: bytes) -> None:
        content = json.loads(data.decode())
        self.name = content.get("user")
        self.roles = [one if isinstance(one, str) else one["role"] for one in content.get("roles") or ()]

    def _to_net(self, prevobj: EtcdUser | None = None) -> list[dict[str, Any]]:
        # The password goes once, whatever comes of it.
        password, self._password = self._password, None
        if prevobj is None:
            return [{"user": self.name, "password": password, "roles": sorted(self._roles)}]

        changes: list[dict[str, Any]] = []
        if password:
            changes.append({"user": self.name, "password": password})
        if granted := sorted(self._roles - prevobj._roles):
            changes.append({"user": self.name, "grant": granted})
        if revoked := sorted(prevobj._roles - self._roles):
            changes.append({"user": self.name, "revoke": revoked})
        return changes


class EtcdRole(EtcdAuthBase):
    """A role: `acls` maps patterns of keys to "R", "W" or "RW"."""

    entity = "role"

    def __init__(self, client: Any, name: str) -> None:
        advise("EtcdRole")
        super().__init__(client, name)
        self._read_paths: set[str] = set()
        self._write_paths: set[str] = set()

    @property
    def acls(self) -> dict[str, str]:
        return {
            path: "R" * (path in self._read_paths) + "W" * (path in self._write_paths)
            for path in sorted(self._read_paths | self._write_paths)
        }

    @acls.setter
    def acls(self, acls: Mapping[str, str]) -> None:
        self._read_paths, self._write_paths = set(), set()
        for path, permission in acls.items():
            self.grant(path, permission)

    def grant(self, path: str, permission: str) -> None:
        """Sent by `write`."""
        for paths in self._of(permission):
            paths.add(path)

    def revoke(self, path: str, permission: str) -> None:
        """Sent by `write`."""
        for paths in self._of(permission):
            paths.discard(path)

    def __str__(self) -> str:
        return json.dumps({"role": self.name, "acls": self.acls})

    def _of(self, permission: str) -> Iterator[set[str]]:
        if "R" in permission.upper():
            yield self._read_paths
        if "W" in permission.upper():
            yield self._write_paths

    def _from_net(self, data: bytes) -> None:
        content = json.loads(data.decode())
        self.name = content.get("role")
        permissions: dict[str, Any] = content.get("permissions") or {}
        patterns: dict[str, Any] = permissions.get("kv") or {}
        self._read_paths, self._write_paths = set(patterns.get("read") or ()), set(patterns.get("write") or ())

    def _to_net(self, prevobj: EtcdRole | None = None) -> list[dict[str, Any]]:
        if prevobj is None:
            kv = {"read": sorted(self._read_paths), "write": sorted(self._write_paths)}
            return [{"role": self.name, "permissions": {"kv": kv}}]

        # What is taken away goes first, as python-etcd has it.
        changes: list[dict[str, Any]] = []
        for name, more, less in (("revoke", prevobj, self), ("grant", self, prevobj)):
            kv = {
                "read": sorted(more._read_paths - less._read_paths),
                "write": sorted(more._write_paths - less._write_paths),
            }
            if kv["read"] or kv["write"]:
                changes.append({"role": self.name, name: {"kv": kv}})
        return changes


class Auth:
    """The switch of authentication."""

    def __init__(self, client: Any) -> None:
        advise("Auth")
        self.client = client
        self.uri = f"{client.version_prefix}/auth/enable"

    @property
    def active(self) -> bool:
        """Whether it is on. Setting it needs a user root that exists."""
        return bool(json.loads(self.client.api_execute(self.uri, self.client._MGET).data.decode())["enabled"])

    @active.setter
    def active(self, value: bool) -> None:
        if value != self.active:
            self.client.api_execute(self.uri, self.client._MPUT if value else self.client._MDELETE)
