"""What etcdctl's v2 mode did, beside what this command line does with the same words: the table in `etcdctl/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2.testing import Server
from tests.cli.etcdctl_table import REASONS, Row, carry_out, rows
from tests.cli.running import CommandLine
from tests.conftest import FIRST_VERSION

TABLE = Path(__file__).parent / "etcdctl"
FILES = [path.stem for path in sorted(TABLE.glob("*.txt"))]


@pytest.fixture
def fresh(etcd_binary: Path) -> Iterator[CommandLine]:
    """Of a server of its own, on which nothing was done."""
    with Server(etcd_binary, fsync=False) as server:
        yield CommandLine(server.url)


@FIRST_VERSION
@pytest.mark.parametrize("name", FILES)
def test_each_row_holds(name: str, fresh: CommandLine) -> None:
    path = TABLE / f"{name}.txt"
    text = path.read_text(encoding="utf-8")
    wanted = list(rows(text))
    found = [Row(row.command, row.theirs, carry_out(fresh, row.command), row.reason) for row in wanted]
    if os.environ.get("ETCDV2_UPDATE"):
        for before, after in zip(wanted, found, strict=True):
            text = text.replace(str(before), str(after), 1)
        path.write_text(text, encoding="utf-8")
    assert [str(row) for row in found] == [str(row) for row in wanted]


def test_each_difference_has_a_reason_and_each_reason_a_difference() -> None:
    found = [row for name in FILES for row in rows((TABLE / f"{name}.txt").read_text(encoding="utf-8"))]
    assert len(found) > 320
    assert [row.command for row in found if bool(row.reason) != (row.theirs != row.ours)] == []
    assert {row.reason for row in found if row.reason} == set(REASONS)
