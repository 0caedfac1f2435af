"""Rows of the table whose program waits for events: what is written while it runs, and how it is ended.

Owns when a program is taken to wait (the server counts its watcher), and when it has printed all that it will.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from etcdv2 import Client
from tests.cli.etcdctl_table import Row, same
from tests.cli.running import CommandLine
from tests.tools.waiting import SOON, until

QUIET_SECONDS = 0.3
"""How long nothing has to come from what prints nothing."""
UNKNOWN_SECONDS = 4.0
"""How long is waited where it is not known yet what will come."""
SIGNALS = {130: signal.SIGINT, 143: signal.SIGTERM}


def carry_out(
    program: Sequence[str], environ: Mapping[str, str], row: Row, client: Client, expected: tuple[int, str] | None
) -> tuple[int, str]:
    """Exit code (as a shell has it) and stdout of a program while the writes of a row are made."""
    # 1. The state before, and nobody who watches.
    cli = CommandLine(client.endpoints[0])
    client.keys.delete("/w", recursive=True, missing_ok=True)
    until(lambda: client.stats.store().watchers == 0)
    index = client.keys.get("/").index
    for line in row.before:
        cli.out(*words_of(line))

    # 2. The program waits, or has ended, or has something of the past to say.
    words = [word.replace("INDEX", str(index)) for word in shlex.split(row.command)]
    with subprocess.Popen(
        [*program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ
    ) as process:
        assert process.stdout is not None
        out = Reader(process.stdout)
        try:
            until(lambda: client.stats.store().watchers or process.poll() is not None or out.data)
            for line in row.live:
                cli.out(*words_of(line))

            # 3. It has printed what it should, and ends by itself where it should.
            _wait(process, out, expected, cli)
            if process.poll() is None and (expected is None or expected[0] in (0, *SIGNALS)):
                process.send_signal(signal.SIGTERM if row.end == "TERM" else signal.SIGINT)
            code = process.wait(SOON)
        finally:
            process.kill()
        return (code if code >= 0 else 128 - code), same(out.all(), cli)


def words_of(line: str) -> list[str]:
    r"""Of a write; `\n` is a newline."""
    return [word.replace("\\n", "\n") for word in shlex.split(line)]


def _wait(process: subprocess.Popen[bytes], out: Reader, expected: tuple[int, str] | None, cli: CommandLine) -> None:
    began = time.monotonic()
    least, most = (UNKNOWN_SECONDS, UNKNOWN_SECONDS) if expected is None else (0.0, SOON)
    if expected is not None and not expected[1]:
        least = QUIET_SECONDS
    while process.poll() is None and (passed := time.monotonic() - began) < most:
        if expected is not None and passed >= least and same(out.data.decode(), cli) == expected[1]:
            return
        time.sleep(0.02)


class Reader:
    """What a program has printed so far."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.data = b""
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while more := self._stream.read1(65536):  # type: ignore[attr-defined]  # a BufferedReader
            self.data += more

    def all(self) -> str:
        """Once it has ended."""
        self._thread.join(SOON)
        return self.data.decode()
