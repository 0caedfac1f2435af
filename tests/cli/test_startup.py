"""What the program imports before it does something: it is started for each key."""

from __future__ import annotations

import subprocess
import sys

import pytest

import etcdv2
from etcdv2._cli._commands import COMMANDS
from etcdv2.testing import Server
from tests.cli.running import process_environment, run
from tests.conftest import FIRST_VERSION

NOT_FOR_A_GET = {
    "httpx",
    "asyncio",
    "rich",
    "yaml",
    "httptools.parser.url_parser_",
    "etcdv2.transfer",
    "etcdv2.recipes",
}
NOT_FOR_HELP = {"pydantic", "etcdv2_api", "etcdv2._types.api_errors", "etcdv2._sync.client", "ssl", "dataclasses"}


RUN = "import sys; from etcdv2._cli import main; assert main() == 0"


def imported(url: str, *words: str, code: str = RUN) -> set[str]:
    """The modules that a run with stdout on a pipe has imported."""
    code += "\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True, env=process_environment(url)
    )
    return set(done.stderr.split())


@FIRST_VERSION
def test_get_into_a_pipe_imports_only_what_it_needs(etcd: Server) -> None:
    with etcdv2.Client(etcd.url) as client:
        client.keys.set("/a", "1")
    modules = imported(etcd.url, "get", "/a")
    code = "import etcdv2, os, sys\nwith etcdv2.Client(os.environ['ETCDV2_ENDPOINTS']) as client: client.keys.get('/a')"
    without = imported(etcd.url, code=code)
    assert {name for name in modules - without if not name.startswith("etcdv2._cli")} <= {
        *("argparse", "gettext", "signal", "locale", "textwrap", "shutil")
    }
    assert "etcdv2._sync.client" in modules
    assert modules & NOT_FOR_A_GET == set()
    ours = {name.removeprefix("etcdv2._cli._") for name in modules if name.startswith("etcdv2._cli.")}
    shared = {"arguments", "command", "commands", "context", "failures", "main", "nodes", "output", "settings"}
    assert ours == shared | {"reading"}


@pytest.mark.parametrize("words", [["--help"], ["get", "--help"], ["--version"], ["completion", "bash"]])
def test_help_does_without_the_library(words: list[str]) -> None:
    modules = imported("http://127.0.0.1:1", *words)
    assert modules & (NOT_FOR_HELP | NOT_FOR_A_GET) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_of_help(name: str) -> None:
    for words in ([*name.split(), "--help"], ["help", *name.split()]):
        ran = run(words, environ={})
        assert (ran.code, ran.err) == (0, "")
        assert ran.lines[0].startswith(f"usage: etcdv2 {name} ")
        assert "one of human" in ran.out  # the formats
        assert max(map(len, ran.lines)) <= 120


def test_the_help_names_every_command() -> None:
    for words in (["--help"], ["help"], []):
        ran = run(words, environ={})
        assert ran.code == 0
        assert [line.split("  ")[1] for line in ran.lines if line.startswith("  ")][: len(COMMANDS)] == list(COMMANDS)
