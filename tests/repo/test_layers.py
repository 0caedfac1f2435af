"""Which module may import what: the rooms of the package, walked with `ast`, and no circle between any two modules."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import etcdv2

ROOT = Path(__file__).resolve().parents[2]

# Room of a module: the first prefix that fits. A new part of the package is entered here, with what it may import.
ROOMS = {
    "etcdv2.__main__": "main",
    "etcdv2._cli": "cli",
    "etcdv2.compat": "compat",
    "etcdv2.transfer._async": "transfer async",
    "etcdv2.transfer._sync": "transfer sync",
    "etcdv2.transfer": "transfer",
    "etcdv2.recipes._async": "recipes async",
    "etcdv2.recipes._sync": "recipes sync",
    "etcdv2.recipes": "recipes",
    "etcdv2._async": "async",
    "etcdv2._sync": "sync",
    "etcdv2._transport": "transport",
    "etcdv2._core.wire": "wire",
    "etcdv2._core.endpoints": "wire",
    "etcdv2._core.deadline": "wire",
    "etcdv2._core.srv": "wire",
    "etcdv2._core.call": "call",
    "etcdv2._core.watch": "watch",
    "etcdv2._core.mirror": "mirror",
    "etcdv2._core": "core",
    "etcdv2._types": "types",
    "etcdv2._runtime": "runtime",
    "etcdv2.testing.fixtures": "fixtures",
    "etcdv2.testing": "testing",
    "etcdv2_api": "generated",
    "etcdv2": "face",
}
TO_COME: set[str] = set()
"""Rooms with nothing in them yet: the rules are there first."""

_CORE = {"core", "wire", "types", "generated"}
_SHELL = {"transport", "call", "watch", "mirror", "runtime"} | _CORE
MAY_IMPORT = {
    "main": {"cli"},
    "cli": {"cli", "recipes", "transfer", "face"},
    "compat": {"compat", "face"},
    "transfer": {"transfer", "transfer async", "transfer sync", "face"},
    "transfer async": {"transfer", "transfer async", "runtime", "face"},
    "transfer sync": {"transfer", "transfer sync", "runtime", "face"},
    "recipes": {"recipes", "recipes async", "recipes sync", "runtime", "face"},
    "recipes async": {"recipes", "recipes async", "runtime", "face"},
    "recipes sync": {"recipes", "recipes sync", "runtime", "face"},
    "face": {"async", "sync", "types", "generated"},
    "async": {"async"} | _SHELL,
    "sync": {"sync"} | _SHELL,
    "transport": {"transport", "wire", "types", "runtime"},
    "call": {"call"} | _CORE,
    "watch": {"watch"} | _CORE,
    "mirror": {"mirror"} | _CORE,
    "core": _CORE,
    "wire": {"wire", "types", "generated"},
    "types": {"types", "generated"},
    "runtime": {"runtime"},
    "testing": {"testing"},
    "fixtures": {"testing", "face"},
    "generated": {"generated"},
}
PUBLIC_NAMES_ONLY = {
    *("cli", "compat", "transfer", "transfer async", "transfer sync"),
    *("recipes", "recipes async", "recipes sync", "fixtures"),
}
"""What stands on the client uses nothing that its users cannot use: of `etcdv2` what `__all__` has, and of another of
these rooms no name with an underscore.
"""

IO = {"httpx", "httpcore", "httptools", "socket", "select", "selectors", "http.client", "urllib.request", "subprocess"}
WAITING = {"asyncio", "threading", "time", "concurrent", "anyio"}
FORBIDDEN = {
    **dict.fromkeys(("main", "cli", "transfer", "transfer async", "recipes", "recipes async"), IO | {"ssl"}),
    **dict.fromkeys(("transfer sync", "recipes sync"), IO | {"ssl", "asyncio"}),
    "compat": IO | {"ssl", "asyncio"},
    "face": IO | {"ssl"},
    "async": IO,
    "sync": IO | {"asyncio"},
    "transport": {"httpcore"},
    **dict.fromkeys(("core", "call", "watch", "mirror", "wire", "types"), IO | WAITING | {"ssl"}),
    "runtime": IO | {"ssl"},
    "testing": {"httpx", "httptools", "pydantic", "asyncio"},
    "fixtures": IO | {"ssl", "asyncio"},
    "generated": IO | WAITING | {"ssl"},
}
EXCEPTIONS = {
    "etcdv2._async.httpx2_bridge": {"httpx"},
    "etcdv2._sync.httpx2_bridge": {"httpx"},
    "etcdv2._async.httpx_failure": {"httpx"},
    "etcdv2._sync.httpx_failure": {"httpx"},
    "etcdv2._async.httpx_socket": {"httpx", "socket"},
    "etcdv2._sync.httpx_socket": {"httpx", "socket"},
    "etcdv2._async.httpx_transport": IO | {"ssl"},
    "etcdv2._sync.httpx_transport": IO | {"ssl"},
    "etcdv2.testing._checking": {"httpx"},
    "etcdv2._types.tls": {"ssl"},  # makes contexts, opens nothing
    "etcdv2._cli._processes": {"subprocess"},  # editors, and what runs under a lock or for an event
    "etcdv2._cli._curl": {"httpx"},  # a transport that shows the request and sends nothing
    # Read the environment's words about proxies, open nothing.
    "etcdv2._core.proxies": {"urllib.request.getproxies", "urllib.request.proxy_bypass"},
}
PACKAGES: Mapping[str, set[str]] = {
    **{room: set() for room in MAY_IMPORT},
    "cli": {"httpx", "rich", "yaml"},
    "compat": {"dns", "urllib3"},
    "async": {"httpx", "httpx2"},
    "sync": {"httpx", "httpx2"},
    "transport": {"httptools"},
    "types": {"typing_extensions"},
    "testing": {"httpx", "jsonschema", "trustme", "yaml"},
    "fixtures": {"pytest"},
    "generated": {"pydantic", "typing_extensions"},
}
"""Packages beside the standard library. Only `transfer` is open: it will need some client for v3."""


def found_imports(
    tree: ast.AST, module: str, *, is_package: bool, typing_only: bool = False
) -> Iterator[tuple[str, bool]]:
    """Each imported name with its module, and whether only a type checker sees the import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                source = ".".join([*parts, *filter(None, [source])])
            yield from ((f"{source}.{alias.name}", typing_only) for alias in node.names)
        else:
            checked = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            yield from found_imports(node, module, is_package=is_package, typing_only=typing_only or checked)


