"""What each command prints, for people and for programs, as transcripts in `golden/`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.cli.running import CommandLine, Ran, start
from tests.cli.transcripts import check
from tests.repo.documents import PAGES, name_of, shell_blocks
from tests.tools.waiting import SOON

GOLDEN = Path(__file__).parent / "golden"
FIRST_INDEX = 1000
"""Of the store when a transcript begins, so that indexes are the same in each run."""


@pytest.fixture(scope="module")
def server(etcd_binary: Path) -> Iterator[Server]:
    with Server(etcd_binary, fsync=False) as server:
        yield server


@pytest.fixture(scope="module")
def before_1000(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that is some writes short of it."""
    data = tmp_path_factory.mktemp("before") / "data"
    with Client(server.url) as client:
        while client.keys.set("/_count", "").index < FIRST_INDEX - 60:
            client.keys.set_many([("/_count", "")] * 32)
    server.stop()
    shutil.copytree(server.data_dir, data)
    return data


@pytest.fixture
def at_1000(server: Server, before_1000: Path) -> CommandLine:
    """A server whose index is where the transcripts begin."""
    if server.running:
        server.kill()
    server.wipe()
    shutil.copytree(before_1000, server.data_dir)
    server.start()
    with Client(server.url) as client:
        while client.keys.set("/_count", "").index < FIRST_INDEX - 1:
            pass
        client.keys.delete("/_count")
    return CommandLine(server.url)


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.txt"))])
def test_transcript(name: str, at_1000: CommandLine) -> None:
    check(GOLDEN / f"{name}.txt", at_1000)


@pytest.mark.thorough
@pytest.mark.parametrize("page", [page for page in PAGES if shell_blocks(page)], ids=name_of)
def test_a_page_shows_what_is_printed(
    page: Path, at_1000: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks one after the other, in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    transcript = tmp_path / "transcript"
    lines = "\n".join(shell_blocks(page)).splitlines(keepends=True)
    transcript.write_text("".join(line if line.startswith(("$ ", "\n")) else f"  {line}" for line in lines))
    check(transcript, WithProcesses(at_1000.url))


class WithProcesses(CommandLine):
    """As a shell has them, with both streams on the terminal."""

    def __call__(self, *words: str, stdin: bytes | str = b"", **environ: str) -> Ran:
        if words[0] not in ("lock", "exec-watch", "elect"):
            ran = super().__call__(*words, stdin=stdin, **environ)
            return Ran(0, ran.out + ran.err, "")
        with start(self.url, *words, **environ) as process:
            out, err = process.communicate(timeout=SOON)
        return Ran(0, out + err, "")


def test_every_command_of_a_page_is_in_a_block_that_is_run() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"^ *```(?:sh|bash|shell|zsh|text)\b", text, re.MULTILINE) == [], name_of(page)
        outside = re.sub(r"^```console\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"^ +(?:\$ |etcdv2 ).*", outside, re.MULTILINE) == [], name_of(page)
