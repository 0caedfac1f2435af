"""`set`, `mk` and `update`: values into keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._arguments import index, old_value, ttl
from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK, UsageError
from etcdv2._cli._nodes import WRITE_FORMATS, print_write

if TYPE_CHECKING:
    from etcdv2 import Response

VALUE = "VALUE that is - or absent is read from stdin, without one newline at its end."


def _value_options(parser: ArgumentParser) -> None:
    parser.add_argument("--ttl", type=ttl, metavar="S", help="seconds until it expires (60, 1m); none: never")
    parser.add_argument("--raw", action="store_true", help="keep the newline at the end of stdin")


def _set_options(parser: ArgumentParser) -> None:
    _value_options(parser)
    parser.add_argument(
        "--prev-value", "--swap-with-value", type=old_value, metavar="V", help="only where this is its value"
    )
    parser.add_argument(
        "--prev-index", "--swap-with-index", type=index, metavar="N", help="only where this is its modified index"
    )
    parser.add_argument("--keep-ttl", action="store_true", help="leave it the TTL that it has")


def set_key(context: Context) -> int:
    options, key = context.options, context.words[0]
    value = context.value(1)
    keys = context.client.keys
    if options.keep_ttl:
        if options.ttl is not None or options.prev_value is not None or options.prev_index is not None:
            raise UsageError("--keep-ttl goes together with no other condition and no --ttl")
        response = keys.modify(key, lambda _: value, default="", timeout=context.timeout)
    else:
        response = keys.set(
            key,
            value,
            ttl=options.ttl,
            prev_value=options.prev_value,
            prev_index=options.prev_index,
            timeout=context.timeout,
        )
    return _printed(context, response, value)


def _mk_options(parser: ArgumentParser) -> None:
    _value_options(parser)
    parser.add_argument("--in-order", action="store_true", help="create a key of the next number below KEY; prints it")


def mk(context: Context) -> int:
    options, key = context.options, context.words[0]
    value = context.value(1)
    keys = context.client.keys
    if options.in_order:
        response = keys.create_in_order(key, value, ttl=options.ttl, timeout=context.timeout)
        return _printed(context, response, response.node.key)
    return _printed(context, keys.create(key, value, ttl=options.ttl, timeout=context.timeout), value)


def update(context: Context) -> int:
    value = context.value(1)
    response = context.client.keys.update(context.words[0], value, ttl=context.options.ttl, timeout=context.timeout)
    return _printed(context, response, value)


def _printed(context: Context, response: Response, text: str) -> int:
    print_write(context.output, response, text)
    context.verbose(f"{response.node.key} index {response.index}")
    return OK


SET = Command(
    set_key,
    "KEY [VALUE]",
    _set_options,
    words=(1, 2),
    formats=WRITE_FORMATS,
    about=f"Write a key and print its value. {VALUE}",
)
MK = Command(
    mk,
    "KEY [VALUE]",
    _mk_options,
    words=(1, 2),
    formats=WRITE_FORMATS,
    about=f"Create a key, which must not be there, and print its value. {VALUE}",
)
UPDATE = Command(
    update,
    "KEY [VALUE]",
    _value_options,
    words=(1, 2),
    formats=WRITE_FORMATS,
    about=f"Write a key that must be there, and print its value. A TTL that it has goes without --ttl. {VALUE}",
)
