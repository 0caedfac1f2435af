"""`load` and `diff`: a dump into a cluster, and how two trees differ."""

from __future__ import annotations

from argparse import ArgumentParser

from etcdv2._cli._arguments import index
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import COMPARE_FAILED, NO, OK
from etcdv2._cli._progress import progress
from etcdv2._cli._sources import tree_from


def _load_options(parser: ArgumentParser) -> None:
    parser.add_argument("--root", metavar="/x", help="below which directory, in place of the dump's own")
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
    tree = tree_from(context, context.words[0])
    with progress("load", quiet=options.quiet) as note:
        found = load(
            context.client,
            tree,
            root=options.root,
            if_=options.if_,
            ttl=options.ttl,
            prune=options.prune,
            dry_run=options.dry_run,
            concurrency=options.concurrency,
            progress=note,
        )

    if output.for_programs:
        for step in found.done:
            output.document({"action": step.action, "key": step.key})
        for skipped in found.skipped:
            output.document({"action": "skip", "key": skipped.key, "reason": skipped.reason})
        for key in found.raced:
            output.document({"action": "raced", "key": key})
    elif options.dry_run or options.verbose:
        for step in found.done:
            output.line(str(step))
    for skipped in found.skipped:
        if skipped.reason not in ("equal", "exists") or options.verbose:
            output.say(f"left out: {skipped.key}: {skipped.reason}")
    for key in found.raced:
        output.say(f"somebody else wrote {key} meanwhile; load again")
    if not options.quiet:
        what = "would be done" if options.dry_run else "done"
        output.say(f"{len(found.done)} {what}, {len(found.skipped)} left as they are, {len(found.raced)} raced")
    return COMPARE_FAILED if found.raced else OK


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
            values = {name: None if node is None else node.value for name, node in sides.items()}
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
    "interrupted goes on when it is run again. FILE may be a URL, or data-dir:PATH.",
)
DIFF = Command(
    diff,
    "A B",
    _diff_options,
    words=(2, 2),
    formats=("human", "key", "jsonl", "name"),
    about="How two trees differ: each a dump, http://..., or data-dir:PATH. Exit 0 where they are equal, 1 where not.",
)
