"""What shows only in a process: signals, pipes, what `ps` shows, locks that are released, commands that are run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.cli.running import PROGRAM, process_environment, start
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON, until

pytestmark = FIRST_VERSION


@pytest.fixture
def client(etcd_client: Client) -> Client:
    return etcd_client


def entries(client: Client, key: str) -> int:
    found = client.keys.get(key, default=None)
    return 0 if found is None else len(found.node.nodes)


def test_a_reader_that_goes_ends_it_without_a_sound(etcd: Server, client: Client) -> None:
    client.keys.set_many([(f"/many/{number:0200}", "v") for number in range(600)])
    listing = start(etcd.url, "ls", "/many")
    assert listing.stdout is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.wait(SOON) == 141
    assert listing.stderr is not None
    assert listing.stderr.read() == ""
    listing.stderr.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_releases_the_lock(etcd: Server, client: Client, number: signal.Signals, code: int) -> None:
    with start(etcd.url, "lock", "/locks/a", "--ttl", "60", "-o", "json") as holder:
        assert holder.stdout is not None
        assert json.loads(holder.stdout.readline())["token"] > 0
        assert entries(client, "/locks/a") == 1
        holder.send_signal(number)
        assert holder.wait(SOON) == code
        assert entries(client, "/locks/a") == 0


def test_a_command_under_a_lock_ends_with_it(etcd: Server, client: Client, tmp_path: Path) -> None:
    """SIGTERM reaches the command, too; and a lock that is lost ends it with code 20."""
    script = f"trap 'echo ended > {tmp_path}/ended; exit 0' TERM; echo $ETCDV2_LOCK_TOKEN; while :; do sleep 0.1; done"
    with start(etcd.url, "lock", "/locks/a", "--", "sh", "-c", script) as holder:
        assert holder.stdout is not None
        assert int(holder.stdout.readline()) > 0
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(SOON) == 143
    assert (tmp_path / "ended").read_text() == "ended\n"
    assert entries(client, "/locks/a") == 0

    with start(etcd.url, "lock", "/locks/a", "--", "sh", "-c", script) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        client.keys.delete("/locks/a", recursive=True)
        assert holder.wait(SOON) == 20


def test_a_lock_that_others_hold_is_waited_for_and_given_up(etcd: Server, client: Client) -> None:
    with start(etcd.url, "lock", "/locks/a", "-o", "json") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with start(etcd.url, "lock", "/locks/a", "--wait", "200ms", "--", "true") as other:
            assert other.wait(SOON) == 20
            assert other.stderr is not None
            assert other.stderr.read().count("\n") == 1
        holder.terminate()


def test_who_leads_is_seen_by_who_listens(etcd: Server) -> None:
    with start(etcd.url, "elect", "-l", "/leader", "-o", "jsonl") as listener:
        assert listener.stdout is not None
        assert json.loads(listener.stdout.readline()) == {"leader": None}
        with start(etcd.url, "elect", "/leader", "host-a") as leader:
            assert leader.stdout is not None
            assert leader.stdout.readline().startswith("leader: host-a (token ")
            assert json.loads(listener.stdout.readline())["leader"] == "host-a"
            leader.terminate()
            assert leader.wait(SOON) == 143
        assert json.loads(listener.stdout.readline()) == {"leader": None}
        listener.terminate()


def test_a_watch_writes_each_line_at_once_and_goes_on_from_its_file(
    etcd: Server, client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "place"
    before = client.keys.set("/w/a", "0").index
    with start(etcd.url, "watch", "-r", "/w", "--resume", str(file)) as watcher:
        until(file.exists)
        client.keys.set("/w/a", "1")
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("set     /w/a = 1  (was 0, index ")
        until(lambda: int(file.read_text()) == before + 1)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(SOON) == 130
    client.keys.set("/w/a", "2")
    with start(etcd.url, "watch", "-r", "/w", "--resume", str(file), "-n", "1", "-o", "value") as watcher:
        assert watcher.communicate(timeout=SOON)[0] == "2\n"


def test_a_watch_that_lost_events_prints_the_state_and_goes_on(etcd: Server, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "place"
    file.write_text("1\n")
    client.keys.set("/w/a", "now")
    client.keys.set_many([("/other", "x")] * 1100)
    with start(etcd.url, "watch", "-r", "/w", "--resume", str(file), "-n", "1", "-o", "jsonl") as watcher:
        assert watcher.stdout is not None
        found = json.loads(watcher.stdout.readline())
        assert found["action"] == "resync"
        assert [node["value"] for node in found["nodes"]] == ["now"]
        client.keys.set("/w/a", "later")
        assert json.loads(watcher.stdout.readline())["node"]["value"] == "later"
        assert watcher.wait(SOON) == 0


def test_commands_for_changes_run_one_after_the_other(etcd: Server, client: Client, tmp_path: Path) -> None:
    first = client.keys.set("/w/a", "1").index
    client.keys.set("/w/a", "2")
    client.keys.delete("/w/a")
    script = (
        f"echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE/$ETCD_WATCH_PREV_VALUE $ETCD_WATCH_COUNT >> "
        f"{tmp_path}/log; sleep 0.1; echo end >> {tmp_path}/log; test $ETCD_WATCH_ACTION != delete"
    )
    words = ["exec-watch", "-r", "/w", "--after-index", str(first - 1), "--exit", "--", "sh", "-c", script]
    with start(etcd.url, *words) as watcher:
        assert watcher.wait(SOON) == 1
    log = (tmp_path / "log").read_text().splitlines()
    assert log == ["set /w/a 1/ 1", "end", "set /w/a 2/1 1", "end", "delete /w/a /2 1", "end"]


def test_a_change_may_end_the_command_that_runs(etcd: Server, client: Client, tmp_path: Path) -> None:
    """And with --initial the command runs at once, for the state."""
    log = tmp_path / "log"
    client.keys.set("/w", "0")
    script = (
        f"trap 'echo ended >> {log}; exit 0' TERM; "
        f"echo $ETCD_WATCH_ACTION $ETCD_WATCH_VALUE >> {log}; while :; do sleep 0.05; done"
    )
    words = ["exec-watch", "/w", "--initial", "--overlap", "restart", "--", "sh", "-c", script]
    with start(etcd.url, *words) as watcher:
        until(lambda: log.exists() and log.read_text() == "get 0\n")
        client.keys.set("/w", "1")
        until(lambda: log.read_text() == "get 0\nended\nset 1\n")
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(SOON) == 130
    assert log.read_text() == "get 0\nended\nset 1\nended\n"


def test_a_change_may_be_left_out_while_the_command_runs(etcd: Server, client: Client, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    first = client.keys.set("/w", "1").index
    script = f"echo $ETCD_WATCH_VALUE >> {log}; while [ ! -e {go} ]; do sleep 0.05; done; test $ETCD_WATCH_VALUE != 3"
    words = ["exec-watch", "/w", "-v", "--after-index", str(first - 1), "--overlap", "skip", "--exit", "--"]
    with start(etcd.url, *words, "sh", "-c", script) as watcher:
        assert watcher.stderr is not None
        until(log.exists)
        left_out = client.keys.set("/w", "2").index
        while f"sh still runs: index {left_out} is left out" not in watcher.stderr.readline():
            assert watcher.poll() is None
        go.touch()
        until(lambda: client.keys.set("/w", "3") and "3" in log.read_text())
        assert watcher.wait(SOON) == 1
    assert log.read_text().split() == ["1", "3"]


def test_changes_that_come_together_are_one_run(etcd: Server, client: Client, tmp_path: Path) -> None:
    first = client.keys.set("/w/a", "1").index
    client.keys.set("/w/b", "2")
    script = f"cat > {tmp_path}/batch; exit $ETCD_WATCH_COUNT"
    words = ["exec-watch", "-r", "/w", "--after-index", str(first - 1), "--debounce", "500", "--exit", "--"]
    with start(etcd.url, *words, "sh", "-c", script) as watcher:
        code = watcher.wait(SOON)
    lines = [json.loads(line) for line in (tmp_path / "batch").read_text().splitlines()]
    assert code == len(lines) == 2
    assert [line["node"]["key"] for line in lines] == ["/w/a", "/w/b"]


def test_a_password_is_on_no_command_line(etcd_auth: Server, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    words = ["--user", "root", "--password-file", str(file)]
    with start(etcd_auth.url, *words, "watch", "/a", "-n", "1") as watcher:
        shown = Path(f"/proc/{watcher.pid}/cmdline")
        if shown.exists():
            assert b"secret" not in shown.read_bytes()
        watcher.terminate()
    with start(etcd_auth.url, *words, "lock", "/l", "--", "sh", "-c", "env") as holder:
        assert "secret" not in holder.communicate(timeout=SOON)[0]


def test_an_editor_changes_a_key(etcd: Server, client: Client, tmp_path: Path) -> None:
    client.keys.set("/a", "blue", ttl=100)
    environ = process_environment(etcd.url, EDITOR="sed -i s/blue/green/", TMPDIR=str(tmp_path))
    done = subprocess.run([*PROGRAM, "edit", "/a"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    node = client.keys.get("/a").node
    assert node.value == "green"
    assert node.ttl is not None
    assert list(tmp_path.iterdir()) == []


def test_an_editor_that_was_too_slow_keeps_its_file(etcd: Server, client: Client, tmp_path: Path) -> None:
    client.keys.set("/a", "blue")
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{sys.executable} -m etcdv2 set /a other >&2\necho mine > $1\n")
    editor.chmod(0o700)
    (tmp_path / "t").mkdir()
    environ = process_environment(etcd.url, VISUAL=str(editor), TMPDIR=str(tmp_path / "t"))
    done = subprocess.run([*PROGRAM, "edit", "/a"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    [kept] = (tmp_path / "t").iterdir()
    assert kept.read_text() == "mine\n"
    assert str(kept) in done.stderr
    assert client.keys.get("/a").value == "other"


def test_an_editor_changes_a_directory_as_yaml(etcd: Server, client: Client, tmp_path: Path) -> None:
    client.keys.set_many({"/d/a": "1", "/d/b": "2", "/d/e/f": "3"})
    untouched = client.keys.get("/d/b").node.modified_index
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\ncat > $1 <<.\na: one\nb: '2'\nnew: {x: yes}\n.\n")
    editor.chmod(0o700)
    environ = process_environment(etcd.url, VISUAL=str(editor))
    done = subprocess.run([*PROGRAM, "edit", "--dir", "/d"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = client.keys.get("/d", recursive=True)
    assert {node.key: node.value for node in found.leaves()} == {"/d/a": "one", "/d/b": "2", "/d/new/x": "yes"}
    assert client.keys.get("/d/b").node.modified_index == untouched
