"""`ls`: what is in a directory, by the bytes of the keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK
from etcdv2._cli._nodes import as_mapping, in_order, node_document, response_document, walk
from etcdv2._cli._output import Output, shown, table

if TYPE_CHECKING:
    from etcdv2 import Node


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("-r", "--recursive", action="store_true", help="all below it")
    parser.add_argument("-l", "--long", action="store_true", help="kind, modified index, TTL and key")
    parser.add_argument("-p", dest="slash", action="store_true", help="a slash behind directories")
    parser.add_argument("--keys-only", action="store_true", help="no directories")
    parser.add_argument("--values", action="store_true", help="KEY<TAB>VALUE lines of keys, no directories")
    parser.add_argument("-q", "--quorum", action="store_true", help="read through raft: never stale")
    parser.add_argument("--sort", action="store_true", help="accepted as etcdctl does: it is always sorted")


def ls(context: Context) -> int:
    options, output = context.options, context.output
    response = context.client.keys.get(
        context.words[0] if context.words else "/",
        recursive=options.recursive,
        sorted=True,
        quorum=options.quorum,
        timeout=context.timeout,
    )

    # 1. The answer as one document.
    if output.form == "json":
        output.document(response_document(response))
        return OK
    if output.form == "yaml":
        output.yaml(as_mapping(response.node))
        return OK

    # 2. Node by node. A file is listed as itself.
    root = response.node
    nodes = [root] if not root.dir else walk(root) if options.recursive else in_order(root)
    if options.keys_only or options.values or output.form == "value":
        nodes = [node for node in nodes if not node.dir]
    if output.form == "human" and options.long:
        _print_long(output, nodes)
        return OK
    for node in nodes:
        _print(output, node, values=options.values, slash=options.slash)
    return OK


def _print(output: Output, node: Node, *, values: bool, slash: bool) -> None:
    if output.form == "jsonl":
        # A line of its own for each node: not its children once more.
        output.document(_alone(node))
    elif output.form == "value":
        output.line(node.value or "")
    elif values and output.form == "human":
        output.line(f"{output.key(node.key)}\t{node.value}")
    else:
        output.line(output.key(node.key, dir=node.dir, slash=slash))


def _alone(node: Node) -> dict[str, object]:
    found = node_document(node)
    found.pop("nodes", None)
    return found


def _print_long(output: Output, nodes: list[Node]) -> None:
    rows = [
        [
            "dir" if node.dir else "file",
            str(node.modified_index),
            "" if node.ttl is None else f"ttl {node.ttl}",
            shown(node.key) + ("/" if node.dir else ""),
        ]
        for node in nodes
    ]
    for line, node in zip(table(rows), nodes, strict=True):
        output.line(output.paint(line, "blue") if node.dir else line)


LS = Command(
    ls,
    "[DIR]",
    _options,
    words=(0, 1),
    formats=("human", "value", "key", "json", "jsonl", "yaml", "name"),
    about="List a directory (the root by default), sorted. Keys that begin with _ are hidden by the server.",
)
