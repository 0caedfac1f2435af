"""What etcdctl's v2 mode did, beside what this command line does with the same words: the table in `etcdctl/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server, find_binary
from tests.cli.etcdctl_table import REASONS, Row, carry_out, rows
from tests.cli.live import carry_out as carry_out_live
from tests.cli.running import PROGRAM, CommandLine, process_environment
from tests.conftest import FIRST_VERSION

TABLE = Path(__file__).parent / "etcdctl"
LIVE = [path.stem for path in sorted((TABLE / "live").glob("*.txt"))]
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


def etcdctl() -> Path | None:
    """That of the etcd that the tests run, where it has a v2 mode."""
    program = find_binary().with_name("etcdctl")
    return program if program.exists() else None


@pytest.mark.load
@FIRST_VERSION
@pytest.mark.parametrize("name", LIVE)
def test_each_row_that_waits_for_events_holds(name: str, etcd: Server, etcd_client: Client) -> None:
    """Of ours, and of etcdctl itself where it is here."""
    path, program, update = TABLE / "live" / f"{name}.txt", etcdctl(), bool(os.environ.get("ETCDV2_UPDATE"))
    text = path.read_text(encoding="utf-8")
    wanted, found = list(rows(text)), list[Row]()
    theirs_environ = {**os.environ, "ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": etcd.url}
    for row in wanted:
        theirs, ours = (None, None) if update else (row.theirs, row.ours)
        there = (
            row.theirs if program is None else carry_out_live([str(program)], theirs_environ, row, etcd_client, theirs)
        )
        here = carry_out_live(PROGRAM, process_environment(etcd.url), row, etcd_client, ours)
        found.append(replace(row, theirs=there, ours=here))
    if update:
        for before, after in zip(wanted, found, strict=True):
            text = text.replace(str(before), str(after), 1)
        path.write_text(text, encoding="utf-8")
    assert [str(row) for row in found] == [str(row) for row in wanted]


def test_each_difference_has_a_reason_and_each_reason_a_difference() -> None:
    files = sorted(TABLE.rglob("*.txt"))
    found = [row for path in files for row in rows(path.read_text(encoding="utf-8"))]
    assert len(found) > 320
    assert [row.command for row in found if bool(row.reason) != (row.theirs != row.ours)] == []
    assert {row.reason for row in found if row.reason} == set(REASONS)
