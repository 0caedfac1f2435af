"""Installs the built wheel into an empty environment and uses it there, as a user would.

    python scripts/check_wheel.py dist [--etcd BINARY]

Fails when a file is missing or too many, a class exists twice, or the small program at the end does
not work; that talks to a real etcd: BINARY, or else the one that this Python's environment has. Then
builds compat/etcd-for-etcdv2 and tries it there, too, alone and beside python-etcd.
"""

from __future__ import annotations

import argparse
import email
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from readme_renderer import markdown

ROOT = Path(__file__).resolve().parent.parent
IN_WHEEL = [
    *("etcdv2/__init__.py", "etcdv2/py.typed", "etcdv2/_sync/client.py", "etcdv2/testing/fixtures.py"),
    *("etcdv2/__main__.py", *(f"etcdv2/_cli/completions/etcdv2.{shell}" for shell in ("bash", "zsh", "tcsh"))),
    *(
        "etcdv2_api/etcd-v2.yaml",
        "etcdv2_api/__init__.py",
        "etcdv2_api/models.py",
        "etcdv2_api/operations.py",
        "etcdv2_api/py.typed",
    ),
]
IN_SDIST = [
    *("LICENSE", "Makefile", "README.md", "constraints.txt", "pyproject.toml", "spec/etcd-v2.yaml", "etcdv2/py.typed"),
    *(
        "docs/index.md",
        "docs/coming-from/python-etcd.md",
        "zensical.toml",
        "compat/etcd-for-etcdv2/src/etcd/__init__.py",
    ),
    *("bench/peers.txt", "scripts/generate.py", "tests/conftest.py", "generated/etcdv2_api/py.typed"),
]

PROGRAM = """
import asyncio, importlib.util, pathlib, subprocess, sys
import etcdv2, etcdv2_api
from etcdv2.testing import Server

prefix = pathlib.Path(sys.prefix).resolve()
for module in (etcdv2, etcdv2_api):
    place = pathlib.Path(module.__file__).resolve().parent
    assert prefix in place.parents, f"{module.__name__} comes from {place}"
    assert (place / "py.typed").is_file(), f"{module.__name__} has no py.typed"
assert importlib.util.find_spec("generated") is None, "the folder `generated` is importable"
for name in set(etcdv2.__all__) & set(etcdv2_api.__all__):
    assert getattr(etcdv2, name) is getattr(etcdv2_api, name), f"two classes are called {name}"


async def with_async(url):
    async with etcdv2.AsyncClient(url) as client:
        return (await client.keys.get("/wheel")).value


with Server(sys.argv[1]) as server:
    with etcdv2.Client(server.url) as client:
        client.keys.set("/wheel", "round")
        node = client.keys.get("/wheel").node
        assert type(node) is etcdv2_api.Node, f"{type(node)} is no etcdv2_api.Node"
        assert node.value == "round"
    assert asyncio.run(with_async(server.url)) == "round"
    program = [pathlib.Path(sys.prefix, "bin", "etcdv2"), "--endpoints", server.url, "get", "/wheel"]
    assert subprocess.run(program, check=True, capture_output=True).stdout == b"round\\n"
    print(f"check_wheel: etcdv2 of the wheel works with etcd {server.version}")
"""

SECOND = ROOT / "compat" / "etcd-for-etcdv2"
SECOND_PROGRAM = """
import sys
from etcdv2.testing import Server
from etcd.lock import Lock
import etcd, etcd.client

assert etcd.client.Client is etcd.Client, "two clients"
with Server(sys.argv[1]) as server:
    client = etcd.Client(port=server.port)
    with Lock(client, "wheel"):
        assert client.write("/wheel", "round").value == "round"
    client.http.clear()
    print("check_wheel: etcd-for-etcdv2 works")
"""


