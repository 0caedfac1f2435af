"""dump, load, diff, check and purge as an operator uses them: from a cluster and from its files, into another one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.cli.running import CommandLine


@pytest.fixture
def source(etcd_binary: Path) -> Iterator[Server]:
    """With a key that expires, a directory, a hidden key, and a user."""
    with Server(etcd_binary, fsync=False) as server:
        with Client(server.url) as client:
            client.keys.set_many({"/app/a": "1", "/app/b": "zwei", "/_hid/x": "secret"})
            client.keys.set("/session", "s", ttl=600)
            client.keys.make_dir("/empty")
            client.auth.users.create("alice", "apw")
        yield server


def test_what_is_dumped_is_loaded_elsewhere_and_equal(source: Server, cli: CommandLine, tmp_path: Path) -> None:
    old, file = CommandLine(source.url), str(tmp_path / "dump.jsonl.gz")
    ran = old("dump", "--hidden", "/_hid", "--out", file)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("etcdv2: 7 keys and directories, index ")
    assert old("diff", file, source.url, "--hidden", "/_hid").code == 0

    # Nothing is written by a dry run, and what is there stays.
    cli.out("set", "/app/a", "mine")
    assert "set /app/b" in cli.out("load", file, "--dry-run")
    assert cli("exists", "/app/b").code == 1
    ran = cli("load", file)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.endswith("5 done, 2 left as they are, 0 raced\n")
    assert cli.out("get", "/app/a") == "mine\n"

    ran = cli("diff", file, cli.url, "--hidden", "/_hid")
    assert (ran.code, ran.out) == (1, '~ /app/a "1" -> "mine"\n')
    ran = cli("diff", file, cli.url, "--hidden", "/_hid", "-o", "jsonl")
    assert json.loads(ran.out) == {"kind": "~", "key": "/app/a", "before": "1", "after": "mine"}
    assert cli("load", file, "--if", "changed", "--prune").code == 0
    assert cli("diff", file, cli.url, "--hidden", "/_hid").code == 0
    assert cli("load", file, "--root", "/copy").code == 0
    assert cli.out("get", "/copy/app/b") == "zwei\n"


def test_a_dump_goes_to_stdout_as_lines(source: Server) -> None:
    lines = [json.loads(line) for line in CommandLine(source.url).out("dump", "/app", "--quiet").splitlines()]
    assert lines[0]["format"] == "etcdv2-dump"
    assert [line["key"] for line in lines[1:-1]] == ["/app/a", "/app/b"]
    assert lines[-1]["end"] is True


def test_a_members_files_show_what_http_does_not(source: Server, cli: CommandLine, tmp_path: Path) -> None:
    old, place = CommandLine(source.url), str(source.data_dir)
    file, secret = tmp_path / "files.jsonl", tmp_path / "secret.jsonl"
    ran = old("dump", "--data-dir", place, "--all-entries", "--out", str(file))
    assert ran.code == 0
    assert "read to raft index" in ran.err
    assert old("diff", str(file), source.url, "--hidden", "/_hid").code == 0
    assert old("diff", f"data-dir:{place}", str(file)).out in ("", "- /_hid\n")

    assert old("dump", "--data-dir", place, "--auth", "--secrets", "--out", str(secret)).code == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    assert '"hash"' in secret.read_text()
    ran = old("dump", "--data-dir", place, "--auth", "--secrets")
    assert (ran.code, ran.out) == (2, "")


def test_a_dump_that_was_cut_off_is_not_loaded(source: Server, cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "dump.jsonl"
    CommandLine(source.url).out("dump", "--out", str(file))
    file.write_bytes(file.read_bytes()[:-20])
    ran = cli("load", str(file))
    assert ran.code == 12
    assert str(file) in ran.err
    assert cli.out("ls") == ""
    assert cli("load", str(tmp_path / "none")).code == 2


def test_check_and_purge(source: Server, tmp_path: Path) -> None:
    """A dry run first; with the cluster's id everything goes, and what is left to do is said."""
    old, kept = CommandLine(source.url), tmp_path / "kept.jsonl"
    ran = old("check", "--observe", "0.1")
    assert ran.code == 1
    assert "5 keys and directories, 1 of them expire" in ran.out
    assert json.loads(old("check", "--observe", "0.1", "-o", "json").out)["ready"] is False
    ran = old("check", "--data-dir", str(source.data_dir))
    assert ran.code == 1
    assert "etcd 3.6 would panic" in ran.out
    found = json.loads(old("check", "--data-dir", str(source.data_dir), "-o", "json").out)
    assert (found["ready"], found["readyFor37"], found["snapshot"]) == (False, False, None)
    assert found["etcd"].rpartition(".")[0] == source.version.rpartition(".")[0]
    assert found["own"]["first"] <= found["own"]["last"]
    assert set(found["requests"]["PUT"]) == {"count", "first", "last"}

    ran = old("purge", "--observe", "0.1", "--hidden", "/_hid")
    assert ran.code == 0
    assert ran.out.splitlines() == [f"would delete {key}" for key in ("/_hid", "/app", "/empty", "/session")]
    cluster = ran.err.split("--yes-delete-everything-of ")[1].split()[0]
    assert old("exists", "/app").code == 0

    words = ["purge", "--observe", "0.1", "--hidden", "/_hid", "--yes-delete-everything-of"]
    assert old(*words, cluster).code == 2
    assert old(*words, "123", "--out", str(kept)).code == 12
    ran = old(*words, cluster, "--out", str(kept), "--auth")
    assert ran.code == 0, ran
    assert "user alice" in ran.out
    assert "--snapshot-count=1" in ran.err
    assert old.out("ls") == ""
    assert old("exists", "/_hid").code == 1
    assert '"/_hid/x"' in kept.read_text()


