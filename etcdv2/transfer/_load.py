"""What a load has to do, in stages, and what came of it.

Owns the order: what makes room for something else, then directories, parents first, then keys, then what is pruned.
Within a stage nothing hangs on anything else. Does no I/O: `_async/load.py` does.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from etcdv2 import ApiError, NotDir, NotFile
from etcdv2.transfer._online import nanoseconds
from etcdv2.transfer._plan import Plan, Skipped, Step
from etcdv2.transfer._text import as_etcd_shows, bytes_of, is_exact
from etcdv2.transfer._tree import REPLACEMENT, SECOND, DumpNode, Tree, tree_from

Pairs: TypeAlias = list[tuple[str, str]]

RACED = (100, 101, 105)
"""etcd's codes for a key that is not there, that is not as it was, and that is there already."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load` has done, or would do."""

    done: tuple[Step, ...]
    """The writes that were made, in the order in which they were acknowledged; with `dry_run` those that would be."""
    skipped: tuple[Skipped, ...]
    """What was left as it is, with the reasons; also what expired before its turn came."""
    raced: tuple[str, ...]
    """Keys that somebody else wrote meanwhile; they were left as they are. Load again."""


def hidden_keys(tree: Tree) -> list[str]:
    """What has to be asked for by name; what is below one of them comes with it."""
    return [node.key for node in tree if node.key.rpartition("/")[2].startswith("_") and is_exact(node.key)]


def stages(found: Plan) -> list[list[Step]]:
    """All steps, in the order in which they can be made."""
    # 1. What is deleted to make room, and what is pruned.
    written = {step.key for step in found.steps if step.action in ("set", "make-dir")}
    deletions = [step for step in found.steps if step.action in ("delete", "delete-dir")]
    room = [step for step in deletions if step.key in written]
    pruned = [step for step in deletions if step.key not in written]

    # 2. Directories by their depth.
    by_depth: dict[int, list[Step]] = {}
    for step in found.steps:
        if step.action == "make-dir":
            by_depth.setdefault(step.key.count("/"), []).append(step)

    keys = [step for step in found.steps if step.action == "set"]
    return [room, *(by_depth[depth] for depth in sorted(by_depth)), keys, pruned]


def ttl_of(step: Step, now: int) -> int | None:
    """Seconds to live of what is written at `now` (nanoseconds since 1970), 0 or less where it has expired."""
    return step.ttl if step.expires_at is None else math.ceil((step.expires_at - now) / SECOND)


def uncertain_keys(tree: Tree) -> list[str]:
    """What a listing does not show by a name of its own: each byte that is no UTF-8 reads as U+FFFD there."""
    return [node.key for node in tree if REPLACEMENT in as_etcd_shows(node.key)]


def with_uncertain(there: Tree, found: Mapping[str, DumpNode | None]) -> tuple[Tree, tuple[Skipped, ...]]:
    """What was listed, with the uncertain keys as they were found one by one; and what of them nobody asked for."""
    sure = [node for node in there if REPLACEMENT not in node.key]
    asked = {as_etcd_shows(key) for key in found}
    left = tuple(Skipped(node.key, "not UTF-8") for node in there if REPLACEMENT in node.key and node.key not in asked)
    tree = tree_from([*sure, *filter(None, found.values())], root=there.root, index=there.index, made=there.made)
    return tree, left


def raw_path(key: str) -> str:
    """With the very bytes of the key."""
    return f"/v2/keys{quote(bytes_of(key))}"


def raw_node(key: str, status: int, body: bytes) -> DumpNode | None:
    """What a request for this very key has found; None for nothing. Raises ApiError."""
    if not raw_written(status, body, (*RACED, 104)):
        return None
    node = json.loads(body)["node"]
    moment = node.get("expiration")
    expires = None if moment is None else nanoseconds(dt.datetime.fromisoformat(moment))
    value = None if node.get("dir") else node.get("value", "")
    return DumpNode(key, value, node["createdIndex"], node["modifiedIndex"], expires, REPLACEMENT in (value or ""))


def raw_request(step: Step, ttl: int | None) -> tuple[str, Pairs, Pairs | None]:
    """Method, query and form of the request that does a step with any bytes: methods for keys take text only."""
    condition = [] if step.prev_index is None else [("prevIndex", str(step.prev_index))]
    if step.action == "delete-dir":
        return "DELETE", [("recursive", "true"), ("dir", "true")], None
    if step.action == "delete":
        return "DELETE", condition, None

    form = [("dir", "true")] if step.action == "make-dir" else [("value", step.value)]
    if ttl is not None:
        form.append(("ttl", str(ttl)))
    if step.prev_index is None and not step.unconditional:
        condition = [("prevExist", "false")]
    return "PUT", [], form + condition


def raw_written(status: int, body: bytes, no: Container[int] = RACED) -> bool:
    """Whether it was done; False for these codes, such as where somebody else was there meanwhile. Raises ApiError."""
    if status < 300:
        return True
    said = json.loads(body)
    code = said.get("errorCode")
    if code in no:
        return False
    kind = {102: NotFile, 104: NotDir}.get(code, ApiError)
    raise kind(said.get("message", ""), code=code, cause=said.get("cause", ""), index=said.get("index", 0))
