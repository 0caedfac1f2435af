"""`get` and `exists`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import NO, NOT_FOUND, OK, text_of
from etcdv2._cli._nodes import node_document, response_document

if TYPE_CHECKING:
    from etcdv2 import Response


def _read_options(parser: ArgumentParser) -> None:
    parser.add_argument("-q", "--quorum", action="store_true", help="read through raft: never stale")


def _get_options(parser: ArgumentParser) -> None:
    _read_options(parser)
    parser.add_argument("--raw", action="store_true", help="no newline behind the value")
    parser.add_argument("--default", metavar="V", help="the value where the key is not there, and exit 0")
    parser.add_argument("--sort", action="store_true", help="accepted as etcdctl does, and without effect")


def get(context: Context) -> int:
    """Keys that are not there are named on stderr; the others are printed all the same."""
    from etcdv2 import KeyNotFound, Node, NotFile, Response

    options, output, code = context.options, context.output, OK
    found: list[Response] = []
    for key in context.words:
        try:
            response = context.client.keys.get(key, quorum=options.quorum, timeout=context.timeout)
        except KeyNotFound as error:
            if options.default is not None:
                node = Node(key=key if key.startswith("/") else f"/{key}", value=options.default)
                found.append(Response("get", node, None, error.index, 0, 0, ""))
                continue
            if len(context.words) == 1:
                raise
            output.say(text_of(error))
            code = NOT_FOUND
            continue
        if response.node.dir:
            raise NotFile(
                "A directory", code=102, cause=f"{response.node.key} (etcdv2 ls lists it)", index=response.index
            )
        found.append(response)
    _print(context, found)
    return code


def _print(context: Context, found: list[Response]) -> None:
    output, several = context.output, len(context.words) > 1
    if output.form == "json":
        documents = [response_document(response) for response in found]
        output.document(documents if several else documents[0])
        return
    for response in found:
        node = response.node
        if output.form == "jsonl":
            output.document({"index": response.index, **node_document(node)})
        elif output.form in ("key", "name"):
            output.line(node.key)
        elif several and output.form == "human":
            output.line(f"{node.key}\t{node.value}")
        else:
            output.write(response.value + ("" if context.options.raw else "\n"))


def exists(context: Context) -> int:
    """Whether the key is there, as an exit code."""
    found = context.client.keys.exists(context.words[0], quorum=context.options.quorum, timeout=context.timeout)
    return OK if found else NO


GET = Command(
    get,
    "KEY...",
    _get_options,
    words=(1, None),
    formats=("human", "value", "key", "json", "jsonl", "name"),
    about="Print the value of a key; of several keys KEY<TAB>VALUE lines.",
)
EXISTS = Command(
    exists,
    "KEY",
    _read_options,
    words=(1, 1),
    about="Exit 0 where there is a key or directory of that name, 1 where there is none. Prints nothing.",
)
