"""`import etcd`: how it becomes ours, what is refused, what is imported, and the warnings."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from unittest import mock

import pytest

from etcdv2 import compat
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
        "print([name for name in ('urllib3', 'dns', 'httpx', 'etcdv2._sync.client') if name in sys.modules])"
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
