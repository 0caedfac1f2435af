"""The Python of README and site passes the strict checkers of its readers: mypy --strict and pyright strict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.documents import PAGES, ROOT, python_blocks

BEFORE = """import etcdv2

client = etcdv2.Client()
keys = client.keys

"""
"""What the pages say that every block has."""


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module of each block."""
    place = tmp_path_factory.mktemp("readme")
    for number, block in enumerate(block for page in PAGES for block in python_blocks(page)):
        before = "" if "import etcdv2\n" in block.code else BEFORE
        (place / f"block_{number}.py").write_text(f"# {block}\n{before}{block.code}")
    settings = {"typeCheckingMode": "strict", "reportUnusedExpression": False, "include": ["."]}
    (place / "pyrightconfig.json").write_text(json.dumps(settings))
    return place


@pytest.mark.load
@pytest.mark.parametrize(
    "command",
    [
        ("mypy", "--strict", "--explicit-package-bases", "--config-file", str(ROOT / "pyproject.toml"), "."),
        ("pyright", "--pythonpath", sys.executable, "-p", "."),
    ],
    ids=["mypy", "pyright"],
)
def test_every_block_is_typed(blocks: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=blocks, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