def used_of_the_face(tree: ast.AST) -> Iterator[str]:
    """What follows `etcdv2` in an expression: `etcdv2._core` in `etcdv2._core.keys.get`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "etcdv2":
            yield f"etcdv2.{node.attr}"


def room_of(name: str) -> str | None:
    """The room of a module or of a name imported from one; None outside of the project."""
    return next((room for prefix, room in ROOMS.items() if within(name, {prefix})), None)


def within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def is_private(name: str, room: str) -> bool:
    """Whether a room that takes public names only must not take this one."""
    other = room_of(name)
    if other is None:
        return False

    # What is its own, and the one room below the client that recipes have.
    if other.split()[0] == room.split()[0] or (other == "runtime" and other in MAY_IMPORT[room]):
        return False

    if other == "face":
        return name not in {"etcdv2", *(f"etcdv2.{public}" for public in etcdv2.__all__)}
    return any(part.startswith("_") for part in name.split("."))


def complaints(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    room = room_of(module)
    if room is None or (room == "face" and module != "etcdv2"):
        return [f"{module} has no room: enter it in ROOMS and MAY_IMPORT"]

    tree = ast.parse(source)
    allowed = EXCEPTIONS.get(module, set())
    wrong = list[str]()
    for name, typing_only in found_imports(tree, module, is_package=is_package):
        # 1. Another room of the project.
        other = room_of(name)
        if other is not None and other not in MAY_IMPORT[room]:
            wrong.append(f"{module} ({room}) imports {name} ({other})")
        elif room in PUBLIC_NAMES_ONLY and is_private(name, room):
            wrong.append(f"{module} ({room}) imports {name}, which is not public")
        if name.split(".")[0] == "generated":
            wrong.append(f"{module} imports {name}: a second copy of etcdv2_api")

        # 2. The standard library, and other packages. The shell may name types of what it must not use.
        if typing_only and room in {"async", "sync"}:
            continue
        if name not in allowed and within(name, FORBIDDEN[room] - allowed):
            wrong.append(f"{module} ({room}) imports {name}")
        elif is_foreign(name, room):
            wrong.append(f"{module} ({room}) imports {name}, a package that it does not have")

    # 3. `import etcdv2`, and then a private name of it.
    if room in PUBLIC_NAMES_ONLY:
        wrong += [f"{module} uses {name}" for name in used_of_the_face(tree) if is_private(name, room)]
    return wrong


def is_foreign(name: str, room: str) -> bool:
    """Whether a name comes from a package that is not on the room's list."""
    top = name.split(".")[0]
    known = top in sys.stdlib_module_names or top in PACKAGES[room] or top == "generated"
    return room != "transfer" and not known and room_of(name) is None


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for base, package in ((ROOT, "etcdv2"), (ROOT / "generated", "etcdv2_api")):
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str) -> list[str]:
    path = MODULES[module]
    names = found_imports(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
    return [name for name, _ in names]


def graph() -> dict[str, set[str]]:
    """Each module with the modules that it imports anywhere: in functions, and for a type checker alone, too.

    A package in which a module stands counts only where it is named: Python runs its `__init__.py` before any of its
    modules, so there it could form a circle only with what it imports itself.
    """
    found: dict[str, set[str]] = {}
    for module in MODULES:
        found[module] = set()
        for name in imports_of(module):
            target = name
            while target and target not in MODULES:
                target = target.rpartition(".")[0]
            if target and target != module:
                found[module].add(target)
    return found


def circle_in(edges: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, in the order in which they import each other; empty where there is none."""
    finished: set[str] = set()

    def follow(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in finished:
            return []
        for target in sorted(edges.get(module, ())):
            if found := follow(target, [*path, module]):
                return found
        finished.add(module)
        return []

    return next((found for module in edges if (found := follow(module, []))), [])


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    path = MODULES[module]
    assert complaints(module, path.read_text(), is_package=path.name == "__init__.py") == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    edges = graph()
    assert sum(map(len, edges.values())) > 300
    assert circle_in(edges) == []


def test_a_circle_is_found() -> None:
    assert circle_in({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d"]
    edges = graph()
    edges["etcdv2._types.api_errors"].add("etcdv2._types.results")
    assert set(circle_in(edges)) == {"etcdv2._types.api_errors", "etcdv2._types.results"}


def test_packages_import_nothing_but_the_faces() -> None:
    """So nothing happens on the way to a module of theirs, and no circle can lead through them."""
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    assert {module for module in packages if imports_of(module)} == {
        "etcdv2",
        "etcdv2.compat",
        "etcdv2.compat.python_etcd",
        "etcdv2._cli",
        "etcdv2.recipes",
        "etcdv2.testing",
        "etcdv2.transfer",
        "etcdv2_api",
    }


def test_the_map_of_the_house_names_every_room_and_only_what_exists() -> None:
    lines = re.findall(r"^#   (.*)$", MODULES["etcdv2"].read_text(), re.MULTILINE)
    assert 12 <= len(lines) <= 20
    named = {name for line in lines for name in re.findall(r"[\w/]+(?:/|\.py)(?!\w)", line)}
    house = ROOT / "etcdv2"
    there = {f"{path.name}/" if path.is_dir() else path.name for path in house.rglob("*")}
    assert {name for name in named if name not in there and not (ROOT / name).exists()} == set()
    rooms = {path for pattern in ("*/", "_core/*/") for path in house.glob(pattern) if path.name != "__pycache__"}
    assert {f"{path.name}/" for path in rooms} <= named


def test_nobody_imports_the_folder_of_the_generated_package() -> None:
    files = [path for tree in ("bench", "scripts", "tests", "examples") for path in (ROOT / tree).rglob("*.py")]
    assert len(files) > 10
    for path in files:
        text = path.read_text()
        names = found_imports(ast.parse(text), path.stem, is_package=False) if "generated" in text else ()
        assert [name for name, _ in names if name.split(".")[0] == "generated"] == [], path
    assert not (ROOT / "generated" / "__init__.py").exists()


def test_every_room_has_modules_or_is_to_come() -> None:
    assert set(ROOMS.values()) == set(MAY_IMPORT) == set(FORBIDDEN)
    assert {room_of(module) for module in MODULES} == set(MAY_IMPORT) - TO_COME


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("etcdv2._core.call.endpoint_pool", "import etcdv2._async.client"),
        ("etcdv2._core.call.endpoint_pool", "from etcdv2 import Client"),
        ("etcdv2._core.call.endpoint_pool", "from ... import _transport"),
        ("etcdv2._core.call.endpoint_pool", "from ..._sync.client import Client"),
        ("etcdv2._core.call.endpoint_pool", "def f():\n    import socket"),
        ("etcdv2._core.call.endpoint_pool", "from time import sleep"),
        ("etcdv2._core.call.endpoint_pool", "try:\n    import httpx\nexcept ImportError:\n    pass"),
        ("etcdv2._core.call.endpoint_pool", "if TYPE_CHECKING:\n    import httpx"),
        ("etcdv2._core.call.endpoint_pool", "import urllib.request"),
        ("etcdv2._core.call.endpoint_pool", "from http import client"),
        ("etcdv2._core.call.endpoint_pool", "from generated.etcdv2_api import Node"),
        ("etcdv2._core.call.endpoint_pool", "import pydantic"),
        ("etcdv2._core.call.endpoint_pool", "from etcdv2._core.watch.cursor import Cursor"),
        ("etcdv2._core.watch.cursor", "from etcdv2._core.call.route import Route"),
        ("etcdv2._core.watch.cursor", "from etcdv2._core.mirror.tree import MirrorTree"),
        ("etcdv2._core.mirror.tree", "from etcdv2._core.call import policy"),
        ("etcdv2._core.curl", "from etcdv2._core.call.secrets import Secrets"),
        ("etcdv2._core.wire", "from etcdv2._core.keys import get"),
        ("etcdv2._core.endpoints", "from urllib.request import urlopen"),
        ("etcdv2._types.results", "from etcdv2._core.wire import Reply"),
        ("etcdv2._types.results", "from etcdv2._runtime.forks import Forked"),
        ("etcdv2._runtime.primitives", "import socket"),
        ("etcdv2._runtime.primitives", "from etcdv2._types.settings import UNSET"),
        ("etcdv2._async.client", "import httpx"),
        ("etcdv2._async.client", "from etcdv2._sync.client import Client"),
        ("etcdv2._sync.client", "import asyncio"),
        ("etcdv2._transport.sockets", "from etcdv2._async.client import AsyncClient"),
        ("etcdv2._transport.sockets", "from etcdv2._core.keys import get"),
        ("etcdv2._transport.sockets", "from etcdv2_api import Call"),
        ("etcdv2", "from etcdv2._core.mirror.tree import MirrorTree"),
        ("etcdv2", "from etcdv2.recipes import Lock"),
        ("etcdv2._async.client", "from etcdv2.recipes import Lock"),
        ("etcdv2_api.call", "import httpx"),
        ("etcdv2_api.call", "from etcdv2._core.keys import check"),
        ("etcdv2.testing._server", "from etcdv2 import Client"),
        ("etcdv2.testing._server", "import requests"),
        ("etcdv2.novelty", "import json"),
        # Public names only.
        ("etcdv2._cli.get", "from etcdv2._types.settings import settings_from_env"),
        ("etcdv2._cli.get", "from etcdv2 import settings_from_env"),
        ("etcdv2._cli.get", "from etcdv2_api import operations"),
        ("etcdv2._cli.get", "import etcdv2\nprint(etcdv2._sync.client.Client)"),
        ("etcdv2._cli.get", "import etcdv2\nprint(etcdv2.NoSuchName)"),
        ("etcdv2._cli.get", "from etcdv2.recipes._sync.lock import Lock"),
        ("etcdv2._cli.get", "from etcdv2.transfer import _formats"),
        ("etcdv2._cli.get", "from etcdv2.compat import python_etcd"),
        ("etcdv2._cli.get", "from ..recipes._async import lock"),
        ("etcdv2._cli.get", "import requests"),
        ("etcdv2.__main__", "from etcdv2._sync.client import Client"),
        ("etcdv2.recipes._async.lock", "from etcdv2._async.keys import AsyncKeysAPI"),
        ("etcdv2.recipes._async.lock", "from etcdv2.recipes._sync.lock import Lock"),
        ("etcdv2.recipes._sync.lock", "from etcdv2.recipes._async.lock import AsyncLock"),
        ("etcdv2.recipes._sync.lock", "import asyncio"),
        ("etcdv2.recipes.election", "from etcdv2._core.keys import absolute"),
        ("etcdv2.recipes.election", "from etcdv2.transfer import dump"),
        ("etcdv2.recipes.election", "if TYPE_CHECKING:\n    from etcdv2._types.settings import TimeoutLike"),
        ("etcdv2.transfer.dump", "from etcdv2._runtime.primitives import async_sleep"),
        ("etcdv2.transfer._async.load", "from etcdv2._async.client import AsyncClient"),
        ("etcdv2.transfer._sync.load", "from etcdv2.transfer._async.load import async_load"),
        ("etcdv2.transfer._sync.load", "import asyncio"),
        ("etcdv2.transfer.dump", "from etcdv2._types.results import Response"),
        ("etcdv2.compat.python_etcd", "from etcdv2.recipes import Lock"),
        ("etcdv2.compat.python_etcd", "def f():\n    from etcdv2._types import api_errors"),
    ],
)
def test_bad_import_is_noticed(module: str, source: str) -> None:
    assert len(complaints(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "etcdv2._core.call.endpoint_pool",
            "from urllib.parse import urlsplit\nfrom etcdv2._types import settings\nfrom ..wire import Limits",
        ),
        ("etcdv2._core.mirror.tree", "from etcdv2._core.answers import response_from\nfrom etcdv2_api import Node"),
        ("etcdv2._runtime.primitives", "import asyncio, threading, time"),
        ("etcdv2._async.client", "if TYPE_CHECKING:\n    import httpx"),
        ("etcdv2._async.httpx_transport", "import httpx, socket, ssl"),
        ("etcdv2._transport.http1", "import httptools\nfrom etcdv2._core.endpoints import Endpoint"),
        ("etcdv2_api.call", "from etcdv2_api.models import Node"),
        ("etcdv2.__main__", "from etcdv2._cli import main"),
        (
            "etcdv2._cli.get",
            "import rich\nimport etcdv2\nfrom etcdv2 import Client, __version__\nprint(etcdv2.KeyNotFound)\n"
            "from etcdv2._cli import words\nfrom etcdv2.recipes import Lock\nfrom etcdv2.transfer.dump import dump",
        ),
        (
            "etcdv2.recipes._async.lock",
            "from etcdv2 import AsyncKeysAPI\nfrom etcdv2._runtime.primitives import AsyncPulse\n"
            "from etcdv2.recipes import decisions",
        ),
        (
            "etcdv2.recipes",
            "from etcdv2.recipes._async.lock import AsyncLock\nfrom etcdv2.recipes._sync.lock import Lock",
        ),
        (
            "etcdv2.transfer._async.load",
            "from etcdv2 import AsyncClient\nfrom etcdv2._runtime.spread import async_spread\nfrom .. import _plan",
        ),
        ("etcdv2.transfer.to_v3", "import some_v3_client\nfrom etcdv2 import Client\nfrom . import _formats"),
        ("etcdv2.compat.python_etcd", "import urllib3\nfrom etcdv2 import Client, EtcdError"),
    ],
)
def test_good_import_is_left_alone(module: str, source: str) -> None:
    assert complaints(module, source) == []
