"""Which module may import what: the layers of the package, walked with `ast`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Layer of a module: the first prefix that fits. A new part of the package is entered here, with what it may import.
LAYERS = {
    "etcdv2.testing": "testing",
    "etcdv2._async": "async",
    "etcdv2._sync": "sync",
    "etcdv2._transport": "transport",
    "etcdv2._core.wire": "wire",
    "etcdv2._core.endpoints": "wire",
    "etcdv2._core.deadline": "wire",
    "etcdv2._core.call": "call",
    "etcdv2._core.watch": "watch",
    "etcdv2._core.mirror": "mirror",
    "etcdv2._core": "core",
    "etcdv2._types": "types",
    "etcdv2._runtime": "runtime",
    "etcdv2": "face",
    "etcdv2_api": "generated",
}
_CORE = {"core", "wire", "types", "generated"}
MAY_IMPORT = {
    "face": {"async", "sync", "mirror", "types", "generated"},
    "async": {"async", "transport", "call", "watch", "mirror", "runtime"} | _CORE,
    "sync": {"sync", "transport", "call", "watch", "mirror", "runtime"} | _CORE,
    "transport": {"transport", "wire", "types", "runtime"},
    "call": {"call"} | _CORE,
    "watch": {"watch"} | _CORE,
    "mirror": {"mirror"} | _CORE,
    "core": {"call"} | _CORE,
    "wire": {"wire", "types", "generated"},
    "types": {"types", "generated"},
    "runtime": {"runtime"},
    "generated": {"generated"},
    "testing": {"testing"},
}
TRANSPORTS = {"etcdv2._async.httpx_transport", "etcdv2._sync.httpx_transport"}

IO = {"httpx", "httpcore", "httptools", "socket", "select", "selectors", "http.client", "urllib.request", "subprocess"}
WAITING = {"asyncio", "threading", "time", "concurrent", "anyio"}
FORBIDDEN = {
    "face": IO | {"ssl"},
    "async": IO,
    "sync": IO | {"asyncio"},
    "transport": {"httpcore"},
    **dict.fromkeys(("core", "call", "watch", "mirror", "wire", "types"), IO | WAITING | {"ssl"}),
    "runtime": IO | {"ssl"},
    "generated": IO | WAITING | {"ssl"},
    "testing": {"httpx", "httptools", "pydantic", "asyncio"},
}
EXCEPTIONS = {
    "etcdv2._types.tls": {"ssl"},  # makes contexts, opens nothing
    # Read the environment's words about proxies, open nothing.
    "etcdv2._core.endpoints": {"urllib.request.getproxies", "urllib.request.proxy_bypass"},
}
PACKAGES = {
    "generated": {"pydantic", "typing_extensions"},
    "testing": {"pytest", "trustme"},
}


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


def layer_of(name: str) -> str | None:
    """The layer of a module or of a name imported from one; None outside of the project."""
    for prefix, layer in LAYERS.items():
        if name == prefix or name.startswith(prefix + "."):
            return layer
    return None


def within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def complaints(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    layer = layer_of(module)
    if layer is None or (layer == "face" and module != "etcdv2"):
        return [f"{module} has no layer: enter it in LAYERS and MAY_IMPORT"]
    wrong = list[str]()
    allowed = EXCEPTIONS.get(module, set()) | (IO | {"ssl"} if module in TRANSPORTS else set())
    for name, typing_only in found_imports(ast.parse(source), module, is_package=is_package):
        other = layer_of(name)
        if other is not None and other not in MAY_IMPORT[layer]:
            wrong.append(f"{module} ({layer}) imports {name} ({other})")
        if name.split(".")[0] == "generated":
            wrong.append(f"{module} imports {name}: a second copy of etcdv2_api")
        if typing_only and layer in {"async", "sync"}:
            continue
        if name not in allowed and within(name, FORBIDDEN[layer] - allowed):
            wrong.append(f"{module} ({layer}) imports {name}")
    return wrong


def outside(layer: str, name: str) -> bool:
    """Whether a name comes from a package that a layer with a closed list does not have on it."""
    top = name.split(".")[0]
    return layer in PACKAGES and not (top in sys.stdlib_module_names or top in PACKAGES[layer] or layer_of(name))


def modules() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for base, package in ((ROOT, "etcdv2"), (ROOT / "generated", "etcdv2_api")):
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_go_one_way(module: str, path: Path) -> None:
    assert complaints(module, path.read_text(), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_layers_with_a_closed_list_import_no_other_package(module: str, path: Path) -> None:
    names = found_imports(ast.parse(path.read_text()), module, is_package=path.name == "__init__.py")
    assert [name for name, _ in names if outside(layer_of(module) or "", name)] == []


def test_nobody_imports_the_folder_of_the_generated_package() -> None:
    files = [path for tree in ("scripts", "tests", "examples") for path in (ROOT / tree).rglob("*.py")]
    assert len(files) > 10
    for path in files:
        names = found_imports(ast.parse(path.read_text()), path.stem, is_package=False)
        assert [name for name, _ in names if name.split(".")[0] == "generated"] == [], path
    assert not (ROOT / "generated" / "__init__.py").exists()


def test_every_layer_has_modules() -> None:
    assert {layer_of(name) for name, _ in modules()} == set(MAY_IMPORT)


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
        ("etcdv2._runtime.primitives", "import socket"),
        ("etcdv2._core.endpoints", "from urllib.request import urlopen"),
        ("etcdv2._async.client", "import httpx"),
        ("etcdv2._async.client", "from etcdv2._sync.client import Client"),
        ("etcdv2._sync.client", "import asyncio"),
        ("etcdv2._transport.sockets", "from etcdv2._async.client import AsyncClient"),
        ("etcdv2_api.call", "import httpx"),
        ("etcdv2_api.call", "from etcdv2._core.keys import check"),
        ("etcdv2.testing._server", "from etcdv2 import Client"),
        ("etcdv2._core.call.endpoint_pool", "from generated.etcdv2_api import Node"),
        ("etcdv2.novelty", "import json"),
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
        ("etcdv2._runtime.primitives", "import asyncio, threading, time"),
        ("etcdv2._async.client", "if TYPE_CHECKING:\n    import httpx"),
        ("etcdv2._async.httpx_transport", "import httpx, socket, ssl"),
        ("etcdv2_api.call", "from etcdv2_api.models import Node"),
    ],
)
def test_good_import_is_left_alone(module: str, source: str) -> None:
    assert complaints(module, source) == []


def test_package_outside_a_closed_list_is_noticed() -> None:
    assert outside("generated", "httpx")
    assert not outside("generated", "pydantic.alias_generators")
    assert not outside("generated", "json")
