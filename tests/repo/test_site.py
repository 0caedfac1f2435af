"""The site has every page that is named, every public name, and no link that leads nowhere."""

from __future__ import annotations

import fcntl
import os
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
from tests.tools.browser import Browser

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
    """Built once for all processes of the run, and each page read."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    out = place / "site"
    with (place / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.is_dir():
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


# --- in a browser ----------------------------------------------------------------------------------------------------

SCHEME = "document.body.dataset.mdColorScheme"
BUTTON = "document.querySelector('[data-md-component=palette] label:not([hidden])')"
# The search has a tree of elements of its own.
ROOTS = "[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)"
FOUND = f"{ROOTS}.flatMap(root => [...root.querySelectorAll('li a')])"
PICTURES = os.environ.get("ETCDV2_TEST_PICTURES")
"""A directory for pictures of some pages, to be looked at after a change of theme or layout."""


@pytest.fixture
def person() -> Iterator[Browser]:
    """Who has never been here, in front of a wide window."""
    with Browser() as browser:
        browser.look(1400, 1000)
        yield browser


def keep(person: Browser, name: str) -> None:
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        person.picture(Path(PICTURES) / f"{name}.png")


@pytest.mark.load
@pytest.mark.browser
@pytest.mark.timeout(1800)
def test_no_page_complains_or_is_wider_than_a_telephone(site: dict[Path, Page], person: Browser) -> None:
    """The console stays empty, nothing is fetched from elsewhere, each picture is shown, one scrolls down only."""
    person.look(390, 800)
    for path in site:
        if path.name == "404.html":  # its styles are for wherever it is shown
            continue
        person.open(path.as_uri())
        assert person.complaints() == [], path.name
        assert person.value("document.scrollingElement.scrollWidth") <= 390, path.name
        assert person.value("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)") == [], path.name
        assert person.value("document.querySelector('h1').getBoundingClientRect().height") > 0, path.name
        if path.stem in ("index", "keys", "promises"):
            keep(person, f"narrow-{path.parent.name}-{path.stem}")


@pytest.mark.load
@pytest.mark.browser
def test_a_word_is_searched_for_and_its_page_opened(site: dict[Path, Page], person: Browser) -> None:
    start = next(path for path in site if path.name == "index.html" and (path.parent / "search.json").exists())
    person.open(start.as_uri())
    keep(person, "start")
    person.press("k", control=True)
    person.type("OutcomeUnknown")
    person.wait_for(lambda: person.value(f"{FOUND}.length"))
    keep(person, "search")
    shown: list[str] = person.value(f"{FOUND}.map(e => e.href)")
    assert any("reference/errors.html" in link for link in shown)
    person.press("Enter")
    person.wait_for(lambda: "OutcomeUnknown" in person.value("location.hash"))
    assert person.complaints() == []


@pytest.mark.load
@pytest.mark.browser
def test_colours_follow_the_system_until_another_choice_is_made(site: dict[Path, Page], person: Browser) -> None:
    page = next(path for path in site if path.name == "watches.html")
    person.look(1400, 1000, dark=True)
    person.open(page.as_uri())
    assert person.value(SCHEME) == "slate"
    keep(person, "watches-dark")
    person.look(1400, 1000)
    person.wait_for(lambda: person.value(SCHEME) == "default")
    keep(person, "watches")

    for _ in range(2):  # to light, to dark
        person.value(f"{BUTTON}.click()")
    person.wait_for(lambda: person.value(SCHEME) == "slate")
    person.open(next(path for path in site if path.name == "errors.html").as_uri())
    assert person.value(SCHEME) == "slate"
    keep(person, "errors-dark")


@pytest.mark.load
@pytest.mark.browser
def test_a_narrow_screen_has_its_navigation_behind_a_button(site: dict[Path, Page], person: Browser) -> None:
    """It leads to another page from there."""
    person.look(390, 800)
    person.open(next(path for path in site if path.name == "lock.html").as_uri())
    link = "[...document.querySelectorAll('.md-sidebar--primary a')].find(e => e.textContent.trim() == 'A job queue')"
    assert person.value(f"{link}.getBoundingClientRect().left") < 0
    person.value("document.querySelector('label[for=__drawer]').click()")
    person.wait_for(lambda: person.value(f"{link}.getBoundingClientRect().left") >= 0)
    keep(person, "narrow-menu")
    person.value(f"{link}.click()")
    person.wait_for(lambda: person.value("location.pathname").endswith("/queue.html"))
