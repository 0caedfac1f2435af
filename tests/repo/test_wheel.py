"""The built wheel: what is in it, and that it works alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from etcdv2.testing import find_binary

HANGS = 280
"""Seconds: only what hangs takes as long."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", place, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=HANGS)
    return place


def check(dist: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "check_wheel.py", dist, "--etcd", find_binary()]
    whole = {**os.environ, **environ}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=HANGS, env=whole)


def test_without_a_package_index_it_says_so(dist: Path) -> None:
    done = check(dist, PIP_INDEX_URL="http://127.0.0.1:1/simple", PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull)
    assert done.returncode != 0
    assert "that needs a package index that pip can reach" in done.stderr
    assert "Traceback" not in done.stderr


def test_wheel_works_in_an_empty_environment_and_another_directory(dist: Path) -> None:
    done = check(dist)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "works with etcd" in done.stdout
    assert "etcd-for-etcdv2 works" in done.stdout


@pytest.mark.parametrize("lost", ["etcdv2/py.typed", "etcdv2_api/models.py", "etcdv2_api/etcd-v2.yaml"])
def test_wheel_without_one_of_its_files_is_refused(dist: Path, tmp_path: Path, lost: str) -> None:
    wheel = next(dist.glob("*.whl"))
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
        for name in whole.namelist():
            if name != lost:
                part.writestr(name, whole.read(name))
    done = check(tmp_path)
    assert done.returncode != 0
    assert lost in done.stderr
