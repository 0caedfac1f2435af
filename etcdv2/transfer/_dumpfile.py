"""A tree as a file: one line of JSON each for a header, roles and users, nodes, and the end.

Owns the format `etcdv2-dump`, version 1. The last line has the number of nodes and the SHA-256 of all lines
before it, so that a file that was cut off or changed is noticed. A name that ends in `.gz` or `.zst` is compressed.
A file with hashes of passwords is for its owner alone (mode 0600).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from etcdv2.transfer._errors import DamagedFile
from etcdv2.transfer._packing import packing, unpacking
from etcdv2.transfer._text import bytes_of, is_exact, text_of
from etcdv2.transfer._tree import SECOND, AuthEntry, DumpNode, Tree, tree_from

FORMAT, VERSION = "etcdv2-dump", 1


def write_dump(tree: Tree, path: str | os.PathLike[str]) -> None:
    """Write the tree to a file, which is there as a whole or not at all.

    Compressed where the name ends in `.gz`, or in `.zst`: then TransferError without the extra `zstd` (or Python
    3.14). Raises OSError where it cannot be written.
    """
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as plain:
            with packing(plain, target.suffix) as stream:
                _write(tree, stream)
            plain.flush()
            os.fsync(plain.fileno())
        if not tree.has_secrets:
            mask = os.umask(0)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_dump(path: str | os.PathLike[str]) -> Tree:
    """The tree in a file. Raises DamagedFile where it is no whole dump, and OSError where it cannot be read.

    TransferError for `.zst` without the extra `zstd` (or Python 3.14).
    """
    source = Path(path)
    with unpacking(source) as stream:
        try:
            return _tree(_documents(source, stream), source)
        except (DamagedFile, OSError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise DamagedFile(source, f"a line is not as it should be: {error!r:.200}") from None


def _write(tree: Tree, stream: IO[bytes]) -> None:
    digest = hashlib.sha256()
    for document in _lines(tree):
        line = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        digest.update(line)
        stream.write(line)
    end = {"end": True, "nodes": len(tree), "sha256": digest.hexdigest()}
    stream.write(json.dumps(end, separators=(",", ":")).encode() + b"\n")


def _lines(tree: Tree) -> Iterator[dict[str, Any]]:
    header: dict[str, Any] = {"format": FORMAT, "version": VERSION, "made": _moment(tree.made)}
    header |= {"source": dict(tree.source), "index": tree.index, "hidden": tree.hidden, "nodes": len(tree)}
    header |= _text("root", tree.root)
    if tree.auth_enabled is not None:
        header["auth_enabled"] = tree.auth_enabled
    yield header
    for entry in tree.auth:
        yield {"auth": entry.kind, "name": entry.name, **entry.data}
    for node in tree:
        yield _node(node, tree.made)


def _node(node: DumpNode, made: int) -> dict[str, Any]:
    line = _text("key", node.key)
    line |= {"dir": True} if node.value is None else _text("value", node.value)
    line |= {"createdIndex": node.created_index, "modifiedIndex": node.modified_index}
    if node.expires_at is not None:
        line |= {"ttl": node.ttl(made), "expiration": _moment(node.expires_at)}
    if node.damaged:
        line["damaged"] = "maybe"
    return line


def _text(name: str, text: str) -> dict[str, Any]:
    """What is no UTF-8 is base64."""
    if is_exact(text):
        return {name: text}
    return {f"{name}_b64": base64.b64encode(bytes_of(text)).decode()}


def _text_of(line: dict[str, Any], name: str) -> str | None:
    """None where there is none. Raises TypeError, ValueError."""
    if f"{name}_b64" in line:
        return text_of(base64.b64decode(line[f"{name}_b64"], validate=True))
    text = line.get(name)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    return text


def _documents(path: Path, stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """All lines but the last, which has to fit. Raises DamagedFile, ValueError."""
    digest, nodes, offset = hashlib.sha256(), 0, 0
    for line in stream:
        found = json.loads(line)
        if not isinstance(found, dict):
            raise DamagedFile(path, "a line is no JSON object", offset=offset)
        document = cast("dict[str, Any]", found)
        if "end" in document:
            if document.get("nodes") != nodes or document.get("sha256") != digest.hexdigest():
                raise DamagedFile(path, "the checksum in the last line is not that of the lines before")
            if stream.read(1):
                raise DamagedFile(path, "something follows the last line", offset=offset)
            return
        digest.update(line)
        nodes += "key" in document or "key_b64" in document
        offset += len(line)
        yield document
    raise DamagedFile(path, "it is cut off: the last line is missing", offset=offset)


def _tree(documents: Iterator[dict[str, Any]], path: Path) -> Tree:
    nothing: dict[str, Any] = {}
    header = next(documents, nothing)
    if header.get("format") != FORMAT:
        raise DamagedFile(path, f"it does not begin as a file of the format {FORMAT}")
    if header.get("version") != VERSION:
        raise DamagedFile(path, f"it is of the version {header.get('version')}, known is {VERSION}")

    nodes: list[DumpNode] = []
    auth: list[AuthEntry] = []
    for line in documents:
        if "auth" in line:
            rest = {name: value for name, value in line.items() if name not in ("auth", "name")}
            auth.append(AuthEntry(line["auth"], line["name"], rest))
            continue
        key, value = _text_of(line, "key"), _text_of(line, "value")
        if key is None or (value is None) != bool(line.get("dir")):
            raise ValueError("a node is neither a key nor a directory")
        moment = line.get("expiration")
        expires_at = None if moment is None else _nanoseconds(moment)
        damaged = "damaged" in line
        nodes.append(DumpNode(key, value, line["createdIndex"], line["modifiedIndex"], expires_at, damaged))

    return tree_from(
        nodes,
        root=_text_of(header, "root") or "/",
        index=header["index"],
        made=_nanoseconds(header["made"]),
        hidden=header["hidden"],
        source=header["source"],
        auth=tuple(auth),
        auth_enabled=header.get("auth_enabled"),
    )


def _moment(nanoseconds: int) -> str:
    """RFC 3339 in UTC, to the nanosecond."""
    whole, fraction = divmod(nanoseconds, SECOND)
    shown = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=whole)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{shown.isoformat()}{'.' if digits else ''}{digits}Z"


def _nanoseconds(moment: str) -> int:
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    since = dt.datetime.fromisoformat(whole) - dt.datetime(1970, 1, 1)
    return (since.days * 86_400 + since.seconds) * SECOND + int(fraction.ljust(9, "0"))
