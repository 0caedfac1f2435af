"""What is different on a terminal: colours, tables, passwords that are typed; and that Ctrl-C ends it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.cli.running import PROGRAM, process_environment
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON

pytestmark = FIRST_VERSION


class Terminal:
    """A program whose three streams, or some of them, are a terminal of its own."""

    def __init__(self, url: str, *words: str, stdout: int | None = None, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        environ = {"TERM": "xterm", **environ}

        def take_terminal() -> None:
            os.setsid()
            os.close(os.open(os.ttyname(theirs), os.O_RDWR))  # becomes the controlling one

        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env=process_environment(url, **environ),
            preexec_fn=take_terminal,  # noqa: PLW1509  # no thread of this process holds a lock that it takes
        )
        os.close(theirs)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read(self, until: Callable[[str], bool]) -> str:
        """What is on the screen once that holds, or the program has ended."""
        ends = time.monotonic() + SOON
        while not until(self.shown) and time.monotonic() < ends:
            if not select.select([self._ours], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not data:
                break
            self.shown += data.decode()
        return self.shown

    def end(self) -> tuple[int, str]:
        """Exit code, and all that was shown."""
        self.read(lambda shown: False)
        code = self.process.wait(SOON)
        os.close(self._ours)
        return code, self.shown.replace("\r\n", "\n")


def test_a_listing_is_coloured_on_a_terminal_only(etcd: Server, etcd_client: Client) -> None:
    etcd_client.keys.make_dir("/d")
    assert Terminal(etcd.url, "ls").end() == (0, "\x1b[1;34m/d\x1b[0m\n")
    assert Terminal(etcd.url, "ls", NO_COLOR="1").end() == (0, "/d\n")
    assert Terminal(etcd.url, "--no-color", "ls").end() == (0, "/d\n")
    code, shown = Terminal(etcd.url, "get", "/nope").end()
    assert code == 3
    assert shown.startswith("\x1b[31metcdv2:\x1b[0m key not found: /nope")


def test_a_key_cannot_move_the_cursor_of_a_terminal(etcd: Server, etcd_client: Client) -> None:
    etcd_client.keys.set("/evil\x1b[2J", "v\x1b[2J")
    assert Terminal(etcd.url, "ls").end() == (0, '"/evil\\u001b[2J"\n')
    code, shown = Terminal(etcd.url, "tree", "--values").end()
    assert code == 0
    assert "\x1b[2J" not in shown


def test_a_table_has_lines_on_a_terminal(etcd: Server) -> None:
    code, shown = Terminal(etcd.url, "status", COLUMNS="120").end()
    assert code == 0
    assert "ENDPOINT" in shown
    assert "┃" in shown
    assert etcd.url in shown


def test_a_password_is_typed_on_the_terminal_and_is_not_shown(etcd_auth: Server) -> None:
    read, write = os.pipe()
    terminal = Terminal(etcd_auth.url, "--user", "root", "exists", "/", stdout=write)
    os.close(write)
    assert terminal.read(lambda shown: "Password of root: " in shown)
    terminal.type("secret\n")
    code, shown = terminal.end()
    assert code == 0
    assert "secret" not in shown
    with os.fdopen(read) as stdout:
        assert stdout.read() == ""  # the prompt is no data


def test_a_new_password_is_typed_twice(etcd: Server, etcd_client: Client) -> None:
    for again, code in (("other", 2), ("apw", 0)):
        terminal = Terminal(etcd.url, "user", "add", "alice")
        terminal.read(lambda shown: "New password of alice: " in shown)
        terminal.type("apw\n")
        terminal.read(lambda shown: "Again: " in shown)
        terminal.type(f"{again}\n")
        assert terminal.end()[0] == code
    assert [user.user for user in etcd_client.auth.users.list()] == ["alice"]


def test_a_value_that_is_missing_is_not_waited_for_on_a_terminal(etcd: Server) -> None:
    code, shown = Terminal(etcd.url, "set", "/a").end()
    assert code == 2
    assert "VALUE is missing" in shown


@pytest.mark.parametrize("words", [["watch", "/a"], ["lock", "/l"], ["exec-watch", "/a", "--", "true"]])
def test_control_c_ends_it(etcd: Server, etcd_client: Client, words: list[str]) -> None:
    terminal = Terminal(etcd.url, *words, "-v") if words[0] != "exec-watch" else Terminal(etcd.url, "-v", *words)
    assert "/v2/keys" in terminal.read(lambda shown: "/v2/keys" in shown)
    terminal.type("\x03")
    code, shown = terminal.end()
    assert code == 130
    assert "Traceback" not in shown
    found = etcd_client.keys.get("/l", default=None)
    assert found is None or found.node.nodes == ()
