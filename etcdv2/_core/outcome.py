"""What became of a write whose answer was lost: its trace, and what the store proves about it.

Owns the reasoning of `keys.resolve`; the shell does the reading. Two facts carry it. The write was
sent after the store had been at `since` (the client had seen that index), so its own index is
higher. And indexes never come twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from etcdv2._types.call_errors import OutcomeUnknown
from etcdv2._types.results import Event, Outcome
from etcdv2_api import Call, Node

_KEYS = "/v2/keys"


class Trace(NamedTuple):
    """What a write leaves in the store and in its history when it is applied."""

    key: str
    """As it was written: role patterns see a trailing slash."""
    action: str
    """That of its event."""
    value: str | None
    """None for what leaves none: deletions, directories, refreshes."""
    prev_value: str | None
    prev_index: int
    """0 for no such condition."""
    in_order: bool
    """Whether it makes a new key below `key`."""
    silent: bool
    """A refresh: no watcher is notified of it, and no history has it (spec/protocol.md section 8)."""
    since: int
    """Its index is higher than this one; 0 when nothing is known."""


def trace_of(error: OutcomeUnknown) -> Trace:
    """Raises TypeError for anything else, ValueError for writes that are not of keys."""
    if not isinstance(error, OutcomeUnknown):
        raise TypeError(f"resolve: takes the OutcomeUnknown of a write, not {type(error).__name__}")
    call: Call[Any, Any] = error.call
    if not (call.path == _KEYS or call.path.startswith(f"{_KEYS}/")):
        raise ValueError(
            f"resolve: {call.method} {call.path} is no write of a key; read the member, user or role again"
        )

    # A deletion has its fields in the query, any other write in the form.
    fields = dict(call.query + (call.form or ()))
    prev_value = fields.get("prevValue")
    prev_index = int(fields.get("prevIndex", 0))
    return Trace(
        key=unquote(call.path.removeprefix(_KEYS)) or "/",
        action=_action_of(call.method, fields.get("prevExist"), compares=prev_value is not None or prev_index > 0),
        value=None if call.method == "DELETE" else fields.get("value"),
        prev_value=prev_value,
        prev_index=prev_index,
        in_order=call.method == "POST",
        silent=fields.get("refresh") == "true",
        since=max(error.index, prev_index),
    )


def _action_of(method: str, prev_exist: str | None, *, compares: bool) -> str:
    """The action of the event that such a write makes (spec/protocol.md section 5)."""
    if method == "DELETE":
        return "compareAndDelete" if compares else "delete"
    if method == "POST" or prev_exist == "false":
        return "create"
    if compares:
        return "compareAndSwap"
    return "update" if prev_exist == "true" else "set"


def by_state(trace: Trace, node: Node | None, index: int) -> Outcome | None:
    """What the node, read through raft at `index`, proves alone. None: the history has to be read."""
    # 1. Nothing can be compared.
    if index < trace.since:
        return _unknown(index, f"the store went back from index {trace.since} to {index}")
    if not trace.since:
        return _unknown(index, "the client had seen no index of the store before this write")

    # 2. The key is as it was before. Not for a directory's TTL: a change of it leaves the modified index as it was
    #    (3.4.23, spec/protocol.md section 6).
    if node is not None and node.modified_index <= trace.since and not (node.dir and trace.action == "update"):
        passed = 0 < trace.prev_index < node.modified_index
        return _not_applied(index, "the key has not changed since before it was sent", final=passed)

    # 3. The key has changed, and no history shows whether this write did it.
    if trace.silent or (trace.value is None and trace.action == "update"):
        return _unknown(index, "a refresh leaves no trace but a modified index, which anybody may have changed")
    return None


def is_whole(node: Node | None, events: Sequence[Event]) -> bool:
    """Whether `events` end with the change that left the key as `node`: no later one is missing.

    False where that cannot be said: of a key that is gone, which may have come and gone again, and
    after a refresh, which makes no event and leaves an expiration.
    """
    return node is not None and bool(events) and events[-1].index == node.modified_index


def contradicts(node: Node | None, events: Sequence[Event]) -> bool:
    """Whether there must be an event after the last of these, by what the key is now."""
    if node is None:
        return bool(events) and not events[-1].deleted
    return node.expiration is None and not node.dir and not is_whole(node, events)


def by_history(trace: Trace, node: Node | None, events: Sequence[Event], index: int, *, complete: bool) -> Outcome:
    """What the key's events after `since` prove; `complete` when there is no other up to `index`."""
    # 1. With a condition on the modified index the first change decides: that index never comes again.
    if trace.prev_index and events:
        events, complete = events[:1], True

    # 2. It is among them, and it shows whose it was.
    found = [event for event in events if _is_like(trace, event)]
    if len(found) > 1:
        return _unknown(index, "several writes look like this one: its value is not its own, or it was sent again")
    if found and trace.value is None:
        return _unknown(index, f"a {trace.action} of this key was applied, but it does not show whose it was")
    if found:
        return _applied(found[0].node, found[0].index)

    # 3. It is not among all of them. For good only if its condition can never hold again.
    if complete:
        reason = "it is not among the changes of the key since it was sent"
        return _not_applied(index, reason, final=bool(trace.prev_index))

    # 4. The history is gone in part: a node that only this write can have made is still a proof.
    made = _made_by(trace, node)
    if len(made) == 1:
        return _applied(made[0], made[0].created_index)
    return _unknown(index, "not all events since it was sent could be read")


