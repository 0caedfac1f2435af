"""The command line within this process, and as a process of its own where that is what matters."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etcdv2._cli import main

PROGRAM = [sys.executable, "-m", "etcdv2"]


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class CommandLine:
    """Commands for one server, run in this process: `cli("get", "/a")`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *words: str, stdin: bytes | str = b"", **environ: str) -> Ran:
        return run(words, stdin=stdin, environ={"ETCDV2_ENDPOINTS": self.url, **environ})

    def out(self, *words: str, **environ: str) -> str:
        """Stdout of a command that has to succeed."""
        ran = self(*words, **environ)
        assert ran.code == 0, ran
        return ran.out


def run(words: Sequence[str], *, stdin: bytes | str = b"", environ: Mapping[str, str]) -> Ran:
    """`main` with streams and an environment of its own."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    with _environment(environ), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
        try:
            code = main(words)
        finally:
            sys.stdin = before
    return Ran(code, _text(out), _text(err))


def _text(stream: Any) -> str:
    stream.flush()
    return str(stream.buffer.getvalue().decode(errors="surrogateescape"))


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(("ETCDCTL_", "ETCDV2_")) or name in ("NO_COLOR", "FORCE_COLOR"):
            del os.environ[name]
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def process_environment(url: str, **environ: str) -> dict[str, str]:
    """For a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ETCDCTL_", "ETCDV2_"))}
    return {**kept, "ETCDV2_ENDPOINTS": url, **environ}


def start(url: str, *words: str, **environ: str) -> subprocess.Popen[str]:
    """A process whose stdout and stderr can be read."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=process_environment(url, **environ),
    )
