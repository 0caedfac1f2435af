"""The files of snapshots: a checksum, where in raft's log it was taken, and the store as JSON.

Owns the format of `.snap` (spec/protocol.md section 19.2), which 2.x to 3.6 share.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etcdv2.transfer._crc32c import Extend
from etcdv2.transfer._errors import DamagedFile
from etcdv2.transfer._node import StoreNode
from etcdv2.transfer._protobuf import Fields, Malformed
from etcdv2.transfer._store import V2Store

_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.snap")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class SnapFile:
    """One snapshot, read and checked."""

    path: Path
    index: int
    term: int
    data: bytes


def snap_files(folder: Path) -> list[Path]:
    """The snapshots in a folder, the newest first."""
    return sorted((path for path in folder.glob("*.snap") if _NAME.fullmatch(path.name)), reverse=True)


def read_snap(path: Path, extend: Extend | None) -> SnapFile:
    """Raises DamagedFile, and OSError where it cannot be read. extend: the checksum; None leaves it out."""
    try:
        outer = Fields(path.read_bytes())
        data = outer.raw(2)
        if not data or not outer.number(1):
            raise Malformed("the snapshot is empty")
        if extend is not None and extend(0, data) != outer.number(1):
            raise Malformed("the checksum is wrong")
        inner = Fields(data)
        place = Fields(inner.raw(2))
    except Malformed as error:
        raise DamagedFile(path, str(error)) from None
    return SnapFile(path, place.number(2), place.number(3), inner.raw(1))


def store_of(snap: SnapFile, *, directory_ttl: bool = True) -> V2Store:
    """The store in it. Raises DamagedFile."""
    try:
        document = json.loads(snap.data)
        store = V2Store(index=int(document["CurrentIndex"]), directory_ttl=directory_ttl)
        _place_all(store, document["Root"])
    except RecursionError:
        raise DamagedFile(snap.path, "the keys in it have too many segments") from None
    except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
        raise DamagedFile(snap.path, f"the store in it cannot be read: {error!r:.200}") from None
    return store


def _place_all(store: V2Store, root: dict[str, Any]) -> None:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        children = node["Children"]
        store.place(
            StoreNode(
                _shown(node["Path"]),
                dir=children is not None,
                value=None if children is not None else _shown(node["Value"]),
                created_index=int(node["CreatedIndex"]),
                modified_index=int(node["ModifiedIndex"]),
                expires_at=_nanoseconds(node["ExpireTime"]),
            )
        )
        waiting.extend(children.values() if children else ())


def _shown(text: str) -> str:
    """As Go reads it: half of a surrogate pair is U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _nanoseconds(moment: str) -> int | None:
    """Of a Go time in JSON; its year 1 is "never"."""
    if moment.startswith("0001-01-01T00:00:00"):
        return None
    found = _MOMENT.fullmatch(moment)
    if found is None:
        raise ValueError(f"{moment!r} is no moment")
    whole = dt.datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3])) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))
