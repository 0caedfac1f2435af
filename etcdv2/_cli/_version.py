"""`version`: of this program, and of the server that answers."""

from __future__ import annotations

from argparse import ArgumentParser

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import OK


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--client", action="store_true", help="of this program only; nothing is sent")


def version(context: Context) -> int:
    from etcdv2 import __version__

    output = context.output
    if context.options.client:
        if output.for_programs:
            output.document({"etcdv2": __version__})
        else:
            output.line(f"etcdv2 {__version__}")
        return OK

    from etcdv2 import V2ApiDisabled

    try:
        found = context.client.version(timeout=context.timeout)
    except Exception:
        if not output.for_programs:
            output.line(f"etcdv2 {__version__}")
        raise
    endpoint = context.last_endpoint
    try:
        context.client.machines(timeout=context.timeout)
        on = True
    except V2ApiDisabled:
        on = False
    if output.for_programs:
        server = {"endpoint": endpoint, "etcdserver": found.etcdserver, "etcdcluster": found.etcdcluster, "v2": on}
        output.document({"etcdv2": __version__, "server": server})
    else:
        output.line(f"etcdv2 {__version__}; server {endpoint}: etcd {found.etcdserver}, v2 {'on' if on else 'off'}")
    return OK


VERSION = Command(
    version,
    "",
    _options,
    formats=("human", "json", "jsonl"),
    about="The versions of this program and of the server that answers, and whether that serves the v2 API.",
)
