"""The words and flags of a command line: which are global, where they may stand, what their values mean.

Owns the refusal of a wrong line, in two lines. Positional words are counted here and not by argparse, which
takes them apart where flags stand between them.
"""

from __future__ import annotations

import argparse
import re
from textwrap import fill
from typing import Any, NoReturn

from etcdv2._cli._command import Command
from etcdv2._cli._failures import EXIT_CODES, UsageError

GLOBAL_WITH_VALUE: dict[str, tuple[str, ...]] = {
    "endpoints": ("-e", "--endpoints", "--endpoint", "--peers", "-C"),
    "user": ("-u", "--user", "--username"),
    "password_file": ("--password-file",),
    "cacert": ("--cacert", "--ca-file"),
    "cert": ("--cert", "--cert-file"),
    "key": ("--key", "--key-file"),
    "timeout": ("--timeout", "--total-timeout", "--command-timeout"),
    "connect_timeout": ("--connect-timeout", "--dial-timeout"),
    "discovery_srv": ("--discovery-srv", "-D"),
    "discovery_srv_name": ("--discovery-srv-name",),
    "output": ("-o", "--output", "-w", "--write-out"),
}
GLOBAL_SWITCHES: dict[str, tuple[str, ...]] = {
    "insecure_skip_tls_verify": ("--insecure-skip-tls-verify",),
    "insecure_discovery": ("--insecure-discovery",),
    "sync": ("--sync",),
    "no_sync": ("--no-sync",),
    "no_color": ("--no-color",),
    "verbose": ("-v", "--verbose", "--debug"),
    "curl": ("--curl",),
}
"""By the names of their attributes; the first spelling that begins with two dashes is the one to show."""

_HELP = {
    "endpoints": ("U,U", "the members' URLs; no scheme is http, no port 2379 (default http://127.0.0.1:2379)"),
    "user": ("NAME", "the user; without a password from elsewhere it is asked for on the terminal"),
    "password_file": ("F", "a file with the user's password, - for stdin"),
    "cacert": ("F", "PEM file of the authorities to trust"),
    "cert": ("F", "PEM file of the client's certificate"),
    "key": ("F", "PEM file of its key"),
    "timeout": ("S", "time for the whole command, as 5 (seconds), 500ms or 1m30s; then code 10"),
    "connect_timeout": ("S", "time to connect to one member"),
    "discovery_srv": ("DOMAIN", "take the endpoints from DNS"),
    "discovery_srv_name": ("NAME", "of the service in DNS"),
    "insecure_skip_tls_verify": ("", "accept any certificate"),
    "insecure_discovery": ("", "take endpoints without TLS from DNS"),
    "sync": ("", "use the URLs that the members advertise as well"),
    "no_sync": ("", argparse.SUPPRESS),
    "no_color": ("", "no colours; as NO_COLOR in the environment does"),
    "verbose": ("", "show each attempt on stderr"),
    "curl": ("", "print the first request as a line for curl, and send nothing"),
}


