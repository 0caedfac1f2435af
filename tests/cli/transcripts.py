"""Transcripts: commands with what they print, as files that people can read, run and compare.

    $ etcdv2 get /nope
    ! etcdv2: key not found: /nope (index 1000)
    = 3

Two spaces begin a line of stdout, "! " one of stderr, "= " the exit code where it is not 0; `<<< 'text'` behind a
command is its stdin. What differs from run to run (URLs, moments, ids) is written as in `SAME`. With ETCDV2_UPDATE=1
the files are written again, to be read before they are committed.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cli.running import CommandLine, Ran

SAME: tuple[tuple[str, str], ...] = (
    (r"\bttl 2\d\b", "ttl 29"),
    (r'"ttl":2\d\b', '"ttl":29'),
    (r'"expiration":"[^"]*"', '"expiration":"2026-11-26T12:00:00Z"'),
    (r"\betcd 3\.\d+\.\d+", "etcd 3.5.1"),
    (r"\bin \d+\.\d+ s", "in 0.001 s"),
    (r"\b[0-9a-f]{15,16}\b", "1badf98cb9dfc124"),
    (r"http://127\.0\.0\.1:(?!2379\b)\d+", "http://127.0.0.1:2380"),
    (r'"version":"3\.\d+\.\d+"', '"version":"3.5.1"'),
    (r'"raftIndex":\d+,"raftTerm":\d+', '"raftIndex":1100,"raftTerm":2'),
    (r"(healthy|default)  3\.\d+\.\d+ *", r"\1  3.5.1  "),
)


@dataclass(frozen=True)
class Step:
    """One command, and what is expected of it, as it is written."""

    command: str
    expected: list[str]


def steps(text: str) -> Iterator[Step | str]:
    """The commands; comments and empty lines as they are."""
    command, expected = "", list[str]()
    for line in text.splitlines():
        if line.startswith(("$ ", "#")) or not line:
            if command:
                yield Step(command, expected)
                command, expected = "", []
            if line.startswith("$ "):
                command = line
            else:
                yield line
        else:
            expected.append(line)
    if command:
        yield Step(command, expected)


def words_of(command: str) -> tuple[list[str], str, dict[str, str]]:
    """The words behind `etcdv2`, stdin, and variables in front of it."""
    line, _, given = command.removeprefix("$ ").partition(" <<< ")
    words = shlex.split(line)
    environ: dict[str, str] = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    assert words.pop(0) == "etcdv2"
    return words, ast.literal_eval(given) if given else "", environ


def shown(ran: Ran, replace: Callable[[str], str]) -> list[str]:
    """What a command printed, as a transcript has it."""
    lines = [f"  {line}" for line in replace(ran.out).splitlines()]
    lines += [f"! {line}" for line in replace(ran.err).splitlines()]
    return [line.rstrip() for line in lines] + ([f"= {ran.code}"] if ran.code else [])


def check(path: Path, cli: CommandLine, *, same: tuple[tuple[str, str], ...] = ()) -> None:
    """Runs all commands of a file, one after the other, and compares."""

    def replace(text: str) -> str:
        text = text.replace(cli.url, "http://127.0.0.1:2379").replace(cli.url.removeprefix("http://"), "127.0.0.1:2379")
        for pattern, by in (*same, *SAME):
            text = re.sub(pattern, by, text)
        return text

    found: list[str] = []
    for step in steps(path.read_text(encoding="utf-8")):
        if isinstance(step, str):
            found.append(step)
            continue
        words, stdin, environ = words_of(step.command)
        ran = cli(*(word.replace("http://127.0.0.1:2379", cli.url) for word in words), stdin=stdin, **environ)
        found += [step.command, *shown(ran, replace)]
    text = "\n".join(found) + "\n"
    if os.environ.get("ETCDV2_UPDATE"):
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8").splitlines()
    differences = list(difflib.unified_diff(expected, text.splitlines(), path.name, "printed", lineterm="", n=2))
    assert not differences, "\n" + "\n".join(differences)
