"""What each command prints, for people and for programs, as transcripts in `golden/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.cli.running import CommandLine
from tests.cli.transcripts import check

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
FIRST_INDEX = 1000
"""Of the store when a transcript begins, so that indexes are the same in each run."""


@pytest.fixture
def at_1000(etcd_binary: Path) -> Iterator[CommandLine]:
    """A server whose index is where the transcripts begin."""
    with Server(etcd_binary, fsync=False) as server:
        with Client(server.url) as client:
            while (index := client.keys.set("/_count", "").index) < FIRST_INDEX - 1:
                if index < FIRST_INDEX - 40:
                    client.keys.set_many([("/_count", "")] * 32)
            client.keys.delete("/_count")
        yield CommandLine(server.url)


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.txt"))])
def test_transcript(name: str, at_1000: CommandLine) -> None:
    check(GOLDEN / f"{name}.txt", at_1000)


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/command-line.md"])
def test_a_page_shows_what_is_printed(page: str, at_1000: CommandLine, tmp_path: Path) -> None:
    [block] = re.findall(r"^```console\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    transcript = tmp_path / "readme.txt"
    transcript.write_text("".join(line if line.startswith("$ ") else f"  {line}" for line in block.splitlines(True)))
    check(transcript, at_1000)
