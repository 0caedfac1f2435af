"""`rm` and `rmdir`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._arguments import index, old_value
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK, UsageError
from etcdv2._cli._nodes import response_document

if TYPE_CHECKING:
    from etcdv2 import Response

FORMATS = ("human", "value", "key", "json", "jsonl", "name")


def _force_option(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="no error where it is not there")


def _rm_options(parser: ArgumentParser) -> None:
    parser.add_argument("-r", "--recursive", action="store_true", help="directories, with all below them")
    parser.add_argument("--dir", action="store_true", help="an empty directory")
    parser.add_argument(
        "--prev-value", "--with-value", type=old_value, metavar="V", help="only where this is its value"
    )
    parser.add_argument(
        "--prev-index", "--with-index", type=index, metavar="N", help="only where this is its modified index"
    )
    _force_option(parser)


def rm(context: Context) -> int:
    from etcdv2 import NotFile

    options = context.options
    conditions = options.prev_value is not None or options.prev_index is not None
    if conditions and (options.recursive or options.dir or len(context.words) > 1):
        raise UsageError("--prev-value and --prev-index are for one key, and no directory")
    for key in context.words:
        try:
            response = context.client.keys.delete(
                key,
                prev_value=options.prev_value,
                prev_index=options.prev_index,
                recursive=options.recursive,
                dir=options.dir and not options.recursive,
                missing_ok=options.force,
                timeout=context.timeout,
            )
        except NotFile as error:
            advice = " (-r deletes it with all below it, --dir an empty directory)"
            raise NotFile(error.message, code=102, cause=error.cause + advice, index=error.index) from None
        _print(context, response)
    return OK


def rmdir(context: Context) -> int:
    for key in context.words:
        response = context.client.keys.remove_dir(key, missing_ok=context.options.force, timeout=context.timeout)
        _print(context, response)
    return OK


def _print(context: Context, response: Response | None) -> None:
    """What was deleted; nothing where nothing was there."""
    output = context.output
    if response is None:
        return
    if output.form in ("json", "jsonl"):
        output.document(response_document(response))
    elif output.form == "value":
        output.line((response.prev_node.value if response.prev_node is not None else None) or "")
    else:
        slash = "/" if response.node.dir and output.form == "human" else ""
        output.line(response.node.key + slash)


RM = Command(
    rm,
    "KEY...",
    _rm_options,
    words=(1, None),
    formats=FORMATS,
    about="Delete keys, and print which; -o value prints the value that was deleted.",
)
RMDIR = Command(
    rmdir,
    "DIR...",
    _force_option,
    words=(1, None),
    formats=FORMATS,
    about="Delete empty directories. A key is refused.",
)
