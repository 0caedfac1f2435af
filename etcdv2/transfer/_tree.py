"""A tree of keys at one moment, whichever source it is from: HTTP, a member's files, a dump.

Owns the one form in which such trees are written and compared, and how a store becomes one. Does no I/O.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from etcdv2 import KeyNotFound
from etcdv2.transfer._errors import TransferError
from etcdv2.transfer._store import V2Store, clean_path
from etcdv2.transfer._text import as_etcd_shows, bytes_of

Hidden = Literal["none", "named", "all"]
SourceKind = Literal["http", "data-dir"]
REPLACEMENT = "\ufffd"
SECOND = 1_000_000_000
"""In nanoseconds, as moments of expiry are counted."""


@dataclass(frozen=True, slots=True)
class DumpNode:
    """One key or directory."""

    key: str
    """A byte that is no UTF-8 is a surrogate escape, as in Python's names of files."""
    value: str | None
    """The same; None for a directory."""
    created_index: int = 0
    """The index of its creation in the store that was read; a load cannot carry it over."""
    modified_index: int = 0
    """The index of the last write in the store that was read; a load cannot carry it over."""
    expires_at: int | None = None
    """Nanoseconds since 1970, UTC; None for what does not expire."""
    damaged: bool = False
    """Whether bytes may be lost: there is a U+FFFD in it, be it of a writer, or what etcd makes of a byte that is no
    UTF-8 (spec/protocol.md section 19.2).
    """

    @property
    def dir(self) -> bool:
        """Whether it is a directory, and so has no value."""
        return self.value is None

    @property
    def moment(self) -> str | None:
        """When it expires, as "2026-11-25T23:05:31Z"; None for what does not expire."""
        if self.expires_at is None:
            return None
        return dt.datetime.fromtimestamp(self.expires_at // SECOND, dt.UTC).isoformat().replace("+00:00", "Z")

    def ttl(self, now: int) -> int | None:
        """Seconds left at `now` (nanoseconds since 1970), rounded up; None for what does not expire."""
        return None if self.expires_at is None else -((now - self.expires_at) // SECOND)


@dataclass(frozen=True, slots=True)
class AuthEntry:
    """A user or a role of v2."""

    kind: Literal["user", "role"]
    """Which of the two: it says what `data` has."""
    name: str
    """The user's or the role's; the built-in role `root` has no entry."""
    data: Mapping[str, Any]
    """`roles` of a user, and `hash`, the hash of its password, where it was asked for; `permissions` of a role."""


@dataclass(frozen=True, slots=True)
class Tree:
    """All nodes below one directory at one moment, by the bytes of their keys, parents first."""

    nodes: Mapping[str, DumpNode]
    """By key. The directory `root` itself is not among them."""
    root: str = "/"
    """The directory that was read, absolute. Hidden nodes that were named may be elsewhere."""
    index: int = 0
    """The store's index at that moment."""
    made: int = 0
    """When it was read, nanoseconds since 1970, by the clock here."""
    hidden: Hidden = "none"
    """Which hidden nodes are in it: none, those below the roots that were named, or all."""
    source: Mapping[str, str] = field(default_factory=dict[str, str])
    """`kind` is `http` or `data-dir`; what else is known, such as `cluster_id`."""
    auth: tuple[AuthEntry, ...] = ()
    """Roles, then users; empty where they were not asked for."""
    auth_enabled: bool | None = None
    """None where it was not asked for."""

    def __iter__(self) -> Iterator[DumpNode]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def has_secrets(self) -> bool:
        """Whether hashes of passwords are in it."""
        return any("hash" in entry.data for entry in self.auth)


def tree_from(nodes: Iterable[DumpNode], **about: Any) -> Tree:
    """A tree of these nodes in any order; of two with one key the later counts."""
    found = {node.key: node for node in nodes}
    return Tree({key: found[key] for key in sorted(found, key=sort_key)}, **about)


def sort_key(key: str) -> list[bytes]:
    """Parents before children, and these before the parent's next sibling."""
    return bytes_of(key).split(b"/")


def tree_of_store(
    store: V2Store, *, root: str = "/", made: int, source: Mapping[str, str], auth: bool = False, secrets: bool = False
) -> Tree:
    """The keys of a store at and below `root`, hidden ones included. Raises KeyNotFound, NotDir."""
    place = clean_path("/1/" + root.lstrip("/"))
    shown = [
        DumpNode(
            node.path.removeprefix("/1"),
            None if node.dir else node.value or "",
            node.created_index,
            node.modified_index,
            node.expires_at,
            REPLACEMENT in (node.value or "") or REPLACEMENT in node.path,
        )
        for node in store.walk(place)
        if node.path not in ("/1", place)
    ]
    enabled, entries = _auth_of(store, secrets) if auth else (None, ())
    return tree_from(
        shown,
        root=place.removeprefix("/1") or "/",
        index=store.index,
        made=made,
        hidden="all",
        source=source,
        auth=entries,
        auth_enabled=enabled,
    )


def _auth_of(store: V2Store, secrets: bool) -> tuple[bool, tuple[AuthEntry, ...]]:
    entries: list[AuthEntry] = []
    for role in _documents(store, "/2/roles"):
        entries.append(AuthEntry("role", role["role"], {"permissions": role.get("permissions") or {}}))
    for user in _documents(store, "/2/users"):
        data: dict[str, Any] = {"roles": user.get("roles") or []}
        if secrets and user.get("password"):
            data["hash"] = user["password"]
        entries.append(AuthEntry("user", user["user"], data))
    try:
        enabled = store.get("/2/enabled").value == "true"
    except KeyNotFound:
        enabled = False
    return enabled, tuple(entries)


def _documents(store: V2Store, path: str) -> Iterator[dict[str, Any]]:
    try:
        nodes = store.children(path)
    except KeyNotFound:
        return
    for node in nodes:
        try:
            document: Any = json.loads(node.value or "")
        except ValueError:
            raise TransferError(f"{node.path} of the store is no JSON") from None
        found = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        if not isinstance(found.get("user" if path == "/2/users" else "role"), str):
            raise TransferError(f"{node.path} of the store is no user and no role")
        yield found


def same_text(one: DumpNode, other: DumpNode) -> bool:
    """Whether the values are equal, as far as it can be known: of a damaged one etcd's image of the other's bytes."""
    if one.value == other.value or one.value is None or other.value is None:
        return one.value == other.value
    return (one.damaged or other.damaged) and as_etcd_shows(one.value) == as_etcd_shows(other.value)