class Arguments(argparse.ArgumentParser):
    """The flags of one command, the global ones among them."""

    def __init__(self, name: str, command: Command | None = None) -> None:
        words = f" {command.usage}" if command is not None and command.usage else ""
        super().__init__(
            prog=f"etcdv2 {name}".rstrip(),
            usage=f"etcdv2 {name}{words} [flags]",
            description=None if command is None else fill(command.about, 100),
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.command = command
        if command is not None:
            command.options(self)
        add_global_flags(self, command)

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace("expected one argument", "needs a value")
        raise UsageError(message, self.hint)

    @property
    def hint(self) -> str:
        return f"usage: {self.usage}; see {self.prog} --help"


def add_global_flags(parser: argparse.ArgumentParser, command: Command | None = None) -> None:
    """Each with all its spellings; the help shows one."""
    group = parser.add_argument_group("global flags")
    group.add_argument("-h", "--help", action="store_true", dest="help", help="this page")
    for name, spellings in (GLOBAL_WITH_VALUE | GLOBAL_SWITCHES).items():
        shown = [spelling for spelling in spellings if len(spelling) == 2][:1] + [
            spelling for spelling in spellings if spelling.startswith("--")
        ][:1]
        hidden = [spelling for spelling in spellings if spelling not in shown]
        metavar, text = ("FORMAT", _formats(command)) if name == "output" else _HELP[name]
        for some, help_text in ((shown, text), (hidden, argparse.SUPPRESS)):
            if not some:
                continue
            if name in GLOBAL_SWITCHES:
                group.add_argument(*some, action="store_true", dest=name, help=help_text)
            elif name == "endpoints":
                group.add_argument(*some, action="append", dest=name, metavar=metavar, help=help_text)
            else:
                kind = duration if name in ("timeout", "connect_timeout") else str
                group.add_argument(*some, dest=name, metavar=metavar, type=kind, help=help_text)


def _formats(command: Command | None) -> str:
    formats = ("human", "value", "key", "json", "jsonl", "yaml") if command is None else command.formats
    return f"one of {', '.join(formats)}"


def split_words(argv: list[str]) -> tuple[list[str], list[str]]:
    """Global flags that stand before the command, and the command with all behind it.

    Raises UsageError for another flag there.
    """
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "-":
        at += _words_of_flag(argv[at])
    return argv[:at], argv[at:]


def _words_of_flag(given: str) -> int:
    """2 where the value of this global flag is the next word, else 1. Raises UsageError for what is no global flag."""
    with_value = {spelling for group in GLOBAL_WITH_VALUE.values() for spelling in group}
    switches = {spelling for group in GLOBAL_SWITCHES.values() for spelling in group} | {"-h", "--help"}
    flag, equals, _ = given.partition("=")
    if flag in with_value:
        return 1 if equals else 2

    joined = not flag.startswith("--") and flag[:2] in with_value  # as -eURL
    if flag not in switches and not joined:
        raise UsageError(f"unknown flag before the command: {flag}", "see etcdv2 --help")
    return 1


def parse(parser: Arguments, argv: list[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """The flags, the words between them, and what stands behind `--`. Raises UsageError."""
    before, after = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    options, words = parser.parse_known_args(before)
    if options.help:
        return options, words, after
    for word in words:
        if word.startswith("-") and word != "-" and not re.fullmatch(r"-\d+(\.\d*)?", word):
            parser.error(f"unknown flag: {word.partition('=')[0]} (a value that begins with - stands behind --)")
    return options, words, after


def check_count(parser: Arguments, command: Command, words: list[str]) -> None:
    """Raises UsageError unless there are as many words as the command takes."""
    least, most = command.words
    if len(words) < least:
        named = command.usage.replace("[", "").replace("]", "").split()
        parser.error(f"{named[len(words)].removesuffix('...')} is missing")
    if most is not None and len(words) > most:
        parser.error(f"one word too many: {words[most]!r}")


def needed(value: Any, flag: str) -> Any:
    """The value of a flag that has to be given. Raises UsageError."""
    if value is None:
        raise UsageError(f"{flag} is missing")
    return value


# --- values ----------------------------------------------------------------------------------------------------------

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds: a plain number, or as Go writes durations. Raises ArgumentTypeError."""
    if re.fullmatch(r"\d+\.?\d*|\.\d+", text):
        seconds = float(text)
    elif re.fullmatch(r"((\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h))+", text):
        seconds = sum(float(n) * _UNITS[u] for n, u in re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)", text))
    else:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 5, 500ms or 1m30s")
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: it must be more than 0")
    return seconds


def ttl(text: str) -> int:
    """Whole seconds, 1 or more. Raises ArgumentTypeError."""
    try:
        seconds = duration(text)
    except argparse.ArgumentTypeError:
        seconds = 0.0
    if seconds < 1 or seconds != int(seconds):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no TTL like 60 or 1m: whole seconds, 1 or more; without the flag a key does not expire"
        )
    return int(seconds)


def index(text: str) -> int:
    """An index to compare with. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no index: 1 or more")
    return int(text)


def count(text: str) -> int:
    """0 or more. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def old_value(text: str) -> str:
    """A value to compare with. Raises ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("etcd cannot compare with an empty value; use --prev-index")
    return text
