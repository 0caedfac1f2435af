"""What an entry of raft's log asks of the v2 store.

Owns the messages in it (spec/protocol.md section 19.1): a bare v2 request, one inside of an
InternalRaftRequest, and changes of members. Those of v3 ask nothing of the v2 store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from etcdv2 import ApiError
from etcdv2.transfer._members import add_member, remove_member, set_attributes, set_version, update_member
from etcdv2.transfer._protobuf import Fields, Malformed
from etcdv2.transfer._requests import StoreRequest, apply
from etcdv2.transfer._store import V2Store
from etcdv2.transfer._text import text_of
from etcdv2.transfer._wal import Entry

NORMAL, CONF_CHANGE = 0, 1
_METHODS = {b"PUT", b"POST", b"DELETE", b"QGET", b"SYNC", b"GET"}
_ADD, _REMOVE, _UPDATE, _ADD_LEARNER = range(4)


@dataclass(slots=True)
class MemberChange:
    """A change of the cluster's members."""

    kind: int
    member: int
    context: dict[str, Any]


@dataclass(slots=True)
class MemberNews:
    """What a member says of itself, or the cluster of its version, in a request of v3."""

    member: int | None
    text: str


Deed = StoreRequest | MemberChange | MemberNews | None


def decode(entry: Entry) -> Deed:
    """What the entry asks of the v2 store; None for nothing. Raises Malformed."""
    if not entry.data:
        return None
    fields = Fields(entry.data)
    if entry.kind == CONF_CHANGE:
        return MemberChange(fields.number(2), fields.number(3), _json(fields.raw(4)))
    if entry.kind != NORMAL:
        raise Malformed(f"entry {entry.index} is of the kind {entry.kind}")

    # As etcd up to 3.5 writes it; a name of a method is no message.
    if fields.raw(2) in _METHODS:
        return _request(fields)
    if fields.has(2):
        return _request(Fields(fields.raw(2)))
    if fields.has(1300):
        return MemberNews(None, text_of(Fields(fields.raw(1300)).raw(1)))
    if fields.has(1301):
        return _attributes(Fields(fields.raw(1301)))
    return None


def carry_out(store: V2Store, deed: Deed) -> None:
    """Do it to the store, as etcd does: what the store refuses changes nothing."""
    try:
        if isinstance(deed, StoreRequest):
            apply(store, deed)
        elif isinstance(deed, MemberChange):
            _change(store, deed)
        elif isinstance(deed, MemberNews):
            if deed.member is None:
                set_version(store, deed.text)
            else:
                set_attributes(store, deed.member, deed.text)
    except ApiError:
        return


def _request(fields: Fields) -> StoreRequest:
    return StoreRequest(
        method=text_of(fields.raw(2)),
        path=text_of(fields.raw(3)),
        value=text_of(fields.raw(4)),
        dir=bool(fields.flag(5)),
        prev_value=text_of(fields.raw(6)),
        prev_index=fields.number(7),
        prev_exist=fields.flag(8),
        expiration=fields.signed(9),
        recursive=bool(fields.flag(12)),
        time=fields.signed(15),
        refresh=bool(fields.flag(17)),
    )


def _attributes(fields: Fields) -> MemberNews:
    attributes = Fields(fields.raw(2))
    shown: dict[str, Any] = {}
    if attributes.raw(1):
        shown["name"] = text_of(attributes.raw(1))
    if attributes.all(2):
        shown["clientURLs"] = [text_of(url) for url in attributes.all(2)]
    return MemberNews(fields.number(1), json.dumps(shown, separators=(",", ":")))


def _json(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        found: Any = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed("a change of members is no JSON") from None
    if not isinstance(found, dict):
        raise Malformed("a change of members is no JSON object")
    return cast("dict[str, Any]", found)


def _change(store: V2Store, change: MemberChange) -> None:
    urls: Sequence[str] = change.context.get("peerURLs") or ()
    if change.kind in (_ADD, _ADD_LEARNER):
        learner = bool(change.context.get("isLearner"))
        add_member(store, change.member, urls, learner=learner, promote=bool(change.context.get("isPromote")))
    elif change.kind == _REMOVE:
        remove_member(store, change.member)
    elif change.kind == _UPDATE:
        update_member(store, change.member, urls)
