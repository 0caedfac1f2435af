"""The completions of the package: up to date with the commands, and what a shell makes of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import run

ROOT = Path(__file__).resolve().parents[2]


def test_they_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "completions.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_has_one(shell: str) -> None:
    ran = run(["completion", shell], environ={})
    assert ran.code == 0
    assert "exec-watch" in ran.out
    assert run(["completion", "fish"], environ={}).code == 2


@pytest.mark.parametrize(
    ("words", "completed"),
    [(["ge"], "get"), (["user", "pas"], "passwd"), (["get", "--quo"], "--quorum"), (["set", "--keep"], "--keep-ttl")],
)
def test_bash_completes_commands_and_flags(words: list[str], completed: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(run(["completion", "bash"], environ={}).out)
    script = f"""source {tmp_path}/script
COMP_WORDS=(etcdv2 {" ".join(words)}) COMP_CWORD={len(words)}
function=$(complete -p etcdv2 | sed "s/.*-F \\([^ ]*\\).*/\\1/")
$function etcdv2 {words[-1]} {words[-2] if len(words) > 1 else "etcdv2"}
echo ${{COMPREPLY[@]}}"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [completed]
