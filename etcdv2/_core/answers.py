"""From a decoded answer and its etcd headers to what users hold.

One word each: a transport's `Reply` is bytes; the operation decodes them into its answer; with its
headers and endpoint that is `Answered`; what the user gets of it is a `Response` (or an `Ack`,
members, users ...).
"""

from __future__ import annotations

from etcdv2._core.etcd_headers import MAX_INDEX, Meta
from etcdv2._types.results import Ack, Response
from etcdv2_api import KeysError, KeysEvent


def response_from(event: KeysEvent, meta: Meta) -> Response | None:
    """None when the server left the node out (noValueOnSuccess)."""
    if event.node is None:
        return None
    return Response(
        event.action, event.node, event.prev_node, meta.index, meta.raft_index, meta.raft_term, meta.cluster_id
    )


def ack_from(event: KeysEvent, meta: Meta) -> Ack:
    """What is left of a write's answer without its nodes."""
    return Ack(event.action, meta.index, meta.raft_index, meta.raft_term, meta.cluster_id)


def ack_of(response: Response) -> Ack:
    """The same write without its nodes."""
    return Ack(response.action, response.index, response.raft_index, response.raft_term, response.cluster_id)


def answered_by(answer: object, meta: Meta) -> Response | None:
    """The response in any operation's answer, None where it is not about a key."""
    return response_from(answer, meta) if isinstance(answer, KeysEvent) else None


def check_answer(answer: object, *, change: bool) -> None:
    """Raises ValueError for an index beyond 64 bits, and for a `change` without its key or index."""
    if isinstance(answer, KeysEvent):
        node = answer.node
        if node is not None:
            index = node.modified_index
            if index > MAX_INDEX or (change and (not index or node.key == "/")):
                raise ValueError("a node without key or modifiedIndex, or with one beyond 64 bits")
    elif isinstance(answer, KeysError) and answer.index > MAX_INDEX:
        raise ValueError("an index beyond 64 bits")
