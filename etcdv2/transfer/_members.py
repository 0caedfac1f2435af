"""What a cluster writes about its members into the v2 store, below `/0`.

Owns these paths and texts (`etcdserver/api/membership`), and which changes of members are refused. They
take indexes like any other write, so a replay without them would be wrong from the first key on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from etcdv2 import KeyExists
from etcdv2.transfer._store import StoreEvent, V2Store

MEMBERS_PATH = "/0/members"
REMOVED_PATH = "/0/removed_members"
VERSION_PATH = "/0/version"

# Not anchored in etcd either.
_ATTRIBUTES = re.compile(r"/0/members/([0-9a-fA-F]{1,16})/attributes")


def attributes_of(path: str) -> int | None:
    """The id of the member whose name and client URLs a PUT to this path says; None for another path."""
    found = _ATTRIBUTES.search(path)
    return None if found is None else int(found[1], 16)


def set_attributes(store: V2Store, member: int, text: str) -> StoreEvent | None:
    """A member's name and client URLs, as JSON. Nothing happens for one that was removed."""
    if member not in _ids(store, MEMBERS_PATH):
        return None
    return store.set(f"{MEMBERS_PATH}/{member:x}/attributes", text)


def set_version(store: V2Store, version: str) -> StoreEvent:
    """The version that all members have at least, such as `3.5.0`."""
    return store.set(VERSION_PATH, version)


def version_of(store: V2Store) -> str:
    """The version of the cluster; "" where none was agreed upon yet."""
    known = {node.name: node.value for node in store.children("/0")}
    return known.get("version") or ""


def add_member(store: V2Store, member: int, peer_urls: Sequence[str], *, learner: bool, promote: bool) -> None:
    """A member is added, or, with `promote`, a learner becomes a voter."""
    present = _ids(store, MEMBERS_PATH)
    if member in _ids(store, REMOVED_PATH):
        return
    if promote:
        if member in present:
            store.update(_raft_attributes(member), _raft_text(peer_urls, learner=False))
        return

    taken = {url for other in present for url in _peer_urls(store, other)}
    if member in present or taken & set(peer_urls):
        return
    try:
        store.create(_raft_attributes(member), _raft_text(peer_urls, learner=learner))
    except KeyExists:  # two of the same in one log
        return


def update_member(store: V2Store, member: int, peer_urls: Sequence[str]) -> None:
    """The peer URLs of a member change."""
    present = _ids(store, MEMBERS_PATH)
    taken = {url for other in present if other != member for url in _peer_urls(store, other)}
    if member in present and not taken & set(peer_urls):
        store.update(_raft_attributes(member), _raft_text(peer_urls, learner=False))


def remove_member(store: V2Store, member: int) -> None:
    """A member is removed for good."""
    if member in _ids(store, MEMBERS_PATH) and member not in _ids(store, REMOVED_PATH):
        store.delete(f"{MEMBERS_PATH}/{member:x}", recursive=True)
        store.create(f"{REMOVED_PATH}/{member:x}")


def _raft_attributes(member: int) -> str:
    return f"{MEMBERS_PATH}/{member:x}/raftAttributes"


def _raft_text(peer_urls: Sequence[str], *, learner: bool) -> str:
    attributes: dict[str, Any] = {"peerURLs": list(peer_urls)}
    if learner:
        attributes["isLearner"] = True
    return json.dumps(attributes, separators=(",", ":"))


def _ids(store: V2Store, path: str) -> set[int]:
    parent, _, name = path.rpartition("/")
    if name not in {node.name for node in store.children(parent)}:
        return set()
    return {int(node.name, 16) for node in store.children(path)}


def _peer_urls(store: V2Store, member: int) -> Iterator[str]:
    for node in store.children(f"{MEMBERS_PATH}/{member:x}"):
        if node.name == "raftAttributes":
            yield from json.loads(node.value or "{}").get("peerURLs") or ()
