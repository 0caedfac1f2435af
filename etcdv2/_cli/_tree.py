"""`tree`: a directory drawn."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING

from etcdv2._cli._arguments import count
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK
from etcdv2._cli._nodes import as_mapping, in_order, response_document
from etcdv2._cli._output import Output, shown

if TYPE_CHECKING:
    from etcdv2 import Node


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("-L", "--level", type=count, metavar="N", help="N levels of directories and no more")
    parser.add_argument("--values", action="store_true", help="with the values")
    parser.add_argument("-q", "--quorum", action="store_true", help="read through raft: never stale")


def tree(context: Context) -> int:
    output, options = context.output, context.options
    response = context.client.keys.get(
        context.words[0] if context.words else "/",
        recursive=True,
        sorted=True,
        quorum=options.quorum,
        timeout=context.timeout,
    )
    if output.form in ("json", "jsonl"):
        output.document(response_document(response))
        return OK
    if output.form == "yaml":
        output.yaml(as_mapping(response.node))
        return OK

    root, directories, files = response.node, 0, 0
    output.line(_label(output, root, shown(root.key), options.values))
    for line, node in _lines(output, root, options):
        output.line(line)
        directories, files = directories + node.dir, files + (not node.dir)
    directories, files = directories + root.dir, files + (not root.dir)
    output.line(
        f"{directories} {'directory' if directories == 1 else 'directories'}, "
        f"{files} {'key' if files == 1 else 'keys'}, index {response.index}"
    )
    return OK


def _lines(output: Output, root: Node, options: object) -> Iterator[tuple[str, Node]]:
    """All below the root, as far as is asked for. No recursion: a tree may be deep."""
    level: int | None = getattr(options, "level", None)
    values = bool(getattr(options, "values", False))
    waiting: list[tuple[str, Node, bool, int]] = _children(root, "", 1)
    while waiting:
        prefix, node, last, depth = waiting.pop()
        if level is not None and depth > level:
            continue
        yield prefix + ("└── " if last else "├── ") + _label(output, node, shown(node.name), values), node
        waiting.extend(_children(node, prefix + ("    " if last else "│   "), depth + 1))


def _children(node: Node, prefix: str, depth: int) -> list[tuple[str, Node, bool, int]]:
    children = in_order(node)
    return [(prefix, child, child is children[-1], depth) for child in reversed(children)]


def _label(output: Output, node: Node, name: str, values: bool) -> str:
    if node.dir:
        return output.paint(name, "blue")
    return f"{name} = {shown(node.value or '')}" if values else name


TREE = Command(
    tree,
    "[DIR]",
    _options,
    words=(0, 1),
    formats=("human", "json", "jsonl", "yaml"),
    about="Draw a directory (the root by default) with all below it.",
)
