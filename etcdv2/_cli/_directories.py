"""`mkdir`, `setdir` and `updatedir`.

Owns what etcdctl's do not refuse: a file in the place of the directory, whose value would be lost.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._arguments import needed, ttl
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK
from etcdv2._cli._nodes import WRITE_FORMATS, print_write

if TYPE_CHECKING:
    from etcdv2 import Response

FORMATS = tuple(form for form in WRITE_FORMATS if form != "value")


def _ttl_option(parser: ArgumentParser) -> None:
    parser.add_argument("--ttl", type=ttl, metavar="S", help="seconds until it expires with all below it")


def _mkdir_options(parser: ArgumentParser) -> None:
    _ttl_option(parser)
    parser.add_argument("-p", "--parents", action="store_true", help="no error where the directory is there")


def mkdir(context: Context) -> int:
    for key in context.words:
        response = context.client.keys.make_dir(
            key, ttl=context.options.ttl, exist_ok=context.options.parents, timeout=context.timeout
        )
        _print(context, response)
    return OK


def _setdir_options(parser: ArgumentParser) -> None:
    _ttl_option(parser)
    parser.add_argument("--replace-file", action="store_true", help="a key in its place is deleted with its value")


def setdir(context: Context) -> int:
    """A directory that is there keeps what it has, and gets the TTL where one is given."""
    options, key, keys = context.options, context.words[0], context.client.keys
    found = keys.get(key, quorum=True, default=None, timeout=context.timeout)
    if found is not None and found.node.dir and not _is_root(found):
        changed = found if options.ttl is None else keys.refresh(key, options.ttl, timeout=context.timeout)
        _print(context, changed)
        return OK

    if found is not None and not found.node.dir:
        if not options.replace_file:
            raise _not_dir(found, "; --replace-file deletes it")
        keys.delete(key, prev_index=found.node.modified_index, timeout=context.timeout)
    _print(context, keys.make_dir(key, ttl=options.ttl, timeout=context.timeout))
    return OK


def _updatedir_options(parser: ArgumentParser) -> None:
    parser.add_argument("--ttl", type=ttl, metavar="S", help="seconds until it expires")


def updatedir(context: Context) -> int:
    seconds = needed(context.options.ttl, "--ttl S")
    key, keys = context.words[0], context.client.keys
    found = keys.get(key, quorum=True, timeout=context.timeout)
    if not found.node.dir:
        raise _not_dir(found, "")
    _print(context, keys.refresh(key, seconds, timeout=context.timeout))
    return OK


def _is_root(found: Response) -> bool:
    return found.node.key == "/"


def _not_dir(found: Response, advice: str) -> Exception:
    from etcdv2 import NotDir

    return NotDir("Not a directory", code=104, cause=f"{found.node.key} is a key with a value{advice}")


def _print(context: Context, response: Response) -> None:
    node = response.node
    expires = f" expires in {node.ttl} s" if node.ttl is not None else ""
    print_write(context.output, response, f"{node.key.rstrip('/')}/{expires} (index {response.index})")


MKDIR = Command(
    mkdir,
    "DIR...",
    _mkdir_options,
    words=(1, None),
    formats=FORMATS,
    about="Create directories, with those above them.",
)
SETDIR = Command(
    setdir,
    "DIR",
    _setdir_options,
    words=(1, 1),
    formats=FORMATS,
    about="Create a directory, or give one that is there another TTL. A key in its place is refused.",
)
UPDATEDIR = Command(
    updatedir,
    "DIR --ttl S",
    _updatedir_options,
    words=(1, 1),
    formats=FORMATS,
    about="Give a directory another TTL. etcd 3.5 cannot do that (an error of the server); 3.4 can.",
)
