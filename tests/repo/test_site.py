"""The site has every page that is named, every public name, and no link that leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import pytest

import etcdv2
from etcdv2._cli._commands import COMMANDS
from scripts.docs import COPIED, MADE
from tests.repo.documents import DOCS, PAGES, ROOT, name_of

MODULES = (
    *("etcdv2", "etcdv2.recipes", "etcdv2.transfer", "etcdv2.testing", "etcdv2.compat", "etcdv2.compat.python_etcd"),
    "etcdv2_api",
)
"""The public ones."""
FROM_ELSEWHERE = {path for path in (*COPIED.values(), *MADE) if path.endswith(".md")}


def named_in_nav(parts: list[Any]) -> Iterator[str]:
    """A part is a page, or a title with a page or with parts of its own."""
    for part in parts:
        for one in [part] if isinstance(part, str) else cast("dict[str, Any]", part).values():
            yield from [one] if isinstance(one, str) else named_in_nav(one)


def public_names() -> Iterator[str]:
    """Under the one name that each is documented with."""
    for module in MODULES:
        for name in import_module(module).__all__:
            if module != "etcdv2_api" or name not in etcdv2.__all__:
                yield f"{module}.{name}"


def test_every_page_is_in_the_navigation_and_there() -> None:
    settings = tomllib.loads((ROOT / "zensical.toml").read_text())
    named = list(named_in_nav(settings["project"]["nav"]))
    there = {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    assert sorted(named) == sorted(there | FROM_ELSEWHERE)


def test_every_public_name_is_in_the_reference_once() -> None:
    asked = [
        name
        for page in sorted((DOCS / "reference").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]
    assert sorted(asked) == sorted(public_names())


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_relative_to(DOCS)], ids=name_of)
def test_every_link_of_a_page_leads_to_a_page_or_a_picture(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        path = (page.parent / target).resolve()
        assert path.is_file() or path.relative_to(DOCS).as_posix() in {*COPIED.values(), *MADE}


# --- as it is built --------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What one page has and where it leads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.needed: list[str] = []
        """Scripts, styles and pictures."""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids.update(found[name] for name in ("id", "name") if found.get(name))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img", "source") and "src" in found:
            self.needed.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", "") + found.get("as", ""):
            self.needed.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Built, and each page read."""
    out = tmp_path_factory.mktemp("site") / "out"
    command = [sys.executable, str(ROOT / "scripts" / "docs.py"), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return {path: Page(path) for path in sorted(out.rglob("*.html"))}


@pytest.mark.load
def test_nothing_of_the_built_site_leads_nowhere_or_comes_from_elsewhere(site: dict[Path, Page]) -> None:
    assert len(site) > 40
    dead: list[str] = []
    for path, page in site.items():
        if path.name == "404.html":  # its links are for wherever it is shown
            continue
        for link in page.links:
            target, anchor = _within(path, link)
            if target is None:
                continue
            if not target.is_file() or (anchor and target in site and anchor not in site[target].ids):
                dead.append(f"{path.name}: {link}")
        for link in page.needed:
            target, _ = _within(path, link)
            if target is None or not target.is_file():
                dead.append(f"{path.name}: {link}")
    assert dead == []


@pytest.mark.load
def test_every_public_name_has_a_place_in_the_built_reference(site: dict[Path, Page]) -> None:
    ids = {one for path, page in site.items() if path.parent.name == "reference" for one in page.ids}
    assert [name for name in public_names() if name not in ids] == []
    assert [name for name in COMMANDS if name.replace(" ", "-") not in ids] == []
    members = [f"etcdv2.Client.{name}" for name in ("from_env", "health", "sync")]
    fields = ["etcdv2.Node.modified_index", "etcdv2.Timeout.commit", "etcdv2.ClusterUnavailable.attempts"]
    assert [name for name in members + fields if name not in ids] == []


def _within(page: Path, link: str) -> tuple[Path | None, str]:
    """The file and the anchor that a link leads to; None for what is elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None, ""
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return path, unquote(parts.fragment)
