"""scripts/unasync.py: what the derived text is, and what makes the derivation fail."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


unasync = load("unasync")

RULES = {
    "anext": "next",
    "__aenter__": "__enter__",
    "asyncio.sleep": "time.sleep",
    "import asyncio": "import time",
    "pkg._async": "pkg._sync",
    '"AsyncClient"': '"Client"',
}


def rewrite(source: str, rules: dict[str, str] = RULES) -> str:
    return str(unasync.Rewriter(rules).rewrite(source))


@pytest.mark.parametrize(
    ("source", "derived"),
    [
        ("async def f(): return await g()\n", "def f(): return g()\n"),
        ("async with a as b, c: pass\n", "with a as b, c: pass\n"),
        ("x = [y async for y in z if await y]\n", "x = [y for y in z if y]\n"),
        ("async  def f():\n    async def g():\n        await h()\n", "def f():\n    def g():\n        h()\n"),
        ("a = await b\n", "a = b\n"),
        ("value = -await b\n", "value = -b\n"),
        ("class A:\n    async def __aenter__(self): ...\n", "class A:\n    def __enter__(self): ...\n"),
        ("from pkg._async.client import AsyncClient\n", "from pkg._sync.client import Client\n"),
        ("import asyncio\nasyncio.sleep(1)\n", "import time\ntime.sleep(1)\n"),
        ("asyncio.gather(a)\n", "asyncio.gather(a)\n"),
        ("import pkg\npkg.AsyncClient.anext\n", "import pkg\npkg.Client.next\n"),
        ("AsyncClients, my_anext = 1, 2\n", "Clients, my_anext = 1, 2\n"),
        (
            "async_sleep = Asynchronous.MyAsyncClient, async_, Async\n",
            "sleep = Asynchronous.MyAsyncClient, async_, Async\n",
        ),
    ],
)
def test_tokens_are_rewritten_by_keyword_and_rule(source: str, derived: str) -> None:
    assert rewrite(source) == derived


def test_strings_stay_as_they_are() -> None:
    source = "text = 'await AsyncClient'\nlog(\"async with AsyncClient\", r'anext', b'anext')\n"
    assert rewrite(source) == source


def test_a_string_is_changed_by_a_rule_that_quotes_it() -> None:
    assert rewrite('__all__ = ["AsyncClient"]\n') == '__all__ = ["Client"]\n'


def test_docstrings_and_comments_follow_the_rules_for_whole_words() -> None:
    source = (
        '"""AsyncClient in pkg._async, AClient.\n\n    async with AsyncClient() as c:\n        await c.get()\n"""\n'
        "LIMIT = 1\n"
        '"""For AsyncClient. Callers await the answer."""\n'
        "x = 1  # an AsyncIterator\n"
    )
    assert rewrite(source) == (
        '"""Client in pkg._sync, AClient.\n\n    with Client() as c:\n        c.get()\n"""\n'
        "LIMIT = 1\n"
        '"""For Client. Callers await the answer."""\n'
        "x = 1  # an Iterator\n"
    )


def test_f_strings_stay_as_they_are() -> None:
    source = "text = f'{a} and {b!r:>{width}} {f\"{c}\"}'\n"
    assert rewrite(source) == source


@pytest.mark.parametrize("inside", ["await b()", "await b", "AsyncClient", "anext(x)"])
def test_f_string_that_would_have_to_change_is_refused_with_its_line(inside: str) -> None:
    with pytest.raises(ValueError, match=r"line 2: .*f-string"):
        rewrite(f"x = 1\ntext = f'a {{{inside}}} b'\n")


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def derive(
    root: Path, rules: dict[str, str], *, by_hand: frozenset[str] = frozenset(), check: bool = False
) -> list[str]:
    wrong: list[str] = unasync.derive(root, {"a": "s"}, rules, by_hand, check)
    return wrong


def test_derived_file_names_its_source_and_is_formatted_with_sorted_imports(tmp_path: Path) -> None:
    text = "from x import AsyncZ, B\n\n\nasync def f():\n    return [\n        await B(AsyncZ)]\n"
    assert derive(project(tmp_path, {"a/m.py": text}), {"AsyncZ": "A"}) == []
    first, rest = (tmp_path / "s/m.py").read_text().split("\n", 1)
    assert "a/m.py" in first
    assert "scripts/unasync.py" in first
    assert rest == "from x import A, B\n\n\ndef f():\n    return [B(A)]\n"


def test_check_is_quiet_after_derivation_and_names_what_differs(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "async def f(): ...\n", "a/sub/n.py": "x = 1\n"})
    assert [line.split(":")[0] for line in derive(root, {}, check=True)] == ["s/m.py", "s/sub/n.py"]
    assert not (root / "s").exists()
    assert derive(root, {}) == []
    assert derive(root, {}, check=True) == []
    (root / "s/m.py").write_text("x = 2\n")
    assert [line.split(":")[0] for line in derive(root, {}, check=True)] == ["s/m.py"]


def test_rule_that_is_never_used_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "x = AsyncA\n"})
    assert derive(root, {"AsyncA": "A", "AsyncB": "B"}) == ["rule 'AsyncB' is never used"]


def test_derived_file_without_a_source_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "x = 1\n", "s/old.py": "x = 1\n"})
    assert derive(root, {}) == ["s/old.py: has no source in a"]


def test_file_written_by_hand_is_left_alone_and_must_exist(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "x = 1\n", "a/n.py": "x = 1\n", "s/m.py": "y = 2\n"})
    assert derive(root, {}, by_hand=frozenset({"s/m.py"})) == []
    assert (root / "s/m.py").read_text() == "y = 2\n"
    assert derive(root, {}, by_hand=frozenset({"s/gone.py"})) == ["s/gone.py: is not there"]


def test_source_that_does_not_end_is_named_and_the_others_are_derived(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "x = '''1\n", "a/n.py": "x = 1\n"})
    assert [line.split(":")[0] for line in derive(root, {})] == ["a/m.py"]
    assert (root / "s/n.py").is_file()


def test_tree_without_sources_is_an_error(tmp_path: Path) -> None:
    assert derive(tmp_path, {}) == ["a: has no source files"]


def test_source_that_cannot_be_derived_is_named(tmp_path: Path) -> None:
    root = project(tmp_path, {"a/m.py": "x = f'{await y()}'\n"})
    assert [line.split(":")[0] for line in derive(root, {})] == ["a/m.py"]
