"""README, CONTRIBUTING and the site keep their word: their Python runs on a real etcd, the names in them exist."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import io
import pkgutil
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import etcdv2
from etcdv2._types.environment import settings_from_env
from etcdv2.testing import Certificates, Cluster, Server
from tests.repo.documents import PAGES, ROOT, Block, name_of, python_blocks

README = (ROOT / "README.md").read_text()
WRITTEN = [*PAGES, ROOT / "CONTRIBUTING.md"]
"""Where names of this repository stand in prose."""


@pytest.fixture
def in_a_directory_with_pem_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    """The files that the README names."""
    for name, source in (
        ("ca.pem", certificates.ca_file),
        ("me.pem", certificates.client_cert_file),
        ("me.key", certificates.client_key_file),
    ):
        (tmp_path / name).write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)


@pytest.mark.thorough
@pytest.mark.usefixtures("in_a_directory_with_pem_files")
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name_of)
def test_the_blocks_of_a_page_run_and_print_what_their_comments_say(
    page: Path, etcd: Server, request: pytest.FixtureRequest
) -> None:
    """Each by itself, on an empty store. A comment behind `print(...)` is the line that it prints."""
    for block in python_blocks(page):
        etcd.clean()
        assert run(block, etcd, request) == block.printed, str(block)


def run(block: Block, etcd: Server, request: pytest.FixtureRequest) -> list[str]:
    """What it prints."""
    code = block.compiled_lines.replace("http://127.0.0.1:2379", etcd.url)
    if "http://10.0.0." in code:
        cluster: Cluster = request.getfixturevalue("etcd_cluster")
        for number, member in enumerate(cluster.members, start=1):
            code = code.replace(f"http://10.0.0.{number}:2379", member.url)
    if "https://10.0.0." in code:
        code = code.replace("https://10.0.0.1:2379", request.getfixturevalue("guarded").url)

    printed = io.StringIO()
    with etcdv2.Client(etcd.url) as client, contextlib.redirect_stdout(printed):
        names: dict[str, Any] = {"etcdv2": etcdv2, "client": client, "keys": client.keys, "__name__": "block"}
        exec(compile(code, str(block.page), "exec"), names)
        for name, value in names.items():
            if name.startswith("test_"):
                fixtures = {one: request.getfixturevalue(one) for one in inspect.signature(value).parameters}
                made = value(**fixtures)
                if inspect.iscoroutine(made):
                    asyncio.run(made)
    return printed.getvalue().splitlines()


def test_there_are_blocks_for_both_clients() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        code = "\n".join(block.code for block in python_blocks(page))
        assert "etcdv2.Client(" in code
        assert "etcdv2.AsyncClient(" in code
    assert sum(len(python_blocks(page)) for page in PAGES) >= 50


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for page in WRITTEN:
        named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, name_of(page)
        assert {"demo", "test"} <= named or page.name != "README.md"


def test_every_file_that_is_linked_or_named_exists() -> None:
    for page in WRITTEN:
        text = page.read_text()
        linked = re.findall(r"\]\((?!https?:)([^)#]+)", text) if page.parent == ROOT else []
        named = re.findall(r"`((?:spec|generated|etcdv2|bench|scripts|tests|examples|docs|\.ci)/[\w./-]*)`", text)
        assert [path for path in linked + named if not (ROOT / path).exists()] == [], name_of(page)


def test_every_public_name_that_is_mentioned_exists(etcd: Server) -> None:
    modules = {module.name for module in pkgutil.iter_modules(etcdv2.__path__)}
    with etcdv2.Client(etcd.url) as client:
        for page in WRITTEN:
            text = page.read_text()
            for name in set(re.findall(r"\betcdv2\.([A-Za-z_]\w*)", text)) - modules:
                assert hasattr(etcdv2, name), f"{name_of(page)}: etcdv2.{name}"
            if page.parent.name == "coming-from":  # has the names of others
                continue
            for name in set(re.findall(r"(?<![-\w/])client\.(\w+)", text)):
                assert hasattr(client, name), f"{name_of(page)}: client.{name}"
            for name in set(re.findall(r"\bkeys\.(\w+)", text)) - {"md", "py"}:
                assert hasattr(client.keys, name), f"{name_of(page)}: keys.{name}"


def test_the_mapping_names_only_what_exists(etcd: Server) -> None:
    page = (ROOT / "docs" / "coming-from" / "python-etcd.md").read_text()
    table = page[page.index("| python-etcd | etcdv2 |") :]
    errors = set(re.findall(r"`([A-Z]\w+)`", table)) - {"None"}
    ours = {name for name in errors if not name.startswith("Etcd")}
    assert len(ours) >= 6
    assert {name for name in ours if not hasattr(etcdv2, name)} == set()
    with etcdv2.Client(etcd.url) as client:
        for place, name in re.findall(r"`(?:client\.)?(?:(keys|members|stats|auth)\.)?(\w+)\(", table):
            if place:
                assert hasattr(getattr(client, place), name), f"{place}.{name}"
    compat = importlib.import_module("etcdv2.compat.python_etcd")
    assert {name for name in errors - ours if not hasattr(compat, name)} == set()


def test_the_error_tree_is_the_real_one() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    section = page[: page.index("Your own mistakes are")]
    path: list[type] = []
    shown: set[type] = set()
    for line in section.splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+(?:, [A-Z]\w+)*)", line)
        if match is None:
            continue
        depth = len(match[1]) // 3
        for name in match[2].split(", "):
            kind = getattr(etcdv2, name)
            if depth:
                assert path[depth - 1] in kind.__bases__, f"{name} is no child of {path[depth - 1].__name__}"
            path[depth:] = [kind]
            shown.add(kind)
    every = {
        value for value in vars(etcdv2).values() if isinstance(value, type) and issubclass(value, etcdv2.EtcdError)
    }
    assert shown == every


def test_the_times_in_the_table_are_the_defaults() -> None:
    page = (ROOT / "docs" / "how-to" / "time.md").read_text()
    shown = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) s \|", page, re.MULTILINE)}
    timeout = etcdv2.Timeout()
    assert shown == {field.name: getattr(timeout, field.name) for field in fields(timeout)}


def test_every_variable_in_the_list_is_read(certificates: Certificates) -> None:
    page = (ROOT / "docs" / "how-to" / "environment.md").read_text()
    rows = re.findall(r"^\| .* \| (`ETCDCTL_.*) \|$", page, re.MULTILINE)
    variables = [re.findall(r"ETCDCTL_\w+", row) for row in rows]
    assert sum(map(len, variables)) == 16
    values = ["10.0.0.1:2379", str(certificates.ca_file), str(certificates.client_cert_file)]
    values += [str(certificates.client_key_file), "ada:secret", "secret", "7s", "3s"]
    # What a variable needs beside it to mean something.
    beside = {3: {"ETCDCTL_CERT": values[2]}, 5: {"ETCDCTL_USER": "ada:another"}}
    for number, (names, value) in enumerate(zip(variables, values, strict=True)):
        rest = beside.get(number, {})
        results = [settings_from_env({name: value, **rest}) for name in names]
        assert all(result == results[0] for result in results), names
        assert results[0] != settings_from_env(rest), names


def test_there_is_a_place_for_the_benchmark() -> None:
    assert README.splitlines().count("<!-- benchmark -->") == 1
