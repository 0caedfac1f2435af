"""The built wheel: what is in it, and that it works alone."""

from __future__ import annotations

import email
import email.message
import os
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from etcdv2.testing import find_binary

HANGS = 280
"""Seconds: only what hangs takes as long."""
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.load
"""As `make build` does: some programs, each in an environment of its own, and the package index."""


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


@pytest.mark.parametrize(
    ("there", "instead"),
    [(b"Classifier: Typing :: Typed\n", b""), (b"## Two commands\n", b"## Two commands\n\n[a](docs/index.md)\n")],
    ids=["classifier", "link"],
)
def test_wheel_with_wrong_metadata_is_refused(dist: Path, tmp_path: Path, there: bytes, instead: bytes) -> None:
    wheel = next(dist.glob("*.whl"))
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("/METADATA"):
                assert there in content
                content = content.replace(there, instead)
            part.writestr(name, content)
    done = check(tmp_path)
    assert done.returncode != 0
    assert ("Typing :: Typed" if instead == b"" else "docs/index.md") in done.stderr


def metadata(dist: Path) -> email.message.Message:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def test_description_on_an_index_page_has_no_link_into_the_checkout(dist: Path) -> None:
    found = metadata(dist)
    text = found.get_payload()
    assert isinstance(text, str)
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["Maintainer"]
    outside_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", outside_code) == []
    assert "| CONTRIBUTING.md, CHANGELOG.md, SECURITY.md | how to change things" in text
    assert text.count("```python") == (ROOT / "README.md").read_text().count("```python")

    with tarfile.open(next(dist.glob("*.tar.gz"))) as source:
        name = next(name for name in source.getnames() if name.endswith("/PKG-INFO"))
        packed = source.extractfile(name)
        assert packed is not None
        assert email.message_from_bytes(packed.read()).get_payload() == text


def test_links_lead_to_the_source_where_there_is_an_address() -> None:
    described: Any = runpy.run_path(str(ROOT / "scripts" / "metadata.py"))["described"]
    text = "[a](b.md), ![c](d.svg), [e](https://f)\n\n```python\nx[0](1)\n```\n\n    y[0](1)\n"
    assert described(text) == "a, c, [e](https://f)\n\n```python\nx[0](1)\n```\n\n    y[0](1)\n"
    assert described(text, "https://g/tree/").startswith("[a](https://g/tree/b.md), ![c](https://g/tree/d.svg), [e]")
