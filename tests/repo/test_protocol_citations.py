"""What the code cites can be looked up: sections of spec/protocol.md that exist, and no document that is not here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").is_file())

HEADING = re.compile(r"^#{2,3} (\d+(?:\.\d+)?) \S", re.MULTILINE)
NUMBER = r"\d+(?:\.\d+)?"
GAP = r"[\s#]+"  # a citation may run over a line end, in a comment too
CITATION = re.compile(rf"\bprotocol(?:\.md)?{GAP}sections?{GAP}({NUMBER}(?:(?:,{GAP}|{GAP}(?:and|or){GAP}){NUMBER})*)")
ELSEWHERE = re.compile(r"\b(?:DESIGN|PROTOCOL|HOUSE)\b")


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """The repository's files (all, or those with these suffixes), without this one, which names what it forbids."""
    for top in sorted(ROOT.iterdir()):
        if top.name in {"build", "dist"} or (top.name.startswith(".") and top.name != ".ci"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            wanted = path.suffix in suffixes if suffixes else path.suffix != ".pyc"
            if wanted and path.is_file() and path != Path(__file__).resolve():
                yield path.relative_to(ROOT), path.read_text(errors="replace")


def sections(text: str) -> list[str]:
    return HEADING.findall(text)


def cited(text: str) -> list[str]:
    return [number for match in CITATION.finditer(text) for number in re.findall(NUMBER, match[1])]


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


@pytest.fixture(scope="module")
def existing() -> list[str]:
    return sections((ROOT / "spec" / "protocol.md").read_text())


def test_sections_are_numbered_in_order(existing: list[str]) -> None:
    assert [number for number in existing if "." not in number] == [str(number) for number in range(1, 20)]
    inner = [number.split(".") for number in existing if "." in number]
    assert len(set(existing)) == len(existing)
    for section in {outer for outer, _ in inner}:
        own = [int(part) for outer, part in inner if outer == section]
        assert own == list(range(1, len(own) + 1)), section


def test_cited_sections_exist(existing: list[str]) -> None:
    wrong = [
        f"{path}:{line_of(text, match.start())}: {number}"
        for path, text in texts(".py", ".md", ".yaml")
        for match in CITATION.finditer(text)
        for number in cited(match[0])
        if number not in existing
    ]
    assert not wrong, "spec/protocol.md has no such section:\n" + "\n".join(wrong)


def test_nothing_cites_documents_that_are_not_here() -> None:
    found = [
        f"{path}:{line_of(text, match.start())}: {match[0]}"
        for path, text in texts()
        for match in ELSEWHERE.finditer(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("see spec/protocol.md section 11.", ["11"]),
        ("(protocol section 7)", ["7"]),
        ("protocol.md sections 5, 8 and 9; three", ["5", "8", "9"]),
        ("protocol.md section 11.8.", ["11.8"]),
        ("    # as spec/protocol.md\n    # section 99 says, 3 times", ["99"]),
        ("the protocol, section 7", []),
        ("PROTOCOL_TLS section 7", []),
    ],
)
def test_citations_are_recognised(text: str, numbers: list[str]) -> None:
    assert cited(text) == numbers


def test_headings_are_recognised() -> None:
    assert sections("# Title 1\n## 1 One\ntext ## 2 No\n### 1.1 Inner\n## Without\n### Neither 3\n") == ["1", "1.1"]
