"""`load` and `diff`: a dump into a cluster, and how two trees differ."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any

from etcdv2._cli._arguments import index
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import COMPARE_FAILED, NO, OK
from etcdv2._cli._output import Output, shown
from etcdv2._cli._progress import progress
from etcdv2._cli._sources import tree_from

if TYPE_CHECKING:
    from etcdv2.transfer import AuthEntry, Loaded, Tree

WHY = {
    "expired": "it has expired (--ttl original writes it)",
    "not UTF-8": "HTTP does not show by which bytes to delete it",
}
"""Of what is left out, and is said in any case."""


def _load_options(parser: ArgumentParser) -> None:
    parser.add_argument("--root", metavar="/x", help="below which directory, in place of the dump's own")
    parser.add_argument("--strip", metavar="/app", help="only what is below it, whose keys lose this beginning")
    parser.add_argument(
        "--if",
        dest="if_",
        choices=("absent", "changed", "always"),
        default="absent",
        help="write what is not there (the default), what differs as well, or everything",
    )
    parser.add_argument(
        "--ttl",
        choices=("remaining", "original", "drop"),
        default="remaining",
        help="of keys that expire: what is left (the default), what was left then, or no TTL",
    )
    parser.add_argument("--prune", action="store_true", help="delete what the dump does not have")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--concurrency", type=index, default=8, metavar="N", help="writes at a time (8)")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")


def load_dump(context: Context) -> int:
    """What was done one a line, what was left out on stderr."""
    from etcdv2.transfer import load

    options, output = context.options, context.output
    with context.alarm():
        tree = tree_from(context, context.words[0], auth=True)
    with progress("load", quiet=options.quiet) as note:
        found = load(
            context.client,
            tree,
            root=options.root,
            strip=options.strip,
            if_=options.if_,
            ttl=options.ttl,
            prune=options.prune,
            dry_run=options.dry_run,
            concurrency=options.concurrency,
            progress=note,
            timeout=context.within,
        )

    _print_loaded(context, found, tree)
    if not options.quiet:
        what = "would be done" if options.dry_run else "done"
        output.say(f"{len(found.done)} {what}, {len(found.skipped)} left as they are, {len(found.raced)} raced")
    return COMPARE_FAILED if found.raced else OK


def _print_loaded(context: Context, found: Loaded, tree: Tree) -> None:
    """What was done where that is asked for; what was left out in any case, and why."""
    output, options = context.output, context.options
    if output.for_programs:
        _document_loaded(output, found, tree)
    elif options.dry_run or options.verbose:
        for step in found.done:
            output.line(str(step))

    elsewhere = sum(skipped.reason == "elsewhere" for skipped in found.skipped)
    if elsewhere:
        output.say(f"left out: {elsewhere} keys and directories are not below {options.strip}")
    for skipped in found.skipped:
        if skipped.reason in WHY:
            output.say(f"left out: {shown(skipped.key)}: {WHY[skipped.reason]}")
        elif options.verbose and skipped.reason != "elsewhere":
            output.say(f"left out: {shown(skipped.key)}: {skipped.reason}")
    for key in found.raced:
        output.say(f"somebody else wrote {shown(key)} meanwhile; load again")
    _say_auth(context, tree)


def _document_loaded(output: Output, found: Loaded, tree: Tree) -> None:
    for step in found.done:
        output.document({"action": step.action, "key": step.key})
    for skipped in found.skipped:
        output.document({"action": "skip", "key": skipped.key, "reason": skipped.reason})
    for key in found.raced:
        output.document({"action": "raced", "key": key})
    for entry in tree.auth:
        output.document({"action": "skip", entry.kind: entry.name, "reason": "auth"})


def _say_auth(context: Context, tree: Tree) -> None:
    """Users and roles stay out; the commands that make them."""
    commands = [line for entry in tree.auth for line in _commands_of(entry)]
    if not commands:
        return
    say = context.output.say
    say("left out: users and roles. etcd takes a password over HTTP, and no hash of one. These commands make them:")
    for line in commands:
        say(f"  {line}")


def _commands_of(entry: AuthEntry) -> Iterator[str]:
    name = quote(entry.name)
    if entry.kind == "user":
        roles = ",".join(entry.data.get("roles") or ())
        yield f"etcdv2 user add {name}" + (f" --roles {quote(roles)}" if roles else "")
        return
    permissions: dict[str, dict[str, list[str]]] = entry.data.get("permissions") or {}
    rights = permissions.get("kv") or {}
    may: dict[str, set[str]] = {what: set(rights.get(what) or []) for what in ("read", "write")}
    yield f"etcdv2 role add {name}"
    for path in sorted(may["read"] | may["write"]):
        flag = "--rw" if path in may["read"] & may["write"] else "--read" if path in may["read"] else "--write"
        yield f"etcdv2 role grant {name} --path {quote(path)} {flag}"


def _diff_options(parser: ArgumentParser) -> None:
    parser.add_argument("--indexes", action="store_true", help="indexes count as well: for two readings of one cluster")
    parser.add_argument("--hidden", action="append", metavar="KEY", help="a hidden key of a cluster to be read as well")


def diff(context: Context) -> int:
    """Exit code 1 where they differ."""
    from etcdv2.transfer import compare

    before, after = (tree_from(context, source) for source in context.words)
    output, code = context.output, OK
    for difference in compare(before, after, indexes=context.options.indexes):
        code = NO
        if output.for_programs:
            sides = {"before": difference.before, "after": difference.after}
            values: dict[str, Any] = {name: None if node is None else node.value for name, node in sides.items()}
            if difference.kind == "t":
                values = {name: None if node is None else node.moment for name, node in sides.items()}
            output.document({"kind": difference.kind, "key": difference.key, **values})
        elif output.form in ("key", "name"):
            output.line(difference.key)
        else:
            colour = {"+": "green", "-": "red"}.get(difference.kind, "yellow")
            output.line(output.paint(str(difference), colour))
    return code


LOAD = Command(
    load_dump,
    "FILE",
    _load_options,
    words=(1, 1),
    formats=("human", "jsonl"),
    about="Write a dump into the cluster. Nothing that is there is overwritten without --if; a load that was "
    "interrupted goes on when it is run again. FILE may be a URL, or data-dir:PATH. Users and "
    "roles are not written: etcd takes no hashes of passwords over HTTP; the commands that make them are shown.",
)
DIFF = Command(
    diff,
    "A B",
    _diff_options,
    words=(2, 2),
    formats=("human", "key", "jsonl", "name"),
    about="How two trees differ: each a dump, http://..., or data-dir:PATH. Exit 0 where they are equal, 1 where not.",
    alarm=True,
)
