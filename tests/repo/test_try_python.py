"""scripts/try_python.py: which Python it takes, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import try_python


def test_the_newest_one_of_pyenv_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for version in ("3.14.2", "3.14.10", "3.15.0"):
        place = tmp_path / "versions" / version / "bin"
        place.mkdir(parents=True)
        (place / "python").touch()
    assert try_python.installed("3.14") == tmp_path / "versions" / "3.14.10" / "bin" / "python"
    assert try_python.installed("3.13") is None


def test_a_program_of_that_name_that_does_not_start_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pyenv has one for each version that any of its Pythons is."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    named = tmp_path / "python3.14"
    named.write_text("#!/bin/sh\nexit 127\n")
    named.chmod(0o755)
    assert try_python.installed("3.14") is None


def test_without_one_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(try_python, "CACHE", tmp_path)
    with pytest.raises(try_python.NotToBeHad, match="no Debian suite is known to have it"):
        try_python.folder("3.99")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(try_python.NotToBeHad, match="need root"):
        try_python.folder("3.14")
