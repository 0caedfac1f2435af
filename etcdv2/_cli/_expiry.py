"""`refresh` and `persist`: when a key expires."""

from __future__ import annotations

from argparse import ArgumentParser

from etcdv2._cli._arguments import needed, ttl
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK
from etcdv2._cli._nodes import WRITE_FORMATS, print_write


def _refresh_options(parser: ArgumentParser) -> None:
    parser.add_argument("--ttl", type=ttl, metavar="S", help="seconds until it expires")


def refresh(context: Context) -> int:
    seconds = needed(context.options.ttl, "--ttl S")
    response = context.client.keys.refresh(context.words[0], seconds, timeout=context.timeout)
    print_write(context.output, response, f"{response.node.key} expires in {seconds} s (index {response.index})")
    return OK


def persist(context: Context) -> int:
    response = context.client.keys.persist(context.words[0], timeout=context.timeout)
    print_write(context.output, response, f"{response.node.key} does not expire (index {response.index})")
    return OK


REFRESH = Command(
    refresh,
    "KEY --ttl S",
    _refresh_options,
    words=(1, 1),
    formats=WRITE_FORMATS,
    about="Give a key another TTL and leave its value. Watchers are not notified.",
)
PERSIST = Command(
    persist,
    "KEY",
    words=(1, 1),
    formats=WRITE_FORMATS,
    about="Take the TTL of a key away and leave its value.",
)
