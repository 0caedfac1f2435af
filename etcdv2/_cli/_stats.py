"""`stats self|leader|store`: what the server counts."""

from __future__ import annotations

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK
from etcdv2._cli._output import document_of, table

LISTS = ("human", "json", "jsonl")


def stats_self(context: Context) -> int:
    found = context.client.stats.self_(timeout=context.timeout)
    if context.output.for_programs:
        context.output.document(document_of(found))
    else:
        role = found.state.removeprefix("State").lower()
        context.output.line(
            f"{found.name}: {role}, id {found.id}, leader {found.leader_info.leader} for {found.leader_info.uptime}, "
            f"appends received {found.recv_append_request_cnt}, sent {found.send_append_request_cnt}"
        )
    return OK


def stats_leader(context: Context) -> int:
    found = context.client.stats.leader(timeout=context.timeout)
    if context.output.for_programs:
        context.output.document(document_of(found))
        return OK
    context.output.line(f"leader: {found.leader}, {len(found.followers)} followers")
    rows = [
        [
            name,
            f"{one.latency.average:.1f} ms",
            f"appends {one.counts.success}/{one.counts.fail}",
        ]
        for name, one in sorted(found.followers.items())
    ]
    for line in table(rows):
        context.output.line(line)
    return OK


def stats_store(context: Context) -> int:
    found = context.client.stats.store(timeout=context.timeout)
    if context.output.for_programs:
        context.output.document(document_of(found))
        return OK
    counts = {
        "sets": (found.sets_success, found.sets_fail),
        "gets": (found.gets_success, found.gets_fail),
        "creates": (found.create_success, found.create_fail),
        "updates": (found.update_success, found.update_fail),
        "deletes": (found.delete_success, found.delete_fail),
        "compare-and-swaps": (found.compare_and_swap_success, found.compare_and_swap_fail),
        "compare-and-deletes": (found.compare_and_delete_success, found.compare_and_delete_fail),
    }
    shown = ", ".join(f"{name} {good}/{bad}" for name, (good, bad) in counts.items())
    context.output.line(f"store: {found.watchers} watchers, {shown}, expired {found.expire_count}")
    return OK


STATS_SELF = Command(stats_self, formats=LISTS, about="What the member that answers says of itself.")
STATS_LEADER = Command(stats_leader, formats=LISTS, about="How the leader sees its followers.")
STATS_STORE = Command(
    stats_store, formats=LISTS, about="Operations on the store of the member that answers: succeeded/failed."
)
