"""The public types under strict checkers: a user's file is clean, and every mistake in another one is found."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
ROOT = HERE.parents[2]
CONSUMER, MISTAKES = HERE / "consumer.py", HERE / "mistakes.py"


def errors_of(command: list[str], path: Path) -> tuple[int, dict[int, str]]:
    """The exit code, and the first error of each line."""
    command = [sys.executable, "-m", *command, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[int, str] = {}
    for line in done.stdout.splitlines():
        match = re.match(rf".*{re.escape(path.name)}:(\d+)(?::\d+)?.*?error: (.*)", line)
        if match:
            found.setdefault(int(match[1]), match[2])
    assert found or done.returncode == 0, done.stdout + done.stderr
    return done.returncode, found


def mypy(path: Path) -> tuple[int, dict[int, str]]:
    return errors_of(["mypy", "--strict", "--no-error-summary", "--hide-error-context"], path)


def pyright(path: Path) -> tuple[int, dict[int, str]]:
    return errors_of(["pyright", "--pythonpath", sys.executable], path)


Checker = Callable[[Path], tuple[int, dict[int, str]]]


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_program_of_a_user_is_clean(checker: Checker) -> None:
    assert checker(CONSUMER) == (0, {})


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_mistake_is_found_and_nothing_else(checker: Checker) -> None:
    lines = MISTAKES.read_text().splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]
    code, found = checker(MISTAKES)
    assert code == 1
    assert sorted(found) == wrong, {number: found[number] for number in found if number not in wrong}
