"""`import etcd`: how it becomes ours, what is refused, what is imported, and the warnings."""

from __future__ import annotations

import contextlib
import inspect
import re
import subprocess
import sys
import types
import warnings
from operator import attrgetter
from pathlib import Path
from unittest import mock

import pytest

import etcdv2
from etcdv2 import compat, recipes
from etcdv2.compat import python_etcd
from etcdv2.compat.python_etcd import _advice
from etcdv2.testing import Server
from tests.compat.conftest import Connect


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_etcd_gives_ours_and_can_be_patched() -> None:
    compat.install()
    compat.install()
    try:
        import etcd  # type: ignore[import-not-found, unused-ignore]
        import etcd.auth  # type: ignore[import-not-found, unused-ignore]
        import etcd.client  # type: ignore[import-not-found, unused-ignore]
        from etcd.lock import Lock  # type: ignore[import-not-found, unused-ignore]

        assert etcd is python_etcd
        assert etcd.client.Client is etcd.Client
        assert Lock is etcd.Lock
        assert etcd.auth.EtcdUser.entity == "user"
        with mock.patch("etcd.Client.read", return_value="patched"):
            assert etcd.Client().get("/a") == "patched"
        assert mock.Mock(spec=etcd.client.Client).key_endpoint
    finally:
        compat.uninstall()
    assert "etcd" not in sys.modules
    compat.uninstall()


def test_another_etcd_is_not_replaced() -> None:
    other = types.ModuleType("etcd")
    other.__file__ = "/usr/lib/etcd/__init__.py"
    with mock.patch.dict(sys.modules, {"etcd": other}):
        with pytest.raises(RuntimeError, match=r"/usr/lib/etcd/__init__\.py"):
            compat.install()
        compat.uninstall()
        assert sys.modules["etcd"] is other
    assert "etcd.client" not in sys.modules


def test_all_but_http_works_without_urllib3_and_dns(etcd: Server) -> None:
    said = run(
        """
import sys
sys.modules["urllib3"] = sys.modules["dns"] = None
import etcdv2.compat
etcdv2.compat.install()
import etcd
client = etcd.Client(port=int(sys.argv[1]))
print(client.write("/a", "1").value)
try:
    client.watch("/a", timeout=0.1)
except etcd.EtcdWatchTimedOut as error:
    print(type(error.cause).__name__)
try:
    client.http
except ImportError as error:
    print(error)
print(etcd.Client(port=int(sys.argv[1]), srv_domain="example.org").port == client.port)
""",
        str(etcd.port),
    )
    remedy = "Client.http needs urllib3: pip install 'etcdv2[python-etcd]'"
    assert said.splitlines() == ["1", "TimeoutError", remedy, "True"]


def test_import_takes_neither_urllib3_nor_the_client_before_the_first_call() -> None:
    said = run(
        "import sys, etcdv2.compat; etcdv2.compat.install(); import etcd; etcd.Client()\n"
        "names = ('urllib3', 'dns', 'httpx', 'pydantic', 'etcdv2._sync.client')\n"
        "print([name for name in names if name in sys.modules])"
    )
    assert said.strip() == "[]"


def test_warnings_name_the_native_call_where_they_are_wanted(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    client.write("/a", "1")
    monkeypatch.setattr(_advice, "wanted", True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.test_and_set("/a", "2", "1")
        _ = "/a" in client
    assert [(one.category, one.filename) for one in caught] == [(PendingDeprecationWarning, __file__)] * 2
    assert "keys.set(key, value, prev_value=old)" in str(caught[0].message)
    assert "keys.exists" in str(caught[1].message)
    said = run(
        "import warnings, etcdv2.compat; warnings.simplefilter('error')\n"
        "etcdv2.compat.install(warn=True); import etcd\n"
        "try: etcd.Client()\nexcept PendingDeprecationWarning as error: print(error)"
    )
    assert "etcdv2.Client" in said


PAGE = (Path(__file__).resolve().parents[2] / "docs/coming-from/python-etcd.md").read_text()
OLD = {word for line in re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE) for word in re.findall(r"\w+", line)}
"""All words of the left columns of its tables."""


def public(*classes: type) -> set[str]:
    return {name for one in classes for name in vars(one) if not name.startswith("_")}


def test_page_has_every_name_of_python_etcd() -> None:
    here = public(python_etcd.Client, *python_etcd.Client.__mro__[1:-1], python_etcd.Lock, python_etcd.EtcdResult)
    names = {*here, *python_etcd.__all__, *inspect.signature(python_etcd.Client).parameters}
    of_the_result = {"parse_headers", "EtcdResult", "value", "action", "key", "ttl", "dir", "expiration", "EtcdError"}
    assert names - OLD - of_the_result - {"host", "port", "cert", "ca_cert"} == set()


def test_native_calls_that_warnings_and_page_name_are_there() -> None:
    client = etcdv2.Client("http://127.0.0.1:1")
    roots = {"client": client, "keys": client.keys, "etcdv2": etcdv2, "session": recipes.Session}
    texts = [*_advice.NATIVE.values(), PAGE.partition("## Call by call")[2]]
    paths = [path for text in texts for path in re.findall(r"\b(?:client|keys|etcdv2|session)(?:\.[a-z_]\w*)+", text)]
    assert len(paths) > 60
    for path in paths:
        root, *rest = path.split(".")
        if rest[0] not in ("http", "username", "expected_cluster_id", "compat"):  # python-etcd's client, or this room
            attrgetter(".".join(rest))(roots[root])


def test_every_public_call_of_python_etcds_client_names_a_native_one(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings aside, which are read by the dozen."""
    client = connect()
    monkeypatch.setattr(_advice, "wanted", True)
    settings = {"allow_redirect", "base_uri", "expected_cluster_id", "host", "key_endpoint", "lock_prefix", "port"}
    settings |= {"protocol", "read_timeout"}
    for name in sorted(public(python_etcd.Client, *python_etcd.Client.__mro__[1:-1]) - settings):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with contextlib.suppress(NotImplementedError, python_etcd.EtcdException):
                found = getattr(client, name)
                if callable(found):
                    required = [one for one in inspect.signature(found).parameters.values() if one.default is one.empty]
                    values = {"path": "/version", "method": "GET", "obj": python_etcd.EtcdResult(node={"key": "/none"})}
                    limit = {"timeout": 0.01} if name == "watch" else {}
                    made = found(
                        *[values.get(one.name, "1") for one in required if one.kind < one.VAR_POSITIONAL], **limit
                    )
                    if name == "eternal_watch":
                        client.write("/1", "1")
                        made = python_etcd.Client.eternal_watch(client, "/1", index=1)
                        next(made)
        assert [one.category for one in caught][:1] == [PendingDeprecationWarning], name
        assert {one.filename for one in caught} == {__file__}, name
