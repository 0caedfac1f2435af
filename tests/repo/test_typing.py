"""The public types under strict checkers: a user's file is clean, and every mistake in another one is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
ROOT = HERE.parents[2]
CONSUMER, MISTAKES = HERE / "consumer.py", HERE / "mistakes.py"


def errors_of(*command: str) -> dict[tuple[str, int], str]:
    """The first error of each line of the two programs."""
    done = subprocess.run(
        [sys.executable, "-m", *command, str(CONSUMER), str(MISTAKES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[tuple[str, int], str] = {}
    for line in done.stdout.splitlines():
        match = re.match(r"(?:.*/)? *(\w+\.py):(\d+)(?::\d+)?.*?error: (.*)", line)
        if match:
            found.setdefault((match[1], int(match[2])), match[3])
    assert done.returncode == 1, done.stdout + done.stderr
    return found


@pytest.mark.load
@pytest.mark.parametrize(
    "command",
    [
        ("mypy", "--strict", "--no-error-summary", "--hide-error-context"),
        ("pyright", "--pythonpath", sys.executable),
    ],
    ids=["mypy", "pyright"],
)
def test_every_mistake_is_found_and_the_program_of_a_user_is_clean(command: tuple[str, ...]) -> None:
    lines = MISTAKES.read_text().splitlines()
    wrong = [(MISTAKES.name, number) for number, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert wrong
    found = errors_of(*command)
    assert sorted(found) == wrong, {place: why for place, why in found.items() if place not in wrong}
