"""`dump`: a tree into a file, or to stdout."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK, Failed, UsageError
from etcdv2._cli._sources import UNREADABLE, directories, directory_options, newest_of, say_state

if TYPE_CHECKING:
    from etcdv2.transfer import Tree


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="F", help="into this file (.gz and .zst are compressed); else to stdout")
    parser.add_argument("--hidden", action="append", metavar="KEY", help="a hidden key to be read as well (repeat)")
    parser.add_argument("--auth", action="store_true", help="with users and roles")
    parser.add_argument("--secrets", action="store_true", help="and the hashes of passwords (with --data-dir, --out)")
    directory_options(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing of what was done")


def dump(context: Context) -> int:
    from etcdv2.transfer import write_dump

    options = context.options
    if options.secrets and not (options.data_dir and options.auth and options.out):
        raise UsageError("--secrets needs --data-dir, --auth, and a file that is for its owner alone: --out")
    tree = _read(context, context.words[0] if context.words else "/")

    if options.out is not None:
        try:
            write_dump(tree, options.out)
        except OSError as error:
            raise Failed(UNREADABLE, f"{options.out}: {error.strerror or error}") from None
    else:
        with tempfile.TemporaryDirectory(prefix="etcdv2-") as place:
            path = Path(place) / "dump"
            write_dump(tree, path)
            with path.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    context.output.write(line)
    damaged = sum(node.damaged for node in tree)
    if damaged:
        context.output.say(f"warning: {damaged} values or keys have a U+FFFD in them and may have lost bytes")
    if not options.quiet:
        context.output.say(f"{len(tree)} keys and directories, index {tree.index}")
    return OK


def _read(context: Context, root: str) -> Tree:
    from etcdv2.transfer import read_tree

    options = context.options
    found = directories(context)
    if not found:
        return read_tree(context.client, root, hidden=options.hidden or (), auth=options.auth, timeout=context.within)
    if options.hidden:
        raise UsageError("--hidden is for a cluster: a data directory shows all hidden keys")
    newest = newest_of(context, found)
    tree = newest.tree(root, auth=options.auth, secrets=options.secrets)
    if not options.quiet:
        say_state(context, newest.read())
    return tree


DUMP = Command(
    dump,
    "[DIR]",
    _options,
    words=(0, 1),
    about="Write a directory (the root by default) with all below it as JSON lines: of the cluster, at one moment, or "
    "of a member's data directory, stopped or running, which shows hidden keys and exact bytes, too.",
    alarm=True,
)
