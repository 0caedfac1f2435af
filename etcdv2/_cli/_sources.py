"""Where a tree is read from: the cluster, a URL, a dump, a member's data directory.

Owns how a source is written on a command line, and what is said of what was met on the way.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._context import Context
from etcdv2._cli._failures import Failed, UsageError

if TYPE_CHECKING:
    from etcdv2.transfer import DataDirectory, MemberState, Tree

UNREADABLE = 2


def directory_options(parser: ArgumentParser) -> None:
    """What `DataDirectory` takes."""
    parser.add_argument(
        "--data-dir",
        action="append",
        metavar="D",
        help="read a member's files (repeat for several members)",
    )
    parser.add_argument("--wal-dir", metavar="W", help="where its log is, if elsewhere")
    parser.add_argument("--all-entries", action="store_true", help="also what was not noted as committed (rescue)")
    parser.add_argument("--no-crc", action="store_true", help="compare no checksums")


def directories(context: Context) -> list[DataDirectory]:
    """Those of --data-dir. Raises UsageError."""
    from etcdv2.transfer import DataDirectory

    context.begin()
    options = context.options
    if options.wal_dir is not None and len(options.data_dir or ()) != 1:
        raise UsageError("--wal-dir goes with one --data-dir")
    return [
        DataDirectory(path, wal_dir=options.wal_dir, check_crc=not options.no_crc, all_entries=options.all_entries)
        for path in options.data_dir or ()
    ]


def newest_of(context: Context, found: list[DataDirectory]) -> DataDirectory:
    """The one to read; how the others differ is said."""
    from etcdv2.transfer import compare_members

    if len(found) == 1:
        return found[0]
    compared = compare_members(found)
    for line in str(compared).splitlines():
        context.output.say(line)
    return compared.newest


def say_state(context: Context, state: MemberState) -> None:
    """How far a member's files were read."""
    context.output.say(
        f"read to raft index {state.raft_index}, store index {state.store.index}; the member may be ahead"
    )
    for note in state.notes:
        context.output.say(note)


def tree_from(context: Context, source: str, *, auth: bool = False) -> Tree:
    """A dump, `http://...` or `https://...`, or `data-dir:PATH`, with users and roles where `auth` asks for them.

    Raises Failed for a file that cannot be read.
    """
    from etcdv2.transfer import DataDirectory, read_dump, read_tree

    context.begin()
    if source.startswith(("http://", "https://")):
        with context.client_of(source) as client:
            return read_tree(client, hidden=getattr(context.options, "hidden", None) or (), timeout=context.within)
    try:
        if source.startswith("data-dir:"):
            return DataDirectory(source.removeprefix("data-dir:")).tree(auth=auth)
        return read_dump(source)
    except OSError as error:
        raise Failed(UNREADABLE, f"{source}: {error.strerror or error}") from None
