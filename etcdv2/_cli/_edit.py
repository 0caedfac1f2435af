"""`edit`: a value, or a directory as YAML, in an editor, and back where nobody else wrote meanwhile.

Owns the file between the two, which is kept when it could not be written.
"""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import COMPARE_FAILED, OK, Failed, UsageError
from etcdv2._cli._nodes import as_mapping, walk
from etcdv2._cli._output import as_yaml
from etcdv2._cli._processes import run_editor

if TYPE_CHECKING:
    from etcdv2 import Node


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--dir", action="store_true", help="a directory with all below it, as YAML")


def edit(context: Context) -> int:
    """A key that is not there yet can be made this way."""
    from etcdv2 import NotDir, NotFile

    key = context.words[0]
    whole = context.options.dir
    found = context.client.keys.get(key, recursive=whole, quorum=True, default=None, timeout=context.timeout)
    node = None if found is None else found.node
    if node is not None and node.dir and not whole:
        raise NotFile("A directory", code=102, cause=f"{node.key} (--dir edits it as YAML)")
    if node is not None and whole and not node.dir:
        raise NotDir("Not a directory", code=104, cause=node.key)

    text = _text(node, whole)
    path = _new_file(key, text, ".yaml" if whole else "")
    with context.uncounted():
        run_editor(str(path), context.environ)
    after = path.read_text(encoding="utf-8")
    if after == text:
        path.unlink()
        context.output.say(f"{key} is unchanged")
        return OK
    try:
        if whole:
            _write_dir(context, key, node, _nodes_of(after, key))
        else:
            _write_key(context, key, node, after)
    except Exception:
        context.output.say(f"what was edited is kept in {path}")
        raise
    path.unlink()
    return OK


def _text(node: Node | None, whole: bool) -> str:
    if whole:
        return as_yaml(as_mapping(node) if node is not None else {})
    value = "" if node is None else node.value or ""
    return value if value.endswith("\n") else value + "\n"


def _new_file(key: str, text: str, suffix: str) -> Path:
    """Readable for its owner alone."""
    name = key.rstrip("/").rpartition("/")[2] or "root"
    descriptor, path = tempfile.mkstemp(prefix="etcdv2-", suffix=f"-{name[:40]}{suffix}")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    return Path(path)


def _write_key(context: Context, key: str, node: Node | None, text: str) -> None:
    from etcdv2 import CompareFailed, KeyExists, KeyNotFound

    # The editor's last newline belongs to the value only where that had one.
    old = "" if node is None else node.value or ""
    value = text if old.endswith("\n") else text.removesuffix("\n")
    keys = context.client.keys
    try:
        if node is None:
            response = keys.create(key, value, timeout=context.timeout)
        else:
            response = keys.set(key, value, ttl=_rest(node), prev_index=node.modified_index, timeout=context.timeout)
    except (CompareFailed, KeyExists, KeyNotFound) as error:
        raise Failed(COMPARE_FAILED, f"somebody else wrote {key} meanwhile: {error.message} ({error.cause})") from None
    context.output.say(f"{response.node.key} written (index {response.index})")


def _rest(node: Node) -> int | None:
    """What is left of the TTL, which a write would take away."""
    return None if node.expiration is None else max(1, node.ttl or 1)


# --- directories -----------------------------------------------------------------------------------------------------


def _nodes_of(text: str, key: str) -> dict[str, str | None]:
    """Values by key, None for a directory. Raises UsageError for what is no tree of texts."""
    import yaml

    try:
        found: Any = yaml.load(text, yaml.BaseLoader)  # makes texts, and nothing else
    except yaml.YAMLError as error:
        raise UsageError(f"this is no YAML: {' '.join(str(error).split())}") from None
    if found in (None, ""):
        found = {}
    if not hasattr(found, "items"):  # a mapping, a list or a text
        raise UsageError("the file has to be a mapping of names")
    return dict(_flat(found, key.rstrip("/")))


def _flat(mapping: dict[Any, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in mapping.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise UsageError(f"{name!r} is no name of a key below {prefix or '/'}")
        if hasattr(value, "items"):
            yield f"{prefix}/{name}", None
            yield from _flat(value, f"{prefix}/{name}")
        elif isinstance(value, str):
            yield f"{prefix}/{name}", value
        else:
            raise UsageError(f"{prefix}/{name} has to be a text or a mapping")


def _write_dir(context: Context, key: str, node: Node | None, wanted: dict[str, str | None]) -> None:
    """What differs, key by key, each where it is still as it was read; stops at the first that is not."""
    from etcdv2 import CompareFailed, KeyExists, KeyNotFound

    there = {one.key: one for one in walk(node)} if node is not None else {}
    done = 0
    try:
        # 1. What has gone, or is of the other kind: what is below a directory before that.
        for one in reversed(list(there.values())):
            if one.key not in wanted or one.dir != (wanted[one.key] is None):
                _remove(context, one)
                done += 1

        # 2. What is new, or has another value.
        for name, value in wanted.items():
            old = there.get(name)
            if old is None or old.dir != (value is None) or old.value != value:
                _put(context, name, value, old)
                done += 1
    except (CompareFailed, KeyExists, KeyNotFound) as error:
        raise Failed(
            COMPARE_FAILED, f"somebody else wrote meanwhile: {error.cause}; {done} changes were made before it"
        ) from None
    context.output.say(f"{key}: {done} changes written")


def _remove(context: Context, node: Node) -> None:
    keys = context.client.keys
    if node.dir:
        keys.remove_dir(node.key, timeout=context.timeout)
    else:
        keys.delete(node.key, prev_index=node.modified_index, timeout=context.timeout)


def _put(context: Context, key: str, value: str | None, old: Node | None) -> None:
    keys = context.client.keys
    if value is None:
        keys.make_dir(key, exist_ok=True, timeout=context.timeout)
    elif old is None or old.dir:
        keys.create(key, value, timeout=context.timeout)
    else:
        keys.set(key, value, ttl=_rest(old), prev_index=old.modified_index, timeout=context.timeout)


EDIT = Command(
    edit,
    "KEY",
    _options,
    words=(1, 1),
    about="Change a key in $VISUAL or $EDITOR. It is written where nobody else wrote meanwhile; else the file is kept.",
)
