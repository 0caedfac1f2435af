"""`health` and `status`: how the members are, each asked for itself."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from etcdv2._cli._arguments import duration
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import NO, OK, UNAVAILABLE
from etcdv2._cli._output import table

if TYPE_CHECKING:
    from etcdv2 import Client

LISTS = ("human", "json", "jsonl")


def _health_options(parser: ArgumentParser) -> None:
    parser.add_argument("--watch", type=duration, metavar="S", help="again every S, until Ctrl-C")
    parser.add_argument("-f", "--forever", action="store_true", help="as --watch 10")


def _again_and_again(options: Any) -> bool:
    return options.watch is not None or bool(options.forever)


def health(context: Context) -> int:
    """Exit code 0 where all members that are known are healthy."""
    pause = context.options.watch or (10.0 if context.options.forever else None)
    context.output.by_line = pause is not None
    context.verbose("with --enable-v2 each question makes every member write an entry into its raft log: ask seldom")
    while True:
        code = _print_health(context)
        if pause is None:
            return code
        time.sleep(pause)


def _print_health(context: Context) -> int:
    rows = [_state_of(context, url) for url in _urls(context)]
    healthy = sum(row["healthy"] for row in rows)
    output = context.output
    if output.form == "json":
        output.document({"healthy": healthy == len(rows), "members": rows})
    elif output.form == "jsonl":
        for row in rows:
            output.document(row)
    else:
        cells = [
            [
                row["endpoint"],
                "healthy" if row["healthy"] else "unhealthy",
                row["version"] or "-",
                row["role"] or row["reason"],
            ]
            for row in rows
        ]
        for line, row in zip(table(cells), rows, strict=True):
            output.line(line if row["healthy"] else output.paint(line, "red"))
        state = "healthy" if healthy == len(rows) else "degraded" if 2 * healthy > len(rows) else "unhealthy"
        output.line(f"cluster: {state} ({healthy} of {len(rows)})")
    return OK if healthy == len(rows) else NO


def _urls(context: Context) -> list[str]:
    """The endpoints that were given; with --sync those of all members, which are asked for first."""
    return list(context.client.endpoints)


def _state_of(context: Context, url: str) -> dict[str, Any]:
    from etcdv2 import EtcdError

    row: dict[str, Any] = {"endpoint": url, "healthy": False, "version": "", "role": "", "reason": ""}
    with context.client_of(url) as client:
        one = client.health().endpoints[0]
        row["healthy"], row["reason"] = one.healthy, " ".join(one.reason.split())
        try:
            row["version"] = client.version(timeout=context.timeout).etcdserver
            row["role"] = _role(client, context)
        except EtcdError:
            return row
    return row


def _role(client: Client, context: Context) -> str:
    from etcdv2 import EtcdError

    try:
        state = client.stats.self_(timeout=context.timeout).state
    except EtcdError:  # the v2 API is off there
        return ""
    return state.removeprefix("State").lower()


def status(context: Context) -> int:
    """Exit code 8 where a member did not answer."""
    rows = [_status_of(context, url) for url in _urls(context)]
    newest = max((row["index"] or 0 for row in rows), default=0)
    for row in rows:
        row["lag"] = None if row["index"] is None else newest - row["index"]
    output = context.output
    if output.form == "json":
        output.document(rows)
    elif output.form == "jsonl":
        for row in rows:
            output.document(row)
    else:
        _print_table(context, rows)
    return UNAVAILABLE if any(row["error"] for row in rows) else OK


def _status_of(context: Context, url: str) -> dict[str, Any]:
    from etcdv2 import EtcdError

    row: dict[str, Any] = {"endpoint": url, "id": "", "name": "", "version": "", "role": "", "leader": ""}
    row |= {"index": None, "raftIndex": None, "raftTerm": None, "error": ""}
    with context.client_of(url) as client:
        try:
            row["version"] = client.version(timeout=context.timeout).etcdserver
            me = client.stats.self_(timeout=context.timeout)
            row |= {"id": me.id, "name": me.name, "role": me.state.removeprefix("State").lower()}
            row["leader"] = me.leader_info.leader
            found = client.keys.get("/", timeout=context.timeout)
            row |= {"index": found.index, "raftIndex": found.raft_index, "raftTerm": found.raft_term}
        except EtcdError as error:
            row["error"] = " ".join(str(error).split())
    return row


def _print_table(context: Context, rows: list[dict[str, Any]]) -> None:
    output = context.output
    titles = ["ENDPOINT", "NAME", "VERSION", "ROLE", "INDEX", "LAG", "TERM"]
    cells = [
        [row["endpoint"], row["name"], row["version"], row["role"]]
        + ["" if row[name] is None else str(row[name]) for name in ("index", "lag", "raftTerm")]
        for row in rows
    ]
    if not (output.terminal and _rich_table(titles, cells)):
        for line in table([titles, *cells]):
            output.line(line)
    for row in rows:
        if row["error"]:
            output.say(f"{row['endpoint']}: {row['error']}")


def _rich_table(titles: list[str], cells: list[list[str]]) -> bool:
    """On a terminal with rich; False where that is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    shown = Table(*titles)
    for row in cells:
        shown.add_row(*row)
    Console().print(shown)
    return True


HEALTH = Command(
    health,
    "",
    _health_options,
    formats=LISTS,
    about="Ask each endpoint for its health (--sync: each member). Exit 0 where all are healthy, else 1. With "
    "--enable-v2 each question makes every member write an entry into its raft log, so do not ask often.",
    endless=_again_and_again,
    alarm=True,
)
STATUS = Command(
    status,
    formats=LISTS,
    about="Of each endpoint (--sync: of each member) its version, part in raft, index, and lag behind the newest.",
)
