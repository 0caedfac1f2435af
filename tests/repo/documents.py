"""README and the pages of the site: which there are, the Python and the commands in them.

Owns how a block of a page is found, and what its comments say that it prints. Runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SNIPPET = "--8<--"
"""Begins a line in whose place the site has a file; these are programs with tests of their own."""


@dataclass(frozen=True)
class Block:
    """One ```python block."""

    page: Path
    line: int
    """Of its first line of code, counted from 1."""
    code: str

    @property
    def printed(self) -> list[str]:
        """What it is to print: the comments behind `print(...)`, and those that begin with `prints:`."""
        found = re.finditer(r"^ *print\(.*\)  # (.*)$|^ *# prints: (.*)$", self.code, re.MULTILINE)
        return [match[1] if match[1] is not None else match[2] for match in found]

    @property
    def compiled_lines(self) -> str:
        """The code behind as many empty lines as make its line numbers those of the page."""
        return "\n" * (self.line - 1) + self.code

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> list[Block]:
    """Those of a page that are not a file of the repository."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in re.finditer(r"^( *)```python\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        if not match[2].lstrip().startswith(SNIPPET):
            found.append(Block(page, text.count("\n", 0, match.start()) + 2, dedent(match[2])))
    return found


def shell_blocks(page: Path) -> list[str]:
    """Commands of `etcdv2` and what they print: each line of a command begins with `$ `."""
    return re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def everywhere() -> str:
    """All the text that users read."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
