"""Builds the site: pages of docs/, and those made from other files, through Zensical into site/.

    python scripts/docs.py [--out DIRECTORY]

Owns which files of the repository become pages, where their links then lead, and what Zensical does
not do: scripts from elsewhere are replaced by our own, so that nothing but these files is needed to
read and search the pages, from a disk too. Zensical renders (zensical.toml).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # a program finds its own directory only
    sys.path.insert(0, str(ROOT))

from scripts import docs_command_line, docs_http_api  # noqa: E402

STAGE = ROOT / ".cache" / "docs"
"""What Zensical reads, made again each time; it keeps what it has rendered beside it."""
COPIED = {
    "spec/protocol.md": "reference/protocol.md",
    "bench/results/results.md": "explanation/benchmark.md",
    "bench/results/chart.svg": "assets/chart.svg",
    "SECURITY.md": "explanation/security.md",
    "CHANGELOG.md": "explanation/changelog.md",
}
"""Files of the repository that are pages or pictures as they stand."""
MADE: dict[str, Callable[[], str]] = {
    "reference/http-api.md": docs_http_api.page,
    "reference/command-line.md": docs_command_line.page,
}
"""Pages that are made from what is not Markdown."""
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What Zensical would fetch for the search of pages that are read from a disk; docs/assets has a copy."""


def stage() -> None:
    """Everything that Zensical reads, in one directory."""
    docs = STAGE / "docs"
    shutil.rmtree(docs, ignore_errors=True)
    shutil.copytree(ROOT / "docs", docs)
    shutil.copy(ROOT / "zensical.toml", STAGE)
    shutil.copytree(ROOT / "examples", STAGE / "examples", dirs_exist_ok=True)

    for source, page in COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        (docs / page).write_text(with_links(text, source, page) if page.endswith(".md") else text, encoding="utf-8")
    for page, make in MADE.items():
        (docs / page).write_text(make(), encoding="utf-8")


def with_links(text: str, source: str, page: str) -> str:
    """Links of a file of the repository lead to pages; one to a file that is no page becomes its text."""
    up = "../" * page.count("/")

    def instead(match: re.Match[str]) -> str:
        shown, target, anchor = match.groups()
        path = (ROOT / source).parent.joinpath(target).resolve().relative_to(ROOT).as_posix()
        return f"{shown}({up}{COPIED[path]}{anchor or ''})" if path in COPIED else shown[shown.index("[") + 1 : -1]

    return re.sub(r"(!?\[[^\]]*\])\((?!https?:|#|/)([^)#]+)(#[^)]*)?\)", instead, text)


def render(out: Path) -> None:
    """Zensical, strictly; then the pages' scripts come from themselves."""
    shutil.rmtree(STAGE / "site", ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    subprocess.run(command, check=True, cwd=STAGE)

    site = STAGE / "site"
    for page in site.rglob("*.html"):
        up = "../" * (len(page.relative_to(site).parts) - 1)
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(SHIM, f"{up}assets/iframe-worker.js"), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(site, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="where the site goes; what is there is removed")
    options = parser.parse_args()
    try:
        stage()
        render(options.out.resolve())
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    print(f"docs: open {options.out / 'index.html'} in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
