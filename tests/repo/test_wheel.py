"""The built wheel: what is in it, and that it works alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from etcdv2.testing import find_binary

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", place, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return place


def check(dist: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "check_wheel.py", dist, "--etcd", find_binary()]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)


def test_wheel_works_in_an_empty_environment_and_another_directory(dist: Path) -> None:
    done = check(dist)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "works with etcd" in done.stdout


@pytest.mark.parametrize("lost", ["etcdv2/py.typed", "etcdv2_api/models.py"])
def test_wheel_without_one_of_its_files_is_refused(dist: Path, tmp_path: Path, lost: str) -> None:
    wheel = next(dist.glob("*.whl"))
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
        for name in whole.namelist():
            if name != lost:
                part.writestr(name, whole.read(name))
    done = check(tmp_path)
    assert done.returncode != 0
    assert lost in done.stderr
