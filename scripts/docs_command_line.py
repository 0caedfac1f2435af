"""The page of the command line, made from its parsers: what `etcdv2 COMMAND --help` shows, with the global flags once.

Owns how a help page reads as Markdown. Decides nothing of what it says.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator

from etcdv2._cli._arguments import Arguments
from etcdv2._cli._commands import COMMANDS, command_named
from etcdv2._cli._main import main

COLUMNS = "100"
"""The width that argparse writes for."""
GLOBAL = "\nglobal flags:\n"
HEAD = """\
# The command line

Made from the parsers: what `etcdv2 --help` and `etcdv2 COMMAND --help` show.
[The command line](../how-to/command-line.md) says how it is used.
"""

FLAGS = """\
## Global flags

For every command, before it or behind it. The formats of `-o` are those of `get` here;
each command names its own.\
"""


def page() -> str:
    """The whole page."""
    with _columns():
        parts = [HEAD, f"```text\n{_printed(['--help'])}```"]
        some = Arguments("get", command_named("get")).format_help()
        flags = some[some.index(GLOBAL) : some.index("\nexit codes:")].strip()
        parts.append(f"{FLAGS}\n\n```text\n{flags}\n```")

        for name, (_, summary) in COMMANDS.items():
            own = Arguments(name, command_named(name)).format_help().partition(GLOBAL)[0].strip()
            parts.append(_command(name, summary, own))
    return "\n\n".join(parts) + "\n"


def _command(name: str, summary: str, own: str) -> str:
    return f"## {name} {{ #{name.replace(' ', '-')} }}\n\n{summary[0].upper()}{summary[1:]}.\n\n```text\n{own}\n```"


def _printed(words: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(words)
    return printed.getvalue()


@contextlib.contextmanager
def _columns() -> Generator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
