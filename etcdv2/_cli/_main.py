"""From a command line to an exit code.

Owns the dispatch, the signals, and that every error ends in one line and a code of `_failures`. Imports what it
takes to print the help, and no more, before a command is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Generator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from etcdv2._cli._commands import COMMANDS, command_named, subcommands
from etcdv2._cli._failures import (
    BROKEN_PIPE,
    EXIT_CODES,
    HANGUP,
    INTERRUPTED,
    OK,
    TERMINATED,
    USAGE,
    Shown,
    TimeOver,
    UsageError,
    exit_code,
    json_of,
    text_of,
)

if TYPE_CHECKING:
    from etcdv2._cli._command import Command
    from etcdv2._cli._context import Context


class Terminated(BaseException):
    """SIGTERM or SIGHUP came: everything is closed on the way out."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and raises nothing."""
    from etcdv2._cli._output import prepare_streams

    prepare_streams()
    try:
        with _signals():
            code = _run(list(sys.argv[1:] if argv is None else argv))
            sys.stdout.flush()
            return code
    except Terminated as ended:
        return ended.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE


def _run(argv: list[str]) -> int:
    from etcdv2._cli._arguments import Arguments, check_count, parse, split_words

    try:
        # 1. Which command.
        if argv == ["--version"]:
            argv = ["version", "--client"]
        before, rest = split_words(argv)
        if not rest or rest[0] == "help":
            return _help(rest[1:], before)
        name, rest = _named(rest)
        if name not in COMMANDS:
            return _help([name], before)

        # 2. Its flags and words.
        command = command_named(name)
        parser = Arguments(name, command)
        options, words, behind = parse(parser, before + rest)
        if options.help:
            print(f"{parser.format_help()}", end="")
            return OK
        if not command.takes_command:
            words, behind = words + behind, []
        check_count(parser, command, words)
        form = _form(options.output, command.formats, parser.hint)
    except UsageError as error:
        return _refuse(error)

    # 3. The command itself.
    from etcdv2._cli._context import Context
    from etcdv2._cli._output import Output

    output = Output(form, os.environ, colours=not options.no_color)
    try:
        context = Context(options, words, behind, output, os.environ, endless=command.endless(options))
    except UsageError as error:
        return _refuse(UsageError(str(error), error.hint or parser.hint))
    return _carried_out(command, context, parser.hint)


def _carried_out(command: Command, context: Context, hint: str) -> int:
    try:
        with context.stack:
            if not command.alarm:
                return command.run(context)
            with context.alarm():
                return command.run(context)
    except TimeOver as over:
        from etcdv2 import DeadlineExceeded

        return _failed(DeadlineExceeded(str(over)), context)
    except Shown:
        return OK
    except UsageError as error:
        return _refuse(UsageError(str(error), error.hint or hint))
    except BrokenPipeError:
        raise
    except Exception as error:
        return _failed(error, context)


def _failed(error: Exception, context: Context) -> int:
    """One line, and the code."""
    from etcdv2 import EtcdError
    from etcdv2._cli._failures import Failed

    if not isinstance(error, (EtcdError, Failed, ValueError, TypeError, OSError)):
        raise error
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    if context.output.for_programs:
        print(json_of(error), file=sys.stderr)
    else:
        text = text_of(error, context.settings.user)
        print(context.output.paint_error("etcdv2:", "red"), text, file=sys.stderr)
    return exit_code(error)


def _named(rest: list[str]) -> tuple[str, list[str]]:
    """The command's name, of one word or two. Raises UsageError."""
    first = rest[0]
    alias = {"cluster-health": "health"}.get(first, first)
    seconds = subcommands(alias)
    if alias in COMMANDS and not (seconds and len(rest) > 1 and rest[1] in seconds):
        return alias, rest[1:]
    if not seconds:
        raise UsageError(f"unknown command: {first}{_meant(first, list(COMMANDS))}", "see etcdv2 --help")
    if len(rest) < 2 or rest[1] in ("-h", "--help"):
        if len(rest) < 2:
            raise UsageError(f"{first}: which of {', '.join(seconds)}?", f"usage: etcdv2 {first} {'|'.join(seconds)}")
        return first, rest[1:]
    if rest[1] not in seconds:
        raise UsageError(
            f"unknown command: {first} {rest[1]}{_meant(rest[1], seconds)}",
            f"usage: etcdv2 {first} {'|'.join(seconds)}",
        )
    return f"{first} {rest[1]}", rest[2:]


def _meant(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"; {close[0]}?" if close else ""


def _form(asked: str | None, formats: tuple[str, ...], hint: str) -> str:
    """Raises UsageError for a format that the command does not have."""
    form = {None: "human", "simple": "human"}.get(asked, asked) or "human"
    if form not in formats:
        raise UsageError(f"-o {form}: the formats are {', '.join(formats)}", hint)
    return form


def _help(words: list[str], before: list[str]) -> int:
    from etcdv2._cli._arguments import Arguments

    # 1. One command, or one group of them.
    name = " ".join(words[:2])
    name = name if name in COMMANDS else " ".join(words[:1])
    if name in COMMANDS:
        print(Arguments(name, command_named(name)).format_help(), end="")
        return OK
    if name and not subcommands(name):
        return _refuse(UsageError(f"unknown command: {name}", "see etcdv2 --help"))

    # 2. All of them.
    shown = {one: about for one, (_, about) in COMMANDS.items() if not name or one.startswith(f"{name} ")}
    print(f"usage: etcdv2 {name + ' ' if name else ''}COMMAND [words] [flags]\n\ncommands:")
    for one, about in shown.items():
        print(f"  {one:<15} {about}")
    print("\netcdv2 COMMAND --help has the flags of one. Flags may stand before and behind the command.")
    if not name:
        print("\nThe environment: ETCDCTL_* as etcdctl reads them, ETCDV2_* with the same names over these; NO_COLOR.")
        print(EXIT_CODES)
    return OK


def _refuse(error: UsageError) -> int:
    print(f"etcdv2: {error}", file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)
    return USAGE


@contextlib.contextmanager
def _signals() -> Generator[None, None, None]:
    """SIGTERM and SIGHUP end the command as an exception does, so that locks are released."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated(HANGUP if number == signal.SIGHUP else TERMINATED)

    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # another thread than the main one has no handlers
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


def _forget_stdout() -> None:
    """Nobody reads it any more, and Python would complain when it flushes it at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
