"""Writes the completions of the command line for bash, zsh and tcsh, which are part of the package.

    python scripts/completions.py [--check]

They are static: a shell that completes a word starts no Python. Made by shtab from the flags of each command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import shtab

from etcdv2._cli._arguments import Arguments
from etcdv2._cli._commands import COMMANDS, command_named

PLACE = Path(__file__).resolve().parent.parent / "etcdv2" / "_cli" / "completions"
SHELLS = ("bash", "zsh", "tcsh")
FILES = {"--cacert", "--cert", "--key", "--password-file", "--new-password-file", "--out", "--hidden-from", "--resume"}
DIRECTORIES = {"--data-dir", "--wal-dir"}


def whole_parser() -> argparse.ArgumentParser:
    """All commands as one parser, which is what shtab reads."""
    parser = argparse.ArgumentParser(prog="etcdv2", add_help=False)
    first = parser.add_subparsers()
    groups: dict[str, Any] = {}
    for name, (_, about) in COMMANDS.items():
        group, _, second = name.partition(" ")
        if second and group not in groups:
            one = first.add_parser(group, help=f"{group} commands", add_help=False)
            groups[group] = one.add_subparsers()
        into = groups[group] if second else first
        made = into.add_parser(second or group, help=about, add_help=False)
        copy_flags(Arguments(name, command_named(name)), made)
    return parser


def copy_flags(source: argparse.ArgumentParser, target: argparse.ArgumentParser) -> None:
    """The flags that the help shows, with what their values are."""
    for action in source._actions:
        if action.help == argparse.SUPPRESS or not action.option_strings:
            continue
        if action.nargs == 0:
            copied = target.add_argument(*action.option_strings, action="store_true", help=action.help)
        else:
            copied = target.add_argument(*action.option_strings, help=action.help, choices=action.choices)
        if FILES & set(action.option_strings):
            copied.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own attribute
        elif DIRECTORIES & set(action.option_strings):
            copied.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="fail when a file is not up to date")
    check: bool = options.parse_args().check
    stale = False
    for shell in SHELLS:
        text = shtab.complete(whole_parser(), shell)
        path = PLACE / f"etcdv2.{shell}"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path.name} is not up to date: make generate", file=sys.stderr)
            stale = True
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