def test_users_and_roles_are_left_out_with_the_commands_that_make_them(
    source: Server, cli: CommandLine, tmp_path: Path
) -> None:
    """Never silently; and what the commands make is what the dump has."""
    old, file = CommandLine(source.url), str(tmp_path / "dump.jsonl")
    with Client(source.url) as client:
        client.auth.roles.create("r 1", read=["/app/*", "/both"], write=["/both"])
        client.auth.users.grant("alice", "r 1")
    old.out("dump", "--auth", "--out", file)
    ran = cli("load", file)
    assert (ran.code, ran.out) == (0, "")
    said = [line.removeprefix("etcdv2: ") for line in ran.err.splitlines()]
    assert said[0].startswith("left out: users and roles. ")
    commands = [line.removeprefix("  ") for line in said if line.startswith("  ")]
    assert commands == [
        "etcdv2 role add 'r 1'",
        "etcdv2 role grant 'r 1' --path '/app/*' --read",
        "etcdv2 role grant 'r 1' --path /both --rw",
        "etcdv2 user add alice --roles 'r 1'",
    ]
    for command in commands:
        more = ["--new-password-file", "-"] if " user " in command else []
        assert cli(*shlex.split(command)[1:], *more, stdin="pw\n").code == 0
    for words in (["role", "get", "r 1"], ["user", "get", "alice"]):
        assert cli.out(*words) == old.out(*words)

    skipped = [json.loads(line) for line in cli.out("load", file, "-o", "jsonl").splitlines()]
    assert {"action": "skip", "user": "alice", "reason": "auth"} in skipped


def test_a_part_is_loaded_and_the_rest_is_counted(source: Server, cli: CommandLine, tmp_path: Path) -> None:
    file = str(tmp_path / "dump.jsonl")
    CommandLine(source.url).out("dump", "--out", file)
    ran = cli("load", file, "--strip", "/app", "--root", "/x")
    assert ran.err.splitlines() == [
        "etcdv2: left out: 2 keys and directories are not below /app",
        "etcdv2: 2 done, 2 left as they are, 0 raced",
    ]
    assert cli.out("ls", "-r") == "/x\n/x/a\n/x/b\n"


def test_a_difference_of_expiry_says_when(source: Server, cli: CommandLine) -> None:
    assert cli("load", source.url, "--ttl", "drop").code == 0
    assert re.fullmatch(r"t /session expires 20\d\d-[0-9T:-]+Z -> never\n", cli("diff", source.url, cli.url).out)
    found = json.loads(cli("diff", source.url, cli.url, "-o", "jsonl").out)
    assert (found["kind"], found["before"][-1], found["after"]) == ("t", "Z", None)


def test_backup_points_to_what_there_is(cli: CommandLine) -> None:
    ran = cli("backup", "--data-dir", "/x", "--backup-dir", "/y")
    assert ran.code == 2
    assert "etcdv2 dump --data-dir" in ran.err
