"""`check` and `purge`: ready for etcd 3.6, and emptied for it. And what is pointed elsewhere: `backup`, `migrate`."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etcdv2._cli._arguments import duration
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import NO, OK, UsageError
from etcdv2._cli._sources import directories, directory_options

if TYPE_CHECKING:
    from etcdv2._cli._output import Output
    from etcdv2.transfer import ClusterCheck, DirectoryCheck, Purged, RequestCount

GUIDE = (3, 5, 26)
"""etcd's guide asks for it before 3.6."""


def _check_options(parser: ArgumentParser) -> None:
    directory_options(parser)
    parser.add_argument("--observe", type=duration, default=2.0, metavar="S", help="how long to look for writes (2)")


def check(context: Context) -> int:
    """Exit code 0 where it is ready."""
    from etcdv2.transfer import check_cluster, check_directory

    found = directories(context)
    if not found:
        return _print_cluster(
            context, check_cluster(context.client, observe=context.options.observe, timeout=context.within)
        )
    results = [check_directory(directory) for directory in found]
    for result in results:
        if context.output.for_programs:
            context.output.document(_directory_document(result))
        else:
            context.output.line(str(result))
    return OK if all(result.ready for result in results) else NO


def _directory_document(found: DirectoryCheck) -> dict[str, Any]:
    requests = {method: _requests_document(one) for method, one in found.requests.items()}
    return {
        "path": str(found.path),
        "snapshot": None if found.snapshot is None else str(found.snapshot),
        "etcd": found.etcd,
        "ready": found.ready,
        "readyForEarlier": found.ready_for_earlier,
        "readyFor37": found.ready_for_3_7,
        "keys": list(found.keys),
        "hidden": list(found.hidden),
        "auth": found.auth,
        "authUsed": found.auth_used,
        "requests": requests,
        "own": None if found.own is None else _requests_document(found.own),
    }


def _requests_document(found: RequestCount) -> dict[str, int]:
    return {"count": found.count, "first": found.first, "last": found.last}


def _print_cluster(context: Context, found: ClusterCheck) -> int:
    output = context.output
    numbers = tuple(int(part) for part in found.etcd.split("-")[0].split(".") if part.isdecimal())
    old = numbers < GUIDE
    ready = found.empty and not old
    if output.for_programs:
        output.document(
            {
                "ready": ready,
                "etcd": found.etcd,
                "nodes": found.nodes,
                "expiring": found.expiring,
                "authUsed": found.auth_used,
                "written": found.written,
                "unseen": list(found.unseen),
            }
        )
        return OK if ready else NO

    output.line(f"etcd {found.etcd}" + (": etcd's guide asks for 3.5.26 or later before 3.6" if old else ""))
    output.line(f"{found.nodes} keys and directories, {found.expiring} of them expire")
    auth = {
        True: "users or roles are there",
        False: "no users and roles",
        None: "not permitted to see users and roles",
    }
    output.line(auth[found.auth_used])
    if found.written:
        output.line(f"somebody writes: the index grew by {found.written}")
    output.line(f"not seen over HTTP: {'; '.join(found.unseen)}")
    output.line("nothing that HTTP shows is in the way" if ready else "not ready")
    return OK if ready else NO


def _purge_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--yes-delete-everything-of", metavar="CLUSTER_ID", help="do it, if this is the cluster's id; else a dry run"
    )
    parser.add_argument("--out", metavar="F", help="dump what is deleted into this file first")
    parser.add_argument("--no-dump", action="store_true", help="keep nothing of it")
    parser.add_argument("--keep", action="append", metavar="/x", help="what stays, directly below the root (repeat)")
    parser.add_argument("--hidden", action="append", metavar="KEY", help="a hidden key to be deleted as well (repeat)")
    parser.add_argument("--hidden-from", metavar="F", help="the hidden keys of this dump of a member's data directory")
    parser.add_argument("--auth", action="store_true", help="users and roles as well; turns authentication off")
    parser.add_argument("--observe", type=duration, default=2.0, metavar="S", help="how long nobody may write (2)")


def purge_store(context: Context) -> int:
    """Without the id of the cluster it says what it would do."""
    from etcdv2.transfer import purge

    options, output = context.options, context.output
    wanted, dry = options.yes_delete_everything_of, options.yes_delete_everything_of is None
    if not dry and options.out is None and not options.no_dump:
        raise UsageError("--out F is missing: what is deleted is dumped first (--no-dump goes without)")

    # 1. Which cluster: a dry run is of whichever answers.
    hidden, within = _hidden_keys(options), context.within
    if dry:
        context.client.keys.get("/", timeout=context.timeout)
        wanted = context.client.cluster_id

    # 2. What went, or would go.
    found = purge(
        context.client,
        cluster_id=wanted,
        dump=None if dry else options.out,
        keep=options.keep or (),
        hidden=hidden,
        auth=options.auth,
        dry_run=dry,
        observe=options.observe,
        timeout=within,
    )
    _print_purged(output, found, "would delete" if dry else "deleted")

    # 3. How to go on.
    if dry:
        output.say(f"a dry run: --yes-delete-everything-of {wanted} does it")
    else:
        for line in found.recipe:
            output.say(line)
    return OK


def _hidden_keys(options: Any) -> list[str]:
    """Those that were named, and those of a dump. Raises UsageError where that cannot be read."""
    from etcdv2.transfer import read_dump

    named: list[str] = options.hidden or []
    if options.hidden_from is None:
        return named
    try:
        keys = [node.key for node in read_dump(Path(options.hidden_from))]
    except OSError as error:
        raise UsageError(f"--hidden-from {options.hidden_from}: {error.strerror}") from None
    return [*named, *(key for key in keys if key.rpartition("/")[2].startswith("_"))]


def _print_purged(output: Output, found: Purged, verb: str) -> None:
    for kind, names in (("key", found.keys), ("user", found.users), ("role", found.roles)):
        for name in names:
            if output.for_programs:
                output.document({"action": verb, kind: name})
            else:
                output.line(f"{verb} {name if kind == 'key' else f'{kind} {name}'}")


def _backup_options(parser: ArgumentParser) -> None:
    for flag in ("--data-dir", "--backup-dir", "--wal-dir", "--backup-wal-dir"):
        parser.add_argument(flag, help=SUPPRESS)
    parser.add_argument("--with-v3", action="store_true", help=SUPPRESS)


def backup(context: Context) -> int:
    raise UsageError(
        "backup copied a member's files: `etcdv2 dump --data-dir D --out F` keeps the v2 keys of them, and "
        "`etcdutl backup` copies files",
        "see etcdv2 dump --help",
    )


CHECK = Command(
    check,
    "",
    _check_options,
    formats=("human", "json", "jsonl"),
    about="Whether etcd 3.6 would start: of the cluster what HTTP shows, or with --data-dir, on each member's host, "
    "all of it. Exit 0 where it is ready, 1 where not.",
    alarm=True,
)
PURGE = Command(
    purge_store,
    "",
    _purge_options,
    formats=("human", "jsonl"),
    about="Delete everything from the v2 store, after it was copied and verified. A dry run, unless the cluster's id "
    "is given. It refuses where somebody writes, and says what is left to do on the members' hosts.",
)
BACKUP = Command(backup, "", _backup_options, about="Points to dump --data-dir, and to etcdutl.", words=(0, None))
