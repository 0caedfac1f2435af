"""python-etcd's documented examples, and its own unit tests: the real one and ours on one server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from etcdv2.testing import Server
from tests.compat.cases import CASES
from tests.tools import programs
from tests.tools.waiting import SOON

ROOT = Path(__file__).resolve().parents[2]


def said(whose: str, server: Server) -> dict[str, Any]:
    """What the cases saw in a process of their own."""
    path = [str(ROOT), str(ROOT / "generated"), *([str(programs.place("python-etcd"))] if whose == "theirs" else [])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.compat.cases", whose, str(server.port)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SOON,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.programs("python-etcd")
def test_both_see_the_same_on_one_server(etcd: Server) -> None:
    theirs, ours = said("theirs", etcd), said("ours", etcd)
    assert ours.keys() == CASES.keys()
    for name, expected in theirs.items():
        assert ours[name] == expected, name


UNITS = """
import importlib, json, pathlib, sys, types, unittest
import etcdv2.compat
etcdv2.compat.install()
import etcd
import etcdv2._core.call.route
etcdv2._core.call.route.SECOND_ROUND_SECONDS = 0.01  # most of those that cannot pass find nobody who listens
sys.path.append(sys.argv[1])
tests = types.ModuleType("etcd.tests")
tests.__path__ = [str(pathlib.Path(sys.argv[1], "etcd", "tests"))]
sys.modules["etcd.tests"] = etcd.tests = tests
found = {}
for name in ("test_client", "test_lock", "test_old_request", "test_request", "test_result"):
    module = importlib.import_module(f"etcd.tests.unit.{name}")
    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite.run(result)
    found[name] = [result.testsRun, sorted(test.id() for test, _ in result.failures + result.errors)]
print(json.dumps(found))
"""
"""python-etcd's own unit tests, as they were installed, with ours in the place of `etcd`."""
THROUGH_URLLIB3 = {
    # These put a stand-in into the place of urllib3's methods, or of the resolver, and count on being asked.
    "test_client": 4,
    "test_old_request": 8,
    "test_request": 22,
    # This one has a stand-in for what `_get_locker` returns, which nobody is promised.
    "test_lock": 1,
    "test_result": 0,
}
"""How many of them cannot pass, by file."""


@pytest.mark.load
@pytest.mark.programs("python-etcd")
def test_its_own_unit_tests_pass_but_for_those_that_replace_urllib3() -> None:
    place = programs.place("python-etcd")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNITS, str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SOON,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: len(failed) for name, (_, failed) in found.items()} == THROUGH_URLLIB3, found
    assert sum(count for count, _ in found.values()) == 118
