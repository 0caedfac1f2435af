"""What a load has to do, in stages, and what came of it.

Owns the order: what makes room for something else, then directories, parents first, then keys, then what is pruned.
Within a stage nothing hangs on anything else. Does no I/O: `_async/load.py` does.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from urllib.parse import quote

from etcdv2 import ApiError, NotDir, NotFile
from etcdv2.transfer._plan import Plan, Skipped, Step
from etcdv2.transfer._text import is_exact
from etcdv2.transfer._tree import SECOND, Tree

RACED = (100, 101, 105)
"""etcd's codes for a key that is not there, that is not as it was, and that is there already."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `load` has done, or would do."""

    done: tuple[Step, ...]
    skipped: tuple[Skipped, ...]
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


def raw_write(step: Step, ttl: int | None) -> tuple[str, list[tuple[str, str]]]:
    """Path and form of the request that writes a value of any bytes: methods for keys take text only."""
    form = [("value", step.value)]
    if ttl is not None:
        form.append(("ttl", str(ttl)))
    if step.prev_index is not None:
        form.append(("prevIndex", str(step.prev_index)))
    elif not step.unconditional:
        form.append(("prevExist", "false"))
    return f"/v2/keys{quote(step.key)}", form


def raw_written(status: int, body: bytes) -> bool:
    """Whether such a write was made; False where somebody else was there meanwhile. Raises ApiError."""
    if status < 300:
        return True
    said = json.loads(body)
    code = said.get("errorCode")
    if code in RACED:
        return False
    kind = {102: NotFile, 104: NotDir}.get(code, ApiError)
    raise kind(said.get("message", ""), code=code, cause=said.get("cause", ""), index=said.get("index", 0))
