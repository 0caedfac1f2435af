"""The Makefile notices a .venv that no longer belongs to its directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["sound", "of another directory", "broken"])
def test_a_venv_that_was_moved_or_is_broken_is_found_out(tmp_path: Path, kind: str) -> None:
    """`here` is where the environment finds the package."""
    here = ROOT if kind == "of another directory" else tmp_path
    run = "exit 127" if kind == "broken" else f'PYTHONPATH="{here}" exec "{sys.executable}" -S "$@"'
    python, ready = tmp_path / ".venv" / "bin" / "python", tmp_path / ".venv" / ".ready"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{run}\n")
    python.chmod(0o755)
    ready.touch()
    (tmp_path / "etcdv2").mkdir()
    (tmp_path / "etcdv2" / "__init__.py").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)

    done = subprocess.run(["make", "help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ready.exists() == (kind == "sound")
    assert ("it is made again" in done.stdout) == (kind != "sound")
