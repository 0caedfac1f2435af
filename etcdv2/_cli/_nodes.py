"""How nodes and answers read, for people and as JSON.

Owns the shape of the JSON: the server's members, and `index`, its X-Etcd-Index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etcdv2._cli._output import Output, document_of

if TYPE_CHECKING:
    from etcdv2 import Node, Response


def node_document(node: Node) -> dict[str, Any]:
    """The key first."""
    return document_of(node) if node.key != "/" else {"key": "/", **document_of(node)}


def response_document(response: Response) -> dict[str, Any]:
    """The whole answer."""
    found = {"index": response.index, "action": response.action, "node": node_document(response.node)}
    return found if response.prev_node is None else found | {"prevNode": node_document(response.prev_node)}


def as_mapping(node: Node) -> Any:
    """A directory as a mapping of names, a key as its value."""
    if not node.dir:
        return node.value or ""
    return {child.name: as_mapping(child) for child in in_order(node)}


def in_order(node: Node) -> list[Node]:
    """The children by the bytes of their names."""
    return sorted(node.nodes, key=lambda child: child.key.encode(errors="surrogateescape"))


def walk(node: Node) -> list[Node]:
    """All below the node in order, parents first."""
    found: list[Node] = []
    waiting = list(reversed(in_order(node)))
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting.extend(reversed(in_order(one)))
    return found


def print_write(output: Output, response: Response, text: str) -> None:
    """What a write says: `text` for people, the key, or the answer."""
    node = response.node
    if output.form in ("json", "jsonl"):
        output.document(response_document(response))
    elif output.form in ("key", "name"):
        output.line(node.key)
    elif output.form == "value":
        output.line(node.value or "")
    else:
        output.line(text)


WRITE_FORMATS = ("human", "value", "key", "json", "jsonl", "name")