# --- values that nobody else writes ----------------------------------------------------------------------------------


def unique_by_state(trace: Trace, node: Node | None, index: int) -> Outcome | None:
    """As `by_state`, of a write whose value nobody else writes."""
    # 1. The value is there, so the write was applied. What it replaced only the history shows.
    mine = _with_value_of(trace, node)
    if mine is not None and trace.action == "create":
        return _applied(mine, mine.modified_index)

    # 2. Nothing at all was written since.
    if 0 < trace.since == index:
        gone = trace.prev_index > 0 and node is None
        return _not_applied(index, "nothing was written since before it was sent", final=gone)
    return by_state(trace, node, index) if mine is None else None


def unique_by_history(
    trace: Trace, node: Node | None, events: Sequence[Event], index: int, *, complete: bool
) -> tuple[Outcome, Event | None]:
    """As `by_history`, of such a write, which may have been sent several times; with its event."""
    # 1. The first of them did it. Another one that comes late did what nobody asked for any more.
    for event in events:
        if _is_like(trace, event):
            return _applied(event.node, event.index), event
    mine = _with_value_of(trace, node)
    if mine is not None:
        return _applied(mine, mine.modified_index), None

    # 2. It is not among all of them; with a condition on the modified index that is for good after the first.
    if complete or (trace.prev_index and events):
        reason = "it is not among the changes of the key since it was sent"
        return _not_applied(index, reason, final=bool(trace.prev_index)), None
    return _unknown(index, "not all events since it was sent could be read"), None


def _with_value_of(trace: Trace, node: Node | None) -> Node | None:
    """The node, if it has that value since the write was sent."""
    return node if node is not None and node.value == trace.value and node.modified_index > trace.since else None


# --- steps of these --------------------------------------------------------------------------------------------------


def _made_by(trace: Trace, node: Node | None) -> list[Node]:
    """The nodes that only such a write can have made."""
    if trace.value is None or node is None or trace.action not in ("create", "set"):
        return []
    nodes = node.children if trace.in_order else (node,)
    return [one for one in nodes if one.value == trace.value and one.created_index > trace.since]


def _is_like(trace: Trace, event: Event) -> bool:
    """Whether `event` is what such a write leaves in the history."""
    before = event.prev_node
    place = event.key.rpartition("/")[0] if trace.in_order else event.key
    if (place or "/") != (trace.key.rstrip("/") or "/") or event.action != trace.action:
        return False

    same_value = trace.value is None or event.value == trace.value
    same_prev_value = trace.prev_value is None or (before is not None and before.value == trace.prev_value)
    same_prev_index = not trace.prev_index or (before is not None and before.modified_index == trace.prev_index)
    return same_value and same_prev_value and same_prev_index


def _applied(node: Node, index: int) -> Outcome:
    return Outcome("applied", True, index, node, "the store has what it wrote")


def _not_applied(index: int, reason: str, *, final: bool) -> Outcome:
    return Outcome("not applied", final, index, None, reason)


def _unknown(index: int, reason: str) -> Outcome:
    return Outcome("unknown", False, index, None, reason)