def check_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    missing = [name for name in IN_WHEEL if name not in names]
    strange = [
        name for name in names if name.split("/")[0] not in {"etcdv2", "etcdv2_api"} and ".dist-info/" not in name
    ]
    if missing or strange or not any(name.endswith("licenses/LICENSE") for name in names):
        raise SystemExit(f"check_wheel: {wheel.name}: missing {missing}, not expected {strange}, or LICENSE is missing")


def check_metadata(wheel: Path) -> None:
    """What a package index shows: a description, rendered as there, with no link into the checkout; the classifier."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = email.message_from_bytes(archive.read(name))
    shown = markdown.render(str(found.get_payload()))
    wrong = re.findall(r'(?:href|src)="((?!https?:|#)[^"]*)"', shown or "")
    if shown is None or wrong or found["Description-Content-Type"] != "text/markdown":
        raise SystemExit(f"check_wheel: {wheel.name}: its description is no Markdown, or leads nowhere: {wrong}")
    if "Typing :: Typed" not in found.get_all("Classifier", []):
        raise SystemExit(f"check_wheel: {wheel.name}: the classifier Typing :: Typed is missing")


def check_source(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := [name for name in IN_SDIST if name not in names]:
        raise SystemExit(f"check_wheel: {sdist.name}: missing {missing}")


def check_use(wheel: Path, etcd: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="etcdv2-wheel-") as name:
        place = Path(name)
        venv.create(place / "env", symlinks=True)
        python = place / "env" / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        if subprocess.run([*pip, "install", "--quiet", *constraints, str(wheel)], check=False).returncode:
            raise SystemExit(
                f"check_wheel: {wheel.name} is built, but could not be tried: what it depends on was not installed;"
                " that needs a package index that pip can reach"
            )
        subprocess.run([*pip, "check", "--quiet"], check=True)
        subprocess.run([python, "-I", "-W", "error", "-c", PROGRAM, etcd], check=True, cwd=place, timeout=60)
        check_second(place, python, [*pip, "install", "--quiet", *constraints], etcd)


def check_second(place: Path, python: Path, install: list[str], etcd: Path) -> None:
    """The distribution that provides `etcd`, in the environment of the first."""
    # 1. Alone.
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(place), str(SECOND)]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run([*install, str(next(place.glob("etcd_for_etcdv2-*.whl"))), "urllib3"], check=True)
    subprocess.run([python, "-I", "-W", "error", "-c", SECOND_PROGRAM, etcd], check=True, cwd=place, timeout=60)

    # 2. Where pip says that python-etcd is there, too.
    site = next((place / "env" / "lib").glob("python3*")) / "site-packages"
    (site / "python_etcd-0.4.5.dist-info").mkdir()
    (site / "python_etcd-0.4.5.dist-info" / "METADATA").write_text("Name: python-etcd\nVersion: 0.4.5\n")
    beside = subprocess.run([python, "-I", "-c", "import etcd"], check=False, capture_output=True, text=True)
    if beside.returncode == 0 or "pip uninstall python-etcd" not in beside.stderr:
        raise SystemExit(f"check_wheel: etcd-for-etcdv2 lives beside python-etcd: {beside.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dist", type=Path, help="directory with one wheel, and perhaps its sdist")
    parser.add_argument("--etcd", type=Path, help="the etcd binary to talk to")
    options = parser.parse_args()

    # 1. What is in the files.
    wheels = list(options.dist.resolve().glob("*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"check_wheel: {len(wheels)} wheels in {options.dist}, one is wanted")
    check_contents(wheels[0])
    check_metadata(wheels[0])
    for sdist in options.dist.resolve().glob("*.tar.gz"):
        check_source(sdist)

    # 2. What the wheel does, in an environment of its own.
    if options.etcd is None:
        from etcdv2.testing import find_binary

        options.etcd = find_binary()
    try:
        check_use(wheels[0], options.etcd.resolve())
    except subprocess.SubprocessError as error:
        raise SystemExit(f"check_wheel: {wheels[0].name}: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
